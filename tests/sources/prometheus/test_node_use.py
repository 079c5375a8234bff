"""What the fullest node of a namespace's pods did, from a real Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mora.domain import Window
from mora.errors import SourceUnavailable
from mora.harness.contention import judge
from mora.harness.host import HostUse
from mora.harness.nodes import NodeHost
from mora.harness.record import LoadFigures
from mora.sources.prometheus.observe import PrometheusSource
from tests.sources.rig import Series, backfill, serve

START, END = datetime(2026, 11, 1, 12, tzinfo=UTC), datetime(2026, 11, 1, 12, 20, tzinfo=UTC)
WINDOW = Window(END - timedelta(minutes=4), END - timedelta(seconds=30), timedelta(seconds=15))


def growing(per_second: float) -> Callable[[float], float]:
    return lambda at: (at - START.timestamp()) * per_second


def steady(value: float) -> Callable[[float], float]:
    return lambda at: value


def node(name: str, *, cores: int, idle: float, steal: float = 0.0, pressure: float | None = None) -> Iterator[Series]:
    """A node with node-exporter, of whose cores so many are idle."""
    where = {"instance": f"{name}:9100"}
    rows = [("node_uname_info", where | {"nodename": name}, steady(1))]
    for cpu in range(cores):
        for mode, used in (("idle", idle), ("steal", steal), ("user", cores - idle - steal)):
            rows.append(("node_cpu_seconds_total", where | {"cpu": str(cpu), "mode": mode}, growing(used / cores)))
    rows += [("node_memory_MemTotal_bytes", where, steady(8e9)), ("node_memory_MemAvailable_bytes", where, steady(3e9))]
    if pressure is not None:
        rows.append(("node_pressure_cpu_waiting_seconds_total", where, growing(pressure)))
    yield from map(series, rows)


def pod(name: str, on: str, *, cores: float, namespace: str = "shop") -> Iterator[Series]:
    of = {"namespace": namespace, "pod": name}
    used = of | {"container": "server"}
    rows = [
        ("kube_pod_info", of | {"node": on}, steady(1)),
        ("container_cpu_usage_seconds_total", used, growing(cores)),
        ("container_cpu_usage_seconds_total", of | {"container": ""}, growing(cores)),
    ]
    yield from map(series, rows)


def series(row: tuple[str, dict[str, str], Callable[[float], float]]) -> Series:
    metric, labels, value = row
    return Series(metric, labels, value, START.timestamp(), END.timestamp(), 15.0)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusSource]:
    """Three nodes: one full of other work, one with room, and a fuller one without a pod of the shop."""
    everything = [
        *node("full", cores=4, idle=0.1, steal=0.2, pressure=0.8),
        *node("roomy", cores=4, idle=3.0),
        *node("elsewhere", cores=4, idle=0.0),
        *pod("frontend-1", "full", cores=0.7),
        *pod("frontend-2", "roomy", cores=0.9),
        *pod("batch-1", "elsewhere", cores=4.0, namespace="batch"),
    ]
    with serve(backfill(everything, tmp_path_factory.mktemp("nodes"))) as url:
        yield PrometheusSource(url)


def test_the_fullest_node_that_runs_the_pods_is_what_counts(source: PrometheusSource) -> None:
    found = source.node_use("shop", WINDOW)
    assert found is not None
    assert (found.node, found.cores) == ("full", 4)
    assert found.idle_cores == pytest.approx(0.1, rel=0.02)
    assert found.steal_cores == pytest.approx(0.2, rel=0.02)
    assert found.target_cores == pytest.approx(0.7, rel=0.02)
    assert found.others_cores == pytest.approx(3.0, rel=0.02)
    assert found.pressure_ratio == pytest.approx(0.8, rel=0.02)
    assert found.memory_bytes == 5_000_000_000


def test_a_window_on_a_full_node_is_contended(source: PrometheusSource) -> None:
    watch = NodeHost(source, "shop").watch()
    watch.tick()
    watch.end()
    use = watch.use(WINDOW)
    assert isinstance(use, HostUse)
    found = judge(use, [(LoadFigures(3000, 0, 50.0, 0.04, 0.1, 0.2, 0.0), None)])
    assert found.reasons == (
        "the hypervisor took 5% of the CPU",
        "other programs used 3 of 4 cores, and none were idle",
    )


def test_a_namespace_without_a_pod_has_no_node(source: PrometheusSource) -> None:
    assert source.node_use("nothing", WINDOW) is None


def test_a_source_that_fails_now_leaves_the_machines_unknown(tmp_path: Path) -> None:
    class Failing:
        def node_use(self, namespace: str, window: Window) -> None:
            raise SourceUnavailable("The Prometheus does not answer.")

    assert NodeHost(Failing(), "shop").watch().use(WINDOW) is None
