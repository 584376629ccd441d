"""Windows as image, label, prediction and errors, side by side in a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from torch import nn

from rsseg.geo.tiling import shifted
from rsseg.legend import NODATA, Legend
from rsseg.loading import WindowDataset
from rsseg.loading.dataset import Sample
from rsseg.training.recipe import Recipe

MOST = 6
"""So many windows are drawn at most."""
_TRIES = 50
_LONGEST = 30

_WRONG = (255, 0, 200)
_UNLABELLED: dict[str, Any] = {"facecolor": "white", "edgecolor": "0.7", "hatch": "////"}
_OUTLINED = [withStroke(linewidth=3, foreground="black")]

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Panel:
    """One window with what the network makes of it.

    Args:
        image: Raw pixels ``(B, h, w)``.
        label: Class indices ``(h / stride, w / stride)``, 255 for none.
        prediction: Class indices ``(h, w)``.
        place: File and corner, for the reader.
        across: Width on the ground in metres, or None where that is not known.
    """

    image: npt.NDArray[Any]
    label: Pixels
    prediction: Pixels
    place: str
    across: float | None

    @property
    def wrong(self) -> npt.NDArray[np.bool_]:
        """Where a label is there and another class predicted, at the label's size."""
        stride = self.prediction.shape[-1] // self.label.shape[-1]
        nearest = self.prediction[stride // 2 :: stride, stride // 2 :: stride]
        wrong: npt.NDArray[np.bool_] = (self.label != NODATA) & (nearest != self.label)
        return wrong


def make_panels(
    recipe: Recipe, network: nn.Module, windows: WindowDataset, most: int = MOST
) -> list[Panel]:
    """Predict some windows, evenly chosen, each the next one that has a label.

    Where there is no label for a long way, the window is one without.

    Args:
        recipe: Its normalisation goes before the network.
        network: On the CPU; it is put into evaluation mode.
        windows: Labelled windows.
        most: So many at most.
    """
    gain, offset = (
        torch.from_numpy(values)[:, None, None]
        for values in (recipe.normalisation.gain, recipe.normalisation.offset)
    )
    network.eval()
    made = []
    starts = evenly(len(windows), most)
    for start, stop in zip(starts, [*starts[1:], len(windows)], strict=True):
        number, sample = _next_labelled(windows, start, stop)
        with torch.inference_mode():
            logits = network((sample["image"].float() * gain + offset)[None])
        made.append(
            Panel(
                sample["image"].numpy(),
                sample["label"].numpy(),
                logits[0].argmax(0).numpy().astype(np.uint8),
                *_place(windows, number, recipe.data.gsd),
            )
        )
    return made


def evenly(count: int, most: int) -> list[int]:
    """Numbers from 0 on at even distances below ``count``, ``most`` of them or all if fewer."""
    parts = min(most, count)
    return [part * count // parts for part in range(parts)]


def draw_panels(made: Sequence[Panel], legend: Legend, bands: Sequence[int | str]) -> Figure:
    """Draw a row of four pictures for each panel, with the classes below.

    Three bands stand for red, green and blue: those of these names if they are there, else the
    first three, else the first alone; all windows are stretched alike, from the 2nd to the 98th
    percentile of each band. Errors lie over the image in grey; unlabelled pixels are hatched.

    Args:
        made: The panels, at least one.
        legend: The classes.
        bands: Bands of the images, by name or number.
    """
    shown = shown_bands(bands)
    names = ", ".join(str(bands[band]) for band in shown)
    pictures = stretched([panel.image[shown] for panel in made])
    figure = Figure(figsize=(11.5, 2.95 * len(made) + 0.6), layout="constrained")
    axes = figure.subplots(len(made), 4, squeeze=False)
    for row, panel, picture in zip(axes, made, pictures, strict=True):
        _draw_row(row, panel, picture, legend)
    for axis, title in zip(axes[0], (f"image ({names})", "label", "prediction"), strict=False):
        axis.set_title(title, fontsize="medium")
    handles = [Patch(facecolor=land.hex, edgecolor="0.4", label=land.name) for land in legend]
    handles.append(Patch(facecolor=np.divide(_WRONG, 255).tolist(), label="wrong"))
    handles.append(Patch(label="unlabelled", **_UNLABELLED))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(8, len(handles)))
    return figure


def _next_labelled(windows: WindowDataset, start: int, stop: int) -> tuple[int, Sample]:
    for number in range(start, min(stop, start + _TRIES)):
        sample = windows[number]
        if (sample["label"] != NODATA).any():
            return number, sample
    return start, windows[start]


def _draw_row(row: npt.NDArray[Any], panel: Panel, picture: Pixels, legend: Legend) -> None:
    height, width = picture.shape[:2]
    known = panel.label != NODATA
    pixels = (
        picture,
        _coloured(panel.label, legend),
        _coloured(panel.prediction, legend),
        error_picture(panel, picture),
    )
    for axis, shown in zip(row, pixels, strict=True):
        axis.set(xticks=[], yticks=[])
        axis.patch.set(**_UNLABELLED)
        # classes keep their exact colours; the image alone is smoothed where it is made smaller
        smooth = None if shown is picture else "nearest"
        axis.imshow(shown, interpolation=smooth, extent=(0, width, height, 0))
    row[0].set_ylabel(panel.place, fontsize="small")
    if known.any():
        share = panel.wrong.sum() / known.sum()
        row[3].set_title(f"errors: {share:.1%} of labelled pixels", fontsize="medium")
    else:
        row[3].set_title("errors: nothing is labelled", fontsize="medium")
    _draw_scale(row[0], width, height, panel.across)


def _coloured(indices: Pixels, legend: Legend) -> Pixels:
    """Class indices ``(h, w)`` in the legend's colours ``(h, w, 4)``, clear where there is none."""
    table = np.zeros((256, 4), np.uint8)
    table[: len(legend)] = [(*land.colour, 255) for land in legend]
    coloured: Pixels = table[indices]
    return coloured


def error_picture(panel: Panel, picture: Pixels) -> Pixels:
    """The image in light grey, tinted where it is wrong, clear where nothing is labelled."""
    stride = picture.shape[1] // panel.label.shape[1]
    grey = (picture.mean(axis=-1, keepdims=True) * 0.6 + 90).astype(np.uint8).repeat(3, axis=-1)
    wrong, known = (
        mask.repeat(stride, axis=0).repeat(stride, axis=1)
        for mask in (panel.wrong, panel.label != NODATA)
    )
    grey[wrong] = grey[wrong] * 0.3 + np.multiply(_WRONG, 0.7)
    return np.dstack([grey, np.where(known, 255, 0).astype(np.uint8)])


def shown_bands(bands: Sequence[int | str]) -> list[int]:
    """Places of the bands that are shown: red, green, blue, else the first three or the first."""
    names = [str(band).lower() for band in bands]
    if {"red", "green", "blue"} <= set(names):
        return [names.index(name) for name in ("red", "green", "blue")]
    return [0, 1, 2] if len(names) >= 3 else [0]


def stretched(images: list[npt.NDArray[Any]]) -> list[Pixels]:
    """Images ``(1 or 3, h, w)`` as RGB bytes ``(h, w, 3)``, all between the same two values."""
    values = np.concatenate([image.reshape(len(image), -1) for image in images], axis=1)
    low, high = (
        v[:, None, None] for v in np.percentile(values.astype(np.float64), (2, 98), axis=1)
    )
    pictures = []
    for image in images:
        part = ((image - low) / np.maximum(high - low, 1e-9)).clip(0, 1)
        rgb = np.broadcast_to(np.moveaxis(part * 255, 0, -1), (*image.shape[1:], 3))
        pictures.append(rgb.astype(np.uint8))
    return pictures


def _place(windows: WindowDataset, number: int, gsd: float | None) -> tuple[str, float | None]:
    """File and corner of a window, and its width on the ground in metres."""
    index, window = windows.places[number]
    scene = windows.catalogue.scenes[index]
    known = scene.footprint().gsd or gsd
    corner = window if scene.window is None else shifted(window, scene.window)
    name = scene.image.stem
    if len(name) > _LONGEST:
        name = f"{name[: _LONGEST // 2]}…{name[-_LONGEST // 2 :]}"
    text = f"{name}\nrow {int(corner.row_off)}, column {int(corner.col_off)}"
    return text, None if known is None else float(window.width) * known


def _draw_scale(axis: Axes, width: int, height: int, across: float | None) -> None:
    """A bar of a round length, in metres or else in pixels."""
    length = _round(0.4 * (width if across is None else across))
    side = length if across is None else length / across * width
    text = f"{length:g} pixels" if across is None else f"{length:g} m"
    if across is not None and length >= 1000:
        text = f"{length / 1000:g} km"
    left, low = 0.05 * width, 0.94 * height
    axis.autoscale(False)
    axis.plot(
        [left, left + side], [low, low], color="white", linewidth=3, solid_capstyle="butt",
        path_effects=[withStroke(linewidth=5, foreground="black")],
    )  # fmt: skip
    axis.text(
        left, low - 0.03 * height, text, color="white", fontsize="small", path_effects=_OUTLINED
    )


def _round(length: float) -> float:
    """The largest of 1, 2, 5, 10, 20, ... (or their parts of ten) up to a length."""
    power = 10.0 ** math.floor(math.log10(length))
    return next(factor * power for factor in (5, 2, 1) if factor * power <= length)
