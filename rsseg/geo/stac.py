"""Scenes that STAC tells of: items, item collections, static catalogues and collections.

STAC 1.0 and 1.1: https://github.com/radiantearth/stac-spec. Read with pystac, an extra.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from rsseg.errors import MissingExtra, SceneError
from rsseg.geo.objects import is_address, is_object, read_object
from rsseg.geo.remote import public_name

if TYPE_CHECKING:
    import pystac

SUFFIXES = (".json", ".geojson")
"""Names of STAC's files end so."""

_TIMES = ("datetime", "start_datetime", "end_datetime")


@dataclass(frozen=True)
class Asset:
    """A file of an item.

    Args:
        key: Its name in the item.
        href: Its address or path.
        media_type: Such as ``image/tiff; application=geotiff; profile=cloud-optimized``; empty
            where the item does not tell.
        roles: Such as ``data``, ``visual``, ``thumbnail``.
        bands: What its bands are called, in lower case: the common name, else the name, else
            empty; none where the item does not tell.
    """

    key: str
    href: str
    media_type: str = ""
    roles: tuple[str, ...] = ()
    bands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Item:
    """A scene as STAC describes it.

    Args:
        id: Its name in its collection.
        assets: Its files.
        collection: Name of the collection, if it is in one.
        href: Where the item itself is found, if it tells.
        times: Those of ``datetime``, ``start_datetime`` and ``end_datetime`` that it has.
    """

    id: str
    assets: tuple[Asset, ...]
    collection: str | None = None
    href: str | None = None
    times: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"item {self.id}"


def is_stac_name(source: str | Path) -> bool:
    """Whether a name is that of a STAC file, or another JSON."""
    return public_name(source).lower().endswith(SUFFIXES)


def read_items(source: str | Path) -> list[Item] | None:
    """All items of an item, an item collection, or a catalogue and those below it.

    Further pages of an item collection (``next``) are read as well. Addresses may be of web servers
    or object stores; links are followed from there.

    Args:
        source: File or address.

    Returns:
        The items in their order; None if it is a GeoJSON file without anything of STAC.

    Raises:
        SceneError: If a file cannot be read or is no valid STAC, or there is no item.
        MissingExtra: If pystac is missing.
    """
    start = _absolute(source)
    data = _json(start)
    kind = data.get("type")
    features = data.get("features") or ()
    if kind == "FeatureCollection" and not any("stac_version" in each for each in features):
        return None
    reader = _reader()
    try:
        items = [_item(each, start) for each in _walk(reader, data, start)]
    except Exception as error:  # pystac raises what it meets: KeyError, STACTypeError, ...
        known = _known(error)
        if known is not None:
            raise known from error
        raise SceneError(
            f"{public_name(source)} cannot be read as STAC: {error or type(error).__name__}"
        ) from error
    if not items:
        raise SceneError(f"{public_name(source)} lists no item")
    return items


def _walk(reader: pystac.StacIO, data: dict[str, Any], start: str) -> Iterator[pystac.Item]:
    import pystac

    kind = data.get("type")
    if kind in ("Catalog", "Collection"):
        found = pystac.read_file(start, stac_io=reader)
        assert isinstance(found, pystac.Catalog)
        yield from found.get_items(recursive=True)
    elif kind == "Feature":
        yield pystac.Item.from_dict(data, href=start)
    elif kind == "FeatureCollection":
        seen = {start}
        while True:
            for feature in data.get("features") or ():
                yield pystac.Item.from_dict(feature)
            following = _next_page(data)
            if following is None or following in seen:
                return
            seen.add(following)
            data = _json(following)
    else:
        raise SceneError(
            f"{public_name(start)} is no STAC", expected="an item, a collection or a catalogue"
        )


def _known(error: BaseException | None) -> SceneError | None:
    """What was wrong with a file, where pystac says only that it is no STAC."""
    while error is not None and not isinstance(error, SceneError):
        error = error.__cause__ or error.__context__
    return error


def _next_page(data: Mapping[str, Any]) -> str | None:
    for link in data.get("links") or ():
        if link.get("rel") == "next" and link.get("method", "GET") == "GET":
            return str(link["href"])
    return None


def _item(item: pystac.Item, start: str) -> Item:
    from pystac.utils import datetime_to_str, make_absolute_href

    own = item.get_self_href()
    times = {key: item.properties.get(key) for key in _TIMES}
    if item.datetime is not None:
        times["datetime"] = datetime_to_str(item.datetime)
    return Item(
        id=item.id,
        assets=tuple(
            Asset(
                key=key,
                href=_plain(make_absolute_href(asset.href, own or start, start_is_dir=False)),
                media_type=asset.media_type or "",
                roles=tuple(asset.roles or ()),
                bands=tuple(_bands(asset.extra_fields)),
            )
            for key, asset in item.assets.items()
        ),
        collection=item.collection_id,
        href=own,
        times=tuple((key, str(text)) for key, text in times.items() if text),
    )


def _bands(fields: Mapping[str, Any]) -> Iterable[str]:
    """Names of the bands by STAC 1.1, or the extension for electro-optical data before it."""
    told = fields.get("bands") or fields.get("eo:bands") or ()
    if not told and fields.get("eo:common_name"):
        told = [fields]  # of one band 1.1 may tell at the asset itself
    for band in told:
        names = (band.get(key) for key in ("eo:common_name", "common_name", "name"))
        yield next((str(name).lower() for name in names if name), "")


def _json(address: str) -> dict[str, Any]:
    try:
        data = json.loads(_text(address))
    except ValueError as error:
        raise SceneError(f"{public_name(address)} is no JSON: {error}") from error
    if not isinstance(data, dict):
        raise SceneError(f"{public_name(address)} is no STAC", got=f"a JSON {type(data).__name__}")
    return data


def _text(address: str) -> str:
    if is_address(address) or is_object(address):
        return read_object(address).decode("utf-8")
    try:
        return Path(_plain(address)).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise SceneError(f"there is no file {address}") from error
    except OSError as error:
        raise SceneError(f"{address} cannot be read: {error.strerror}") from error


def _absolute(source: str | Path) -> str:
    name = str(source)
    return name if is_address(name) or is_object(name) else str(Path(_plain(name)).absolute())


def _plain(name: str) -> str:
    """The path of a ``file://`` address; any other name as it is."""
    return unquote(urlparse(name).path) if name.startswith("file://") else name


def _reader() -> pystac.StacIO:
    """How pystac reads what links lead to: as all else here is read."""
    try:
        import pystac
    except ImportError:
        raise MissingExtra("pystac", "stac") from None

    class Reader(pystac.StacIO):
        """Reads files, web servers and object stores, and writes nothing."""

        def read_text(self, source: Any, *_: Any, **__: Any) -> str:
            return _text(str(os.fspath(source)))

        def write_text(self, dest: Any, txt: str, *_: Any, **__: Any) -> None:
            raise NotImplementedError

    return Reader()
