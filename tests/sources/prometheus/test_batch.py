"""The histories of a batch, against a real Prometheus: every number is compared with what was put in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from mora.domain import (
    Target,
    Window,
    WorkloadHistory,
    WorkloadState,
)
from mora.sources.prometheus.wire import Wire
from tests.fleet import rig
from tests.fleet.tsdb import Group
from tests.sources.prometheus.frontend import in_front_of
from tests.sources.prometheus.shop import (
    CONTAINERS,
    END,
    FIVE_MINUTES,
    FLEET,
    MIB,
    assert_same,
    days,
    fleet_at,
    read,
)


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
    assert server.startup_mem_bytes == 500 * MIB
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
    assert "it is younger" in histories["young"].late
    assert (histories["agent"].late, histories["agent"].warnings) == ("", ())


def test_the_queries_are_kept_as_sent_and_name_no_pods_where_all_are_wanted(
    histories: dict[str, WorkloadHistory],
) -> None:
    queries = histories["agent"].queries
    assert (
        queries["cpu"]
        == 'irate(container_cpu_usage_seconds_total{namespace="shop",container!="",container!="POD"}[240s])'
    )
    assert set(queries) == {"cpu", "memory", "limits", "starts", "throttled", "restarts", "oom", "oom ends", "killed"}
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


@pytest.mark.parametrize("points", [500, 3_000])
def test_however_the_window_is_cut_the_answer_is_the_same(
    url: str, histories: dict[str, WorkloadHistory], monkeypatch: pytest.MonkeyPatch, points: int
) -> None:
    monkeypatch.setattr("mora.sources.prometheus.batch._POINTS_IN_AN_ANSWER", points)
    monkeypatch.setattr("mora.sources.prometheus.fleet._WORKLOADS_IN_A_BATCH", 4)
    for name, history in read(fleet_at(url), days(14)).items():
        for container, whole in histories[name].containers.items():
            assert_same(history.containers[container], whole)


@pytest.mark.parametrize("minutes", [0, 20, 35])
def test_a_query_frontend_that_moves_ranges_onto_multiples_of_the_step_changes_nothing(
    url: str, states: dict[str, WorkloadState], minutes: int
) -> None:
    """Thanos' does by default; whatever the minute at which it is asked."""
    end = datetime.fromtimestamp(END // 3600 * 3600 - 60 * minutes, UTC)
    window = Window(end - timedelta(days=2), end, FIVE_MINUTES)
    chosen = [states[name] for name in ("frontend", "cart", "pinned", "report")]
    with in_front_of(url, aligns=True) as frontend:
        through = read(fleet_at(frontend.url), window, chosen)
    assert frontend.moved == []
    for name, history in read(fleet_at(url), window, chosen).items():
        assert history.containers
        for container, one in history.containers.items():
            assert_same(through[name].containers[container], one)


def test_the_answers_to_a_coarse_grid_are_whole_when_they_come_in_pieces(
    url: str, states: dict[str, WorkloadState], histories: dict[str, WorkloadHistory], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that refuses long ranges gets the same limits, starts, throttling and kills out of MOrA."""
    whole = Wire._range

    def in_pieces(wire: Wire, query: str, window: Window, in_time: bool) -> bytes | None:
        return None if window.sample_count > 100 else whole(wire, query, window, in_time)

    monkeypatch.setattr(Wire, "_range", in_pieces)
    chosen = [states[name] for name in ("frontend", "cart", "pinned")]
    for name, history in read(fleet_at(url), days(14), chosen).items():
        for container, one in history.containers.items():
            assert_same(one, histories[name].containers[container])


def test_a_retention_shorter_than_asked_is_reported_and_no_old_restart_counts(tmp_path: Path) -> None:
    kept = replace(FLEET, since=11 * rig.DAY)
    with rig.serving(tmp_path, kept) as url:
        histories = read(fleet_at(url), days(14))
    late = histories["agent"].late
    assert "has no data before" in late
    assert "retention" in late
    assert late == histories["frontend"].late  # a condition of the run, in the same words for each
    cart = histories["cart"].containers["cart"]
    assert (cart.restarts, cart.oom_kills) == (0, 0)  # all three were before
    expected = FLEET.service("frontend").expected("server", since=kept.since)
    assert np.nanmax(histories["frontend"].containers["server"].mem_bytes) == expected.mem_peak_bytes


# --- OOM kills that end no container, or end it for good -------------------------------------------------------------


class Killed(rig.Fleet):
    """The shop, with runs of its CronJob that were killed, and a container whose child processes are."""

    def groups(self) -> Iterator[Group]:
        """The shop's series, and those that tell of the kills."""
        yield from super().groups()
        every = rig.SCRAPE_SECONDS
        for day in (9, 11, 13):
            first = day * rig.DAY + 2 * rig.HOUR + 12
            ended = {"__name__": "kube_pod_container_status_terminated_reason", "reason": "OOMKilled"}
            of = {"namespace": "shop", "pod": f"report-2900{day:02}-x", "container": "report"}
            yield Group([{**ended, **of}], self.start + first * every, every, np.array([1.0]), samples=rig.HOUR)
        counted = np.floor(np.arange(rig.DAYS * rig.DAY + 1) / (2 * rig.DAY)) + 3  # one every second day, three before
        events = {"__name__": "container_oom_events_total", "namespace": "shop", "id": "/kubepods/web"}
        web = {"pod": "web-1gg-0", "container": "web"}
        yield Group(
            [{**events, **web, "job": job} for job in ("kubelet", "cadvisor")],
            self.start,
            every,
            np.stack([counted, counted]),
        )


def test_oom_kills_are_counted_in_every_form(tmp_path: Path, histories: dict[str, WorkloadHistory]) -> None:
    with rig.serving(tmp_path, Killed(FLEET.services, FLEET.end)) as address:
        found = read(fleet_at(address), days(14))
    report, web = found["report"].containers["report"], found["web"].containers["web"]
    assert (report.oom_kills, report.oom_limit_bytes, report.restarts) == (3, 512 * MIB, 0)
    assert (web.oom_kills, web.oom_limit_bytes, web.restarts) == (7, 512 * MIB, 0)
    for name in ("cart", "scarred", "frontend"):  # the others are counted as before
        for container, one in found[name].containers.items():
            assert one.oom_kills == histories[name].containers[container].oom_kills
