"""The pictures of the site, drawn by the code that they explain.

``python docs/pictures.py`` writes them to ``docs/images``. Windows, weights, shards and swaths are
those that ``rsseg predict`` would take; seams are measured on the demo scene with the embedded
model, in fp32, so that another machine draws the same.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import drawings
import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import rasterio
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from rsseg.bundle import read_bundle
from rsseg.geo.scene import Scene
from rsseg.legend import LAND_COVER
from rsseg.prediction import PredictOptions, predict
from rsseg.prediction.engines.onnx_graph import EMBEDDED_MODEL, onnx_graph
from rsseg.prediction.engines.openvino_engine import OpenVINOEngine
from rsseg.prediction.planning.decay import THRESHOLD, further_in, least_overlap, measure_decay

HERE = Path(__file__).parent
IMAGES = HERE / "images"
DEMO = HERE.parent / "notebooks" / "data" / "nl_urban_25cm.tif"
TILE = 256
"""Side of the windows that seams are shown of."""


def main() -> None:
    """Draw all of them."""
    mpl.use("Agg")
    mpl.rcParams |= {
        "font.family": "DejaVu Sans",
        "font.size": 10,
        "svg.hashsalt": "rsseg",
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    IMAGES.mkdir(exist_ok=True)
    for name, draw in PICTURES.items():
        save(draw(), IMAGES / name)
        print(IMAGES / name)


def demo() -> Figure:
    """The demo scene beside its map."""
    with rasterio.open(DEMO) as dataset:
        pixels = dataset.read((1, 2, 3)).transpose(1, 2, 0)
    with tempfile.TemporaryDirectory(prefix="rsseg-") as name:
        codes = _map(Path(name) / "map.tif", rescale=True)
    figure = Figure(figsize=(7.2, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.imshow(pixels, interpolation="antialiased")
    right.imshow(_coloured(codes), interpolation="antialiased")
    for axes in (left, right):
        axes.axis("off")
    handles = [Rectangle((0, 0), 1, 1, fc=each.hex) for each in LAND_COVER]
    figure.legend(
        handles, LAND_COVER.names, loc="outside lower center", ncols=len(LAND_COVER), frameon=False
    )
    return figure


def seams() -> Figure:
    """Maps without overlap and with a quarter, and how often the class changes at borders."""
    figure = Figure(figsize=(7.2, 4.5), layout="constrained")
    for axes, share in zip(figure.subplots(1, 2), (0.0, 0.25), strict=True):
        codes = demo_map(share)
        at_borders, everywhere = changes(codes, TILE)
        axes.imshow(_coloured(codes), interpolation="antialiased")
        axes.set_title(
            f"--overlap {share:g}\nclass changes at every {TILE}th pixel: "
            f"{100 * at_borders:.1f} %\nat any pixel: {100 * everywhere:.1f} %",
            fontsize=9,
            loc="left",
        )
        axes.axis("off")
    return figure


def demo_map(overlap: float) -> npt.NDArray[np.uint8]:
    """Codes of the demo scene in small windows with this overlap."""
    with tempfile.TemporaryDirectory(prefix="rsseg-") as name:
        return _map(Path(name) / "map.tif", overlap=overlap, tile_size=TILE)


def changes(codes: npt.NDArray[np.uint8], side: int) -> tuple[float, float]:
    """Shares of neighbouring pixels of two classes: across the borders of a grid, and in all.

    Args:
        codes: A map.
        side: Side of the squares of the grid, where windows meet that do not overlap.
    """
    down, across = codes[1:] != codes[:-1], codes[:, 1:] != codes[:, :-1]
    parts = [down[side - 1 :: side].ravel(), across[:, side - 1 :: side].ravel()]
    whole = [down.ravel(), across.ravel()]
    return float(np.concatenate(parts).mean()), float(np.concatenate(whole).mean())


def decay() -> Figure:
    """Share of pixels that differ from the reference by distance from the window's border."""
    bundle = read_bundle(EMBEDDED_MODEL)
    with Scene(DEMO) as scene:
        engine = OpenVINOEngine(
            onnx_graph(EMBEDDED_MODEL), bundle, bundle.window, scene.dtype, "fp32"
        )
        fill = bundle.normalisation.raw_mean
        shares = measure_decay(engine, scene, bundle.window, bundle.window, fill)
    assert shares is not None
    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    axes = figure.subplots()
    step = bundle.window / 2 / len(shares)
    places = (np.arange(len(shares)) + 0.5) * step
    bound = 100 * (further_in(shares) + THRESHOLD)
    axes.bar(places, 100 * np.array(shares), width=0.85 * step, color=drawings.GREY)
    axes.plot(places, bound, color=drawings.RED, lw=1.5)
    overlap = least_overlap(shares)
    axes.annotate(
        f"all pixels further in + {100 * THRESHOLD:.0f} points",
        (places[len(places) // 2], bound[len(places) // 2]),
        xytext=(0, 12),
        textcoords="offset points",
        color=drawings.RED,
    )
    axes.set(
        xlim=(0, bundle.window / 2),
        xlabel="distance from the border of the window, pixels",
        ylabel="pixels that differ, %",
        title=f"--overlap auto takes {100 * overlap:.1f} % of {bundle.window} pixels here",
    )
    return figure


PICTURES: dict[str, Callable[[], Figure]] = {
    "demo.jpg": demo,
    "mosaic-stages.svg": drawings.stages,
    "mosaic-windows.svg": drawings.windows,
    "mosaic-weights.svg": drawings.weights,
    "mosaic-seams.png": seams,
    "mosaic-decay.svg": decay,
    "mosaic-shards.svg": drawings.blocks,
    "mosaic-resume.svg": drawings.resume,
}
"""Drawing by file name."""


def save(figure: Figure, path: Path) -> None:
    """Write a figure so that the same drawing gives the same file."""
    more: dict[str, Any] = {"metadata": {"Date": None}} if path.suffix == ".svg" else {}
    if path.suffix == ".jpg":
        more["pil_kwargs"] = {"quality": 85, "optimize": True}
    figure.savefig(path, dpi=110, facecolor="white", **more)


def _map(out: Path, **choices: Any) -> npt.NDArray[np.uint8]:
    """Codes of the demo scene's map."""
    predict(DEMO, out, options=PredictOptions(engine="openvino", precision="fp32", **choices))
    with rasterio.open(out) as dataset:
        codes: npt.NDArray[np.uint8] = dataset.read(1)
    return codes


def _coloured(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    table = np.full((256, 3), 255, np.uint8)
    for each in LAND_COVER:
        table[each.code] = each.colour
    return table[codes]


if __name__ == "__main__":
    main()
