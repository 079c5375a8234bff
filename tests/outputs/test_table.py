"""The table reads well in a terminal: numbers, a line a number, and all reasons with `verbose`."""

from __future__ import annotations

import re
from dataclasses import replace

from mora.domain import Advice, ContainerAdvice, Reason, Recommendation, Workload
from mora.outputs import OutputSettings, table
from mora.savings import Prices
from tests.outputs import examples
from tests.outputs.golden import golden


def test_the_table_is_as_it_was_last_read() -> None:
    text = golden("everything.table.txt", table.render(examples.everything()))
    assert max(map(len, text.splitlines())) <= 100


def test_now_target_change_and_confidence_are_one_row() -> None:
    rows = [line.split() for line in table.render([examples.frontend()]).splitlines()]
    assert ["frontend", "cpu", "request", "500m", "254m", "-49%", "94", "%", "(18", "windows)"] in rows
    assert ["cpu", "limit", "1", "not", "set", "remove", "-"] in rows
    assert ["replicas", "3", "2", "-33%", "91", "%", "(18", "windows)"] in rows


def below(text: str, heading: str) -> list[str]:
    """The lines below a heading, up to the next empty line."""
    return text.partition(heading)[2].partition("\n\n")[0].splitlines()[1:]


def test_each_number_gets_one_line_that_says_what_decides_it() -> None:
    frontend = examples.frontend()
    cpu = replace(frontend.main.cpu_request, summary="p95 of the hottest pod 149m + 20 % headroom")
    text = table.render([examples.with_main(frontend, cpu_request=cpu)])
    assert [line.split("  ")[1] for line in below(text, "frontend, container server")] == [
        *("cpu request", "cpu limit", "memory request", "replicas"),  # the memory limit equals the request
    ]
    assert "  cpu request     p95 of the hottest pod 149m + 20 % headroom\n" in text
    assert "  memory request  2 OOM kills at 128Mi: raised to 228Mi" in text  # no summary: the last step decides
    assert "mora explain frontend" in text.splitlines()[-1]
    assert "the largest of" not in table.render([frontend], OutputSettings(verbose=False))


def test_a_long_summary_is_cut_to_its_line() -> None:
    text = table.render([examples.cart()], OutputSettings(width=80))
    (line,) = [line for line in text.splitlines() if "the HPA cartservice" in line]
    assert len(line) <= 80
    assert line.endswith(" ...")


def test_the_kind_of_a_workload_stands_before_its_name() -> None:
    assert "\nStatefulSet paymentservice, container payment, data until " in table.render([examples.payment()])


def test_limits_that_stay_get_no_line() -> None:
    assert not [line for line in below(table.render([examples.unknown()]), "adservice, container") if "limit" in line]


def test_remarks_on_the_workload_get_a_line_each() -> None:
    remark = Reason("stale-data", "The data ends 9 days ago (2026-11-12 02:00 UTC); use may have moved since.")
    lines = below(table.render([replace(examples.frontend(), reasons=(remark,))]), "frontend, container")
    assert lines[-1] == f"  note            {remark.text}"


def test_what_is_the_same_for_every_workload_stands_once_at_the_end() -> None:
    remark = Reason("known-by-prometheus", "read from Prometheus alone")
    own = Reason("last-seen", "last seen a week ago")
    both = [
        replace(examples.frontend(), reasons=(remark,)),
        replace(examples.cart(), reasons=(remark, own)),
    ]
    for verbose in (None, True):
        text = table.render(both, OutputSettings(verbose=verbose))
        assert (text.count(remark.text), text.count(own.text)) == (1, 1)
        assert below(text, "every workload") == [f"  note            {remark.text}"]
        assert f"  note            {own.text}" in below(text, "cartservice, container server")
    assert "every workload" not in table.render(both[:1])


def test_one_reason_for_every_number_is_printed_once() -> None:
    lines = below(table.render([examples.unknown()]), "adservice, container")
    assert lines == ["  every number    no recommendation: 12 samples, 60 are needed"]


def test_a_limit_that_equals_its_request_is_printed_with_all_reasons_only() -> None:
    words = "equal to the request of 228Mi"
    assert words not in table.render([examples.frontend()])
    assert words in table.render([examples.frontend()], OutputSettings(verbose=True))


