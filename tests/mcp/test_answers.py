"""Answers for assistants: exact numbers, within their budget, nothing that a terminal obeys."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.domain import Advice, Allocation, Container, ContainerAdvice, Recommendation, Resources, Workload
from mora.mcp.answers import BUDGET, LEGEND, compact, compared, listing, tokens
from mora.quantities import parse_cpu, parse_memory
from tests.outputs import examples

AMOUNTS = st.one_of(st.none(), st.integers(1, 2**50))
CONFIDENCES = st.one_of(st.none(), st.floats(0.0, 1.0))
NAMES = st.from_regex(r"[a-z]([-a-z0-9]{0,30}[a-z0-9])?", fullmatch=True)


@st.composite
def advice(draw: st.DrawFn) -> Advice:
    return Advice(draw(AMOUNTS), draw(AMOUNTS), draw(CONFIDENCES))


@st.composite
def recommendations(draw: st.DrawFn) -> Recommendation:
    container = ContainerAdvice(
        draw(NAMES), draw(advice()), draw(advice()), draw(advice()), draw(advice()), is_main=True
    )
    resources = Resources(
        container.cpu_request.now,
        container.cpu_limit.now,
        container.memory_request.now,
        container.memory_limit.now,
    )
    made = Container(container.container, resources, "example/shop:1", is_main=True)
    replicas = Advice(draw(st.integers(0, 9)), draw(st.one_of(st.none(), st.integers(0, 9))))
    return replace(
        examples.frontend(),
        workload=Workload("shop", draw(NAMES)),
        containers=(container,),
        replicas=replicas,
        current=Allocation(replicas.now, (made,)),
    )


def many(count: int, name: str = "frontend") -> list[Recommendation]:
    return [replace(examples.frontend(), workload=Workload("shop", f"{name}-{number}")) for number in range(count)]


@given(recommendations())
def test_every_number_of_a_row_is_that_of_the_recommendation(one: Recommendation) -> None:
    (row,) = compact([one]).splitlines()[2:]
    for label, found, parse in (
        ("cpu", one.main.cpu_request, parse_cpu),
        ("mem", one.main.memory_request, parse_memory),
    ):
        cell = re.search(rf" {label} (\S+)", row)
        assert cell is not None
        now, _, value = cell[1].partition(">")
        if found.value is not None and found.now == found.value:
            assert parse(now.removesuffix("=")) == found.value
            continue
        assert (None if now == "none" else parse(now)) == found.now
        assert (parse(value) if value else None) == found.value


@given(st.lists(recommendations(), min_size=1, max_size=60, unique_by=lambda one: one.workload))
def test_no_answer_is_above_its_budget_and_offsets_lead_through_all_rows(several: list[Recommendation]) -> None:
    for answer, head in ((compact, 2), (listing, 1)):
        seen: list[str] = []
        offset = 0
        while True:
            text = answer(several, offset=offset, budget=400)
            assert tokens(text) <= 400
            lines = text.splitlines()[head:]
            more = re.fullmatch(r"(\d+) more: ask with offset=(\d+)", lines[-1])
            seen += lines[:-1] if more else lines
            if more is None:
                break
            assert int(more[2]) == len(seen)
            assert int(more[1]) == len(several) - len(seen)
            offset = int(more[2])
        assert len(seen) == len(set(seen)) == len(several)


def test_a_list_goes_on_where_an_earlier_answer_ended() -> None:
    whole = listing(many(50)).splitlines()[1:]
    assert len(whole) == 50
    first = listing(many(50), budget=600).splitlines()[1:-1]
    assert 0 < len(first) < 40
    assert listing(many(50), offset=len(first)).splitlines()[1:] == whole[len(first) :]


def test_one_workload_is_counted_as_one() -> None:
    assert listing(many(1)).startswith("1 workload, ")


def test_fifty_workloads_fit_into_two_thousand_tokens() -> None:
    answer = compact(many(50))
    assert tokens(answer) <= BUDGET == 2_000
    assert len(answer.splitlines()) == 2 + 50
    assert len(listing(many(50)).splitlines()) == 1 + 50


def test_a_row_says_what_changes_and_how_sure_that_is() -> None:
    head, legend, row = compact([examples.frontend()]).splitlines()
    assert head.startswith("1 workload, data until 2026-11-21 02:00 UTC, frees ")
    assert legend == LEGEND
    assert row == "!frontend deploy cpu 500m>254m 94% limit 1000m>none mem 64Mi>228Mi ? x3>2"


def test_a_number_that_is_not_there_has_its_reason() -> None:
    (row,) = compact([examples.cart()]).splitlines()[2:]
    assert " cpu 200m no number (autoscaler-utilisation) " in row


def test_several_namespaces_are_named() -> None:
    other = replace(examples.frontend(), workload=Workload("bank", "frontend"))
    rows = compact([examples.frontend(), other]).splitlines()[2:]
    assert sorted(row.split(" ")[0].lstrip("!") for row in rows) == ["bank/frontend", "shop/frontend"]


def test_a_comparison_says_what_differs_and_what_is_the_same_either_way() -> None:
    one = examples.frontend()
    main = replace(one.main, cpu_request=replace(one.main.cpu_request, value=123, confidence=0.5))
    other = replace(one, containers=(main, *one.others))
    lines = compared([one], [other]).splitlines()
    assert lines[0] == "frontend deploy"
    (cpu,) = [line for line in lines if line.startswith("  cpu request")]
    assert cpu.startswith("  cpu request: now 500m, usually 254m (94%), if so 123m (50%)")
    (memory,) = [line for line in lines if line.startswith("  memory request")]
    assert memory == "  memory request: now 64Mi, 228Mi either way (?)"


@pytest.mark.parametrize("answer", [compact, listing])
def test_without_workloads_there_is_an_answer(answer: object) -> None:
    assert callable(answer)
    assert answer([]) == "no workloads"
