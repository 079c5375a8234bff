"""The same fleet in the real VictoriaMetrics and in the real Prometheus: the same states, the same histories."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from mora.domain import Window, WorkloadHistory
from mora.errors import ToolMissing
from mora.sources.prometheus.fleet import PrometheusFleet
from mora.sources.prometheus.observe import PrometheusSource
from mora.tools import find_tool
from tests.fleet import rig
from tests.sources import victoria

# The last two days of the shop; near now, since VictoriaMetrics takes no samples from the future.
FLEET = rig.shop(time.time() - 600, since=12 * rig.DAY)
# Between two scrapes: whether a sample at the very begin of a range counts, the two see differently.
END = datetime.fromtimestamp(FLEET.end - 17, UTC)
WINDOW = Window(END - timedelta(days=1.5), END, timedelta(minutes=5))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PrometheusFleet, PrometheusFleet]]:
    try:
        find_tool("victoria-metrics")
    except ToolMissing as missing:
        if os.environ.get("REQUIRE_ALL_TOOLS"):
            raise
        pytest.skip(f"VictoriaMetrics is not here, so nothing was read from one. {missing}")
    folder = tmp_path_factory.mktemp("both")
    with rig.serving(folder, FLEET) as prometheus, victoria.serving(folder, FLEET) as other:
        yield tuple(  # type: ignore[misc]  # two of them
            PrometheusFleet(PrometheusSource(url, retries=1), now=lambda: END) for url in (prometheus, other)
        )


def histories(fleet: PrometheusFleet) -> dict[str, WorkloadHistory]:
    return {history.workload.name: history for history in fleet.histories(fleet.states(), WINDOW)}


def test_both_know_the_same_workloads(both: tuple[PrometheusFleet, PrometheusFleet]) -> None:
    prometheus, other = both
    assert other.states() == prometheus.states()
    assert other.warnings == prometheus.warnings


def test_both_tell_the_same_history(both: tuple[PrometheusFleet, PrometheusFleet]) -> None:
    expected, found = (histories(fleet) for fleet in both)
    assert found.keys() == expected.keys()
    for name, history in expected.items():
        assert found[name].containers.keys() == history.containers.keys()
        for container, one in history.containers.items():
            other = found[name].containers[container]
            np.testing.assert_array_equal(other.mem_bytes, one.mem_bytes)
            # Both take the rate between the last two scrapes; they differ in which steps beside a gap have one.
            known = ~np.isnan(one.cpu_cores) & ~np.isnan(other.cpu_cores)
            assert known.sum() >= 0.99 * (~np.isnan(one.cpu_cores)).sum()
            np.testing.assert_allclose(other.cpu_cores[known], one.cpu_cores[known], rtol=1e-6)
            assert (other.pods, other.restarts, other.oom_kills) == (one.pods, one.restarts, one.oom_kills)
            assert other.startup_mem_bytes == one.startup_mem_bytes


def test_one_that_limits_series_is_read_in_parts(both: tuple[PrometheusFleet, PrometheusFleet], tmp_path: Path) -> None:
    """Its flags maxSeries (of the index) and maxUniqueTimeseries (of queries); the shop has some hundred at once."""
    flags = "-search.maxSeries=20", "-search.maxUniqueTimeseries=40"
    with victoria.serving(tmp_path, FLEET, *flags) as url:
        limited = PrometheusFleet(PrometheusSource(url, retries=1), now=lambda: END)
        states = limited.states("shop")
        assert states == both[1].states("shop")
        chosen = [state for state in states if state.workload.name in ("cart", "frontend")]
        found = {history.workload.name: history for history in limited.histories(chosen, WINDOW)}
    for history in both[1].histories(chosen, WINDOW):
        assert not found[history.workload.name].refusal
        for container, one in history.containers.items():
            np.testing.assert_array_equal(found[history.workload.name].containers[container].mem_bytes, one.mem_bytes)