def test_verbose_prints_every_reason() -> None:
    recommendation = examples.frontend()
    words = " ".join(table.render([recommendation], OutputSettings(verbose=True)).split())
    for advice in (recommendation.main.cpu_request, recommendation.main.memory_request, recommendation.replicas):
        for reason in advice.reasons:
            assert " ".join(reason.text.split()) in words


def test_a_reason_of_a_number_is_not_repeated_as_a_note() -> None:
    first, second = Reason("a", "no count keeps it"), Reason("b", "sized at those that there are")
    both = Advice(1, None, reasons=(Reason("no-number", f"{first.text}; {second.text}"),))
    words = table.render(
        [replace(examples.frontend(), replicas=both, reasons=(first, second))], OutputSettings(verbose=True)
    )
    assert words.count(first.text) == 1
    assert " note " not in words


def test_namespaces_are_printed_where_there_are_several() -> None:
    assert "shop " not in table.render([examples.frontend(), examples.cart()])
    rows = [line.split() for line in table.render([examples.frontend(), examples.payment()]).splitlines()]
    assert rows[0][:2] == ["NAMESPACE", "WORKLOAD"]
    assert ["bank", "paymentservice", "cpu", "request"] in [row[:4] for row in rows]


def test_unchanged_and_not_set_are_two_things() -> None:
    rows = [line.split() for line in table.render([examples.payment()]).splitlines()]
    assert ["memory", "request", "not", "set", "unchanged", "-", "-"] in rows
    assert ["cpu", "limit", "not", "set", "not", "set", "-", "-"] in rows
    assert ["replicas", "unknown", "unchanged", "-", "-"] in rows


def test_bytes_that_no_person_reads_are_rounded() -> None:
    odd = examples.with_main(
        examples.frontend(), memory_limit=Advice(123456789, 2 * 1024**3, 0.5, 1, reasons=(Reason("a", "b"),))
    )
    assert "118 MiB      2Gi" in table.render([odd])


def test_an_unchanged_number_says_so_and_no_workload_gives_only_the_head() -> None:
    same = replace(examples.frontend(), replicas=Advice(2, 2, 0.5, 1, reasons=(Reason("a", "b"),)))
    assert ["replicas", "2", "2", "0%", "50", "%", "(1", "window)"] in [
        line.split() for line in table.render([same]).splitlines()
    ]
    assert table.render([]).split() == ["WORKLOAD", "RESOURCE", "NOW", "TARGET", "CHANGE", "CONFIDENCE"]


def test_the_short_table_marks_what_has_no_recommendation_and_counts_the_limits() -> None:
    text = table.render([examples.frontend(), examples.unknown()] * 6)
    assert "100 *" in text
    assert (
        "* unchanged, because there is no recommendation: 6 CPU requests, too little data (adservice); 6 memory "
        "requests, too little data (adservice)."
    ) in " ".join(text.split())
    assert "Limits: 6 limits changed, 6 limits removed (frontend)." in text
    assert "*" not in table.render([examples.frontend()] * 12)


def test_the_width_can_be_chosen() -> None:
    _, head, words = table.render([examples.cart()], OutputSettings(width=60, verbose=True)).partition(
        "cartservice, container"
    )
    assert head
    assert 50 < max(map(len, words.splitlines()[1:])) <= 60


def test_each_container_comes_below_its_workload_and_an_injected_one_is_marked() -> None:
    text = golden("meshed.table.txt", table.render([examples.meshed()]))
    assert max(map(len, text.splitlines())) <= 100
    wide = table.render([examples.meshed()], OutputSettings(width=120))
    rows = [line.split() for line in wide.splitlines()]
    assert rows[0][:3] == ["WORKLOAD", "CONTAINER", "RESOURCE"]
    assert rows[0][-2:] == ["BASED", "ON"]
    assert ["web", "web", "cpu", "request"] in [row[:4] for row in rows]
    assert ["istio-proxy", "(injected)", "cpu", "request"] in [row[:4] for row in rows]
    assert ["logs", "(sidecar)", "cpu", "request"] in [row[:4] for row in rows]


def test_the_basis_is_printed_where_any_is_history() -> None:
    assert "BASED ON" not in table.render([examples.frontend()])
    text = table.render([examples.frontend(), examples.nightly()])
    assert "BASED ON" in text
    assert [line.split()[-1] for line in text.splitlines() if " cpu request " in line][:2] == ["model", "history"]


