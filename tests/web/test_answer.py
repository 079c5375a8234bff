from __future__ import annotations

import json

import pytest

from mora import pipeline
from mora.quantities import GIB
from mora.record.numbers import NUMBERS, Key
from mora.savings import savings, summed
from mora.web.answer import FIELDS, answer_document, read_answer
from tests.outputs.examples import everything
from tests.web.making import MADE_AT, SETTINGS, answer, found


def test_an_answer_has_the_documents_of_the_json_output() -> None:
    printed = json.loads(pipeline.render(everything(), "json", SETTINGS))
    made = answer()
    # The server names the cluster itself, where it has several.
    assert [{"cluster": None, **entry.document} for entry in made.entries] == printed["recommendations"]
    assert [json.loads(entry.encoded) for entry in made.entries] == [entry.document for entry in made.entries]
    assert made.notes == ("A note.",)


def test_savings_of_parts_are_the_savings_of_all() -> None:
    made = answer()
    for parts, whole in (
        ([one.step for one in made.entries], savings(everything(), SETTINGS.prices)),
        ([one.goal for one in made.entries], savings([one.at_goal for one in everything()], SETTINGS.prices)),
    ):
        together = summed(parts, SETTINGS.prices)
        assert together.cores == pytest.approx(whole.cores)
        assert together.memory_gib_now == pytest.approx(whole.memory_gib_now)
        assert (together.without_request, together.prices) == (whole.without_request, whole.prices)


def test_waste_and_lack_are_what_is_freed_with_both_signs() -> None:
    made = answer()
    whole = savings([one.at_goal for one in everything()])
    totals = made.totals("a")
    assert [total.namespace for total in totals] == list(made.namespaces)
    assert sum(one.waste_cores - one.lack_cores for one in totals) == pytest.approx(whole.cores - whole.new_cores)
    assert sum(one.reserved_bytes for one in totals) == pytest.approx(whole.memory_gib_now * GIB)
    assert all(min(one.waste_cores, one.lack_cores, one.waste_bytes, one.lack_bytes) >= 0 for one in totals)
    assert sum(one.workloads for one in totals) == len(everything())
    assert sum(one.unsized for one in totals) > 0


def test_every_number_of_a_template_is_recorded_and_none_that_is_injected() -> None:
    assert [*FIELDS, "replicas"] == list(NUMBERS)
    seen = {one.key: one for one in answer().seen("a")}
    for advice in everything():
        place = ("a", advice.workload.namespace, advice.workload.kind, advice.workload.name)
        for container in advice.containers:
            is_injected = any(c.name == container.container and c.is_injected for c in advice.current.containers)
            for name in FIELDS:
                number, one = getattr(container, name), seen.get(Key(*place, container.container, name))
                if number.value is None or is_injected:
                    assert one is None
                else:
                    assert one is not None
                    assert (one.now, one.value, one.goal) == (number.now, number.value, number.at_goal.value)


def test_an_answer_of_another_version_or_shape_is_none() -> None:
    good = found()
    assert read_answer(good) is not None
    assert read_answer({}) is None
    assert read_answer({**good, "version": 99}) is None
    assert read_answer({**good, "entries": [{"namespace": "shop"}]}) is None
    assert read_answer(answer_document(MADE_AT, [], [], None)) is not None
