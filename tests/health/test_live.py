"""What a watch reads is what a training reads, on a real Prometheus; and a watch of it sees the fault."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mora.domain import Window, Workload
from mora.errors import SourceUnavailable
from mora.health.board import Board
from mora.health.live import LiveReader
from mora.health.reading import read_prometheus
from mora.health.stored import Stored
from mora.health.watch import Asked, Watcher
from mora.sources.prometheus.access import TooMuch
from mora.sources.prometheus.observe import PrometheusSource
from mora.sources.prometheus.services import COLUMNS, read_services
from mora.sources.prometheus.wire import Wire
from tests.health.prometheus import served, train_on
from tests.health.watching import CART, Lines

END = datetime.fromtimestamp(time.time() // 30 * 30, UTC)
STEP = timedelta(seconds=30)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("live"), end=END.timestamp(), ahead=0.0) as address:
        yield address


def window(rows: int) -> Window:
    return Window(END - (rows - 1) * STEP, END, STEP)


def test_a_watch_reads_what_a_training_reads(url: str) -> None:
    source = PrometheusSource(url, retries=0)
    own = {"doubled": 'sum(container_memory_working_set_bytes{namespace="$namespace",pod=~"$service-.*"}) * 2'}
    found = dict(LiveReader(source)({("shop", "frontend"): Asked((*COLUMNS, "doubled"), own)}, window(20)))
    trained = read_prometheus(
        source, Workload("shop", "frontend"), span=19 * STEP, step=STEP, own=own, now=END + timedelta(seconds=1)
    )
    frame = found["shop", "frontend"]
    for name in trained.frame.columns:
        if name == "timestamp":
            assert (frame[name] == trained.frame[name]).all()
        else:
            np.testing.assert_allclose(frame[name], trained.frame[name], rtol=1e-9, err_msg=name)
    np.testing.assert_allclose(frame["doubled"], 2 * frame["mem_bytes_value"])


def test_a_service_that_prometheus_does_not_know_is_not_there(url: str) -> None:
    reader = LiveReader(PrometheusSource(url, retries=0))
    wanted = {("shop", "cart"): Asked(COLUMNS), ("shop", "gone"): Asked(COLUMNS), ("nowhere", "x"): Asked(COLUMNS)}
    assert set(dict(reader(wanted, window(2)))) == {("shop", "cart")}


def test_an_own_query_that_no_longer_gives_one_series_is_not_known(url: str) -> None:
    reader = LiveReader(PrometheusSource(url, retries=0))
    wanted = {("shop", "cart"): Asked(("mem_bytes_value", "many"), {"many": "container_memory_working_set_bytes"})}
    (frame,) = dict(reader(wanted, window(2))).values()
    assert "many" not in frame
    assert frame["mem_bytes_value"].notna().all()


def test_an_own_query_that_is_refused_is_not_known(url: str) -> None:
    reader = LiveReader(PrometheusSource(url, retries=0))
    wanted = {("shop", "cart"): Asked(("mem_bytes_value", "odd"), {"odd": "sum("})}
    (frame,) = dict(reader(wanted, window(2))).values()
    assert "odd" not in frame
    assert frame["mem_bytes_value"].notna().all()


def test_a_namespace_that_is_refused_does_not_hold_up_the_others(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def limited(wire: Wire, namespaces: Sequence[str], *more: Any) -> Iterator[Any]:
        asked.append(tuple(namespaces))
        if "big" in namespaces:
            raise TooMuch("It has too many series.", of_series=True)
        return read_services(wire, namespaces, *more)

    monkeypatch.setattr("mora.health.live.read_services", limited)
    monkeypatch.setattr("mora.health.live.pace_of", lambda *_: (STEP, 4 * STEP))
    read = LiveReader(PrometheusSource(url, retries=0))({("big", "x"): Asked(COLUMNS), CART: Asked(COLUMNS)}, window(2))
    assert next(read)[0] == CART
    with pytest.raises(TooMuch):
        next(read)
    assert asked == [("big", "shop"), ("big",), ("shop",)]


def test_where_nothing_answers_that_is_an_error() -> None:
    reader = LiveReader(PrometheusSource("http://127.0.0.1:9", retries=0))
    with pytest.raises(SourceUnavailable):
        list(reader({("shop", "cart"): Asked(COLUMNS)}, window(2)))


def test_a_watch_of_a_prometheus_sees_the_fault_at_its_service(url: str, tmp_path: Path) -> None:
    train_on(url, tmp_path, until=END)
    board, moments = Board(), [END - timedelta(minutes=25), END]
    reader = LiveReader(PrometheusSource(url, retries=0))
    watcher = Watcher(Stored(tmp_path), reader, board, log=Lines(), now=lambda: moments[0] + timedelta(seconds=16))
    watcher.tick()
    assert [str(one.state) for one in board.shown().find(now=moments[0])] == ["healthy", "healthy"]
    moments.pop(0)
    watcher.tick()
    cart, frontend = board.shown().find(now=END)
    assert (str(cart.state), str(frontend.state)) == ("healthy", "abnormal")
    assert frontend.since is not None
    assert abs(frontend.since - (END - timedelta(minutes=20))) <= STEP
    assert frontend.reading is not None
    assert next(iter(frontend.reading.contributions)) == "mem_bytes_value"
