"""What was not scraped is blank, however short the outage; what was scraped stays."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.dataset import assess_quality, unify
from mora.domain import Observation, Window, Workload
from mora.sources.prometheus.frames import Series as Answer
from mora.sources.prometheus.freshness import Silence, before
from mora.sources.prometheus.observe import PrometheusSource
from tests.sources.rig import Series, backfill, cluster, serve

END_SECONDS = time.time() // 60 * 60
END = datetime.fromtimestamp(END_SECONDS, UTC)
SECOND = timedelta(seconds=1)
OUTAGE = (END_SECONDS - 300, END_SECONDS - 288)  # nothing is scraped between the two
SILENT_POD = (END_SECONDS - 200, END_SECONDS - 180)  # one of two pods is not scraped


def with_outage(one: Series) -> Series:
    is_silent_pod = one.metric.startswith("container_") and one.labels["pod"].endswith("-00001")

    def value(at: float) -> float | None:
        if OUTAGE[0] < at < OUTAGE[1] or (is_silent_pod and SILENT_POD[0] < at < SILENT_POD[1]):
            return None
        return one.value(at)

    return replace(one, value=value)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusSource]:
    """A service that is scraped every second for ten minutes, but for the outages; replaced by new pods once."""
    shop = cluster({"frontend": ("frontend", "proxy")}, start=END_SECONDS - 600, end=END_SECONDS, every=1, replicas=2)
    replaced = cluster(
        {"cart": ("server",)}, start=END_SECONDS - 600, end=END_SECONDS, every=1, rollout_every=450, has_nodes=False
    )
    with serve(backfill([with_outage(one) for one in (*shop, *replaced)], tmp_path_factory.mktemp("silent"))) as url:
        yield PrometheusSource(url, retries=0)


def seen(source: PrometheusSource, start: float, seconds: int, name: str = "frontend") -> Observation:
    begin = datetime.fromtimestamp(start, UTC)
    return source.observe(Workload("shop", name), Window(begin, begin + (seconds - 1) * SECOND, SECOND))


def blank(observation: Observation, column: str) -> list[int]:
    return np.flatnonzero(observation.metrics[column].isna().to_numpy()).tolist()


def test_an_outage_leaves_no_memory_that_stands_still_and_no_rate_that_fades(source: PrometheusSource) -> None:
    found = seen(source, OUTAGE[0], 40)
    for column in ("mem_bytes_value", "mem_bytes_total"):
        assert blank(found, column) == list(range(2, 12))  # scraped at 0 and at 12; at 1 the last sample is 1 s old
    for column in ("cpu_cores_value", "cpu_cores_total", "net_rx_bytes_value", "throttled_ratio"):
        assert blank(found, column) == list(range(2, 22))  # and as long as the 10 s of the rate reach into it
    known = found.metrics["cpu_cores_value"].dropna().to_numpy()
    np.testing.assert_allclose(known, 0.2, rtol=0.02)
    assert found.containers.query("container == 'proxy'")["timestamp"].nunique() == 40
    assert found.containers.query("container == 'proxy'")["mem_bytes"].isna().sum() == 10
    (warning,) = (text for text in found.warnings if "blank" in text)
    assert warning.startswith("20 of 40 samples between")
    assert "cAdvisor was not scraped there" in warning


@pytest.mark.parametrize("ahead", [10, 5, 0])
def test_an_experiment_with_an_outage_is_not_complete(source: PrometheusSource, ahead: int) -> None:
    """Ten samples of ten were there, memory stood still and CPU faded, and it passed as complete."""
    start = OUTAGE[0] + 2 - ahead
    found = seen(source, start, 10 + ahead)
    frame = unify(found.metrics, experiment_id="e", service="frontend", scenario="browsing", load_users=10)
    assert not assess_quality(frame, found.window).is_complete


def test_a_pod_that_is_silent_while_another_speaks_leaves_the_hottest_pod_unknown(source: PrometheusSource) -> None:
    found = seen(source, SILENT_POD[0], 40)
    assert blank(found, "mem_bytes_value") == list(range(2, 20))
    assert blank(found, "cpu_cores_value") == list(range(2, 30))


def test_pods_that_are_gone_are_not_silent(source: PrometheusSource) -> None:
    """Their last samples are shown for five minutes where nothing marks their end."""
    found = seen(source, END_SECONDS - 150, 100, name="cart")
    assert blank(found, "mem_bytes_value") == []
    assert not any("blank" in text for text in found.warnings)


def test_without_an_outage_nothing_is_blank(source: PrometheusSource) -> None:
    found = seen(source, END_SECONDS - 120, 100)
    assert not found.metrics[["cpu_cores_value", "mem_bytes_value", "net_rx_bytes_value"]].isna().to_numpy().any()


@given(
    st.integers(1, 60),
    st.lists(st.booleans(), min_size=1, max_size=60),
    st.floats(0, 0.99),
)
def test_regular_scrapes_are_never_called_old(interval: int, lost: list[bool], phase: float) -> None:
    """Whatever the phase; and what no scrape within one and a half intervals precedes always is."""
    step, every = timedelta(seconds=interval), timedelta(seconds=interval)
    window = Window(END, END + (len(lost) - 1) * step, step)
    scrapes = [row - phase for row, is_lost in enumerate(lost) if not is_lost]
    ages = np.full(len(lost), np.nan)
    for row in range(len(lost)):
        known = [at for at in scrapes if at <= row]
        if known:
            ages[row] = (row - max(known)) * interval
    silence = Silence.of([Answer({}, ages)], window, every, timedelta(0))
    if not any(lost):
        assert not silence.broken.any()
    slack = max(1.5, 1 + 15 / interval) if interval >= 10 else 1.5
    assert silence.old.tolist() == [bool(age > slack * interval) for age in ages]


def test_a_wider_window_is_on_the_same_grid() -> None:
    window = Window(END - timedelta(seconds=30), END, timedelta(seconds=4))
    wider = before(window, timedelta(seconds=10))
    assert (wider.start, wider.end, wider.step) == (window.start - timedelta(seconds=12), window.end, window.step)
