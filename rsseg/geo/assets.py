"""Which files of a STAC item are its scene."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rsseg.errors import SceneError
from rsseg.geo.bands import common_name
from rsseg.geo.remote import public_name
from rsseg.geo.stac import Asset, Item

_SUFFIXES = (".tif", ".tiff", ".vrt", ".jp2", ".img", ".png", ".jpg", ".jpeg")
_TYPES = ("image/", "application/x-hdf", "application/x-netcdf")
_NO_SCENES = {"thumbnail", "overview", "metadata"}


@dataclass(frozen=True)
class Choice:
    """What of an item is read.

    Args:
        files: One raster; or several of one grid, whose bands follow each other.
        names: What the single band of each of several files shows.
        bands: Numbers of the bands from 1 in the model's order; None for the file to tell.
    """

    files: tuple[str, ...]
    names: tuple[str, ...] = ()
    bands: tuple[int, ...] | None = None


def choose_assets(item: Item, wanted: Sequence[str], named: Sequence[str] = ()) -> Choice:
    """The assets of an item that have the bands a model wants.

    Without ``named``: one raster that has them all by its common names (Cloud-Optimized GeoTIFFs
    first); else a raster of one band for each; else the one raster there is, or the one in the role
    ``data``. Thumbnails and overviews are no scenes.

    Args:
        item: What STAC tells.
        wanted: Names of the model's bands in order.
        named: Keys or roles of assets that the user asks for.

    Raises:
        SceneError: If there is no such asset, or none that can be told from others.
    """
    if named:
        return _of([_named(item, name) for name in named], wanted)
    rasters = [asset for asset in item.assets if _is_raster(asset)]
    whole = [asset for asset in rasters if _numbers(asset, wanted) is not None]
    if whole:
        return _of([min(whole, key=_rank)], wanted)
    single = [_single(rasters, name) for name in wanted]
    found = [asset for asset in single if asset is not None]
    if found and len({asset.key for asset in found}) == len(wanted):
        return Choice(tuple(asset.href for asset in found), tuple(wanted))
    data = [asset for asset in rasters if "data" in asset.roles] or rasters
    if len(data) == 1:
        return _of(data, wanted)
    raise SceneError(
        f"{item} does not tell which of its assets are {', '.join(wanted)}",
        got=_listed(rasters or item.assets),
        remedy="name one, or one for each band, by --asset",
    )


def _of(assets: Sequence[Asset], wanted: Sequence[str]) -> Choice:
    """These assets as a scene; those of a band each in the model's order, where they tell it."""
    if len(assets) == 1:
        return Choice((assets[0].href,), bands=_numbers(assets[0], wanted))
    ordered = [_single(assets, name) for name in wanted]
    found = [asset for asset in ordered if asset is not None]
    if len({asset.key for asset in found}) == len(wanted) == len(assets):
        return Choice(tuple(asset.href for asset in found), tuple(wanted))
    return Choice(tuple(a.href for a in assets), tuple(a.key for a in assets))


def _named(item: Item, name: str) -> Asset:
    for asset in item.assets:
        if asset.key == name:
            return asset
    in_role = [asset for asset in item.assets if name in asset.roles and _is_raster(asset)]
    if len(in_role) == 1:
        return in_role[0]
    if in_role:
        raise SceneError(
            f"{item} has several assets in the role '{name}'",
            got=_listed(in_role),
            remedy="name one by --asset",
        )
    raise SceneError(f"{item} has no asset '{name}'", got=_listed(item.assets))


def _numbers(asset: Asset, wanted: Sequence[str]) -> tuple[int, ...] | None:
    """Numbers of the wanted bands; None if one is not told, or two are the same."""
    found = []
    for name in wanted:
        fits = [_fit(told, name) for told in _told(asset)]
        if not any(fits):
            return None
        found.append(fits.index(max(fits)) + 1)
    return tuple(found) if len(set(found)) == len(wanted) and found else None


def _single(assets: Iterable[Asset], name: str) -> Asset | None:
    """The best asset of one band that shows this."""
    fitting = [
        (-fit, _rank(asset), number, asset)
        for number, asset in enumerate(assets)
        if len(_told(asset)) == 1 and (fit := _fit(_told(asset)[0], name))
    ]
    return min(fitting, key=lambda each: each[:3])[3] if fitting else None


def _told(asset: Asset) -> tuple[str, ...]:
    """The bands as the item tells them; an asset may be called after its only one."""
    if not asset.bands and common_name(asset.key) is not None:
        return (asset.key.lower(),)
    return asset.bands


def _fit(told: str, name: str) -> int:
    """2 for the same name, 1 for one of the same meaning (``nir08`` and ``nir``), 0 for others."""
    if told == name.lower():
        return 2
    return int(common_name(told) is not None and common_name(told) == common_name(name))


def _is_raster(asset: Asset) -> bool:
    if _NO_SCENES & set(asset.roles):
        return False
    if asset.media_type:
        return asset.media_type.startswith(_TYPES)
    return public_name(asset.href).lower().endswith(_SUFFIXES)


def _rank(asset: Asset) -> tuple[bool, ...]:
    """Smaller for what is better read: measurements before pictures, tiled files before others."""
    kind = asset.media_type
    return ("data" not in asset.roles, "cloud-optimized" not in kind, "tiff" not in kind)


def _listed(assets: Sequence[Asset]) -> str:
    told = (f"{a.key} ({', '.join(a.bands)})" if any(a.bands) else a.key for a in assets)
    return ", ".join(told) or "none"
