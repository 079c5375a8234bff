"""Rate windows come from the raw samples of the best sampled series, and fall back with a warning."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mora.domain import Window
from mora.sources.prometheus.access import Access
from mora.sources.prometheus.rates import FALLBACK_RATE_WINDOW, find_rate_windows, scrape_interval
from mora.sources.prometheus.wire import Wire
from tests.sources.prometheus.scripted import PATIENT, QUICK, Answer, Scripted

END = datetime(2026, 11, 1, tzinfo=UTC)
WINDOW = Window(END - timedelta(hours=1), END, timedelta(minutes=5))
Start = Callable[..., Scripted]


def answer(*result: Any) -> Answer:
    body = {"status": "success", "data": {"resultType": "vector", "result": list(result)}}
    return 200, {}, json.dumps(body).encode()


def series(*seconds: float) -> tuple[Answer, Answer]:
    """What the count of a series' samples and its raw samples are."""
    at = END.timestamp()
    return (
        answer({"metric": {"pod": "web-0"}, "value": [at, str(len(seconds))]}),
        answer({"metric": {"pod": "web-0"}, "values": [[at + second, "1"] for second in seconds]}),
    )


def wire(server: Scripted) -> Wire:
    return Wire(server.url, Access(), PATIENT, 0, QUICK)


@pytest.mark.parametrize(
    ("seconds", "interval"),
    [
        ((0, 15, 30, 45), 15),
        ((0, 15.004, 29.998, 45.001), 15),  # a few milliseconds early or late
        ((0, 15, 45, 60), 15),  # one scrape is lost
        ((0, 0.25, 0.5), 0.2),
    ],
)
def test_the_interval_is_the_median_distance(scripted: Start, seconds: tuple[float, ...], interval: float) -> None:
    with wire(scripted(*series(*seconds))) as talk:
        found = scrape_interval(talk, "up", WINDOW)
    assert found is not None
    assert found.total_seconds() == pytest.approx(interval, abs=0.06)


def test_too_few_samples_are_no_interval_and_other_moments_are_tried(scripted: Start) -> None:
    server = scripted(answer())
    with wire(server) as talk:
        assert scrape_interval(talk, "up", WINDOW) is None
    assert len(server.asked) == 9  # the end, the middle and the start of the window; five minutes, one hour, six


def test_without_samples_the_window_falls_back_with_a_warning_for_each_exporter(scripted: Start) -> None:
    with wire(scripted(answer())) as talk:
        found = find_rate_windows(talk, "shop", WINDOW)
    assert found.container == found.node == FALLBACK_RATE_WINDOW
    assert [warning.partition(" could")[0] for warning in found.warnings] == [
        "The scrape interval of cAdvisor",
        "The scrape interval of node-exporter",
    ]
