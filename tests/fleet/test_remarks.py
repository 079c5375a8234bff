"""Reasons beside the numbers of a workload: its QoS class, its cores, what it is known by."""

from __future__ import annotations

from mora.domain import Container, Resources
from mora.quantities import MIB
from tests.fleet.making import advised, codes, state, words


def guaranteed(millicores: int) -> Container:
    return Container("server", Resources(millicores, millicores, 512 * MIB, 512 * MIB), is_main=True)


def test_a_guaranteed_pod_without_whole_cores_becomes_burstable_and_a_reason_says_so() -> None:
    advice = advised(state(guaranteed(500)))
    assert advice.main.cpu_limit.is_unset
    assert "changes from Guaranteed to Burstable" in words(advice)
    assert "qos-class" not in codes(advised(state()))


def test_whole_cores_are_named_with_their_containers() -> None:
    advice = advised(state(guaranteed(2000)))
    assert "with whole cores of server" in words(advice)
    assert "qos-class" not in codes(advice)


def test_what_only_prometheus_knows_is_named() -> None:
    assert "LimitRanges, VPAs and images are known only as far as" in words(advised(state(known_by="prometheus")))
    assert "known-by-prometheus" not in codes(advised(state()))
