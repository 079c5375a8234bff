"""Node-pooled advice from a real Prometheus: pods that take turns need less together than each alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from mora.cli.front import app
from mora.domain import Window, Workload
from mora.errors import BadInput
from mora.fleet.settings import FleetSettings
from mora.pipeline.pooling import with_node_pools
from mora.sources.prometheus.fleet import PrometheusFleet
from mora.sources.prometheus.observe import PrometheusSource
from tests.sources import rig

NOW = datetime.now(UTC).replace(second=0, microsecond=0)
HOURS, EVERY, TURN = 30, 120, 1200.0
# The tests run some time after their modules were read.
AHEAD = 7200
NAMES = ("odd", "even")


def used(at: float, name: str) -> float:
    """Core-seconds: 0.9 cores in its own turns of twenty minutes, 0.1 in the other's."""
    turns, rest = divmod(at, TURN)
    is_own = turns % 2 == NAMES.index(name)
    return TURN * (turns // 2) + (turns % 2) * TURN * (0.1 if is_own else 0.9) + rest * (0.9 if is_own else 0.1)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two services of two pods; one pod of each on either node."""
    start = NOW.timestamp() - HOURS * 3600
    end = NOW.timestamp() + AHEAD
    services = dict[str, tuple[str, ...]](odd=("server",), even=("server",))
    wanted = ("kube_", "container_cpu_usage", "container_memory_working")

    def value(one: rig.Series) -> rig.Series:
        if one.metric != "container_cpu_usage_seconds_total":
            return one
        name = one.labels["pod"].partition("-")[0]
        return replace(one, value=lambda at: used(at, name) - used(start, name))

    series = [
        value(one)
        for one in rig.cluster(services, start=start, end=end, every=EVERY, has_nodes=False)
        if one.metric.startswith(wanted) and not one.metric.endswith("_limits")
    ]
    # Evicted long ago, and not yet collected.
    gone = {"namespace": "shop", "pod": "even-gone", "node": "node-0"}
    owners = [one for one in series if one.metric == "kube_pod_owner" and one.labels["pod"].startswith("even-")]
    series += [
        replace(owners[0], labels={**owners[0].labels, "pod": "even-gone"}),
        rig.Series("kube_pod_info", gone, lambda at: 1, start, end, EVERY),
        rig.Series("kube_pod_status_phase", {**gone, "phase": "Failed"}, lambda at: 1, start, end, EVERY),
    ]
    with rig.serve(rig.backfill(series, tmp_path_factory.mktemp("pooling"))) as url:
        yield url


def test_a_node_is_loaded_by_all_its_pods(prometheus: str) -> None:
    window = Window(NOW - timedelta(hours=6), NOW, timedelta(minutes=5))
    loads = PrometheusFleet(PrometheusSource(prometheus)).node_loads(["shop"], window)
    assert [one.node for one in loads] == ["node-0", "node-1"]
    for one in loads:
        assert one.pods == {Workload("shop", name): 1 for name in NAMES}
        assert np.nanmedian(one.cpu_cores) == pytest.approx(1.0, abs=0.05), "as the two take turns"
        assert np.nanmax(one.counts) == 2


def advice(prometheus: str, *arguments: str) -> tuple[dict[str, Any], str]:
    command = ["recommend", "-n", "shop", "--all", "--prometheus", prometheus, "--no-kubernetes", "--history", "30h"]
    done = CliRunner().invoke(
        app, [*command, "--horizon", "1h", "--allow-any-step", "-o", "json", *arguments], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    return {one["service"]: one for one in json.loads(done.stdout)["recommendations"]}, done.stderr


def test_pods_that_take_turns_request_less_together(prometheus: str) -> None:
    alone, _ = advice(prometheus)
    pooled, said = advice(prometheus, "--pool", "node")
    assert "Pooled by node: the pods on 2 nodes need" in " ".join(said.split())
    total = 0
    for name in NAMES:
        before, after = (one[name]["cpu_request_millicores"] for one in (alone, pooled))
        assert after["value"] < 0.75 * before["value"]
        assert "pooled" in [reason["code"] for reason in after["reasons"]]
        assert pooled[name]["memory_request_bytes"] == alone[name]["memory_request_bytes"]
        total += after["value"]
    assert total >= 1000, "each node has one pod of both, which use a core together"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--all", "--pool", "zone"], "--pool takes one word, node"),
        (["odd", "--pool", "node"], "adds up the pods of whole namespaces"),
        (["--all", "--pool", "node", "--no-history"], "--no-history leaves it out"),
    ],
)
def test_wrong_flags_say_what_is_wrong(arguments: list[str], words: str) -> None:
    done = CliRunner().invoke(app, ["recommend", "-n", "shop", "--no-kubernetes", *arguments])
    said = f"{done.output} {getattr(done.exception, 'message', '')}"
    assert done.exit_code != 0
    assert words in " ".join(said.split())


def test_a_source_without_promql_is_refused() -> None:
    window = Window(NOW - timedelta(hours=6), NOW, timedelta(minutes=5))
    with pytest.raises(BadInput, match="this source is no Prometheus"):
        with_node_pools([], [], object(), window, FleetSettings())  # type: ignore[arg-type]
