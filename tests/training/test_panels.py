import io

import numpy as np
import pytest
import torch
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.windows import Window
from torch import nn

from rsseg.data.catalogue import Catalogue, LabelledScene
from rsseg.data.samplers import GridWindows
from rsseg.loading import WindowDataset
from rsseg.training import Recipe
from rsseg.training.panels import Panel, draw_panels, evenly, make_panels

COLOURS = {"a": [255, 0, 0], "b": [0, 0, 255]}


class Brightness(nn.Module):
    """The second class where the first band is bright."""

    def forward(self, images):
        return torch.cat([-images[:, :1], images[:, :1]], dim=1)


def recipe_of(bands, stride=1, gsd=None):
    names = {1: ["grey"], 3: ["red", "green", "blue"], 4: ["nir", "blue", "green", "red"]}[bands]
    return Recipe.model_validate(
        {
            "title": "a test",
            "data": {
                "bands": names,
                "classes": [
                    {"code": code, "name": name, "colour": colour}
                    for code, (name, colour) in enumerate(COLOURS.items())
                ],
                "normalisation": {
                    "scale": [255] * bands, "mean": [0.5] * bands, "std": [0.5] * bands
                },
                "window": 16,
                "label_stride": stride,
                "gsd": gsd,
            },
            "model": {"name": "unet-small"},
            "trainer": {"steps": 1},
        }
    )  # fmt: skip


