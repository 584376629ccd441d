import dataclasses
from urllib.error import URLError

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torchvision.models import segmentation

from rsseg import models
from rsseg.bundle import Bundle
from rsseg.errors import BundleError, OptionError
from rsseg.legend import LAND_COVER
from rsseg.normalise import Normalisation

ENCODER = "mobilenetv2_100"


def _bundle(name, bands=("red", "green", "blue"), **options):
    normalisation = Normalisation.uniform(len(bands), scale=255, mean=0.5, std=0.5)
    return Bundle(name, LAND_COVER, bands, normalisation, options)


def _network(bundle, seed=0):
    torch.manual_seed(seed)
    return models.create(
        bundle.architecture, classes=5, bands=len(bundle.bands), **bundle.options
    ).eval()


@pytest.mark.parametrize("name", ["mst-deeplabv3plus", "unet-small"])
class TestFiles:
    @torch.no_grad()
    def test_half_precision_halves_the_file_and_widens_on_loading(self, name, tmp_path):
        bundle = _bundle(name)
        network = _network(bundle)
        full, half = tmp_path / "full.safetensors", tmp_path / "half.safetensors"
        models.save(full, network, bundle)
        models.save(half, network, bundle, half=True)
        assert half.stat().st_size < 0.51 * full.stat().st_size
        copy, _ = models.load(half)
        assert {p.dtype for p in copy.parameters()} == {torch.float32}
        for key, value in network.state_dict().items():
            rounded = value.half().float() if value.is_floating_point() else value
            assert torch.equal(copy.state_dict()[key], rounded)
        assert {p.dtype for p in network.parameters()} == {torch.float32}  # the caller's is kept

    def test_channels_last_networks_are_saved_as_they_are(self, name, tmp_path):
        bundle = _bundle(name)
        network = _network(bundle)
        paths = [tmp_path / f"{kind}.safetensors" for kind in ("plain", "last")]
        models.save(paths[0], network, bundle)
        models.save(paths[1], network.to(memory_format=torch.channels_last), bundle)
        assert paths[0].read_bytes() == paths[1].read_bytes()

    def test_tensors_for_another_number_of_classes_are_refused(self, name, tmp_path):
        bundle = _bundle(name)
        short = dataclasses.replace(bundle, legend=type(LAND_COVER)(LAND_COVER.classes[:3]))
        models.save(tmp_path / "model.safetensors", _network(bundle), short)
        with pytest.raises(BundleError, match=r"model\.safetensors do not fit"):
            models.load(tmp_path / "model.safetensors")


# --- the encoder's start


@pytest.fixture(scope="module")
def encoder_file(tmp_path_factory):
    """A file in timm's layout with weights of its own."""
    torch.manual_seed(123)
    path = tmp_path_factory.mktemp("encoder") / "encoder.safetensors"
    save_file(timm.create_model(ENCODER).state_dict(), str(path))
    return path


def test_a_local_file_starts_the_encoder(encoder_file):
    network = models.create("mst-deeplabv3plus", classes=2, weights=str(encoder_file))
    file = load_file(str(encoder_file))
    body = network.encoder.body.state_dict()
    assert body.keys() < file.keys()
    assert all(torch.equal(body[key], file[key]) for key in body)
    assert len(body) > 250


def test_the_first_convolution_is_adapted_to_other_bands(encoder_file):
    file = load_file(str(encoder_file))
    for bands in (1, 4):
        network = models.create(
            "mst-deeplabv3plus", classes=2, bands=bands, weights=str(encoder_file)
        )
        body = network.encoder.body.state_dict()
        stem = "conv_stem.weight"
        assert body[stem].shape[1] == bands
        total, expected = body[stem].sum(1), file[stem].sum(1)
        assert torch.nn.functional.cosine_similarity(total.flatten(), expected.flatten(), 0) > 0.8
        assert all(torch.equal(body[key], file[key]) for key in body if key != stem)


def test_random_starts_differ():
    one, other = (_network(_bundle("mst-deeplabv3plus"), seed) for seed in (0, 1))
    assert not torch.equal(one.encoder.body.conv_stem.weight, other.encoder.body.conv_stem.weight)


def test_missing_weights_name_the_remedy(tmp_path):
    with pytest.raises(BundleError, match=r"no encoder weights .*gone\.safetensors.*'imagenet'"):
        models.create("mst-deeplabv3plus", classes=2, weights=str(tmp_path / "gone.safetensors"))


def test_a_failed_download_names_the_file_to_pass(monkeypatch):
    def offline(*arguments, **options):
        raise FileNotFoundError("no network. A long story follows.")

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", offline)
    with pytest.raises(
        BundleError, match=r"resnet50 from the hub cannot be used.*huggingface\.co/timm/resnet50\."
    ):
        models.create("deeplabv3-resnet50", classes=2, weights="imagenet")


