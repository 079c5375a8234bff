"""What `mora explain` says of a trained model: its data, runs, errors and calibration."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mora.outputs import explain
from mora.outputs.provenance import model_facts
from tests.outputs import examples

MEMORY = {
    "errors": {"blend": {"mean": 44_109.0, "p95": 55_938.0}, "naive": {"mean": 63_636.0, "p95": 73_199.0}},
    "level": 14_581_873.0,
    "shares": {"lstm": 0.6, "prophet": 0.4},
    "windows": 24,
    "experiments": 8,
    "reasons": [],
}
LEARNED = {"multiplier": 1.0708, "multiplier_windows": 12, "is_prior": False, "kept": 8, "windows": 8, "reasons": []}


def card(**changes: Any) -> dict[str, Any]:
    names = [f"web_{s}_replicas_{r}_users_{u}" for s in ("browsing", "checkout") for r, u in ((1, 15), (3, 60))]
    return {
        "driven": True,
        "experiments": [*names, f"{names[0]}_run_2"],
        "scenarios": ["browsing", "checkout"],
        "rows": 2232,
        "last_sample": "2026-11-21T03:25:00+00:00",
        "report": {
            "next_steps": {"memory": MEMORY, "cpu": {**MEMORY, "errors": {}}},
            "calibrations": {"driven": {"memory": LEARNED}},
        },
    } | changes


def test_the_data_and_the_runs_are_listed_by_scenario() -> None:
    facts = model_facts(card())
    assert facts[0] == ("trained on", "2,232 samples of 5 load experiments, data until 2026-11-21 03:25 UTC")
    assert [text for label, text in facts if label == "runs"] == [
        "browsing: 1 to 3 replicas, 15 to 60 users (3 runs)",
        "checkout: 1 to 3 replicas, 15 to 60 users (2 runs)",
    ]


def test_errors_come_with_the_naive_forecast_and_without_windows_there_are_none() -> None:
    (error,) = [text for label, text in model_facts(card()) if label == "error"]
    assert error == (
        "memory over the next steps: 43.1 KiB on average, on 24 validation windows (naive forecast: 62.1 KiB), "
        "at a mean of 13.9 MiB; "
        "weights: lstm 60%, prophet 40%"
    )


def test_the_calibration_has_its_factor_and_what_it_covered() -> None:
    few = {**LEARNED, "multiplier": 1.19, "multiplier_windows": 6, "is_prior": True, "kept": 6}
    none = {**LEARNED, "multiplier_windows": 0, "kept": 2, "windows": 2}
    report = card()["report"] | {
        "calibrations": {"undriven": {"cpu": few, "replicas": none}, "86400": {"memory": LEARNED}}
    }
    assert [text for label, text in model_facts(card(report=report)) if label == "calibration"] == [
        "cpu at another load: upper bound = 1.19 x point forecast (from 6 windows and other services), "
        "6 of 8 validation windows covered",
        "replicas at another load: 2 of 2 validation windows covered",
        "memory over the next 24h: upper bound = 1.07 x point forecast (from 12 windows), "
        "8 of 8 validation windows covered",
    ]


def test_a_history_is_named() -> None:
    facts = model_facts(card(driven=False, experiments=["web_observed_20261101T000000Z"], scenarios=["observed"]))
    assert facts[0][1].startswith("2,232 samples of 1 history, data until")
    assert facts[1] == ("runs", "web_observed_20261101T000000Z")


def test_the_explanation_prints_them_below_how_it_was_sized() -> None:
    text = explain.render([replace(examples.frontend(), model_facts=model_facts(card()))])
    assert "  trained on      2,232 samples of 5 load experiments" in text
    assert "  runs            browsing: 1 to 3 replicas" in text
    assert "                  checkout: 1 to 3 replicas" in text
    assert text.index("trained on") < text.index("container server")
