"""Renewals: what is worth a change, what begins, and why the rest is skipped."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from mora.domain import Autoscaler, Reason, Target, VerticalScaler, Workload
from tests.clusters.fake_api import FakeApi
from tests.inplace.rig import Rig, add_pod, add_workload, recommendation, resources


def test_what_has_the_numbers_already_is_skipped(rig: Rig) -> None:
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


def test_a_raise_does_not_wait_after_an_undone_cut(rig: Rig) -> None:
    rig.renew()
    rig.signals.broken = "its SLO is broken"
    rig.pass_time(1)
    rig.signals.broken = None
    rig.advice = [recommendation(cpu=900, memory=800)]
    assert rig.renew().begun == 1
    assert rig.cpu() == "900m"


def test_a_refusal_is_logged_in_the_servers_words_and_not_repeated_at_once(rig: Rig) -> None:
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
    rig.renew()
    rig.pass_time(20)
    with rig.api.lock:
        add_pod(rig.cluster, "web-abc-9", {"name": "server", "image": "shop/server:1", "resources": resources()})
    rig.advice = [recommendation(cpu=210, memory=350)]
    rig.renew()
    assert rig.cpu("web-abc-9") == "200m"
    assert rig.events("begun")[-1]["join"] is True


def test_only_so_many_workloads_change_at_once(api: FakeApi, tmp_path: Path) -> None:
    add_workload(api.cluster, "cart")
    rig = Rig(api, tmp_path, at_once=1)
    rig.advice = [recommendation(), recommendation(Workload("shop", "cart"))]
    report = rig.renew()
    assert report.begun == 1
    assert "waits for its turn" in report.notes["Deployment/web"]
    rig.close()


def new_pod(rig: Rig, **given: str) -> None:
    with rig.api.lock:
        add_pod(rig.cluster, "web-abc-9", {"name": "server", "image": "shop/server:1", "resources": resources(**given)})


def test_a_new_pod_keeps_what_a_vpa_gave_it(rig: Rig) -> None:
    rig.renew()
    rig.pass_time(20)
    new_pod(rig, cpu="700m")
    rig.advice = [recommendation(vpas=(VerticalScaler("web", "Auto"),))]
    rig.renew()
    assert rig.cpu("web-abc-9") == "700m"
    assert rig.spec("web-abc-9")["limits"]["memory"] == "512Mi"
    assert not [one for one in rig.events("begun") if one["join"]]


def test_pods_keep_what_an_hpa_measures_by_however_they_differ(rig: Rig) -> None:
    new_pod(rig, cpu="700m")
    rig.advice = [recommendation(autoscalers=(Autoscaler("web", Target.CPU, True, 70, 1, 5),))]
    assert rig.renew().begun == 1
    rig.pass_time(20)
    assert rig.outcome() == "kept"
    assert rig.cpus() == ["400m"] * 3
    assert rig.spec("web-abc-9") == resources("700m", "359Mi")


def test_a_new_pod_that_cannot_have_what_the_others_have_is_not_asked_again_at_once(rig: Rig) -> None:
    rig.renew()
    rig.pass_time(20)
    new_pod(rig)
    rig.kubelet.infeasible.add("web-abc-9")
    rig.advice = [recommendation(cpu=210, memory=350)]
    assert rig.renew().begun == 1
    rig.pass_time(2)
    assert rig.outcome() == "undone"
    assert rig.cpu("web-abc-9") == "400m"
    rig.kubelet.infeasible.clear()
    assert rig.renew().begun == 0
    rig.now += timedelta(hours=7)
    assert rig.renew().begun == 1


@pytest.mark.parametrize("code", ["autoscalers-unknown", "vpas-unknown"])
def test_where_it_is_not_known_who_else_sets_the_numbers_nothing_begins(rig: Rig, code: str) -> None:
    rig.advice = [recommendation(reasons=(Reason(code, "It is not known whether an HPA scales it"),))]
    assert rig.renew().notes["Deployment/web"] == "It is not known whether an HPA scales it"
    assert not rig.cluster.changes
