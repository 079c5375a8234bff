"""The page of a fleet: every workload is in it, with its state, its totals and its place."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import pytest

from mora import pipeline
from mora.domain import Allocation, Reason, Recommendation, Resources
from mora.outputs import OutputSettings
from mora.outputs.folder import files
from mora.outputs.html import page, page_of, render
from mora.outputs.pieces import piece_of, state_of
from mora.pages.page import section
from mora.savings import Prices, not_counted, savings
from tests.outputs import examples
from tests.outputs.examples import frontend, payment, unknown, with_main

FLEET = [getattr(examples, name)() for name in ("frontend", "cart", "payment", "unknown")]


class Rows(HTMLParser):
    """The cells of the table of workloads, row by row."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.is_in = self.is_cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.is_in = dict(attrs).get("id") == "workloads"
        if self.is_in and tag == "tr":
            self.rows.append([])
        if self.is_in and tag in ("td", "th"):
            self.rows[-1].append("")
            self.is_cell = True

    def handle_endtag(self, tag: str) -> None:
        self.is_cell = self.is_cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.is_cell:
            self.rows[-1][-1] += data.strip()


def rows(text: str) -> list[list[str]]:
    return Rows(text).rows


def test_every_workload_has_a_row_and_one_without_a_number_its_state() -> None:
    heads, *found = rows(render(FLEET))
    assert heads[:3] == ["Workload", "Container", "State"]
    assert [(row[0], row[2]) for row in found] == [
        ("frontendshop · Deployment", "OOM-killed"),
        ("cartserviceshop · Deployment", "requests too much"),
        ("paymentservicebank · StatefulSet", "needs more"),
        ("adserviceshop · Deployment", "no number"),
    ]
    assert found[0][3:] == ["3→2", "500m→254m", "-49%", "64Mi→228Mi", "+256%", "unknown", "24.79"]
    assert found[3][3:] == ["1", "100m", "", "64Mi", "", "", "0.00"]


def test_what_the_sums_leave_out_is_below_them_as_in_the_table() -> None:
    web = frontend()
    server = replace(web.current.containers[0], resources=Resources())
    fresh = replace(web, current=Allocation(web.current.replicas, (server,)))
    said = not_counted(savings([fresh]))
    assert "1 container without a request is not counted" in said
    assert said in unescape(render([fresh]))


def test_a_row_is_as_sure_as_its_weaker_number() -> None:
    advice = frontend()
    unsure = with_main(advice, memory_request=replace(advice.main.memory_request, confidence=None))
    assert rows(render([unsure]))[1][8] == "unknown"


@pytest.mark.parametrize(
    ("code", "state"),
    [("oom-bump", "killed"), ("limit-bound", "lacking"), ("sized", "less")],
)
def test_the_most_urgent_state_is_shown(code: str, state: str) -> None:
    advice = frontend()
    smaller = replace(advice.main.memory_request, now=512 * 2**20, reasons=(Reason(code, "x"),))
    changed = with_main(advice, memory_request=smaller)
    assert state_of(changed, changed.main) == state


def test_a_missing_request_needs_more_and_an_equal_one_is_right() -> None:
    assert state_of(payment(), payment().main) == "more"
    assert state_of(unknown(), unknown().main) == "unknown"
    main = frontend().main
    same = with_main(
        frontend(),
        cpu_request=replace(main.cpu_request, now=main.cpu_request.value),
        memory_request=replace(main.memory_request, now=main.memory_request.value, reasons=()),
    )
    same = replace(same, replicas=replace(same.replicas, now=same.replicas.value))
    assert state_of(same, same.main) == "right"


def test_money_is_at_default_prices_until_there_are_others() -> None:
    assert "Money at OpenCost&#39;s default prices, 0.031611 USD" in render(FLEET)
    priced = render(FLEET, OutputSettings(prices=Prices(1.0, 0.5, "EUR")))
    assert "Money at 1 EUR per core-hour and 0.5 per GiB-hour." in priced
    assert "EUR a month less" in priced


def test_the_order_is_that_of_the_table() -> None:
    found = [row[0] for row in rows(render(FLEET, OutputSettings(sort="name")))[1:]]
    assert found[0].startswith("paymentservice")
    assert [one.partition("shop")[0] for one in found[1:]] == ["adservice", "cartservice", "frontend"]


def test_further_sentences_and_sections_have_their_place() -> None:
    text = page(
        FLEET, title="Cluster a", lead=["Refreshed 3 min ago."], sections=[section("Since yesterday", ["2 new"])]
    )
    assert text.index("<h1>Cluster a</h1>") < text.index("Refreshed 3 min ago.") < text.index("Since yesterday")
    assert text.index("Since yesterday") < text.index('id="workloads"')


def test_names_of_a_cluster_turn_no_text_around_and_add_no_element() -> None:
    name = "a\u202e<b>\x1b[2J"
    text = render([with_main(frontend(), container=name, reasons=(Reason("source", name),))])
    assert not [c for c in text if not c.isprintable() and c != "\n"]
    assert "<b>" not in text
    assert "a?&lt;b&gt;?[2J" in text


def test_it_is_one_file_in_a_folder_and_the_same_by_the_api() -> None:
    assert files("html", FLEET) == {"recommendations.html": render(FLEET)}
    assert pipeline.render(FLEET, "html") == render(FLEET)


def test_what_one_namespace_frees_adds_up_to_the_total() -> None:
    def figures(advice: list[Recommendation]) -> list[float]:
        found = re.findall(r'class="figure">([\d,.]+)', unescape(render(advice)))
        return [float(one.replace(",", "")) for one in found[:2]]

    # 3 x (500m + 100m) now, 2 x (254m + 100m) then; 3 x (64 + 128) MiB now, 2 x (228 + 128) then.
    assert figures([FLEET[0]]) == [1.09, 0.13]
    assert "0.13 GiB more" in render([FLEET[0]])
    assert "of 0.56 GiB requested (24 %)" in render([FLEET[0]])  # the sign is in the word


def test_all_steps_that_go_the_other_way_than_this_one_say_so() -> None:
    def tiles(step: float, goal: float) -> list[str]:
        made = piece_of(FLEET[0], Prices())
        freed, all_freed = (replace(made.step, cores=cores, memory_gib=0.0) for cores in (step, goal))
        text = page_of([replace(made, step=freed, goal=all_freed)], None)
        return re.findall(r"[\d.]+ (?:cores|USD a month)[a-z ]* after all steps", text)

    assert tiles(1.0, 2.0) == ["2 cores after all steps", "46.15 USD a month after all steps"]
    assert tiles(-1.0, 2.0) == ["2 cores freed after all steps", "46.15 USD a month less after all steps"]
    assert tiles(1.0, -2.0) == ["2 cores more after all steps", "46.15 USD a month more after all steps"]
    assert tiles(-1.0, -2.0) == ["2 cores after all steps", "46.15 USD a month after all steps"]
