import dataclasses
import logging
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


@pytest.mark.parametrize("bands", [1, 2, 4, 6, 8])
def test_the_first_convolution_repeats_the_files_channels(encoder_file, bands):
    file = load_file(str(encoder_file))
    network = models.create("mst-deeplabv3plus", classes=2, bands=bands, weights=str(encoder_file))
    body = network.encoder.body.state_dict()
    ours, theirs = body["conv_stem.weight"], file["conv_stem.weight"]
    assert ours.shape[1] == bands
    for band in range(bands):
        expected = theirs.sum(1) if bands == 1 else theirs[:, band % 3] * 3 / bands
        assert torch.allclose(ours[:, band], expected, atol=1e-6)
    others = body.keys() - {"conv_stem.weight"}
    assert all(torch.equal(body[key], file[key]) for key in others)


@pytest.mark.parametrize(
    ("name", "encoder"), [("mst-deeplabv3plus", ENCODER), ("unet-vgg16", "vgg11")]
)
def test_a_right_file_makes_no_noise(name, encoder, tmp_path, caplog):
    save_file(timm.create_model(encoder).state_dict(), str(tmp_path / "file.safetensors"))
    with caplog.at_level(logging.WARNING):
        models.create(name, classes=2, encoder=encoder, weights=str(tmp_path / "file.safetensors"))
    assert not caplog.records


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
        BundleError,
        match=r"weights of resnet50 cannot be had from the hub: no network; pass .*"
        r"huggingface\.co/timm/resnet50\.",
    ):
        models.create("deeplabv3-resnet50", classes=2, weights="imagenet")


@pytest.mark.parametrize("content", ["text", "truncated", "list", "numbers", "mixed", "nothing"])
@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
@pytest.mark.parametrize("name", ["mst-deeplabv3plus", "deeplabv3-resnet50"])
def test_files_that_hold_no_weights_are_refused(tmp_path, encoder_file, name, content, suffix):
    path = tmp_path / f"odd.{suffix}"
    tensor = torch.zeros(3)
    held = {"list": [tensor], "numbers": {0: tensor}, "mixed": {"a": tensor, "b": 3}}
    if content == "text":
        path.write_text("hello")
    elif content == "truncated":
        path.write_bytes(encoder_file.read_bytes()[:-100])
    else:
        torch.save(held.get(content, {}), path)
    with pytest.raises(
        BundleError, match=rf"odd\.{suffix} is no file of weights, expected tensors"
    ):
        models.create(name, classes=2, weights=str(path))


def test_a_file_needs_no_classifier(tmp_path):
    file = timm.create_model("legacy_xception", num_classes=0).state_dict()
    save_file(file, str(tmp_path / "file.safetensors"))
    network = models.create(
        "deeplabv3-xception", classes=2, weights=str(tmp_path / "file.safetensors")
    )
    body = network.encoder.body.body.state_dict()
    assert body.keys() == file.keys()
    assert all(torch.equal(body[key], file[key]) for key in body)


def test_a_checkpoint_around_the_tensors_is_opened(tmp_path, encoder_file):
    torch.save({"epoch": 3, "state_dict": load_file(str(encoder_file))}, tmp_path / "file.pth")
    one, other = (
        models.create("mst-deeplabv3plus", classes=2, weights=str(path)).encoder.state_dict()
        for path in (tmp_path / "file.pth", encoder_file)
    )
    assert all(torch.equal(one[key], other[key]) for key in other)


@pytest.mark.parametrize(
    ("name", "encoder", "theirs", "reason"),
    [
        ("deeplabv3-resnet50", "resnet18", "resnet34", r"layer1\.2\.\S+ has no place in it"),
        ("deeplabv3-resnet50", "resnet34", "resnet18", r"layer1\.2\.\S+ is missing"),
        ("fcn-resnet101", "resnet50", "resnet101", r"layer3\.\d+\.\S+ has no place in it"),
        ("deeplabv3-resnet50", "resnet50", "wide_resnet50_2", r"128 x 64 x 1 x 1 there, not 64 x"),
    ],
)
def test_weights_of_another_network_are_refused(tmp_path, name, encoder, theirs, reason):
    save_file(timm.create_model(theirs).state_dict(), str(tmp_path / "file.safetensors"))
    match = rf"in \S+file\.safetensors do not fit {encoder}: .*{reason}.*timm's {encoder} layout"
    with pytest.raises(BundleError, match=match):
        models.create(name, classes=2, encoder=encoder, weights=str(tmp_path / "file.safetensors"))


def test_a_file_is_read_once(tmp_path, monkeypatch):
    torch.save(timm.create_model("resnet50").state_dict(), tmp_path / "file.pth")
    reads = []
    load = torch.load
    monkeypatch.setattr(
        torch, "load", lambda *given, **more: reads.append(1) or load(*given, **more)
    )
    models.create("deeplabv3-resnet50", classes=2, weights=str(tmp_path / "file.pth"))
    assert reads == [1]


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
        ("deeplabv3-resnet50", "swin_tiny_patch4_window7_224", "no feature maps .*; resnet50 and"),
        ("deeplabv3-resnet50", "vgg16", "cannot be dilated to 1/16; resnet50 and mobilenetv2_100"),
        ("deeplabv3-resnet50", "densenet121", "densenet121 .* cannot be dilated to 1/16; resnet50"),
        ("unet-vgg16", "vit_tiny_patch16_224", "vit_tiny_patch16_224 cannot be used here"),
        ("unet", "resnet50", "unet has no option 'encoder', expected widths, bilinear"),
    ],
)
def test_encoders_that_do_not_fit_are_refused(name, encoder, reason):
    with pytest.raises(OptionError, match=reason) as refusal:
        models.create(name, classes=2, encoder=encoder)
    assert "timm says" not in str(refusal.value)
    assert "()" not in str(refusal.value)


def test_a_decoder_needs_features_at_a_quarter(monkeypatch):
    shapes = ((2, 8, 16), (4, 8, 16), 1)
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


@pytest.mark.parametrize("name", ["mst-deeplabv3plus", "unet", "pspnet-resnet101", "unet-vgg16"])
def test_coco_weights_are_refused_with_the_networks_that_take_them(name):
    with pytest.raises(OptionError, match=f"{name} has no weights 'coco'; .*fcn-dilated-resnet101"):
        models.create(name, classes=2, weights="coco")


def test_a_deeper_whole_network_is_refused(tmp_path):
    theirs = segmentation.deeplabv3_resnet101(weights=None, weights_backbone=None)
    torch.save(theirs.state_dict(), tmp_path / "theirs.pth")
    with pytest.raises(
        BundleError, match=r"deeplabv3 on resnet50: .*layer3\.\d+\.\S+ has no place"
    ):
        models.create("deeplabv3-resnet50", classes=2, weights=str(tmp_path / "theirs.pth"))


def test_a_failed_download_of_a_whole_network_names_its_file(monkeypatch):
    def offline(*arguments, **options):
        raise URLError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    monkeypatch.setenv("TORCH_HOME", "/nonexistent")
    with pytest.raises(BundleError, match=r"download https://.*deeplabv3_resnet50_coco.*\.pth"):
        models.create("deeplabv3-resnet50", classes=2, weights="coco")
