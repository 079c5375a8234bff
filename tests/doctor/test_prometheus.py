"""Which metrics a Prometheus has, asked of a real one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mora.doctor import Check, State, metrics_at
from mora.doctor.prometheus import SIGNALS
from mora.errors import SourceUnavailable
from mora.settings import Settings
from tests.sources import rig
from tests.sources.prometheus.scripted import GOOD, serving


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One service's metrics of the last ten minutes, without node-exporter's memory."""
    now = float(int(time.time()))
    series = rig.cluster({"frontend": ("server",)}, start=now - 600, end=now, every=15)
    kept = [one for one in series if not one.metric.startswith("node_memory")]
    tsdb = rig.backfill(kept, tmp_path_factory.mktemp("doctor"))
    with rig.serve(tsdb) as url:
        yield url


def test_metrics_that_a_prometheus_does_not_have_are_named_with_their_exporter(prometheus: str) -> None:
    checks = metrics_at(prometheus, Settings())
    assert checks[0].words.startswith(f"{prometheus} answers, version 2.")
    amiss = {check.words.split()[0]: check for check in checks if check.state is not State.OK}
    assert set(amiss) == {
        "node_memory_MemAvailable_bytes",
        "node_memory_MemTotal_bytes",
        "kube_pod_container_status_last_terminated_reason",
    }
    assert "node-exporter" in amiss["node_memory_MemTotal_bytes"].remedy
    assert checks[-1].words == "15 of the 18 metrics that MOrA reads have samples"


def test_the_metrics_that_are_asked_for_are_those_that_the_queries_read() -> None:
    from mora.domain import Workload
    from mora.sources.prometheus import promql

    texts = " ".join(promql.queries(Workload("shop", "frontend")).values())
    assert [signal.name for signal in SIGNALS if signal.name not in texts] == []


def test_an_empty_prometheus_is_missing_everything(tmp_path: Path) -> None:
    (tmp_path / "tsdb").mkdir()
    with rig.serve(tmp_path / "tsdb") as url:
        checks = metrics_at(url, Settings())
    assert checks[-1] == Check("metrics", State.MISSING, "0 of the 18 metrics that MOrA reads have samples")


def test_a_server_that_is_no_prometheus_is_reported() -> None:
    with serving(GOOD) as server, pytest.raises(SourceUnavailable, match="does not answer like a Prometheus"):
        metrics_at(server.url, Settings())