@pytest.mark.parametrize("content", ["text", "truncated", "other network"])
def test_other_files_are_refused_with_the_remedy(tmp_path, encoder_file, content):
    path = tmp_path / "odd.safetensors"
    if content == "text":
        path.write_text("hello")
    elif content == "truncated":
        path.write_bytes(encoder_file.read_bytes()[:-100])
    else:
        save_file({"fc.weight": torch.zeros(3)}, str(path))
    with pytest.raises(BundleError, match=rf"odd\.safetensors.*timm's {ENCODER} layout"):
        models.create("mst-deeplabv3plus", classes=2, weights=str(path))


# --- encoders in place of the architecture's own


def test_other_encoders_take_the_place():
    with torch.device("meta"):
        network = models.create("deeplabv3plus-resnet50", classes=2, encoder="convnext_tiny").eval()
        assert network.encoder.reductions == (4, 8, 16, 16)
        assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 2, 64, 64)


@pytest.mark.parametrize(
    ("name", "encoder", "reason"),
    [
        ("deeplabv3-resnet50", "resnet_50", "timm has no encoder 'resnet_50', expected resnet50"),
        ("deeplabv3-resnet50", "swin_tiny_patch4_window7_224", "no feature maps at output stride"),
        ("deeplabv3-resnet50", "vgg16", "no feature maps at output stride 16"),
        ("unet-vgg16", "vit_tiny_patch16_224", "vit_tiny_patch16_224 cannot be used here"),
        ("unet", "resnet50", "unet has no option 'encoder', expected widths, bilinear"),
    ],
)
def test_encoders_that_do_not_fit_are_refused(name, encoder, reason):
    with pytest.raises(OptionError, match=reason):
        models.create(name, classes=2, encoder=encoder)


def test_a_decoder_needs_features_at_a_quarter(monkeypatch):
    shapes = ((2, 8, 16), (4, 8, 16))
    monkeypatch.setattr("rsseg.models.backbones._shapes", lambda *arguments: shapes)
    with pytest.raises(OptionError, match=r"no features at 1/4, got 1/2, 1/8, 1/16"):
        models.create("deeplabv3plus-resnet50", classes=2)


@pytest.mark.parametrize("name", ["deeplabv3-resnet50", "deeplabv3-mobilenetv2", "fcn-resnet101"])
def test_unusable_output_strides_are_refused(name):
    with pytest.raises(OptionError, match=r"output stride, expected .*16.*got 12"):
        models.create(name, classes=2, output_stride=12)


# --- whole networks from torchvision


@pytest.mark.parametrize(
    ("name", "theirs", "options"),
    [
        ("deeplabv3-resnet50", "deeplabv3_resnet50", {}),
        pytest.param("deeplabv3-resnet101", "deeplabv3_resnet101", {}, marks=pytest.mark.slow),
        ("fcn-dilated-resnet101", "fcn_resnet50", {"encoder": "resnet50"}),
        pytest.param("fcn-dilated-resnet101", "fcn_resnet101", {}, marks=pytest.mark.slow),
    ],
)
def test_torchvisions_networks_are_ours(name, theirs, options, tmp_path):
    """Weights of torchvision's network give its very logits, so the structures are the same."""
    torch.manual_seed(0)
    reference = getattr(segmentation, theirs)(weights=None, weights_backbone=None, aux_loss=True)
    torch.save(reference.state_dict(), tmp_path / "theirs.pth")
    weights = str(tmp_path / "theirs.pth")
    ours = models.create(name, classes=21, weights=weights, output_stride=8, aux=True, **options)
    images = torch.randn(2, 3, 65, 97)
    with torch.no_grad():
        expected = reference.eval()(images)
        spread = float(expected["out"].std())
        assert torch.allclose(ours.eval()(images), expected["out"], atol=1e-4 * spread)
    other = models.create(name, classes=8, bands=4, weights=weights, output_stride=8, **options)
    mine, wanted = other.state_dict(), ours.state_dict()
    assert mine["head.classify.weight"].shape[0] == 8
    kept = [key for key in mine if not key.startswith(("head.classify", "encoder.body.conv1"))]
    assert all(torch.equal(mine[key], wanted[key]) for key in kept)


def test_whole_networks_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(OptionError, match="no whole-network weights for deeplabv3 on mobilenetv2"):
        models.create("deeplabv3-mobilenetv2", classes=2, weights="coco")
    torch.save({"backbone.conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "part.pth")
    with pytest.raises(BundleError, match=r"part\.pth do not fit deeplabv3 on resnet50.*missing"):
        models.create("deeplabv3-resnet50", classes=2, weights=str(tmp_path / "part.pth"))


def test_a_failed_download_of_a_whole_network_names_its_file(monkeypatch):
    def offline(*arguments, **options):
        raise URLError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    monkeypatch.setenv("TORCH_HOME", "/nonexistent")
    with pytest.raises(BundleError, match=r"download https://.*deeplabv3_resnet50_coco.*\.pth"):
        models.create("deeplabv3-resnet50", classes=2, weights="coco")
