"""What the watch says of itself; as a process it is tested as a user starts it (tests/cli/test_health_watch.py)."""

from __future__ import annotations

import threading
import time

import pytest

from mora.web.watching import Watch
from tests.health.watching import AWAY, CART, FRONT, START, Lines, Samples, Store
from tests.running import until


def test_it_is_ready_after_its_first_look_and_unhealthy_once_its_thread_has_ended() -> None:
    watch, is_over = Watch(Store([FRONT, CART]), Samples({}), Lines()), threading.Event()
    assert watch.unready() == "the first look has not ended"
    with watch.running(is_over):
        until(lambda: watch.unready() is None, "the first look")
        assert watch.unhealthy() is None
        is_over.set()
        until(lambda: watch.unhealthy() is not None, "the end of the thread")
        assert watch.unhealthy() == "the watch of health has ended"


def test_the_text_of_the_metrics_is_made_before_anyone_scrapes() -> None:
    watch = Watch(Store([FRONT, CART]), Samples({}), Lines())
    watch.board.put([], START)
    assert watch.part.metrics._version == watch.board.shown().version


def test_a_loop_that_hangs_is_unhealthy(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(Store([FRONT]), Samples({}), Lines())
    assert watch.unhealthy() is None
    later = time.monotonic() + 3600
    monkeypatch.setattr("mora.web.watching.time.monotonic", lambda: later)
    said = watch.unhealthy()
    assert said is not None
    assert "60 minutes" in said


def test_it_serves_while_prometheus_is_away() -> None:
    source = Samples({}, away=AWAY)
    watch, is_over = Watch(Store([FRONT]), source, Lines()), threading.Event()
    with watch.running(is_over):
        until(lambda: watch.unready() is None, "the first look")
        shown = watch.board.shown()
    assert shown.problem is not None
    assert "Connection refused" in shown.problem
    assert b'mora_health_services{state="unknown"} 1' in watch.part.metrics.text()
