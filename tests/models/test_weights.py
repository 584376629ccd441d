import dataclasses

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from rsseg import models
from rsseg.bundle import Bundle, read_bundle
from rsseg.errors import BundleError
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


@pytest.mark.parametrize("name", sorted(models.BUILDERS))
class TestEveryModel:
    def test_round_trip_is_exact(self, name, tmp_path):
        bundle = _bundle(name, ("nir", "red", "green", "blue"), output_stride=8)
        network = _network(bundle)
        path = tmp_path / "model.safetensors"
        models.save(path, network, bundle)
        copy, copied = models.load(path)
        assert copied == bundle == read_bundle(path)
        assert not copy.training
        expected, got = network.state_dict(), copy.state_dict()
        assert expected.keys() == got.keys()
        assert all(torch.equal(expected[key], got[key]) for key in expected)

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
