"""PrometheusFleet: batches, progress, several clusters and odd set-ups, against a real Prometheus."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from mora.domain import (
    Allocation,
    Workload,
    WorkloadHistory,
    WorkloadState,
)
from mora.errors import BadInput, SourceUnavailable
from mora.sources.prometheus.fleet import grouped
from tests.fleet import rig
from tests.sources.prometheus.frontend import in_front_of
from tests.sources.prometheus.shop import (
    END,
    FLEET,
    MIB,
    assert_same,
    days,
    fleet_at,
    read,
)


def test_namespaces_are_read_whole_as_long_as_they_fit() -> None:
    def of(namespace: str, workloads: int, pods: int = 2) -> list[tuple[WorkloadState, int]]:
        return [(WorkloadState(Workload(namespace, f"w-{n:03}"), Allocation()), pods) for n in range(workloads)]

    groups = grouped([*of("c", 230), *of("a", 60), *of("b", 40), *of("d", 3, pods=900)])
    told = [sorted({one.workload.namespace for one in group}) for group in groups]
    assert told == [["a", "b"], ["c"], ["c"], ["c"], ["d"], ["d"]]
    assert [len(group) for group in groups] == [100, 100, 100, 30, 2, 1]
    assert grouped([]) == []


def test_hundreds_of_namespaces_and_long_names_fit_into_every_question(
    url: str, histories: dict[str, WorkloadHistory], states: dict[str, WorkloadState]
) -> None:
    # The server takes a list of label values by GET alone, and an address has an end.
    others = [WorkloadState(Workload(f"team-{number:03}" + 40 * "x", "ghost"), Allocation()) for number in range(300)]
    found = {one.workload: one for one in fleet_at(url).histories([states["agent"], *others], days(14))}
    assert len(found) == 301
    assert_same(found[states["agent"].workload].containers["agent"], histories["agent"].containers["agent"])


def test_a_workload_that_no_longer_exists_or_never_did_gets_an_empty_history_and_a_warning(url: str) -> None:
    ghost = WorkloadState(Workload("shop", "ghost"), Allocation())
    (history,) = fleet_at(url).histories([ghost], days(1))
    assert history.containers == {}
    assert "No samples of Deployment 'ghost'" in history.warnings[0]


def test_every_query_and_selector_that_is_sent_is_kept(url: str, states: dict[str, WorkloadState]) -> None:
    with in_front_of(url) as server:
        fleet = fleet_at(server.url)
        fleet.states("shop")
        list(fleet.histories([states["frontend"]], days(14)))
    sent = {
        (path.removeprefix("/api/v1/"), value) for path, name, value in server.asked if name in ("query", "match[]")
    }
    assert set(fleet.asked) == sent
    texts = " ".join(text for _, text in fleet.asked)
    for metric in ("container_oom_events_total", "kube_node_status_capacity", "resets(", "kube_replicaset_owner"):
        assert metric in texts


def test_nothing_asked_for_is_nothing_read(url: str) -> None:
    assert list(fleet_at(url).histories([], days(1))) == []


@dataclass
class Kept:
    """A reporter that keeps every call."""

    steps: list[float] = field(default_factory=list)

    def advance(self, task: str, done: float, total: float, note: str = "") -> None:
        self.steps.append(done / total)


def test_progress_goes_up_to_the_whole(url: str, states: dict[str, WorkloadState]) -> None:
    progress = Kept()
    list(fleet_at(url).histories(list(states.values()), days(1), reporter=progress))
    assert progress.steps == sorted(progress.steps)
    assert progress.steps[-1] == 1


def test_an_unknown_namespace_is_reported_with_the_existing_ones(url: str) -> None:
    with pytest.raises(BadInput, match="knows no workload in namespace 'shpo'") as told:
        fleet_at(url).states("shpo")
    assert "shop" in str(told.value.hint)


def test_of_several_clusters_one_must_be_named(tmp_path: Path) -> None:
    with rig.serving(tmp_path, rig.shop(END, cluster="eu"), rig.shop(END, cluster="us", since=12 * rig.DAY)) as url:
        with pytest.raises(BadInput, match="several clusters: eu, us") as told:
            fleet_at(url).states()
        assert "--cluster" in str(told.value.hint)
        with pytest.raises(BadInput, match="has no metrics of a cluster 'mars'"):
            fleet_at(url, cluster="mars").states()
        there = read(fleet_at(url, cluster="us"), days(1))
        expected = FLEET.service("agent").expected("agent", since=13 * rig.DAY)
        assert np.nanmax(there["agent"].containers["agent"].mem_bytes) == expected.mem_peak_bytes
        assert there["agent"].containers["agent"].pods == 3
        assert 'cluster="us"' in there["agent"].queries["cpu"]


def test_without_kube_state_metrics_no_workload_is_found_and_the_error_says_why(tmp_path: Path) -> None:
    with rig.serving(tmp_path, FLEET, keep=lambda name: name.startswith("container_")) as url:
        with pytest.raises(SourceUnavailable, match="kube_pod_owner") as told:
            fleet_at(url).states()
        assert "kube-state-metrics" in str(told.value.hint)


def test_pods_without_known_owners_belong_to_no_workload_and_a_warning_says_why(
    tmp_path: Path, states: dict[str, WorkloadState]
) -> None:
    with rig.serving(tmp_path, FLEET, keep=lambda name: name.startswith("container_")) as url:
        (history,) = fleet_at(url).histories([states["web"]], days(1))
    assert history.containers == {}
    assert any("kube_pod_owner has no samples" in warning for warning in history.warnings)


def test_metrics_that_are_missing_are_named_with_what_to_enable(tmp_path: Path) -> None:
    kept = ("kube_pod_owner", "kube_replicaset_owner", "kube_pod_container_info", "container_memory_working_set_bytes")
    with rig.serving(tmp_path, FLEET, keep=lambda name: name in kept) as url:
        fleet = fleet_at(url)
        history = read(fleet, days(1))["web"]
    missing = " ".join(history.warnings)
    for name in (
        "container_cpu_usage_seconds_total",
        "kube_pod_start_time",
        "kube_pod_container_status_restarts_total",
    ):
        assert name in missing
    assert "container_memory_working_set_bytes" not in missing
    assert np.isnan(history.containers["web"].cpu_cores).all()
    assert np.nanmax(history.containers["web"].mem_bytes) > 100 * MIB


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"pod": "pod_name", "container": "container_name"}, "before Kubernetes 1.16"),
        ({"pod": "exported_pod", "namespace": "exported_namespace"}, "honor_labels"),
    ],
)
def test_labels_of_old_or_odd_scrapers_are_an_error_with_the_cause(
    tmp_path: Path, names: dict[str, str], words: str
) -> None:
    prefix = "container_" if "pod_name" in names.values() else "kube_"
    with rig.serving(tmp_path, FLEET, renamed=(prefix, names)) as url, pytest.raises(SourceUnavailable) as told:
        read(fleet_at(url), days(1))
    assert words in str(told.value)
