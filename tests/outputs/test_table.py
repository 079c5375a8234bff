"""The table reads well in a terminal and says everything."""

from __future__ import annotations

from dataclasses import replace

from mora.domain import Advice, Reason
from mora.outputs import OutputSettings, table
from tests.outputs import examples
from tests.outputs.golden import golden


def test_the_table_is_as_it_was_last_read() -> None:
    text = golden("everything.table.txt", table.render(examples.everything()))
    assert max(map(len, text.splitlines())) <= 100


def test_now_target_change_and_confidence_stand_in_one_row() -> None:
    rows = [line.split() for line in table.render([examples.frontend()]).splitlines()]
    assert ["frontend", "cpu", "request", "500m", "254m", "-49%", "94%", "(18", "holds)"] in rows
    assert ["cpu", "limit", "1", "not", "set", "remove", "-"] in rows
    assert ["replicas", "3", "2", "-33%", "91%", "(18", "holds)"] in rows


def test_every_reason_is_told() -> None:
    recommendation = examples.frontend()
    words = " ".join(table.render([recommendation]).split())
    for advice in (recommendation.cpu_request, recommendation.memory_request, recommendation.replicas):
        for reason in advice.reasons:
            assert " ".join(reason.text.split()) in words


def test_what_a_number_says_is_not_said_again_of_all() -> None:
    first, second = Reason("a", "no count keeps it"), Reason("b", "sized at those that there are")
    both = Advice(1, None, reasons=(Reason("no-number", f"{first.text}; {second.text}"),))
    words = table.render([replace(examples.frontend(), replicas=both, reasons=(first, second))])
    assert words.count(first.text) == 1
    assert " all " not in words


def test_namespaces_are_told_where_there_are_several() -> None:
    assert "shop/frontend" not in table.render([examples.frontend(), examples.cart()])
    assert "bank/paymentservice" in table.render([examples.frontend(), examples.payment()])


def test_no_advice_and_not_set_are_two_things() -> None:
    rows = [line.split() for line in table.render([examples.payment()]).splitlines()]
    assert ["memory", "request", "not", "set", "no", "advice", "-", "-"] in rows
    assert ["cpu", "limit", "not", "set", "not", "set", "-", "-"] in rows
    assert ["replicas", "unknown", "no", "advice", "-", "-"] in rows


def test_bytes_that_no_person_reads_are_rounded() -> None:
    odd = replace(examples.frontend(), memory_limit=Advice(123456789, 2 * 1024**3, 0.5, 1, reasons=(Reason("a", "b"),)))
    assert "118 MiB      2Gi" in table.render([odd])


def test_an_unchanged_number_says_so_and_no_service_gives_the_head_alone() -> None:
    same = replace(examples.frontend(), replicas=Advice(2, 2, 0.5, 1, reasons=(Reason("a", "b"),)))
    assert ["replicas", "2", "2", "0%", "50%", "(1", "hold)"] in [
        line.split() for line in table.render([same]).splitlines()
    ]
    assert table.render([]).split() == ["SERVICE", "RESOURCE", "NOW", "TARGET", "CHANGE", "CONFIDENCE"]


def test_the_width_can_be_chosen() -> None:
    _, head, words = table.render([examples.cart()], OutputSettings(width=60)).partition("cartservice, container")
    assert head
    assert 50 < max(map(len, words.splitlines()[1:])) <= 60
