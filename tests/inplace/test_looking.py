"""Looks at open changes: given or not, harm or none, kept or put back."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException

from mora.domain import Workload
from mora.errors import BadInput, ClusterError
from tests.inplace.rig import Rig, add_workload, recommendation, resizes, resources


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
    rig.pass_time(0.25, every=15)
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
    pods = [(f"web-abc-{number}", "server") for number in range(3)]
    rig.signals.shares = dict.fromkeys(pods, 0.5)
    rig.renew()
    rig.signals.shares = dict.fromkeys(pods, 0.6)
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


class Once:
    """The pods, where the answer to each resize is lost: the client's own second try is a conflict."""

    def __init__(self, pods: Any) -> None:
        self._pods = pods

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pods, name)

    def resize(self, pod: Any, wanted: Any, **about: Any) -> Any:
        self._pods.resize(pod, wanted, **about)
        return self._pods.resize(pod, wanted, **about)


def test_a_conflict_with_its_own_lost_answer_is_no_refusal(rig: Rig) -> None:
    rig.loop.desk.pods = Once(rig.loop.desk.pods)
    rig.renew()
    rig.pass_time(5)
    assert rig.cpus() == ["200m"] * 3
    assert not rig.events("refused", "ended")
    rig.signals.broken = "its SLO is broken"
    rig.pass_time(1)
    assert rig.cpus() == ["400m"] * 3
    assert rig.outcome() == "undone"


def test_what_cannot_be_put_back_now_is_tried_again(rig: Rig) -> None:
    rig.renew()
    meta = {"name": "full", "namespace": "shop"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": {"requests.cpu": "1"}}}
    with rig.api.lock:
        rig.cluster.add(quota)
    rig.change_pod("web-abc-0", restartCount=1)
    rig.pass_time(2)
    assert rig.cpu() == "200m"
    assert "exceeded quota" in rig.said()
    with rig.api.lock:
        rig.cluster.remove("ResourceQuota", "full")
    rig.pass_time(1)
    assert rig.cpu() == "400m"
    assert rig.outcome() == "undone"


def test_a_pod_whose_resize_fails_in_the_server_does_not_hide_the_harm_to_others(rig: Rig) -> None:
    add_workload(rig.cluster, "cart", pods=1)
    rig.advice = [recommendation(replicas=1, workload=Workload("shop", "cart")), recommendation()]
    rig.renew()
    webhook = {"kind": "Status", "message": "failed calling webhook", "code": 500}

    class Failing(Once):
        def resize(self, pod: Any, wanted: Any, **about: Any) -> Any:
            if pod.name.startswith("cart"):
                cause = ApiException(status=500, reason=str(webhook))
                raise ClusterError("The API server answered 500.") from cause
            return self._pods.resize(pod, wanted, **about)

    rig.loop.desk.pods = Failing(rig.loop.desk.pods)
    rig.change_pod("cart-abc-0", restartCount=1)
    rig.change_pod("web-abc-0", restartCount=1)
    (first, *_) = rig.pass_time(0.5)
    assert first.stopped == "The API server answered 500"
    assert rig.cpu() == "400m"


def test_a_prometheus_that_refuses_the_query_does_not_hide_what_pods_say(rig: Rig) -> None:
    rig.renew()

    def refused() -> Any:
        raise BadInput("Prometheus refuses the query.")

    rig.signals.throttled = refused  # type: ignore[method-assign]
    rig.change_pod("web-abc-0", restartCount=1)
    rig.pass_time(1)
    assert rig.cpu() == "400m"
