"""Which windows are computed: those that pending shards need, each once in its swath."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rasterio.windows import Window

from rsseg.geo.shards import shards, swaths
from rsseg.geo.tiling import Tiling
from rsseg.prediction.computing.descent import descents


@given(st.data())
def test_pending_shards_get_all_of_their_windows_in_order(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 12))
    tiling = Tiling(
        data.draw(st.integers(1, 50)),
        data.draw(st.integers(1, 50)),
        size,
        data.draw(st.integers(1, size)),
    )
    extent = Window(0, 0, tiling.width, tiling.height)
    blocks = list(shards(tiling, extent, data.draw(st.integers(1, 400)), 1 + size // 2))
    count = data.draw(st.integers(1, len({shard.left for shard in blocks})))
    lanes = swaths(tiling, blocks, count)
    pending = [shard for shard in blocks if data.draw(st.booleans())]

    todo = descents(tiling, lanes, pending)
    assert {d.swath for d in todo} == {s for s in lanes if any(map(s.has, pending))}
    for descent in todo:
        mine = [shard for shard in pending if descent.swath.has(shard)]
        windows = list(descent.windows())
        assert windows == sorted(set(windows))
        assert len(descent) == len(windows)
        assert set(windows) == {(r, c) for shard in mine for r in shard.rows for c in shard.columns}
        after = (*tiling.rows[1:], tiling.height)
        for shard in mine:
            rows = [
                row
                for index, step in descent.steps.items()
                if shard in step.shards
                for row in range(
                    max(tiling.rows[index], shard.top), min(after[index], shard.bottom)
                )
            ]
            assert rows == list(range(shard.top, shard.bottom))
