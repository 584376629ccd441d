"""The journal of a run: what is left of it when it cannot even begin."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from rsseg.errors import OutputError, PlanChanged
from rsseg.prediction.parts import Parts


def test_a_plan_that_cannot_be_written_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    parts = Parts(tmp_path / "map.tif")
    with monkeypatch.context() as patch:
        patch.setattr("rsseg.prediction.parts.replacing", full)
        with pytest.raises(OutputError, match=r"plan\.json cannot be written: No space left"):
            parts.open({"window": 64}, restart=False)
    assert not parts.folder.exists()
    parts.open({"window": 64}, restart=False)
    assert parts.recorded("window") == 64
    parts.remove()


def test_another_plan_is_refused_and_lets_the_next_process_in(tmp_path: Path) -> None:
    first = Parts(tmp_path / "map.tif")
    first.open({"window": 64, "stride": 48}, restart=False)
    (first.folder / "part_000000.tif").write_bytes(b"")
    assert first.keep_if_useful()
    with pytest.raises(PlanChanged, match="differs in stride") as caught:
        Parts(tmp_path / "map.tif").open({"window": 64, "stride": 32}, restart=False)
    assert "--restart" in str(caught.value)
    again = Parts(tmp_path / "map.tif")
    again.open({"window": 64, "stride": 32}, restart=True)
    assert not (again.folder / "part_000000.tif").exists()
    assert again.recorded("stride") == 32
    again.remove()
    assert not any(tmp_path.iterdir())
