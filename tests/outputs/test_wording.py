"""Titles, comments and reasons around an output."""

from __future__ import annotations

from dataclasses import replace

from mora.domain import Advice, Container, Reason, Resources, Role
from mora.outputs import wording
from mora.quantities import MIB
from tests.outputs import examples


def test_the_header_names_what_is_recommended_for_which_load_and_from_which_data() -> None:
    (first, second) = wording.header(examples.frontend())
    assert (
        first
        == "# Deployment shop/frontend, container server: recommended by MOrA for 40 users of checkout, from data until"
    )
    assert second == "#   2026-11-21 02:00 UTC"
    assert "(from history, without a trained model)" in " ".join(wording.header(examples.nightly())).replace("#   ", "")


def test_the_header_explains_each_number_without_a_recommendation() -> None:
    text = "\n".join(wording.header(examples.payment()))
    assert "# no recommendation for memory request, replicas: memory: 12 samples, 60 are needed" in text


def test_a_summary_is_what_the_policy_says_else_the_last_step() -> None:
    reasons = (Reason("sized", "largest of three"), Reason("cap", "lowered to 2Gi"), Reason("no-confidence", "unknown"))
    assert (
        wording.summary(Advice(1, 2, summary="p95 149m + 20 % headroom", reasons=reasons)) == "p95 149m + 20 % headroom"
    )
    assert wording.summary(Advice(1, 2, reasons=reasons)) == "lowered to 2Gi"
    assert wording.summary(Advice(1, 2, reasons=reasons[-1:])) == "unknown"
    assert wording.summary(Advice(1, 2)) == ""


def test_reasons_of_the_workload_are_not_repeated() -> None:
    shared, own = Reason("a", "too little data"), Reason("b", "its quota is full")
    both = replace(examples.frontend(), replicas=Advice(1, None, reasons=(shared,)), reasons=(shared, own))
    assert wording.other_reasons(both) == [own]


def test_numbers_with_the_same_reason_are_one_group() -> None:
    why = (Reason("a", "too little data"),)
    numbers = [("cpu request", Advice(1, None, reasons=why)), ("replicas", Advice(1, None, reasons=why))]
    assert wording.grouped(numbers) == [("cpu request, replicas", "too little data")]


def test_text_of_a_server_cannot_leave_its_comment_or_steer_a_terminal() -> None:
    assert wording.comment("one\ntwo\x1b[2J") == ["# one two?[2J"]
    assert all(len(line) <= 110 for line in wording.comment("word " * 100))


def test_the_error_of_an_empty_output_names_workloads_and_reasons() -> None:
    error = wording.nothing_to_write("a patch", [examples.unknown()], {"adservice": "12 samples"})
    assert error.message == "A patch cannot be written for adservice: adservice: 12 samples"
    assert "--verbose" in str(error)


def test_the_steps_of_every_container_have_the_units_of_their_numbers() -> None:
    one = examples.frontend()
    now = Resources(400, None, 256 * MIB, 256 * MIB)
    other = examples.other("cpu-monitor", Role.APP, now, Resources(200, None, 192 * MIB, 192 * MIB))
    stepped = replace(
        other,
        cpu_request=replace(other.cpu_request, goal=100),
        memory_request=replace(other.memory_request, goal=128 * MIB),
    )
    current = replace(one.current, containers=(*one.current.containers, Container("cpu-monitor", now)))
    lines = wording.header(examples.with_others(replace(one, current=current), stepped))
    text = " ".join(line.removeprefix("#").strip() for line in lines)
    assert "cpu-monitor cpu request 200m, goal 100m; cpu-monitor memory request 192Mi, goal 128Mi" in text
