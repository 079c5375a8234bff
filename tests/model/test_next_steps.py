"""The next thirty steps: what is predicted after each window, and which experiments count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mora.domain import Target
from mora.domain.learning import AfterWindow, Level, Place, Segment
from mora.features import HORIZON_STEPS, TARGET_COLUMNS, WINDOW_STEPS
from mora.model.cells import Split
from mora.model.next_steps import next_step_errors
from mora.model.settings import TrainSettings

STEPS = WINDOW_STEPS + HORIZON_STEPS + 2  # three full horizons
FREE: Any = SimpleNamespace(is_cpu_limit_bound=False, is_memory_limit_bound=False, oom_kills=0)


def segment(name: str, level: float, steps: int = STEPS) -> Segment:
    values = {column: np.full(steps, level) for column in TARGET_COLUMNS.values()}
    return Segment(name, "browsing", np.arange(float(steps)), values)


class Fixed:
    """Predicts the same level after every window, and keeps what it was asked about."""

    reasons = ()

    def __init__(self, level: float) -> None:
        self.level = level
        self.asked: list[AfterWindow] = []

    def levels(self, places: Sequence[Place]) -> Sequence[Mapping[Target, Level]]:
        for place in places:
            assert isinstance(place, AfterWindow)
            self.asked.append(place)
        return [dict.fromkeys(Target, (self.level, self.level)) for _ in places]

    def save(self) -> Any:
        raise NotImplementedError


def tables(pieces: Sequence[Segment], split: Split, runs: Mapping[str, Any], **fitted: Fixed) -> Mapping[str, Any]:
    settings = TrainSettings(weights={name: 1.0 for name in fitted if name != "naive"})
    return next_step_errors(pieces, runs, split, settings, lambda experiment: fitted)


def split(*, choose: set[str], score: set[str]) -> Split:
    return Split(frozenset(), frozenset(choose), frozenset(score))


def test_errors_are_of_every_full_horizon_of_the_experiments_that_score() -> None:
    pieces = [segment("chooses", 1.0), segment("scores", 2.0)]
    near, naive = Fixed(1.9), Fixed(1.5)
    found = tables(
        pieces,
        split(choose={"chooses"}, score={"scores"}),
        dict.fromkeys(("chooses", "scores"), FREE),
        near=near,
        naive=naive,
    )["cpu"]
    assert found["errors"]["near"] == {"mean": pytest.approx(0.1), "p95": pytest.approx(0.1)}
    assert found["errors"]["naive"]["mean"] == pytest.approx(0.5)
    assert (found["level"], found["windows"], found["experiments"]) == (2.0, 3, 1)
    assert {len(place.segment) for place in near.asked} == {WINDOW_STEPS}


def test_where_none_scores_the_one_that_chooses_does() -> None:
    only = split(choose={"a"}, score=set())
    found = tables([segment("a", 1.0)], only, {"a": FREE}, near=Fixed(1.0), naive=Fixed(3.0))
    assert found["cpu"]["errors"]["near"]["mean"] == 0.0
    assert found["memory"]["windows"] == 3


def test_limit_bound_cpu_neither_chooses_nor_scores_and_memory_of_the_same_run_does() -> None:
    limited = SimpleNamespace(**{**vars(FREE), "is_cpu_limit_bound": True})
    only = split(choose={"a"}, score=set())
    found = tables([segment("a", 1.0)], only, {"a": limited}, near=Fixed(1.0), naive=Fixed(1.0))
    assert (found["cpu"]["windows"], found["memory"]["windows"], found["replicas"]["windows"]) == (0, 3, 3)


def test_experiments_for_training_and_those_too_short_for_a_horizon_are_not_asked_about() -> None:
    near = Fixed(1.0)
    pieces = [segment("trains", 1.0), segment("short", 1.0, steps=WINDOW_STEPS + HORIZON_STEPS - 1)]
    found = tables(
        pieces,
        Split(frozenset({"trains"}), frozenset({"short"}), frozenset()),
        dict.fromkeys(("trains", "short"), FREE),
        near=near,
        naive=Fixed(1.0),
    )
    assert near.asked == []
    assert found["cpu"]["errors"] == {}
