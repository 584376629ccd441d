"""What workers compare before they compute anything."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rsseg.errors import BundleError, ClusterError, OptionError, RssegError
from rsseg.prediction import PredictOptions
from rsseg.prediction.cluster.terms import require_same, terms_of

OPTIONS = PredictOptions(engine="openvino", tile_size=64)


def test_terms_of_workers(cheap_model: Path, tmp_path: Path) -> None:
    own = terms_of([tmp_path], cheap_model, OPTIONS)
    assert own["engine"] == "openvino"
    assert own == terms_of([tmp_path], cheap_model, replace(OPTIONS, memory=2**33))
    require_same(own, dict(own))
    with pytest.raises(ClusterError, match="differs from the others in precision, expected prec"):
        require_same(own, own | {"precision": "fp64"})
    with pytest.raises(OptionError, match="differs from the others in scene.*see the same files"):
        require_same({"scene": [1, 2]}, {"scene": [1, 3]})
    with pytest.raises(BundleError, match="there is no model file"):
        terms_of([tmp_path], tmp_path / "none.safetensors", OPTIONS)
    with pytest.raises(RssegError, match="there is no folder"):
        terms_of([tmp_path / "none"], cheap_model, OPTIONS)
