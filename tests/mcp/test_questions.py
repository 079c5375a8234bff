"""The questions of assistants: what is asked once, what is refused, what is remarked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from mora.errors import BadInput
from mora.mcp.answers import BUDGET, tokens
from mora.mcp.questions import LONGEST, Questions
from mora.pipeline import Advised, Request
from mora.settings import Settings
from tests.outputs import examples


class Shop:
    """What answers requests, and counts them."""

    def __init__(self, *remarks: str) -> None:
        self.remarks = remarks
        self.asked: list[tuple[Request, Settings]] = []
        self.now = 0.0

    def answer(self, request: Request, settings: Settings, say: Callable[[str], None]) -> Advised:
        self.asked.append((request, settings))
        for remark in self.remarks:
            say(remark)
        if "nope" in request.names:
            raise BadInput("No workload 'nope'.", hint="Found: frontend.")
        return Advised((examples.frontend(), examples.cart()))

    def questions(self) -> Questions:
        def settings_of(*, namespace: str | None, all_namespaces: bool, **more: object) -> Settings:
            assert set(more) <= {"horizon", "slo_p95"}
            horizon = timedelta(hours=1) if more.get("horizon") == "1h" else timedelta(hours=24)
            return replace(Settings(), namespace=namespace or "default", horizon=horizon)

        keep = timedelta(minutes=5)
        return Questions(settings_of, Request(), keep=keep, clock=lambda: self.now, ask=self.answer)


def test_one_run_answers_what_is_asked_of_the_same_workloads() -> None:
    shop = Shop()
    questions = shop.questions()
    questions.list_workloads("shop", False, 0)
    questions.recommend(None, "shop", False, False, 0)
    questions.recommend([], "shop", False, True, 0)
    assert len(shop.asked) == 1
    assert shop.asked[0][0].everything
    questions.recommend(None, "bank", False, False, 0)
    questions.recommend(["frontend"], "shop", False, False, 0)
    assert len(shop.asked) == 3


def test_an_answer_is_used_again_for_as_long_as_it_is_kept() -> None:
    shop = Shop()
    questions = shop.questions()
    for now in (0.0, 299.0, 301.0):
        shop.now = now
        questions.recommend(None, "shop", False, False, 0)
    assert len(shop.asked) == 2


def test_json_is_what_mora_recommend_prints() -> None:
    from mora import outputs, pipeline

    text = Shop().questions().recommend(None, "shop", False, True, 0)
    assert text == pipeline.render((examples.frontend(), examples.cart()), "json", outputs.DEFAULTS)
    assert json.loads(text)["schema_version"]


def test_a_condition_is_asked_beside_the_usual_question() -> None:
    shop = Shop()
    shop.questions().what_if("frontend", "shop", {"users": None, "scenario": None}, horizon="1h", slo_p95=None)
    (usual, before), (asked, after) = shop.asked
    assert usual == asked
    assert (before.horizon, after.horizon) == (timedelta(hours=24), timedelta(hours=1))
    shop.questions().what_if("frontend", "shop", {"users": 80, "scenario": None}, horizon=None)
    assert [request.users for request, _ in shop.asked[2:]] == [None, 80]


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda questions: questions.what_if("frontend", None, {"users": None}), "What if what"),
        (lambda questions: questions.recommend(None, "shop", True, False, 0), "Give one of them"),
        (lambda questions: questions.recommend(None, "shop", False, False, -1), "below 0"),
        (lambda questions: questions.explain("nope", "shop"), "No workload 'nope'"),
    ],
)
def test_a_question_without_an_answer_says_why(ask: Callable[[Questions], str], words: str) -> None:
    with pytest.raises(BadInput) as raised:
        ask(Shop().questions())
    assert words in f"{raised.value.message} {raised.value.hint}"


def test_an_error_is_not_kept() -> None:
    shop = Shop()
    questions = shop.questions()
    for _ in range(2):
        with pytest.raises(BadInput):
            questions.explain("nope", "shop")
    assert len(shop.asked) == 2


def test_remarks_cost_three_lines_at_most_and_none_of_a_server_s_signs() -> None:
    shop = Shop("one \x1b[31m", "two\nlines", "three " + "x" * 900, "four", "five")
    lines = shop.questions().recommend(None, "shop", False, False, 0).splitlines()
    below = [line for line in lines if line.startswith("note: ")]
    assert len(below) == 4
    assert below[1] == "note: two lines"
    assert below[3] == "note: 2 more remarks, see `mora recommend`"
    assert "\x1b" not in "".join(lines)
    assert tokens("\n".join(lines)) <= BUDGET


def test_an_explanation_has_the_arithmetic_and_no_queries() -> None:
    text = Shop().questions().explain("frontend", "shop")
    assert "container server (main)" in text
    assert "queries, as sent" not in text
    assert tokens(text) <= LONGEST


def test_of_workloads_that_share_a_name_each_is_explained() -> None:
    text = Shop().questions().explain("frontend", "shop")
    assert [line for line in text.splitlines() if line.startswith("Deployment ")] == [
        "Deployment shop/frontend",
        "Deployment shop/cartservice",
    ]
