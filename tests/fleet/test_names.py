"""Names and labels choose workloads as kubectl has it."""

from __future__ import annotations

import pytest

from mora.domain import (
    Workload,
)
from mora.errors import BadInput
from mora.fleet.names import choose, labelled, parse_service, pick
from tests.fleet.making import state

KNOWN = [
    state(workload=Workload("shop", "frontend")),
    state(workload=Workload("shop", "frontend", "StatefulSet")),
    state(workload=Workload("bank", "frontend")),
    state(workload=Workload("bank", "ledger", "CronJob")),
]


@pytest.mark.parametrize(
    ("names", "meant"),
    [
        ([], [0, 1, 2, 3]),
        (["frontend"], [0, 1, 2]),
        (["deployment/frontend"], [0, 2]),
        (["sts/frontend"], [1]),
        (["shop/frontend"], [0, 1]),
        (["cj/ledger", "deploy/frontend"], [0, 2, 3]),
    ],
)
def test_a_name_means_what_kubectl_means_by_it(names: list[str], meant: list[int]) -> None:
    assert choose(KNOWN, names) == [KNOWN[number] for number in meant]


def test_other_kinds_and_single_runs_are_named_as_well() -> None:
    kafka = state(workload=Workload("shop", "kafka", "StrimziPodSet"))
    etl = state(workload=Workload("shop", "etl", "Job"))
    both = [etl, kafka]
    assert choose(both, ["strimzipodset/kafka"]) == choose(both, ["StrimziPodSet/kafka"]) == [kafka]
    assert choose(both, ["etl-59"]) == choose(both, ["job/etl"]) == [etl]


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(BadInput) as caught:
        choose(KNOWN, ["ledgre"])
    assert caught.value.hint == "Found: cronjob/ledger."


def test_labels_choose_as_kubectl_does() -> None:
    web = state(labels={"app": "shop", "app_kubernetes_io_name": "web"})
    db = state(labels={"app": "shop", "tier": "data"})
    assert labelled([web, db], "app=shop") == [web, db]
    assert labelled([web, db], "app.kubernetes.io/name=web") == [web]
    assert labelled([web, db], "app==shop,tier") == [db]
    assert labelled([web, db], "tier!=data") == [web]
    with pytest.raises(BadInput, match="not a label selector"):
        labelled([web], "app in (shop)")


def test_without_any_label_a_selector_cannot_choose() -> None:
    with pytest.raises(BadInput, match="knows no labels"):
        labelled(KNOWN, "app=shop")


# --- one workload a name, for what is collected ----------------------------------------------------------------------

COLLECTED = ("Deployment", "StatefulSet", "DaemonSet")
SERVER, REDIS = Workload("shop", "server"), Workload("shop", "redis", "StatefulSet")


@pytest.mark.parametrize("text", ["job/nightly", "shop/frontend"])
def test_what_cannot_be_collected_is_refused_with_the_kinds_that_can(text: str) -> None:
    with pytest.raises(BadInput, match="is not a kind of workload") as refused:
        parse_service(text, COLLECTED)
    assert "deployment, statefulset, daemonset" in str(refused.value)


def test_workloads_are_picked_by_name_and_all_without_names() -> None:
    known = [SERVER, REDIS]
    assert pick(known, ["statefulset/redis"], COLLECTED) == (REDIS,)
    assert pick(known, ["redis", "server"], COLLECTED) == (REDIS, SERVER)
    assert pick(known, [], COLLECTED) == (SERVER, REDIS)


def test_a_name_of_no_workload_and_a_name_of_two_are_refused_with_those_there_are() -> None:
    with pytest.raises(BadInput, match="There is no service 'cart'") as unknown:
        pick([SERVER, REDIS], ["cart"], COLLECTED)
    assert "statefulset/redis, deployment/server" in str(unknown.value)
    with pytest.raises(BadInput, match="is -n NAMESPACE right"):
        pick([], ["cart"], COLLECTED)
    both = [SERVER, Workload("shop", "server", "DaemonSet")]
    with pytest.raises(BadInput, match="Which 'server' is meant") as unclear:
        pick(both, ["server"], COLLECTED)
    assert "deployment/server or daemonset/server" in str(unclear.value)
