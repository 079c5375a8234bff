"""The replay: what a policy sees, what it is judged on, and the promises."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd

from mora.backtest import (
    origins,
    replay,
    score_hold,
)
from mora.domain import Allocation, Container, Resources
from tests import fakes_learning as fakes

DAY = timedelta(days=1)


def peak_of_history(history: pd.DataFrame) -> Allocation:
    """A plain rule: the highest CPU and memory seen so far."""
    resources = Resources(
        cpu_request_millicores=int(np.ceil(history["cpu_cores_value"].max() * 1000)),
        memory_request_bytes=int(history["mem_bytes_value"].max()),
    )
    return Allocation(containers=(Container("server", resources, is_main=True),))


def test_gaps_are_not_scored() -> None:
    cpu = np.array([1.0, np.nan, 3.0])
    score = score_hold(cpu, cpu, cpu_request_cores=2.0, memory_request_bytes=None)
    assert score.cpu_over == 0.5
    assert score.has_memory_kept is None


def test_a_policy_sees_only_what_lies_before_its_hold() -> None:
    history = fakes.observed(days=5)
    seen: list[pd.Timestamp] = []

    def policy(before: pd.DataFrame) -> Allocation:
        seen.append(before["timestamp"].max())
        return peak_of_history(before)

    scores = replay(history, policy, horizon=DAY, warm_up=2 * DAY)
    assert len(scores) == len(seen) == 3
    for score, last in zip(scores, seen, strict=True):
        assert last.timestamp() < score.start_seconds


def test_changing_the_future_changes_no_earlier_score() -> None:
    history = fakes.observed(days=6)
    cut = int(len(history) * 4 / 6)
    changed = history.copy()
    changed.loc[cut:, ["cpu_cores_value", "mem_bytes_value"]] *= 3.0
    before = replay(history, peak_of_history, horizon=DAY, warm_up=2 * DAY)
    after = replay(changed, peak_of_history, horizon=DAY, warm_up=2 * DAY)
    assert before[:2] == after[:2]
    assert before[2:] != after[2:]


def test_a_policy_without_an_answer_is_scored_without_one() -> None:
    scores = replay(fakes.observed(days=3), lambda _: Allocation(), horizon=DAY, warm_up=DAY)
    assert [score.has_cpu_kept for score in scores] == [None, None]


def test_every_origin_leaves_a_whole_hold() -> None:
    seconds = np.arange(0, 100.0)
    found = list(origins(seconds, horizon=timedelta(seconds=30), warm_up=timedelta(seconds=30)))
    assert found == [30, 60]
    strided = list(
        origins(seconds, horizon=timedelta(seconds=30), warm_up=timedelta(seconds=30), stride=timedelta(seconds=10))
    )
    assert strided == [30, 40, 50, 60, 70]
