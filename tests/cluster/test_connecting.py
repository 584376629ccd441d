"""A connection that tools share, on a cluster inside this process."""

from __future__ import annotations

import atexit
import logging
from collections.abc import Iterator
from typing import Any

import distributed
import pytest

from rsseg.cluster import Cluster, connecting
from rsseg.cluster.connecting import connected, name_of
from rsseg.errors import ClusterError, OptionError

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:distributed"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

HERE = {"options": {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "dashboard": False}}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """That of a scheduler as a thread of this process."""
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None, protocol="tcp"
    ) as cluster:
        yield cluster.scheduler_address


def test_tools_share_a_connection_that_ends_with_the_context(address: str) -> None:
    with Cluster(address) as cluster:
        assert name_of(cluster) == address
        with connected(cluster) as first:
            assert first.submit(pow, 2, 5).result() == 32
        with connected(cluster) as second:
            assert second is first
            assert second.status == "running"
    assert first.status == "closed"


def test_no_connection_is_left_behind(address: str) -> None:
    cluster = Cluster(address)
    for _ in range(2):
        with pytest.raises(ClusterError, match="would never end"), connected(cluster):
            pytest.fail("it is outside of its context")
        with cluster, connected(cluster) as client:
            assert client.status == "running"
        assert client.status == "closed"


def test_a_tool_by_itself_closes_its_own(address: str) -> None:
    with connected(address) as client:
        assert client.status == "running"
    assert client.status == "closed"


def test_an_error_passes_and_the_connection_is_closed(address: str) -> None:
    with pytest.raises(KeyError), Cluster(address) as cluster, connected(cluster) as client:
        raise KeyError
    assert client.status == "closed"


def test_an_interrupt_at_the_start_leaves_the_process_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may go on, as a notebook does, with clusters of its own."""
    begun: list[distributed.SpecCluster] = []

    def interrupted(count: int, loop: Any) -> Any:
        begun.append(distributed.SpecCluster({}, {"cls": distributed.Scheduler, **HERE}, loop=loop))
        raise KeyboardInterrupt

    monkeypatch.setattr(connecting, "_local", interrupted)
    at_exit, logger = atexit._ncallbacks(), logging.getLogger("asyncio")
    level = logger.level
    with pytest.raises(KeyboardInterrupt), Cluster("local:2") as cluster:
        pytest.fail(f"{cluster.client} is there")
    assert atexit._ncallbacks() == at_exit
    assert logger.level == level
    (own,) = begun
    assert not own.shutdown_on_close, "it is not closed by what runs at exit"
    own.close()


def test_it_is_connected_to_when_it_is_needed() -> None:
    with pytest.raises(OptionError, match="unusable cluster"):
        Cluster("local:none")
    with Cluster("127.0.0.1:9"):  # where nobody listens
        pass
    with (
        pytest.raises(ClusterError, match=r"there is no Dask scheduler at 127\.0\.0\.1:9"),
        Cluster("127.0.0.1:9") as cluster,
        connected(cluster),
    ):
        pytest.fail("it is not there")
