"""Polygons of a whole map on one worker: those of `vectorise`."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rsseg.errors import ClusterError, OutputError
from rsseg.vectorise import VectoriseOptions, vectorise
from rsseg.vectorise_cluster.whole import outline, whole_map


def test_the_file_is_that_of_one_machine(make_map: Callable[..., Path], tmp_path: Path) -> None:
    raster, out = make_map(), tmp_path / "map.gpkg"
    made = vectorise(raster, out, options=VectoriseOptions(confidence=raster))
    expected = out.read_bytes()
    out.write_text("of an earlier worker, lost when it was done")
    told = pickle.loads(pickle.dumps(whole_map(raster, out, raster)))
    assert made.polygons > 0
    assert outline(told, lambda done, total: None) == (made.polygons, len(expected))
    assert out.read_bytes() == expected


def test_what_fails_leaves_nothing(make_map: Callable[..., Path], tmp_path: Path) -> None:
    raster, out = make_map(), tmp_path / "map.gpkg"
    whole = whole_map(raster, out)
    before = sorted(tmp_path.iterdir())

    def ended(done: int, total: int) -> None:
        raise ClusterError("the run was ended")

    with pytest.raises(ClusterError, match="the run was ended"):
        outline(whole, ended)
    with pytest.raises(OutputError, match="there is no folder"):
        outline(replace(whole, out=str(tmp_path / "none" / "map.gpkg")), lambda *_: None)
    assert sorted(tmp_path.iterdir()) == before
