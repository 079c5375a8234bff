"""A judgement as text, JSON and CSV: the same verdict, no NaN, no line without its unit."""

from __future__ import annotations

import io
import json

import pandas as pd
import pytest

from mora.health.model import HealthModel, Judgement, train
from mora.health.report import since, verdict_csv, verdict_document, verdict_json, verdict_text
from tests.health.made import healthy, with_fault


@pytest.fixture(scope="module")
def model() -> HealthModel:
    return train(healthy(2000), service="web", namespace="shop")


@pytest.fixture(scope="module")
def sick(model: HealthModel) -> Judgement:
    return model.judge(with_fault(healthy(1500, seed=2), 1490))


def test_the_text_says_state_since_when_and_by_which_metric(model: HealthModel, sick: Judgement) -> None:
    text = verdict_text(model, sick)
    assert text.startswith("shop/web is abnormal at 2026-03-02T06:14:45Z, since 2026-03-02T06:12:")
    assert "carried by latency_p95_seconds" in text
    assert "EVENT" in text
    assert text.endswith("\n")
    assert "No events." in verdict_text(model, model.judge(healthy(1500, seed=2)))


def test_the_json_has_the_verdict_and_no_nan(model: HealthModel, sick: Judgement) -> None:
    document = json.loads(verdict_json(model, sick), parse_constant=pytest.fail)
    assert document == json.loads(json.dumps(verdict_document(model, sick)))
    assert document["verdict"]["state"] == "abnormal"
    assert next(iter(document["verdict"]["contributions"])) == "latency_p95_seconds"
    assert document["events"][-1]["peak"] > 1
    assert sum(document["states"].values()) == document["samples"] == 1500


def test_the_csv_has_a_row_a_sample_with_shares_that_add_up(model: HealthModel, sick: Judgement) -> None:
    rows = pd.read_csv(io.StringIO(verdict_csv(model, sick)))
    assert len(rows) == 1500
    assert list(rows.columns[:5]) == ["timestamp", "state", "score", "threshold", "weight"]
    last = rows.iloc[-1]
    assert last["state"] == "abnormal"
    assert last.filter(like="share_").sum() == pytest.approx(1, abs=1e-4)


def test_without_data_there_is_no_number(model: HealthModel) -> None:
    gone = healthy(300)
    gone.loc[200:, list(model.metrics)] = float("nan")
    judged = model.judge(gone)
    assert "shop/web is unknown" in verdict_text(model, judged)
    assert "Score" not in verdict_text(model, judged)
    assert verdict_document(model, judged)["verdict"]["score"] is None
    assert since(judged) <= judged.frame["timestamp"].iloc[200]


def test_metrics_that_never_moved_give_numbers_when_they_do() -> None:
    still = healthy(600)
    for name in ("cpu_cores_value", "mem_bytes_value", "latency_p95_seconds"):
        still[name] = 0.25
    model = train(still, service="web")
    moved = still.copy()
    moved.loc[550:, "cpu_cores_value"] = 0.75
    judged = model.judge(moved)
    assert judged.events
    text = verdict_text(model, judged)
    assert "nan" not in text
    assert "inf" not in text
    assert "cpu_cores_value" in text.splitlines()[-1]
    json.dumps(verdict_document(model, judged), allow_nan=False)
