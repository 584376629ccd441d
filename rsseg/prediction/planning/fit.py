"""Whether a scene fits a model: its bands, its resolution, its range of values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from rsseg.bundle import Bundle
from rsseg.errors import BandError, OptionError
from rsseg.geo.bands import common_name
from rsseg.geo.remote import public_name
from rsseg.geo.scene import Scene
from rsseg.normalise import Normalisation

_OVERVIEW = 1024
"""Longer side of the picture that percentiles are taken of, pixels."""

_MUCH_ENLARGED = 4.0
"""Pixels of the model to one of the scene, along one axis, beyond which that is worth a word."""
_LARGEST_RATIO = 2.0
"""Of ground sample distances of scene and model, beyond which objects look unlike those learnt."""


def choose_bands(scene: Scene, bundle: Bundle, *, chosen: bool) -> tuple[int, ...]:
    """The scene's bands in the model's order: as the user says, else by name, else the first.

    Args:
        scene: Opened with the user's bands, or with all.
        bundle: The model.
        chosen: Whether the user named bands.

    Raises:
        BandError: If there are too few, the user named another number of them, or the scene says
            that it has others.
    """
    wanted = bundle.bands
    if chosen and len(scene.bands) != len(wanted):
        raise BandError(
            f"{len(scene.bands)} bands were named for {scene.name}",
            expected=f"{len(wanted)} ({', '.join(wanted)})",
            got=len(scene.bands),
        )
    if chosen:
        return scene.bands
    named = _by_name(scene, bundle)
    if named is not None:
        return named
    if len(scene.bands) < len(wanted):
        hidden = len(scene.band_names) - len(scene.bands)
        remedy = "one that is marked as alpha is read only if --bands names it" if hidden else None
        raise BandError(
            f"{scene.name} has too few bands",
            expected=f"{len(wanted)} ({', '.join(wanted)})",
            got=len(scene.bands),
            remedy=remedy,
        )
    told = [scene.told_names[band - 1] for band in scene.bands[: len(wanted)]]
    if any(
        name is not None and common_name(want) not in (None, name)
        for name, want in zip(told, wanted, strict=True)
    ):
        raise BandError(
            f"{scene.name} does not have the model's bands by its own names",
            expected=", ".join(wanted),
            got=", ".join(scene.band_names),
            remedy="choose bands by --bands",
        )
    return scene.bands[: len(wanted)]


def note_bands(scene: Scene, bundle: Bundle, bands: tuple[int, ...]) -> Iterator[str]:
    """What to know where bands were taken by their order, of more or of other colours, or a mask.

    Args:
        scene: Opened with the user's bands, or with all.
        bundle: The model.
        bands: Of `choose_bands`.
    """
    for band in sorted({*bands} - {*scene.bands}):
        if str(band) in bundle.bands:
            yield (
                f"band {band}, which the file marks as alpha, was taken as the model's band "
                f"{band}; choose another by --bands"
            )
    shown = {name for name in scene.band_names if common_name(name)}
    numbered = any(name.isdecimal() for name in bundle.bands)
    others = numbered or (any(common_name(name) for name in bundle.bands) and shown)
    if _by_name(scene, bundle) is None and (len(scene.bands) > len(bands) or others):
        yield (
            f"bands {', '.join(map(str, bands))} were taken as {', '.join(bundle.bands)}; "
            "choose others by --bands"
        )


def note_place(scene: Scene) -> Iterator[str]:
    """What to know of a scene without a place on the ground, or with ground control points only."""
    if scene.grid.control is not None:
        yield (
            f"{scene.name} has its place on the ground by control points alone, and so has the map"
        )
    elif not scene.grid.georeferenced:
        yield f"{scene.name} has no place on the ground, so neither has the map"


def note_resolution(
    name: str, gsd: float | None, bundle: Bundle, *, rescaled: bool
) -> Iterator[str]:
    """What to know where the scene's ground sample distance, if known, is not the model's."""
    if bundle.gsd is None:
        yield "the model's ground sample distance is unknown, so the scene's was not checked"
        return
    if gsd is None:
        return
    times = gsd / bundle.gsd
    if rescaled and times > _MUCH_ENLARGED:
        yield (
            f"{public_name(name)} has {gsd:.3g} m per pixel and is enlarged {times:,.1f} times "
            f"for the model, which learnt from about {bundle.gsd:.3g} m: that adds no detail, "
            f"but takes {times**2:,.0f} times as many windows"
        )
    elif not rescaled and max(times, bundle.gsd / gsd) > _LARGEST_RATIO:
        yield (
            f"{public_name(name)} has {gsd:.3g} m per pixel, the model learnt from about "
            f"{bundle.gsd:.3g} m; --rescale predicts at that"
        )


def magnification(name: str, gsd: float | None, bundle: Bundle) -> float:
    """Pixels of the scene per pixel of the model, along one axis.

    Raises:
        OptionError: If the ground sample distance of either is unknown.
    """
    if bundle.gsd is None or gsd is None:
        whose = "the model" if bundle.gsd is None else f"{public_name(name)} in metres"
        raise OptionError(
            f"the ground sample distance of {whose} is unknown",
            remedy="leave out --rescale, or tell the scene's by --gsd",
        )
    return bundle.gsd / gsd


def note_radiometry(scene: Scene, bundle: Bundle) -> Iterator[str]:
    """What to know where the scene's type of pixels is not the one the model was scaled for."""
    scales, eight_bits = set(bundle.normalisation.scale), float(np.iinfo(np.uint8).max)
    if scales == {eight_bits} and scene.dtype != np.uint8:
        yield (
            f"{scene.name} holds {scene.dtype} pixels and the model expects 8-bit ones, 0-255; "
            "unless they have that range, add --stretch p2,p98"
        )
    elif eight_bits not in scales and scene.dtype == np.uint8:
        yield (
            f"{scene.name} holds 8-bit pixels and the model expects values up to about "
            f"{max(scales):g}; add --stretch p2,p98, or give the scene as the model knows it"
        )