@pytest.fixture
def make_windows(make_scene):
    """Windows of a scene of 32 x 48 pixels whose right half is bright and labelled so."""

    def make(recipe, dtype="uint8", known=True, **scene):
        stride, bands = recipe.data.label_stride, len(recipe.data.bands)
        pixels = np.full((bands, 32, 48), 10, dtype)
        pixels[:, :, 24:] = 240
        codes = np.full((1, 32 // stride, 48 // stride), 255, np.uint8)
        if known:
            codes[:, 2:, : 24 // stride], codes[:, 2:, 24 // stride :] = 0, 1
        image = make_scene("image.tif", pixels=pixels, descriptions=recipe.data.bands, **scene)
        grid = {} if "crs" not in scene else scene
        label = make_scene("label.tif", pixels=codes, **grid)
        if stride > 1:
            coarse = Affine(0.5 * stride, 0, 400_000, 0, -0.5 * stride, 5_000_000)
            label = make_scene("label.tif", pixels=codes, transform=coarse)
        row = LabelledScene(image, label, "val", "town")
        return WindowDataset(
            Catalogue((row,)),
            GridWindows(16, 16),
            legend=recipe.legend,
            bands=recipe.data.bands,
            label_stride=stride,
        )

    return make


@given(st.integers(1, 500), st.integers(1, 12))
def test_windows_are_chosen_evenly(count, most):
    chosen = evenly(count, most)
    assert len(chosen) == len(set(chosen)) == min(count, most)
    assert chosen == sorted(chosen)
    assert chosen[0] == 0
    distances = np.diff([*chosen, count])
    assert distances.min() >= 1
    assert distances.max() - distances.min() <= 1


@pytest.mark.parametrize(
    ("bands", "dtype", "stride", "known"),
    [
        (1, "uint8", 1, True),
        (3, "uint8", 1, True),
        (4, "uint16", 1, True),
        (3, "float32", 2, True),
        (3, "uint8", 1, False),
    ],
)
def test_panels_show_what_is_there(make_windows, bands, dtype, stride, known):
    recipe = recipe_of(bands, stride)
    windows = make_windows(recipe, dtype, known)
    made = make_panels(recipe, Brightness(), windows, most=6)
    assert len(made) == len(windows) == 6
    for number, panel in enumerate(made):
        np.testing.assert_array_equal(panel.image, windows[number]["image"].numpy())
        np.testing.assert_array_equal(panel.label, windows[number]["label"].numpy())
        np.testing.assert_array_equal(panel.prediction, panel.image[0] > 127)
        assert panel.label.shape == (16 // stride, 16 // stride)
        assert not panel.wrong.any()  # it predicts the labels
        assert panel.across == 8  # metres, of 16 pixels of half a metre
    assert made[0].place == "image\nrow 0, column 0"
    assert made[5].place == "image\nrow 16, column 32"

    figure = draw_panels(made, recipe.legend, recipe.data.bands)
    figure.savefig(io.BytesIO())
    assert len(figure.axes) == 24
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["a", "b", "wrong", "unlabelled"]
    shown = {1: "grey", 3: "red, green, blue", 4: "red, green, blue"}[bands]
    assert figure.axes[0].get_title() == f"image ({shown})"
    errors = "0.0% of labelled pixels" if known else "nothing is labelled"
    assert figure.axes[3].get_title() == f"errors: {errors}"

    _, label, prediction, _ = (axes.images[0].get_array() for axes in figure.axes[:4])
    colours = np.array([*COLOURS.values()])
    unlabelled = made[0].label == 255
    assert unlabelled.any()
    np.testing.assert_array_equal(label[..., 3] == 0, unlabelled)
    np.testing.assert_array_equal(label[~unlabelled, :3], colours[made[0].label[~unlabelled]])
    np.testing.assert_array_equal(prediction[..., :3], colours[made[0].prediction])


def test_the_picture_has_the_named_colours_in_their_places():
    image = np.zeros((4, 8, 8), np.uint16)
    image[3, :, 4:] = 5000  # red, the last of the bands
    panel = Panel(image, np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8), "here", None)
    figure = draw_panels([panel], recipe_of(4).legend, ["nir", "blue", "green", "red"])
    shown = figure.axes[0].images[0].get_array()
    assert (shown[:, 4:] == (255, 0, 0)).all()
    assert (shown[:, :4] == 0).all()


def test_errors_are_tinted_where_a_label_is_missed_and_only_there():
    label = np.array([[0, 1], [255, 1]], np.uint8)
    prediction = np.repeat(np.repeat([[0, 0], [0, 1]], 4, axis=0), 4, axis=1).astype(np.uint8)
    panel = Panel(np.full((1, 8, 8), 7.0), label, prediction, "here", None)
    np.testing.assert_array_equal(panel.wrong, [[False, True], [False, False]])
    figure = draw_panels([panel], recipe_of(1).legend, [1])
    errors = figure.axes[3].images[0].get_array()
    tinted = (errors[..., 0] != errors[..., 1]) & (errors[..., 3] > 0)
    np.testing.assert_array_equal(tinted, panel.wrong.repeat(4, 0).repeat(4, 1))
    np.testing.assert_array_equal(errors[..., 3] == 0, (label == 255).repeat(4, 0).repeat(4, 1))
    assert figure.axes[3].get_title() == "errors: 33.3% of labelled pixels"


def test_windows_without_a_label_give_way_to_the_next_that_has_one(make_scene):
    recipe = recipe_of(3)
    codes = np.full((1, 16, 96), 255, np.uint8)
    codes[:, :4, 20:24] = 1  # in the second of six windows
    name = "a_name_that_is_far_too_long_for_the_side_of_a_picture"
    row = LabelledScene(
        make_scene(f"{name}.tif", height=16, width=96),
        make_scene("label.tif", pixels=codes),
        "val",
        "",
    )
    windows = WindowDataset(Catalogue((row,)), GridWindows(16, 16), legend=recipe.legend)
    places = [panel.place for panel in make_panels(recipe, Brightness(), windows, most=2)]
    assert [place.split("\n")[1] for place in places] == ["row 0, column 16", "row 0, column 48"]
    assert all(len(place.split("\n")[0]) < 35 for place in places)


@pytest.mark.parametrize(
    ("across", "text"),
    [(None, "2 pixels"), (12.8, "5 m"), (2560, "1 km"), (6000, "2 km"), (0.4, "0.1 m")],
)
def test_the_scale_is_a_round_length(across, text):
    zeros = np.zeros((8, 8), np.uint8)
    panel = Panel(zeros[None], zeros, zeros, "here", across)
    image = draw_panels([panel], recipe_of(1).legend, ["grey"]).axes[0]
    assert [each.get_text() for each in image.texts] == [text]
    (bar,) = image.lines
    left, right = bar.get_xdata()
    metres = {"pixels": 1, "m": 1, "km": 1000}[text.split()[1]] * float(text.split()[0])
    assert right - left == pytest.approx(metres / (across or 8) * 8)
    assert 0 <= left < right <= 8


def test_places_are_those_in_the_file_and_the_recipe_tells_the_scale_if_the_file_does_not(
    make_windows,
):
    recipe = recipe_of(3, gsd=0.25)
    windows = make_windows(recipe, crs=None)
    row = windows.catalogue.scenes[0]
    part = LabelledScene(row.image, row.label, "val", "", window=Window(16, 8, 16, 16))
    windows = WindowDataset(
        Catalogue((part,)), GridWindows(16, 16), legend=recipe.legend, bands=recipe.data.bands
    )
    (panel,) = make_panels(recipe, Brightness(), windows)
    assert panel.place == "image\nrow 8, column 16"
    assert panel.across == 4
