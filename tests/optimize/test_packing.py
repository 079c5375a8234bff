"""Pods on nodes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mora.optimize.packing import fits
from mora.optimize.problem import Node, Option

PODS = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 100), st.integers(1, 100)), max_size=6)
NODES = st.lists(st.tuples(st.integers(1, 150), st.integers(1, 150)), min_size=1, max_size=4)


def option(replicas: int, millicores: int, memory: int) -> Option:
    return Option(replicas, millicores, memory, 1.0, (), ())


@given(PODS, NODES)
def test_what_fits_is_within_each_node_and_all_of_them(
    pods: list[tuple[int, int, int]], nodes: list[tuple[int, int]]
) -> None:
    chosen, rooms = [option(*pod) for pod in pods], [Node(*node) for node in nodes]
    if fits(chosen, rooms):
        assert sum(one.total_millicores for one in chosen) <= sum(node.millicores for node in rooms)
        assert sum(one.total_bytes for one in chosen) <= sum(node.memory_bytes for node in rooms)
        assert all(
            any(n.millicores >= p.millicores and n.memory_bytes >= p.memory_bytes for n in rooms) for p in chosen
        )


@given(PODS, NODES)
def test_one_node_more_never_makes_it_not_fit(pods: list[tuple[int, int, int]], nodes: list[tuple[int, int]]) -> None:
    chosen, rooms = [option(*pod) for pod in pods], [Node(*node) for node in nodes]
    if fits(chosen, rooms):
        assert fits(chosen, [*rooms, Node(1, 1)])


def test_three_pods_do_not_fit_on_two_nodes_of_one_and_a_half_each() -> None:
    assert not fits([option(3, 100, 1)], [Node(150, 10), Node(150, 10)])
    assert fits([option(3, 100, 1)], [Node(200, 10), Node(150, 10)])
