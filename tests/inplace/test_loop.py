"""Changes from their canary to their end, on a strict API server with a kubelet: kept, undone, refused, taken up again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mora.errors import MoraError
from mora.inplace.journal import Journal
from tests.clusters.fake_api import FakeApi
from tests.inplace.rig import Rig, recommendation, resources


def resizes(rig: Rig) -> list[str]:
    return [one.path.split("/")[-2] for one in rig.cluster.patches if one.path.endswith("/resize")]


def test_one_pod_is_the_canary_then_all_get_it_and_it_is_kept(rig: Rig) -> None:
    assert rig.renew().begun == 1
    assert rig.cpus() == ["200m", "400m", "400m"]
    rig.pass_time(1.5)
    assert rig.cpus() == ["200m", "400m", "400m"], "the canary is watched for two minutes"
    rig.pass_time(1.5)
    assert rig.cpus() == ["200m", "200m", "200m"]
    rig.pass_time(12)
    assert rig.outcome() == "kept"
    assert rig.spec("web-abc-2") == resources("200m", "359Mi")
    assert len(resizes(rig)) == 3, "every pod was asked once"
    assert {one.content_type for one in rig.cluster.patches} == {"application/strategic-merge-patch+json"}


def test_what_has_the_numbers_already_is_left_alone(rig: Rig) -> None:
    rig.renew()
    rig.pass_time(20)
    sent = len(rig.cluster.changes)
    report = rig.renew()
    assert "not worth a change" in report.notes["Deployment/web"]
    assert len(rig.cluster.changes) == sent


def test_a_move_within_the_deadband_is_not_worth_a_change(rig: Rig) -> None:
    rig.advice = [recommendation(cpu=350, memory=500)]
    report = rig.renew()
    assert "not worth a change" in report.notes["Deployment/web"]
    assert not rig.cluster.changes


def test_a_cut_goes_half_of_the_way_at_a_time(rig: Rig) -> None:
    rig.advice = [recommendation(cpu=40, memory=100)]
    rig.renew()
    assert rig.spec("web-abc-0") == resources("200m", "359Mi")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (
            {"restartCount": 1, "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}},
            "restarted",
        ),
        (
            {
                "lastState": {
                    "terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": "2026-11-26T12:01:00Z"}
                }
            },
            "OOM-killed",
        ),
        ({"restartCount": 2}, "restarted"),
    ],
)
def test_a_canary_that_fares_ill_is_put_back_and_no_other_pod_is_touched(
    rig: Rig, status: dict[str, Any], words: str
) -> None:
    rig.renew()
    rig.pass_time(0.5)
    rig.change_pod("web-abc-0", **status)
    rig.pass_time(1)
    assert rig.cpus() == ["400m"] * 3
    assert rig.outcome() == "undone"
    (harm,) = rig.events("harmed")
    assert words in harm["why"]
    assert set(resizes(rig)) == {"web-abc-0"}


def test_harm_after_all_have_it_puts_every_pod_back(rig: Rig) -> None:
    rig.renew()
    rig.pass_time(5)
    assert rig.cpus() == ["200m"] * 3
    rig.change_pod("web-abc-2", restartCount=1)
    rig.pass_time(1)
    assert rig.cpus() == ["400m"] * 3
    assert rig.outcome() == "undone"


def test_a_pod_that_stays_not_ready_undoes_the_change(rig: Rig) -> None:
    rig.renew()
    rig.ready("web-abc-0", False)
    rig.pass_time(0.25)
    assert not rig.events("harmed"), "a moment is no harm"
    rig.pass_time(1)
    assert rig.outcome() == "undone"


def test_throttling_that_was_not_there_before_undoes_the_change(rig: Rig) -> None:
    rig.signals.shares = {("web-abc-0", "server"): 0.05}
    rig.renew()
    rig.signals.shares = {("web-abc-0", "server"): 0.6, ("web-abc-1", "server"): 0.9}
    rig.pass_time(1)
    assert "throttled in 60% of its periods, before 5%" in rig.events("harmed")[0]["why"]
    assert rig.cpus() == ["400m"] * 3


def test_throttling_that_was_there_before_is_not_laid_to_the_change(rig: Rig) -> None:
    rig.signals.shares = {("web-abc-0", "server"): 0.5}
    rig.renew()
    rig.signals.shares = {("web-abc-0", "server"): 0.6}
    rig.pass_time(20)
    assert rig.outcome() == "kept"


def test_a_broken_slo_undoes_the_change_and_keeps_others_from_beginning(rig: Rig) -> None:
    rig.renew()
    rig.signals.broken = "its SLO is broken: the query returns 0.7"
    rig.pass_time(0.5)
    assert rig.cpus() == ["400m"] * 3
    rig.pass_time(0.5)
    assert rig.outcome() == "undone"
    assert "SLO" in rig.renew().notes["Deployment/web"]


def test_after_an_undone_cut_the_next_waits_twice_as_long_each_time_and_a_raise_does_not(rig: Rig) -> None:
    waits = []
    for round_ in range(3):
        rig.renew()
        assert rig.cpu() == "200m", round_
        rig.signals.broken = "its SLO is broken"
        rig.pass_time(1)
        rig.signals.broken = None
        began = rig.now
        while rig.renew().begun == 0 and rig.now - began < timedelta(days=4):
            rig.now += timedelta(hours=1)
        waits.append((rig.now - began) / timedelta(hours=1))
        rig.signals.broken = "its SLO is broken"
        rig.pass_time(1)
        rig.signals.broken = None
        rig.now += timedelta(hours=200)
    assert waits[0] >= 6
    assert waits[1] >= 2 * waits[0]


def test_a_raise_is_not_held_off_by_an_undone_cut(rig: Rig) -> None:
    rig.renew()
    rig.signals.broken = "its SLO is broken"
    rig.pass_time(1)
    rig.signals.broken = None
    rig.advice = [recommendation(cpu=900, memory=800)]
    assert rig.renew().begun == 1
    assert rig.cpu() == "900m"


# --- what the server and the node say --------------------------------------------------------------------------------


def test_a_refusal_is_told_in_the_servers_words_and_held_off(rig: Rig) -> None:
    bound = {"limits": [{"type": "Container", "max": {"memory": "600Mi"}}]}
    rig.cluster.add(
        {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "bound", "namespace": "shop"}, "spec": bound}
    )
    rig.advice = [recommendation(cpu=900, memory=800)]
    assert rig.renew().refused == 1
    assert "maximum memory usage per Container is 600Mi" in rig.events("ended")[0]["why"]
    assert rig.outcome() == "refused"
    assert rig.renew().begun == 0, "it waits before it asks again"
    assert rig.cpus() == ["400m"] * 3


def test_a_quota_that_is_full_is_a_refusal(rig: Rig) -> None:
    meta = {"name": "full", "namespace": "shop"}
    rig.cluster.add(
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": {"requests.cpu": "1300m"}}}
    )
    rig.advice = [recommendation(cpu=900)]
    rig.renew()
    assert "exceeded quota: full" in rig.events("ended")[0]["why"]


def test_the_second_pod_that_is_refused_puts_the_first_back(rig: Rig) -> None:
    meta = {"name": "full", "namespace": "shop"}
    rig.cluster.add(
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": {"requests.cpu": "1800m"}}}
    )
    rig.advice = [recommendation(cpu=900)]
    rig.renew()
    assert rig.cpu() == "900m"
    rig.pass_time(4)
    assert rig.cpus() == ["400m"] * 3
    assert rig.outcome() == "undone"


@pytest.mark.parametrize("what", ["deferred", "failing"])
def test_a_resize_that_the_node_does_not_give_is_taken_back_after_five_minutes(rig: Rig, what: str) -> None:
    getattr(rig.kubelet, what).add("web-abc-0")
    rig.renew()
    rig.pass_time(4.5)
    assert rig.cpus() == ["200m", "400m", "400m"], "it may be given yet"
    assert not rig.events("harmed")
    rig.pass_time(1.5)
    assert rig.cpus() == ["400m"] * 3
    assert rig.outcome() == "undone"


def test_an_infeasible_resize_is_taken_back_at_once(rig: Rig) -> None:
    rig.kubelet.infeasible.add("web-abc-0")
    rig.renew()
    rig.pass_time(0.5)
    assert "can never give that: Node didn't have enough capacity" in rig.events("harmed")[0]["why"]
    assert rig.cpus() == ["400m"] * 3


def test_a_conflict_with_the_kubelets_status_is_tried_again(rig: Rig) -> None:
    turns = [0]

    def meddle(key: tuple[str, str, str]) -> None:
        turns[0] += 1
        if turns[0] <= 2:
            rig.cluster.objects[key]["metadata"]["resourceVersion"] = f"9{turns[0]}"

    rig.cluster.on_patch = meddle
    rig.renew()
    assert rig.cpu() == "200m"
    assert turns == [3]


def test_a_memory_limit_is_not_lowered_before_kubernetes_1_35(api: FakeApi, tmp_path: Path) -> None:
    api.cluster.version = "1.34.2"
    rig = Rig(api, tmp_path)
    rig.renew()
    assert rig.spec("web-abc-0") == {"requests": {"cpu": "200m", "memory": "359Mi"}, "limits": {"memory": "512Mi"}}
    rig.close()


def test_a_kubernetes_without_resize_in_place_says_so(api: FakeApi, tmp_path: Path) -> None:
    api.cluster.version = "1.32.1"
    rig = Rig(api, tmp_path)
    assert "1.33 is the first" in str(rig.renew().stopped)
    assert not rig.cluster.changes
    rig.close()


# --- what happens meanwhile ------------------------------------------------------------------------------------------


def test_an_api_server_that_is_away_for_ten_minutes_changes_nothing_twice(rig: Rig) -> None:
    rig.renew()
    rig.pass_time(0.5)
    before = len(resizes(rig))
    rig.cluster.failures = [(503, None)] * 400
    reports = rig.pass_time(10, every=60)
    assert all(report.stopped for report in reports)
    rig.cluster.failures = []
    assert rig.cpus() == ["200m", "400m", "400m"]
    rig.pass_time(0.5)
    assert rig.cpus() == ["200m", "400m", "400m"], "time that nobody looked at does not count as watched"
    rig.pass_time(15)
    assert rig.outcome() == "kept"
    assert len(resizes(rig)) == before + 2


def test_a_request_whose_answer_was_lost_is_not_sent_twice(rig: Rig) -> None:
    rig.cluster.on_patch = lambda key: rig.cluster.failures.extend([(503, None)] * 6)
    # The first try reaches the server; all that come after it fail, as where the connection broke off.
    rig.renew()
    rig.cluster.on_patch = None
    rig.cluster.failures = []
    rig.pass_time(20)
    assert rig.outcome() == "kept"
    assert sorted(resizes(rig)) == ["web-abc-0", "web-abc-1", "web-abc-2"]


@pytest.mark.parametrize("minutes", [0.5, 4.0])
def test_a_loop_that_was_killed_goes_on_where_it_was(rig: Rig, minutes: float) -> None:
    rig.renew()
    rig.pass_time(minutes)
    rig.start()
    rig.pass_time(20)
    assert rig.outcome() == "kept"
    assert rig.cpus() == ["200m"] * 3
    assert len(resizes(rig)) == 3


def test_a_loop_that_was_killed_still_undoes_what_does_harm(rig: Rig) -> None:
    rig.renew()
    rig.pass_time(4)
    rig.start()
    rig.change_pod("web-abc-1", restartCount=1)
    rig.pass_time(1)
    assert rig.cpus() == ["400m"] * 3
    assert rig.outcome() == "undone"


def test_what_was_announced_and_never_sent_is_sent_after_a_restart(rig: Rig) -> None:
    rig.cluster.failures = [(200, None)] * 0
    rig.cluster.forbidden = set()
    rig.cluster.on_patch = lambda key: (_ for _ in ()).throw(ConnectionError("killed"))
    rig.renew()
    assert rig.cpus() == ["400m"] * 3
    rig.cluster.on_patch = None
    rig.start()
    rig.pass_time(0.5)
    assert rig.cpus() == ["200m", "400m", "400m"]


def test_an_instance_that_lost_the_lease_sends_nothing_more(rig: Rig) -> None:
    rig.renew()
    rig.lease.is_ours = False
    before = len(rig.cluster.changes)
    rig.signals.broken = "its SLO is broken"
    reports = rig.pass_time(1)
    assert reports[-1].stopped == "another instance resizes pods of this namespace now"
    assert len(rig.cluster.changes) == before
    rig.lease.is_ours = True
    rig.pass_time(1)
    assert rig.outcome() == "undone"


def test_two_loops_by_one_audit_log_are_refused(rig: Rig) -> None:
    with (
        pytest.raises(MoraError, match="Another process resizes pods by the audit log"),
        Journal(rig.folder / "state", "shop").opened(),
    ):
        pass


def test_an_audit_log_of_another_cluster_is_refused(rig: Rig) -> None:
    rig.renew()
    rig.cluster.objects["namespaces", "", "shop"]["metadata"]["uid"] = "00000000-0000-4000-8000-999999999999"
    with pytest.raises(MoraError, match="is of another cluster"):
        rig.start()


def test_pods_that_were_replaced_meanwhile_end_the_change(rig: Rig) -> None:
    rig.renew()
    with rig.api.lock:
        for number in range(3):
            rig.cluster.remove("Pod", f"web-abc-{number}")
    rig.pass_time(0.5)
    assert rig.outcome() == "dropped"


def test_somebody_elses_resize_is_not_overwritten_by_putting_back(rig: Rig) -> None:
    rig.renew()
    with rig.api.lock:
        rig.cluster.get("Pod", "web-abc-0")["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "333m"
    rig.change_pod("web-abc-0", restartCount=1)
    rig.pass_time(1)
    assert rig.cpu() == "333m"
    assert rig.outcome() == "stuck"
    assert "resized by somebody else" in rig.events("put-back")[0]["why"]


def test_a_prometheus_that_is_away_begins_nothing_and_nothing_counts_as_watched(rig: Rig) -> None:
    rig.signals.is_away = True
    assert rig.renew().stopped == "Prometheus does not answer."
    rig.signals.is_away = False
    rig.renew()
    rig.signals.is_away = True
    rig.pass_time(10)
    assert rig.cpus() == ["200m", "400m", "400m"]
    rig.change_pod("web-abc-0", restartCount=1)
    rig.pass_time(1)
    assert rig.outcome() == "undone", "what the pods themselves say still counts"


def test_a_clock_that_jumps_back_loses_nothing(rig: Rig) -> None:
    rig.renew()
    rig.pass_time(1)
    rig.now -= timedelta(hours=2)
    rig.start()
    assert "the clock was set back" in rig.said()
    rig.pass_time(20)
    assert rig.outcome() == "kept"
    assert len(resizes(rig)) == 3


def test_a_dry_run_asks_the_server_and_changes_nothing(api: FakeApi, tmp_path: Path) -> None:
    rig = Rig(api, tmp_path, is_dry=True)
    report = rig.renew()
    assert len(report.plans) == 3
    assert "CPU request 400m -> 200m" in report.plans[0]
    assert not api.cluster.changes
    assert [one.query["dryRun"] for one in api.cluster.patches] == ["All"] * 3
    assert not rig.events()
    rig.close()


def test_a_new_pod_gets_what_the_others_have(rig: Rig) -> None:
    from tests.inplace.rig import add_pod

    rig.renew()
    rig.pass_time(20)
    with rig.api.lock:
        add_pod(rig.cluster, "web-abc-9", {"name": "server", "image": "shop/server:1", "resources": resources()})
    rig.advice = [recommendation(cpu=210, memory=350)]
    rig.renew()
    assert rig.cpu("web-abc-9") == "200m"
    assert rig.events("begun")[-1]["join"] is True


def test_only_so_many_workloads_change_at_once(api: FakeApi, tmp_path: Path) -> None:
    from mora.domain import Workload
    from tests.inplace.rig import add_workload

    add_workload(api.cluster, "cart")
    rig = Rig(api, tmp_path, at_once=1)
    rig.advice = [recommendation(), recommendation(Workload("shop", "cart"))]
    report = rig.renew()
    assert report.begun == 1
    assert "waits for its turn" in report.notes["Deployment/web"]
    rig.close()
