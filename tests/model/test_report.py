"""The table of validation errors."""

from __future__ import annotations

import pytest

from mora.domain import Target
from mora.fusion import Weights
from mora.model import TrainSettings
from mora.model.report import Row, tabulate

SETTINGS = TrainSettings(weights={"mine": 0.5, "other": 0.5})


def row(experiment: str, mine: float, other: float, naive: float, truth: float = 1.0) -> Row:
    return experiment, {"mine": (mine, mine), "other": (other, other), "naive": (naive, naive)}, (truth, truth)


def test_errors_are_of_every_forecaster_the_blend_and_the_naive_one() -> None:
    choosing = [row(f"{n}", 1.1, 0.9, 2.0) for n in range(4)]
    table = tabulate(Target.CPU, choosing, [row("a", 1.2, 0.9, 2.0), row("a", 1.2, 0.9, 2.0)], SETTINGS)
    assert list(table.errors) == ["mine", "other", "blend", "naive"]
    assert table.errors["mine"] == pytest.approx((0.2, 0.2))
    assert table.errors["blend"] == pytest.approx((0.05, 0.05))
    assert (table.windows, table.experiments, table.level) == (2, 1, 1.0)
    assert table.to_dict()["windows"] == 2


def test_windows_of_one_experiment_are_one_witness_of_its_weights() -> None:
    bad = [row("one", 9.0, 1.0, 2.0) for _ in range(20)]
    good = [row(f"{n}", 1.0, 1.0, 2.0) for n in range(20)]
    assert tabulate(Target.CPU, [*bad, *good], good, SETTINGS).shares["mine"] == 0.5


def test_without_windows_to_score_no_error_is_given() -> None:
    table = tabulate(Target.CPU, [row("a", 1.0, 1.0, 1.0)], [], SETTINGS, weights=Weights({"mine": 1.0}))
    assert (table.errors, table.windows, dict(table.shares)) == ({}, 0, {"mine": 1.0})