def stretched(scene: Scene, bundle: Bundle, percentiles: tuple[float, float]) -> tuple[Bundle, str]:
    """The model with a scaling by which two percentiles of the scene are black and full brightness.

    Percentiles are of the valid pixels of the whole scene at a reduced resolution.

    Args:
        scene: Opened with the model's bands.
        bundle: The model.
        percentiles: Lower and upper, 0-100.

    Returns:
        The model so scaled, and what was done in a sentence.

    Raises:
        OptionError: If nothing of a band lies between its percentiles.
    """
    pixels, valid = scene.overview(_OVERVIEW)
    if not valid.any():
        return bundle, f"{scene.name} has no valid pixel to stretch by"
    low, high = np.percentile(pixels[:, valid].astype(np.float64), percentiles, axis=1)
    if not (high > low).all():
        raise OptionError(
            f"{scene.name} cannot be stretched: a band has {low.min():g} at both percentiles",
            remedy="choose others by --stretch",
        )
    old = bundle.normalisation
    scaled = Normalisation(
        scale=tuple((high - low).tolist()),
        mean=tuple((np.array(old.mean) + low / (high - low)).tolist()),
        std=old.std,
    )
    ranges = ", ".join(f"{a:g}-{b:g}" for a, b in zip(low, high, strict=True))
    note = f"values were stretched by band: {ranges} count as black to full brightness"
    return replace(bundle, normalisation=scaled), note


def _by_name(scene: Scene, bundle: Bundle) -> tuple[int, ...] | None:
    """The bands by the model's names, or its numbers where it knows bands by these.

    None unless the scene has all of them, each its own.
    """
    found = [number for name in bundle.bands if (number := _number(scene, name)) is not None]
    return tuple(found) if len(set(found)) == len(bundle.bands) else None


def _number(scene: Scene, name: str) -> int | None:
    if not name.isdecimal():
        return scene.find(name)
    return int(name) if 1 <= int(name) <= len(scene.band_names) else None
