"""A card or a load response that lacks something, or has impossible amounts, is named with its place."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mora.documents import Misfit
from mora.model import folder as store
from mora.model.shapes import check_card, check_response

OLD = Path(__file__).parent / "schema_1"


@cache
def contents(kind: str) -> store.Contents:
    return store.read(OLD / kind)


def changed(document: Any, place: str, value: Any) -> Any:
    """A copy with another value at a dotted place."""
    result = copy.deepcopy(document)
    *way, last = [int(part) if part.isdigit() else part for part in place.split(".")]
    holder = result
    for part in way:
        holder = holder[part]
    holder[last] = value
    return result


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("service", "web\n---", "service is not a name that Kubernetes allows"),
        ("namespace", "-n kube-system", "namespace is not a name"),
        ("kind", "Deployment; rm", "kind is not a kind of workload"),
        ("driven", "yes", "driven is text, not true or false"),
        ("experiments", [], "experiments has 0 items"),
        ("rows", "many", "rows is text, not a whole number"),
        ("last_sample", "2026-01-01", "last_sample is .*, not a time with its zone"),
        ("measured.container", "a b", "measured.container is not a name"),
        ("measured.resources", {"cpu_limit_millicores": 1.5}, "measured.resources.cpu_limit_millicores is a number"),
        ("report.calibrations.driven.cpu.multiplier", 1e300, "multiplier is 1e\\+300, not a number from 0 to 1e\\+06"),
        ("report.calibrations.driven.cpu.reach", -1.0, "reach is -1.0, not a number from 0"),
        ("report.calibrations.driven.cpu.kept", 10**6, "calibrations.driven.cpu.kept is more than its windows"),
        ("report.calibrations.driven.cpu.target", "memory", "target is 'memory', not 'cpu'"),
        ("report.calibrations.driven", {}, "report.calibrations.driven.cpu is missing"),
        ("report.calibrations", {}, "report.calibrations are not those of driven, undriven"),
        ("report.reasons", [["code"]], r"report.reasons\[0\] is a list, not a pair"),
        ("settings.horizon_seconds", 0, "settings.horizon_seconds is 0, not a number from 1"),
    ],
)
def test_a_card_that_cannot_be_used_is_named_with_its_place(place: str, value: Any, words: str) -> None:
    card = contents("driven").card
    check_card(card)
    with pytest.raises(Misfit, match=words):
        check_card(changed(card, place, value))


@pytest.mark.parametrize("seconds", ["soon", "-1", "0", "1" * 30, "٣"])
def test_a_horizon_is_a_number_of_seconds(seconds: str) -> None:
    card = contents("observed").card
    check_card(card)
    horizons = {seconds: card["report"]["horizons"]["3600"]}
    with pytest.raises(Misfit, match="is not a number of seconds"):
        check_card(changed(card, "report.horizons", horizons))


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("runs", [], "runs has 0 items"),
        ("runs.0.replicas", 0, r"runs\[0\].replicas is 0, not a number from 1"),
        ("runs.0.users", 10**12, r"runs\[0\].users is 1000000000000, not"),
        ("runs.0.cpu_p95_cores", 1e6, r"cpu_p95_cores is 1000000.0, not a number from 0 to 2048"),
        ("runs.0.scenario", "other", "curves are not of the scenarios of the runs"),
        ("curves.browsing.cpu.level", [1.0], "curves.browsing.cpu is not a curve that rises"),
        ("curves.browsing.cpu.slope", -1, "slope is -1, not a number from 0"),
        ("curves.browsing", {}, "curves.browsing.cpu is missing"),
    ],
)
def test_a_load_response_that_cannot_be_asked_is_named_with_its_place(place: str, value: Any, words: str) -> None:
    response = contents("driven").documents["response.json"]
    check_response(response)
    with pytest.raises(Misfit, match=words):
        check_response(changed(response, place, value))
