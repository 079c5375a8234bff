"""Names, kinds and containers of workloads."""

from __future__ import annotations

import re
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.domain import (
    Allocation,
    Container,
    Resources,
    Role,
    Workload,
    check_name,
    choose_main_container,
)
from mora.errors import BadInput

LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"


@given(st.from_regex(rf"{LABEL}(\.{LABEL}){{0,2}}", fullmatch=True).filter(lambda name: len(name) <= 253))
def test_every_kubernetes_name_is_taken_as_it_is(name: str) -> None:
    assert check_name(name) == name


@given(st.text(max_size=80))
def test_no_other_text_enters_a_query_a_path_or_a_manifest(text: str) -> None:
    if re.fullmatch(rf"{LABEL}(\.{LABEL})*", text, re.ASCII):
        return
    with pytest.raises(BadInput, match="is not a valid"):
        check_name(text)


@pytest.mark.parametrize(
    "name", ["", "..", "a/b", "../etc", "a b", 'a"b', "Frontend", "-a", "a-", "a" * 64, "a\n", "ａ"]
)
def test_the_usual_attempts_are_refused(name: str) -> None:
    with pytest.raises(BadInput):
        Workload("shop", name)
    with pytest.raises(BadInput):
        Workload(name, "frontend")


def test_what_is_no_kind_is_refused_with_kinds_that_are() -> None:
    with pytest.raises(BadInput, match="Deployment, StatefulSet, DaemonSet"):
        Workload("shop", "frontend", "Replica Set")


def test_the_marked_container_is_the_main_one_else_the_first() -> None:
    first, second = Container("proxy"), Container("server", is_main=True)
    assert Allocation(containers=(first, second)).main is second
    assert Allocation(containers=(first,)).main is first
    assert Allocation().main is None


def test_resizing_touches_the_main_container_alone() -> None:
    sidecar = Container("proxy", Resources(cpu_request_millicores=5))
    before = Allocation(2, (sidecar, Container("server", is_main=True)))
    after = before.with_main(Resources(cpu_request_millicores=100))
    assert after.replicas == 2
    assert after.containers[0] is sidecar
    assert after.containers[1].resources.cpu_request_millicores == 100


@pytest.mark.parametrize(
    ("kind", "version"),
    [("Deployment", "apps/v1"), ("CronJob", "batch/v1"), ("Rollout", "argoproj.io/v1alpha1")],
)
def test_each_kind_has_its_api(kind: str, version: str) -> None:
    assert Workload("shop", "frontend", kind).api_version == version


@pytest.mark.parametrize(
    ("names", "annotated", "chosen", "why"),
    [
        (["istio-proxy", "web", "frontend"], "web", "web", "the annotation kubectl.kubernetes.io/default-container"),
        (["web", "frontend"], "gone", "frontend", "named like the workload"),
        (["server"], None, "server", "the only container"),
        (["istio-proxy", "server"], None, "server", "the only container beside injected sidecars"),
        (["web", "cache"], None, "web", "the first in the spec of web, cache"),
        (["istio-proxy"], None, "istio-proxy", "the only container"),
    ],
)
def test_the_container_that_is_sized_is_chosen_with_a_reason(
    names: list[str], annotated: str | None, chosen: str, why: str
) -> None:
    assert choose_main_container(names, "frontend", annotated=annotated) == (chosen, why)


# --- what a pod reserves ---------------------------------------------------------------------------------------------

CPU = "cpu_request_millicores"
CONTAINERS = st.lists(
    st.builds(
        lambda role, millicores: Container("c", Resources(millicores), role=role),
        st.sampled_from(Role),
        st.one_of(st.none(), st.integers(0, 4000)),
    ),
    max_size=6,
)


@given(CONTAINERS, st.randoms(use_true_random=False))
def test_a_pod_reserves_no_less_than_what_runs_and_than_each_init_container(
    containers: list[Container], random: Random
) -> None:
    pod = Allocation(containers=tuple(containers))
    reserved = pod.effective(CPU)
    assert reserved >= sum(c.resources.cpu_request_millicores or 0 for c in containers if c.role is not Role.INIT)
    assert all(reserved >= (c.resources.cpu_request_millicores or 0) for c in containers)
    assert reserved <= sum(c.resources.cpu_request_millicores or 0 for c in containers)
    # The order of ordinary containers, which all start together, makes no difference.
    initial = [c for c in containers if c.role in (Role.INIT, Role.NATIVE_SIDECAR)]
    ordinary = [c for c in containers if c not in initial]
    random.shuffle(ordinary)
    assert Allocation(containers=(*initial, *ordinary)).effective(CPU) == reserved


@given(CONTAINERS, st.integers(0, 5), st.integers(0, 4000))
def test_a_cut_frees_at_most_what_it_cuts_and_never_takes(containers: list[Container], at: int, less: int) -> None:
    chosen = containers[at : at + 1]
    cut = [replace(c, resources=Resources(max(0, (c.resources.cpu_request_millicores or 0) - less))) for c in chosen]
    before, after = (
        Allocation(containers=tuple(each)).effective(CPU)
        for each in (containers, [*containers[:at], *cut, *containers[at + 1 :]])
    )
    assert 0 <= before - after <= less
