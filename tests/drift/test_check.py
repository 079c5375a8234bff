"""The verdict on a model: what drifted, since when, and what could not be judged."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np
import pytest

from mora.backtest.history import history_of
from mora.domain import Reason
from mora.drift import check as checking
from mora.drift.check import Drift, check, check_inputs, not_judged
from mora.drift.inputs import corrected
from mora.model import ServiceModel
from tests.drift import making
from tests.drift.making import Change


def test_an_unchanged_service_has_not_drifted(verdicts: Callable[[Change], Drift]) -> None:
    verdict = verdicts("none")
    assert verdict.findings == ()
    assert verdict.is_judged
    assert verdict.since is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("level", "CPU is 1.50 times"),
        ("season", "the daily pattern of CPU comes 6 h later"),
        ("variance", "CPU swings 1.7 times as much within the hour"),
        ("leak", "memory is 1.4"),
    ],
)
def test_what_changed_is_named_with_its_begin(verdicts: Callable[[Change], Drift], change: Change, words: str) -> None:
    verdict = verdicts(change)
    mine = [finding for finding in verdict.findings if finding.text.startswith(words)]
    assert len(mine) == 1
    assert verdict.history is not None
    begun = datetime.fromtimestamp(verdict.history.series.start + 23 * 86_400, mine[0].since.tzinfo)
    assert abs(mine[0].since - begun) <= timedelta(hours=6)
    document = json.loads(json.dumps(verdict.to_dict()))
    assert document["has_drifted"] is True
    assert words in str(document["findings"])


def test_a_service_that_comes_to_rest_or_wakes_up_is_named_in_readable_numbers() -> None:
    at_rest, woken = making.history(), making.history().assign(cpu_cores_value=0.0)
    at_rest.loc[at_rest.index[-making.DAY :], "cpu_cores_value"] = 0.0
    woken.loc[woken.index[-making.DAY :], "cpu_cores_value"] = 0.5
    for frame, words in ((at_rest, "CPU is 0.00 times the usual"), (woken, "CPU is more than 100 times the usual")):
        history = history_of(frame, "frontend")
        (finding,) = check_inputs(history, float(history.series.start + 22 * 86_400)).findings
        assert finding.text.startswith(words)


def test_less_than_a_day_of_samples_is_too_early_and_none_is_nothing_new(model: ServiceModel) -> None:
    history = history_of(making.history("level"), "frontend")
    until = float(history.series.start)
    early = check_inputs(history.before(making.DAY * 22 + 100), until + 22 * 86_400 - 300)
    assert [reason.code for reason in early.unjudged] == ["too-early"]
    assert "8.3h" in early.unjudged[0].text
    none = check(model, history.before(making.DAY * 22))
    assert none.unjudged[0].text == "there are no samples since the training"
    assert not none.has_drifted


def test_a_column_without_samples_is_no_drift_and_one_that_stops_is_named() -> None:
    frame = making.history()
    frame["net_rx_bytes_value"] = np.nan
    frame.loc[frame.index[-200:], "net_tx_bytes_value"] = np.nan
    history = history_of(frame, "frontend")
    verdict = check_inputs(history, float(history.series.start + 22 * 86_400))
    assert verdict.findings == ()
    assert [reason.text.partition(":")[0] for reason in verdict.unjudged] == ["inputs, sent traffic"]


def test_a_training_younger_than_a_week_is_not_compared() -> None:
    history = history_of(making.history("level", days=6), "frontend")
    found = check_inputs(history, float(history.series.start + 4 * 86_400))
    assert [reason.code for reason in found.unjudged] == ["too-few-days"]
    assert found.findings == ()


def test_a_drift_that_has_lasted_is_dated_back() -> None:
    frame = making.history(days=28)
    frame.loc[frame.index[-making.DAY * 4 :], "cpu_cores_value"] *= 1.6
    history = history_of(frame, "frontend")
    (finding,) = check_inputs(history, float(history.series.start + 22 * 86_400)).findings
    begun = datetime.fromtimestamp(history.series.start + 24 * 86_400, finding.since.tzinfo)
    assert abs(finding.since - begun) <= timedelta(hours=3)


def test_without_river_the_rest_is_judged(model: ServiceModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "river", None)
    verdict = check(model, history_of(making.history("level"), "frontend"))
    assert verdict.has_drifted
    (reason,) = verdict.unjudged
    assert reason.text == "errors: they need pip install 'mora-rightsizing[drift]'"


def test_everything_that_a_look_tests_is_corrected_together(verdicts: Callable[[Change], Drift]) -> None:
    verdict = verdicts("level")
    kinds = [test.statistic for test in verdict.tests]
    assert (kinds.count("level"), kinds.count("errors"), kinds.count("coverage")) == (4, 2, 2)
    assert list(verdict.tests) == corrected(verdict.tests)
    assert {one["feature"] for one in verdict.to_dict()["errors"]} == {"cpu", "memory"}


def test_what_nothing_can_be_compared_with_is_not_judged(model: ServiceModel) -> None:
    verdict = not_judged(model, Reason("driven", "why"))
    assert not verdict.is_judged
    assert not verdict.has_drifted
    assert checking.TITLES["cpu_cores_value"] == "CPU"
