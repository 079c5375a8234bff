"""How Container Insights' shares become amounts: pure, over made-up points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.domain import Workload
from mora.sources.aws.insights import (
    OOM_KILLED,
    PLAIN,
    USE,
    Gathered,
    Key,
    Named,
    names_of,
    oom_series,
    owner_of,
    plain_series,
    shown_unit,
    use_series,
)
from mora.sources.cloud.signals import Signal

POD: Key = ("shop", "web", "web-7d4b9c8f6d-x2klp", "")
WEB, PROXY = (*POD[:3], "web"), (*POD[:3], "proxy")
AT = np.arange(6, dtype=np.float64) * 300.0
CPU, MEMORY = USE[Signal.CPU], USE[Signal.MEMORY]


def gathered(*told: tuple[Named, Key, list[float]], unit: str | None = None) -> Gathered:
    found = Gathered()
    for named, key, values in told:
        found.add(named, unit, key, AT[: len(values)], np.array(values, dtype=np.float64))
    return found


@pytest.mark.parametrize(
    ("pod_name", "full", "kind", "name"),
    [
        ("web", "web-7d4b9c8f6d-x2klp", "Deployment", "web"),
        ("web-2", "web-2-7d4b9c8f6d-x2klp", "Deployment", "web-2"),
        ("redis-0", "redis-0", "StatefulSet", "redis"),
        ("agent", "agent-x2klp", "DaemonSet", "agent"),
        ("migrate", "migrate-x2klp", "Job", "migrate"),
        ("backup", "backup-29183520-x2klp", "CronJob", "backup"),
        ("lone", "lone", "Pod", "lone"),
    ],
)
def test_the_owner_of_a_pod_is_known_by_both_of_its_names(pod_name: str, full: str, kind: str, name: str) -> None:
    assert owner_of("shop", pod_name, full, {("shop", "agent")}) == Workload("shop", name, kind)


def test_a_name_that_kubernetes_would_not_accept_has_no_owner() -> None:
    assert owner_of("shop", "we b", "we b-7d4b9c8f6d-x2klp", ()) is None
    assert owner_of("--kubeconfig=x", "web", "web-7d4b9c8f6d-x2klp", ()) is None


@given(
    cores=st.floats(0.01, 64),
    node=st.floats(1, 128),
    other=st.floats(0, 32),
    rows=st.integers(1, 6),
    late=st.booleans(),
)
def test_a_share_of_the_node_becomes_the_amount_that_was_used(
    cores: float, node: float, other: float, rows: int, late: bool
) -> None:
    used, whole = [cores] * rows, [cores + other] * rows
    found = gathered(
        (CPU.of_container, WEB, [one / node * 100 for one in used]),
        (CPU.of_pod, POD, [one / node * 100 for one in whole]),
        (CPU.amount_of_pod, POD, [one * 1000 for one in whole][: 1 if late else rows]),
    )
    (one,) = use_series(found, Signal.CPU, (), {})
    assert (one.of.workload, one.of.pod, one.of.container, one.unit) == (
        Workload("shop", "web"),
        POD[2],
        "web",
        "millicores",
    )
    assert np.allclose(one.values, np.array(used) * 1000)


def test_an_idle_pod_does_not_divide_by_zero() -> None:
    found = gathered(
        (CPU.of_container, WEB, [0.0, 0.0, 5.0]),
        (CPU.of_pod, POD, [0.0, 0.0, 5.0]),
        (CPU.amount_of_pod, POD, [0, 0, 200.0]),
    )
    (one,) = use_series(found, Signal.CPU, (), {})
    assert one.values.tolist() == [0.0, 0.0, 200.0]
    idle = gathered((CPU.of_container, WEB, [0.0]), (CPU.of_pod, POD, [0.0]), (CPU.amount_of_pod, POD, [0.0]))
    assert list(use_series(idle, Signal.CPU, (), {})) == []


def test_a_pod_without_amounts_is_read_by_the_size_that_all_nodes_have() -> None:
    found = gathered((CPU.of_container, WEB, [5.0, 10.0]))
    (one,) = use_series(found, Signal.CPU, (), {Signal.CPU: 4000.0})
    assert one.values.tolist() == [200.0, 400.0]
    assert list(use_series(found, Signal.CPU, (), {})) == []


def test_amounts_in_two_units_are_each_read_in_their_own() -> None:
    found = gathered((MEMORY.of_container, WEB, [10.0] * 6), (MEMORY.of_pod, POD, [10.0] * 6))
    found.add(MEMORY.amount_of_pod, "Bytes", POD, AT[:3], np.full(3, 1_000_000.0))
    found.add(MEMORY.amount_of_pod, "Kilobytes", POD, AT[3:], np.full(3, 1_000.0))
    pages = {one.unit: one for one in use_series(found, Signal.MEMORY, (), {})}
    assert pages["Bytes"].values.tolist() == [1_000_000.0] * 3
    assert pages["Bytes"].seconds.tolist() == AT[:3].tolist()
    assert pages["Kilobytes"].values.tolist() == [1_000.0] * 3
    assert pages["Kilobytes"].seconds.tolist() == AT[3:].tolist()


def test_points_out_of_order_and_twice_are_put_right() -> None:
    found = Gathered()
    found.add(CPU.of_container, None, WEB, np.array([600.0, 0.0]), np.array([3.0, 1.0]))
    found.add(CPU.of_container, None, WEB, np.array([300.0, 600.0]), np.array([2.0, 4.0]))
    seconds, values = found.of(CPU.of_container, "Percent", WEB)
    assert seconds.tolist() == [0.0, 300.0, 600.0]
    assert values.tolist() == [1.0, 2.0, 4.0]  # what was answered last counts


def test_amounts_of_a_pod_are_those_of_its_only_container() -> None:
    limit, of_pod = PLAIN[Signal.MEMORY_LIMIT]
    alone = gathered((MEMORY.of_container, WEB, [1.0]), (of_pod, POD, [512.0]))
    (one,) = plain_series(alone, Signal.MEMORY_LIMIT, {}, ())
    assert (one.of.container, one.values.tolist()) == ("web", [512.0])
    two = gathered((MEMORY.of_container, WEB, [1.0]), (MEMORY.of_container, PROXY, [1.0]), (of_pod, POD, [512.0]))
    assert list(plain_series(two, Signal.MEMORY_LIMIT, {}, ())) == []
    both = gathered((MEMORY.of_container, WEB, [1.0]), (limit, WEB, [500.0]), (of_pod, POD, [512.0]))
    assert [one.values.tolist() for one in plain_series(both, Signal.MEMORY_LIMIT, {}, ())] == [[500.0]]


def test_replicas_are_of_the_workload_whose_pods_were_seen() -> None:
    replicas = PLAIN[Signal.REPLICAS][0]
    found = gathered((replicas, ("shop", "redis", "", ""), [3.0]), (replicas, ("shop", "gone", "", ""), [1.0]))
    redis = Workload("shop", "redis", "StatefulSet")
    (one,) = plain_series(found, Signal.REPLICAS, {("shop", "redis"): redis}, ())
    assert (one.of.workload, one.of.pod) == (redis, "")


def test_an_oom_kill_is_a_restart_about_a_moment_at_which_the_last_end_was_one() -> None:
    limit, restarts = PLAIN[Signal.MEMORY_LIMIT][0], PLAIN[Signal.RESTARTS][0]
    found = gathered(
        (MEMORY.of_container, WEB, [10.0] * 6),
        (MEMORY.of_container, PROXY, [2.0] * 6),
        (limit, WEB, [100.0] * 6),
        (limit, PROXY, [80.0] * 6),
        (OOM_KILLED, POD, [0, 0, 1, 0, 0, 0]),
        (restarts, POD, [0, 0, 0, 2, 0, 1]),
    )
    (one,) = oom_series(found, ())
    assert one.of.container == "web"  # 10 % of the node at a limit of 100, not 2 % at one of 80
    assert one.values.tolist() == [0, 0, 0, 2, 0, 0]


def test_of_containers_without_limits_nothing_tells_which_was_killed() -> None:
    found = gathered(
        (MEMORY.of_container, WEB, [10.0]),
        (MEMORY.of_container, PROXY, [2.0]),
        (OOM_KILLED, POD, [1.0]),
        (PLAIN[Signal.RESTARTS][0], POD, [1.0]),
    )
    assert list(oom_series(found, ())) == []


def test_millicores_have_no_name_at_cloudwatch() -> None:
    assert shown_unit(Signal.CPU, "None") == shown_unit(Signal.CPU_LIMIT, "Count") == "millicores"
    assert shown_unit(Signal.MEMORY, "None") == "None"
    assert {one.name for one in names_of([Signal.OOM_KILLS])} >= {OOM_KILLED.name, "pod_number_of_container_restarts"}