def test_savings_are_printed_for_several_workloads_and_money_where_prices_are_known() -> None:
    assert "Frees" not in table.render([examples.frontend()])
    priced = " ".join(table.render([examples.frontend()], OutputSettings(prices=Prices())).split())
    assert "Frees 1.09 of 1.8 cores (61%)" in priced
    assert "USD a month less at 0.031611 a core-hour" in priced
    both = table.render([examples.frontend(), examples.cart()])
    assert "Frees" in both
    assert "USD" not in both


def many(count: int) -> list[Recommendation]:
    fleet = examples.fleet()
    return [
        replace(r, workload=Workload(r.workload.namespace, f"{r.workload.name}-{n}", r.workload.kind))
        for n, r in zip(range(count), fleet * (count // len(fleet) + 1), strict=False)
    ]


def test_many_workloads_get_a_line_a_container_and_a_hint() -> None:
    text = golden("many.table.txt", table.render(many(20)))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    assert [line.split() for line in lines if " shop/frontend-0 " in line] == [
        ["!", "shop/frontend-0", "500", "->", "254", "-49%", "94", "%", "64", "->", "228", "+256%", "unknown"]
    ]
    assert "20 workloads: " in text
    assert "--verbose" in lines[-1]
    assert "the largest of" not in text


def test_skipped_containers_take_no_line_of_a_long_table() -> None:
    skipped = Advice(100, None, reasons=(Reason("sidecar-skipped", "skipped"),))
    web = examples.meshed()
    fleet = [
        examples.with_others(
            web, *(ContainerAdvice(o.container, skipped, skipped, skipped, skipped) for o in web.others)
        ),
        *many(15),
    ]
    text = table.render(fleet)
    assert not [line for line in text.splitlines() if line.startswith("shop/web istio-proxy")]
    assert "4 sidecar or init containers skipped." in " ".join(text.split())
    assert [line.split()[:2] for line in text.splitlines() if "shop/web " in line] == [["shop/web", "400"]]


def test_500_workloads_are_about_as_many_lines_and_reasons_come_if_asked_for() -> None:
    fleet = many(500)
    lines = table.render(fleet).splitlines()
    assert len(lines) < 1.1 * sum(len(r.containers) for r in fleet)
    asked = table.render(fleet, OutputSettings(verbose=True))
    assert "the largest of" in asked
    assert "--verbose" not in table.render(fleet, OutputSettings(verbose=False))


def test_a_long_name_gets_a_line_of_its_own_and_is_never_cut() -> None:
    name = "a-long-name-that-a-helm-release-gave-to-the-deployment-it-runs"
    long = [replace(r, workload=Workload("a-namespace-with-a-long-name", name)) for r in examples.everything()[:1]]
    for fleet in ([*long, examples.payment()], [*many(15), *long]):
        lines = table.render(fleet, OutputSettings(verbose=False)).splitlines()
        assert any(name in line for line in lines)
        assert max(map(len, lines)) <= 100


def test_each_number_of_a_row_has_its_own_confidence() -> None:
    """Limit-bound CPU must not borrow the confidence of memory, nor CPU that an HPA scales on."""
    frontend = examples.frontend()

    def with_confidence(cpu: float | None, memory: float | None) -> Recommendation:
        return examples.with_main(
            frontend,
            cpu_request=replace(frontend.main.cpu_request, confidence=cpu),
            memory_request=replace(frontend.main.memory_request, confidence=memory),
        )

    known, hidden = with_confidence(0.94, 0.98), with_confidence(None, 0.98)
    text = table.render([*[known] * 10, hidden], OutputSettings(width=120))
    rows = [line for line in text.splitlines() if " frontend " in line]
    assert ["94 %" in row for row in rows] == [True] * 10 + [False]
    cells = ["!", "frontend", "500", "->", "254", "-49%", "unknown", "64", "->", "228", "+256%", "98", "%"]
    assert rows[-1].split()[: len(cells)] == cells
    hpa = next(line for line in table.render([examples.cart()] * 11).splitlines() if line.startswith("cartservice"))
    assert hpa.split()[:11] == ["cartservice", "200", "*", "-", "512", "->", "359", "230", "-30%", "95", "%"]


def test_a_cut_without_much_confidence_is_marked() -> None:
    def cut(confidence: float | None) -> Recommendation:
        web = examples.retargeted()
        return examples.with_main(web, cpu_request=replace(web.main.cpu_request, confidence=confidence))

    text = table.render([cut(one) for one in (None, 0.84, 0.85, *[0.9] * 8)])
    assert [line[:2] for line in text.splitlines()[1:12]] == ["~ ", "~ ", *["  "] * 9]
    assert "~ a cut whose confidence is below 85 % or unknown: look at it first (mora explain)." in text
    assert not [line for line in table.render([cut(0.9)] * 11).splitlines() if line.startswith("~")]


def test_every_column_of_many_has_one_unit_and_wide_has_them_all() -> None:
    lines = table.wide(many(10)).splitlines()
    for head in ("KIND", "CPU (m)", "MEMORY (Mi)", "GOAL", "CHANGE", "CONF.", "REPLICAS", "BASED ON"):
        assert head in lines[0]
    row = next(line for line in lines if "shop/frontend-0" in line).split()
    assert row[2:5] == ["deploy", "500", "->"]
    assert row[-10:] == ["3", "->", "2", "1000", "->", "none", "128", "->", "228", "model"]
    assert not re.search(r"\d(m|Mi|Gi)\b", "\n".join(lines[1:15]))


def test_columns_without_room_are_named_and_those_that_all_rows_share_are_one_line() -> None:
    text = table.render(many(20))
    assert "Not shown in 100 columns: kind, replicas, limits, based on. To see them: -o wide." in text
    assert "CPU LIMIT (m)" in table.render(many(20), OutputSettings(columns=180)).splitlines()[0]
    alike = table.render([examples.meshed()] * 12, OutputSettings(columns=180))
    assert "Every row: Deployment, based on history." in alike
    assert "KIND" not in alike.splitlines()[0]


def test_a_summary_by_namespace_has_this_step_and_the_goal() -> None:
    text = table.render(many(20), OutputSettings(prices=Prices()))
    head, shop, bank = text.partition("NAMESPACE ")[2].splitlines()[:3]
    assert head.split() == [
        *("WORKLOADS", "TO", "CHANGE", "LACKING", "CORES", "FREED", "GOAL", "GiB", "FREED", "GOAL", "USD/MONTH")
    ]
    assert shop.split() == ["shop", "18", "16", "3", "17.40", "7.22", "7.22", "14.31", "1.79", "2.54", "172.04"]
    assert bank.split()[:4] == ["bank", "2", "2", "0"]
    assert "NAMESPACE" not in table.render([examples.frontend()] * 12)


def test_what_several_workloads_have_in_common_stands_once_with_their_names() -> None:
    late = Reason("window-short", "Prometheus has no data before 2026-11-21 06:40 UTC")
    kept = [replace(r, reasons=(*r.reasons, late)) for r in (examples.frontend(), examples.unknown())]
    text = table.render([*kept, examples.cart(), examples.payment()])
    assert text.count(late.text) == 1
    assert f"2 workloads (frontend, adservice)\n  note            {late.text}\n" in text
    # Among many a banner is for what concerns half of them, or a whole namespace.
    assert late.text in table.render([*kept, examples.cart(), examples.payment()] * 3)
    assert late.text not in table.render([*kept, *[examples.cart(), examples.payment()] * 6])


def test_a_note_on_a_whole_namespace_is_one_banner() -> None:
    forbidden = Reason("not-listed", "LimitRanges of shop may not be listed")
    noted = [
        replace(r, reasons=(*r.reasons, forbidden)) if r.workload.namespace == "shop" else r
        for r in (*examples.everything(), replace(examples.unknown(), workload=Workload("bank", "ledger")))
    ]
    for those in (noted, noted * 3):
        text = table.render(those)
        assert text.count(forbidden.text) == 1
        assert f"every workload of shop\n  note            {forbidden.text}\n" in text


def test_why_a_workload_cannot_be_read_is_printed_in_full() -> None:
    path = "spec.template.spec.containers[0].resources.requests['memory'] is '5Kx', not a Kubernetes quantity"
    why = Reason("unreadable", f"the Deployment cannot be read: {path}")
    plain = examples.frontend()
    none = Advice(250, None, reasons=(why,), summary="no recommendation: the Deployment cannot be read: ...")
    main = replace(plain.main, cpu_request=none, cpu_limit=none, memory_request=none, memory_limit=none)
    text = table.render([replace(plain, containers=(main, *plain.others), reasons=(why,))])
    assert f"no recommendation: the Deployment cannot be read: {path}" in " ".join(text.split())
