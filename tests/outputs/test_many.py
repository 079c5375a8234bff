"""What the table of many workloads adds up to, and what its marks mean."""

from __future__ import annotations

from dataclasses import replace

from mora.outputs import many, tally
from tests.outputs import examples


def test_the_rows_are_of_main_containers_and_of_others_with_a_number() -> None:
    rows = many.rows_of(examples.fleet())
    assert {row.recommendation.workload for row in rows} == {one.workload for one in examples.fleet()}
    assert all(row.container.is_main or not many.is_skipped(row.container) for row in rows)
    assert len(many.rows_of([examples.unknown()])) == 1, "one without a number has a row too"


def test_the_counts_are_of_all_workloads() -> None:
    fleet = [examples.cart(), examples.payment(), examples.unknown(), examples.migration()]
    text = tally.counts(fleet)
    assert text.startswith("4 workloads: ")
    assert "1 without a recommendation" in text
    assert "1 Job to create again" in text


def test_a_missing_number_has_its_cause_with_the_workload_s_name() -> None:
    text = many.missing(many.rows_of([examples.unknown()]))
    assert "1 CPU request, too little data" in text
    assert examples.unknown().workload.name in text
    assert many.missing(many.rows_of([examples.frontend()])) == ""


def test_a_line_a_namespace_where_there_are_several() -> None:
    one = examples.cart()
    elsewhere = replace(one, workload=replace(one.workload, namespace="elsewhere"))
    assert many.by_namespace([one], None) == []
    text = "\n".join(many.by_namespace([one, elsewhere], None))
    assert "elsewhere" in text
    assert one.workload.namespace in text


def test_only_some_names_are_written_out() -> None:
    assert many.some(["a", "b", "a"]) == " (a, b)"
    assert many.some([f"w{number}" for number in range(8)]) == " (w0, w1, w2, w3, w4 and 3 more)"
