"""PrometheusFleet against a real Prometheus with two weeks of a shop: every number is compared with what was put in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from mora.domain import (
    Allocation,
    ContainerHistory,
    Resources,
    Role,
    Target,
    Window,
    Workload,
    WorkloadHistory,
    WorkloadState,
)
from mora.errors import BadInput, SourceUnavailable
from mora.sources.prometheus.fleet import PrometheusFleet, grouped
from mora.sources.prometheus.observe import PrometheusSource
from tests.fleet import rig

MIB = 2**20
END = 1_790_000_040 // 60 * 60
FIVE_MINUTES = timedelta(minutes=5)
FLEET = rig.shop(END)
CONTAINERS = [
    (service.workload.name, box.name)
    for service in FLEET.services
    for box in service.pods[0].boxes
    if not np.isnan(box.cpu_cores).all()
]


def now() -> datetime:
    return datetime.fromtimestamp(END, UTC)


def days(count: float, step: timedelta = FIVE_MINUTES) -> Window:
    return Window(now() - timedelta(days=count), now(), step)


def fleet_at(url: str, **options: str) -> PrometheusFleet:
    return PrometheusFleet(PrometheusSource(url, retries=0), now=now, **options)


def read(
    fleet: PrometheusFleet, window: Window, states: list[WorkloadState] | None = None
) -> dict[str, WorkloadHistory]:
    found = fleet.histories(fleet.states() if states is None else states, window)
    return {history.workload.name: history for history in found}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with rig.serving(tmp_path_factory.mktemp("fleet"), FLEET) as address:
        yield address


@pytest.fixture(scope="module")
def states(url: str) -> dict[str, WorkloadState]:
    return {state.workload.name: state for state in fleet_at(url).states("shop")}


@pytest.fixture(scope="module")
def histories(url: str) -> dict[str, WorkloadHistory]:
    return read(fleet_at(url), days(14))


# --- how workloads stand ---------------------------------------------------------------------------------------------


def test_every_workload_is_found_once_by_its_owners_however_often_it_is_scraped(
    states: dict[str, WorkloadState], url: str
) -> None:
    assert [state.workload for state in states.values()] == sorted(service.workload for service in FLEET.services)
    assert fleet_at(url).states() == list(states.values())  # the one namespace there is
    assert all(state.known_by == "prometheus" for state in states.values())


def test_a_name_that_is_no_kubernetes_name_is_skipped_with_a_warning(url: str) -> None:
    fleet = fleet_at(url)
    fleet.states()
    assert any(repr(rig.HOSTILE_NAME)[1:-1] in warning for warning in fleet.warnings)


def test_a_workloads_state_is_that_of_its_newest_pod_and_its_own_metrics(states: dict[str, WorkloadState]) -> None:
    frontend = states["frontend"]
    server, proxy = frontend.allocation.containers
    assert (server.name, server.role, server.is_main) == ("server", Role.APP, True)
    assert server.resources == Resources(500, 1500, 256 * MIB, 512 * MIB)  # 2000m until the last rollout
    assert (proxy.name, proxy.role, proxy.is_injected) == ("istio-proxy", Role.SIDECAR, True)
    assert proxy.resources.cpu_request_millicores == 100
    assert frontend.allocation.replicas == 2
    assert frontend.labels == {"app.kubernetes.io/name": "frontend", "tier": "web"}
    assert frontend.annotations == {"mora.dev/cpu-buffer": "1.3"}


def test_init_containers_are_distinguished_from_native_sidecars(states: dict[str, WorkloadState]) -> None:
    roles = {container.name: container.role for container in states["cart"].allocation.containers}
    assert roles == {"cart": Role.APP, "log-shipper": Role.NATIVE_SIDECAR, "migrate": Role.INIT}


def test_what_is_not_set_is_none(states: dict[str, WorkloadState]) -> None:
    assert [container.resources for container in states["bare"].allocation.containers] == [Resources()]


@pytest.mark.parametrize(
    ("name", "kind", "replicas"),
    [("agent", "DaemonSet", 3), ("db", "StatefulSet", 1), ("report", "CronJob", None), ("web", "Rollout", 1)],
)
def test_every_kind_has_its_replicas(
    states: dict[str, WorkloadState], name: str, kind: str, replicas: int | None
) -> None:
    assert states[name].workload == Workload("shop", name, kind)
    assert states[name].allocation.replicas == replicas
    assert [container.name for container in states[name].allocation.containers] == [name]


def test_a_workload_without_pods_is_described_by_its_last_one(states: dict[str, WorkloadState]) -> None:
    assert states["idle"].allocation.replicas == 0
    assert [container.name for container in states["idle"].allocation.containers] == ["idle"]
    assert [reason.code for reason in states["idle"].reasons] == ["no-pods"]
    assert states["report"].reasons == ()  # a CronJob between two runs is as it should be


def test_an_hpa_is_known_by_each_resource_that_it_scales_on(states: dict[str, WorkloadState]) -> None:
    on_cpu, on_memory = states["payment"].autoscalers
    assert (on_cpu.resource, on_cpu.is_utilisation, on_cpu.target) == (Target.CPU, True, 80)
    assert (on_memory.resource, on_memory.is_utilisation, on_memory.target) == (Target.MEMORY, False, 200 * MIB)
    assert (on_cpu.name, on_cpu.min_replicas, on_cpu.max_replicas) == ("payment-hpa", 2, 6)
    assert states["payment"].allocation.autoscaler == on_cpu
    assert states["cart"].autoscalers == ()


def test_a_namespace_s_limit_range_and_quota_stand_beside_each_workload(states: dict[str, WorkloadState]) -> None:
    state = states["cart"]
    assert state.limit_range is not None
    assert state.limit_range.minimum == Resources(20, 20, 16 * MIB, 16 * MIB)
    assert state.limit_range.maximum == Resources(2000, 2000, 4096 * MIB, 4096 * MIB)
    assert state.limit_range.given == Resources(cpu_limit_millicores=1000, memory_limit_bytes=512 * MIB)
    (quota,) = state.quotas
    assert quota.hard == Resources(cpu_request_millicores=20_000, memory_limit_bytes=2**35)
    assert quota.used == Resources(cpu_request_millicores=9_500, memory_limit_bytes=2**33)


def test_a_java_virtual_machine_is_known_by_its_image(states: dict[str, WorkloadState]) -> None:
    assert {name for name, state in states.items() if state.jvm} == {"young"}


# --- what they used --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "container"), CONTAINERS)
def test_a_container_s_history_is_what_its_hottest_pods_used(
    histories: dict[str, WorkloadHistory], name: str, container: str
) -> None:
    found, expected = histories[name].containers[container], FLEET.service(name).expected(container)
    assert np.nanmax(found.mem_bytes) == expected.mem_peak_bytes
    # Two days at five minutes are 576 samples of a noisy use; a job's are the highest of each five minutes.
    tolerance = 0.05 if name in ("young", "report") else 0.01
    assert np.nanquantile(found.cpu_cores, 0.95) == pytest.approx(expected.cpu_p95_cores, rel=tolerance)
    assert (found.pods, found.restarts, found.oom_kills) == (expected.pods, expected.restarts, expected.oom_kills)
    if expected.startup_cpu_cores is None:
        assert found.startup_cpu_cores is None
        assert found.startup_mem_bytes is None
    else:
        assert found.startup_cpu_cores == pytest.approx(expected.startup_cpu_cores, rel=1e-6)
        # Memory is the largest of a step, and the steps that touch the first five minutes reach a little further.
        assert found.startup_mem_bytes is not None
        assert expected.startup_mem_bytes is not None
        assert expected.startup_mem_bytes <= found.startup_mem_bytes <= 1.05 * expected.startup_mem_bytes


def test_pods_that_are_gone_count_and_a_canary_with_a_similar_name_does_not(
    histories: dict[str, WorkloadHistory],
) -> None:
    server = histories["frontend"].containers["server"]
    assert server.peak_pods == {Target.CPU: "frontend-0aa-1", Target.MEMORY: "frontend-0aa-1"}
    assert np.nanmax(server.cpu_cores) < 1  # the canary used 4 cores and more
    assert server.pod_p95_cores == pytest.approx(
        max(float(np.quantile(pod.boxes[0].cpu_cores[5:], 0.95)) for pod in FLEET.service("frontend").pods), rel=0.01
    )


def test_start_up_is_kept_apart_from_steady_use(histories: dict[str, WorkloadHistory]) -> None:
    server = histories["frontend"].containers["server"]
    assert server.startup_cpu_cores == pytest.approx(1.5)
    assert server.startup_mem_bytes == 600 * MIB
    assert np.nanmax(server.mem_bytes) < 450 * MIB


def test_an_oom_kill_before_the_window_does_not_count_though_its_gauge_is_still_1(
    histories: dict[str, WorkloadHistory],
) -> None:
    scarred, cart = histories["scarred"].containers["app"], histories["cart"].containers["cart"]
    assert (scarred.oom_kills, scarred.restarts, scarred.oom_limit_bytes) == (0, 0, None)
    assert (cart.oom_kills, cart.restarts, cart.oom_limit_bytes) == (2, 3, 512 * MIB)


def test_counter_resets_are_neither_negative_use_nor_a_spike(histories: dict[str, WorkloadHistory]) -> None:
    for name in ("db", "cart"):
        (container,) = [one for one in histories[name].containers.values() if one.container == name]
        assert np.nanmin(container.cpu_cores) > 0
        assert np.nanmax(container.cpu_cores) < 3 * float(np.nanmedian(container.cpu_cores))


def test_throttling_and_the_limit_show_limit_bound_use(histories: dict[str, WorkloadHistory]) -> None:
    pinned, server = histories["pinned"].containers["app"], histories["frontend"].containers["server"]
    assert pinned.throttled is not None
    assert np.nanmean(pinned.throttled) == pytest.approx(0.4, abs=0.005)
    assert pinned.cpu_limit_cores is not None
    assert set(pinned.cpu_limit_cores[1:]) == {0.2}
    assert server.throttled is not None  # has a limit, and was never throttled
    assert np.nanmax(server.throttled) == 0
    assert histories["cart"].containers["cart"].throttled is None  # has no CPU limit


def test_without_counters_of_its_own_a_container_is_not_called_free_of_throttling(tmp_path: Path) -> None:
    """That other containers have CFS counters says nothing of one that has none."""

    def uncounted(pod: rig.Pod) -> rig.Pod:
        boxes = (replace(box, throttled=np.nan if box.name == "server" else box.throttled) for box in pod.boxes)
        return replace(pod, boxes=tuple(boxes))

    services = tuple(replace(service, pods=tuple(uncounted(pod) for pod in service.pods)) for service in FLEET.services)
    with rig.serving(tmp_path, replace(FLEET, services=services)) as url:
        found = read(fleet_at(url), days(2))
    assert found["frontend"].containers["server"].cpu_limit_cores is not None
    assert found["frontend"].containers["server"].throttled is None
    assert found["pinned"].containers["app"].throttled is not None


def test_limits_are_those_of_each_moment(histories: dict[str, WorkloadHistory]) -> None:
    limits = histories["frontend"].containers["server"].cpu_limit_cores
    assert limits is not None
    rollout = (9 * 24 * 60 + 17) // 5  # the third generation's first row
    before = limits[1 : rollout + 1]
    assert set(before[~np.isnan(before)]) == {2.0}  # start-up has no hottest pod, and so no limit
    assert set(limits[rollout + 3 :]) == {1.5}
    assert histories["bare"].containers["bare"].mem_limit_bytes is None


def test_gaps_stay_gaps(histories: dict[str, WorkloadHistory]) -> None:
    gappy = histories["gappy"].containers["gappy"]
    missing = np.flatnonzero(np.isnan(gappy.cpu_cores[1:])) + 1
    assert len(missing) == pytest.approx(6 * 12, abs=2)
    assert missing[0] == pytest.approx(3 * 288, abs=2)
    assert not np.isnan(gappy.mem_bytes[1:]).any()


def test_replicas_are_the_pods_that_ran(histories: dict[str, WorkloadHistory]) -> None:
    agent, idle = histories["agent"].replicas, histories["idle"].replicas
    assert agent is not None
    assert set(agent[1:]) == {3}
    assert idle is not None
    assert set(idle[1 : 12 * 288]) == {1}
    assert np.isnan(idle[12 * 288 + 3 :]).all()


def test_a_younger_workload_has_a_warning_since_when_it_is_known(histories: dict[str, WorkloadHistory]) -> None:
    (warning,) = histories["young"].warnings
    assert "it is younger" in warning
    assert histories["agent"].warnings == ()


def test_the_queries_are_kept_as_sent_and_name_no_pods_where_all_are_wanted(
    histories: dict[str, WorkloadHistory],
) -> None:
    queries = histories["agent"].queries
    assert (
        queries["cpu"]
        == 'irate(container_cpu_usage_seconds_total{namespace="shop",container!="",container!="POD"}[240s])'
    )
    assert set(queries) == {"cpu", "memory", "limits", "starts", "throttled", "restarts", "oom"}
    assert "frontend-1aa-0" in histories["frontend"].queries["startup"]  # and of no other workload's pods
    assert "young" not in histories["frontend"].queries["startup"]


def test_one_workload_alone_is_asked_for_by_its_pods_and_reads_the_same(
    url: str, states: dict[str, WorkloadState], histories: dict[str, WorkloadHistory]
) -> None:
    fleet = fleet_at(url)
    (alone,) = fleet.histories([states["frontend"]], days(14))
    assert 'pod=~"frontend-0aa-0|frontend-0aa-1|' in alone.queries["cpu"]
    assert "canary" not in alone.queries["cpu"]
    for name, container in histories["frontend"].containers.items():
        assert_same(alone.containers[name], container)


def assert_same(one: ContainerHistory, other: ContainerHistory) -> None:
    for name in ContainerHistory.__dataclass_fields__:
        mine, theirs = getattr(one, name), getattr(other, name)
        if isinstance(mine, np.ndarray):
            np.testing.assert_array_equal(mine, theirs)
        else:
            assert mine == theirs, name


def test_namespaces_are_read_whole_as_long_as_they_fit() -> None:
    def of(namespace: str, workloads: int, pods: int = 2) -> list[tuple[WorkloadState, int]]:
        return [(WorkloadState(Workload(namespace, f"w-{n:03}"), Allocation()), pods) for n in range(workloads)]

    groups = grouped([*of("c", 230), *of("a", 60), *of("b", 40), *of("d", 3, pods=900)])
    told = [sorted({one.workload.namespace for one in group}) for group in groups]
    assert told == [["a", "b"], ["c"], ["c"], ["c"], ["d"], ["d"]]
    assert [len(group) for group in groups] == [100, 100, 100, 30, 2, 1]
    assert grouped([]) == []


@pytest.mark.parametrize("points", [500, 3_000])
def test_however_the_window_is_cut_the_answer_is_the_same(
    url: str, histories: dict[str, WorkloadHistory], monkeypatch: pytest.MonkeyPatch, points: int
) -> None:
    monkeypatch.setattr("mora.sources.prometheus.batch._POINTS_IN_AN_ANSWER", points)
    monkeypatch.setattr("mora.sources.prometheus.fleet._WORKLOADS_IN_A_BATCH", 4)
    for name, history in read(fleet_at(url), days(14)).items():
        for container, whole in histories[name].containers.items():
            assert_same(history.containers[container], whole)


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


def test_nothing_asked_for_is_nothing_read(url: str) -> None:
    assert list(fleet_at(url).histories([], days(1))) == []


@dataclass
class Told:
    """A reporter that keeps every call."""

    steps: list[float] = field(default_factory=list)

    def advance(self, task: str, done: float, total: float, note: str = "") -> None:
        self.steps.append(done / total)


def test_progress_goes_up_to_the_whole(url: str, states: dict[str, WorkloadState]) -> None:
    told = Told()
    list(fleet_at(url).histories(list(states.values()), days(1), reporter=told))
    assert told.steps == sorted(told.steps)
    assert told.steps[-1] == 1


# --- odd set-ups -----------------------------------------------------------------------------------------------------


def test_an_unknown_namespace_is_reported_with_the_existing_ones(url: str) -> None:
    with pytest.raises(BadInput, match="knows no workload in namespace 'shpo'") as told:
        fleet_at(url).states("shpo")
    assert "shop" in str(told.value.hint)


def test_a_retention_shorter_than_asked_is_reported_and_no_old_restart_counts(tmp_path: Path) -> None:
    kept = replace(FLEET, since=11 * rig.DAY)
    with rig.serving(tmp_path, kept) as url:
        histories = read(fleet_at(url), days(14))
    (warning,) = histories["agent"].warnings
    assert "has no data before" in warning
    assert "retention" in warning
    cart = histories["cart"].containers["cart"]
    assert (cart.restarts, cart.oom_kills) == (0, 0)  # all three were before
    expected = FLEET.service("frontend").expected("server", since=kept.since)
    assert np.nanmax(histories["frontend"].containers["server"].mem_bytes) == expected.mem_peak_bytes


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
