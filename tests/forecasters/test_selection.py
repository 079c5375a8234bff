"""Which inputs trees are given: what is dropped, why, and what the choice may know."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.domain import Target
from mora.domain.learning import Floats, Past
from mora.forecasters import boosted, selection
from mora.forecasters.boosted import BoostedSettings
from mora.forecasters.boosted_parts import Part
from mora.forecasters.selection import CONSTANT, SILENT, UNHELPFUL, UNKNOWN, Selection, select
from mora.forecasters.xgboost_trees import XgboostForecaster
from tests.forecasters.histories import CPU, fitted, grid, waves

NAMES = ("signal", "noise", "gone", "fixed", "other_noise")


def rows_of(count: int = 600, seed: int = 0, *, level: float = 1.0) -> Part:
    """What comes follows the first input; the others say nothing of it."""
    rng = np.random.default_rng(seed)
    signal = np.sin(np.arange(count) / 9) + 0.3 * rng.standard_normal(count)
    table = np.column_stack([signal, rng.standard_normal(count), np.full(count, np.nan), np.full(count, 3.0)])
    table = np.column_stack([table, np.cumsum(rng.standard_normal(count))])
    means = np.log(level) + 0.5 * signal + 0.05 * rng.standard_normal(count)
    return Part(table, np.full((count, 4), np.log(level)), means, np.repeat(means[:, None], 3, axis=1), 1)


def straight(table: Floats, wanted: Floats, worth: Floats) -> Callable[[Floats], Floats]:
    """A straight line through the inputs."""
    line = np.linalg.lstsq(np.column_stack([table, np.ones(len(table))]), wanted, rcond=None)[0]
    return lambda rows: np.column_stack([rows, np.ones(len(rows))]) @ line


def chosen(part: Part, *, learn: selection.Learn = straight, seed: int = 0, is_in_order: bool = True) -> Selection:
    kept, told = select(
        part, NAMES, 6, anchor_of=lambda _: np.array([1.0, 0, 0, 0]), learn=learn, seed=seed, is_in_order=is_in_order
    )
    assert tuple(NAMES[at] for at in kept) == told.kept
    assert {*told.kept, *told.dropped} == {*NAMES}
    return told


def test_what_helps_is_kept_and_what_is_unknown_or_constant_or_says_nothing_is_dropped_by_name() -> None:
    told = chosen(rows_of())
    assert "signal" in told.kept
    assert told.dropped["gone"] == UNKNOWN
    assert told.dropped["fixed"] == CONSTANT
    assert {told.dropped.get(name) for name in ("noise", "other_noise")} & {SILENT, UNHELPFUL}
    assert told.is_used
    assert 0 < told.error_after <= told.error_before < 0.1
    assert "inputs are used (without fixed, gone, " in told.in_words()
    assert "out of fold the error is " in told.in_words()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([1e-3, 1.0, 1e9]))
def test_the_same_seed_gives_the_same_choice_whatever_the_unit(seed: int, level: float) -> None:
    one, again, scaled = chosen(rows_of(seed=seed)), chosen(rows_of(seed=seed)), chosen(rows_of(seed=seed, level=level))
    assert one == again
    assert scaled.kept == one.kept
    assert scaled.error_before == pytest.approx(one.error_before, rel=1e-6)


def test_a_choice_that_errs_more_on_what_it_did_not_see_is_not_taken() -> None:
    def lost_without_every_input(table: Floats, wanted: Floats, worth: Floats) -> Callable[[Floats], Floats]:
        line = straight(table, wanted, worth)
        return lambda rows: line(rows) + (1.0 if rows.shape[1] < 3 else 0.0)

    told = chosen(rows_of(), learn=lost_without_every_input)
    assert not told.is_used
    assert told.kept == ("signal", "noise", "other_noise")
    assert told.dropped == {"gone": UNKNOWN, "fixed": CONSTANT}
    assert told.error_after > told.error_before
    assert "which is no gain" in told.in_words()


@pytest.mark.parametrize(("count", "is_in_order"), [(40, True), (600, False)])
def test_without_folds_only_what_is_unknown_or_constant_is_dropped(count: int, is_in_order: bool) -> None:
    told = chosen(rows_of(count), is_in_order=is_in_order)
    assert (told.folds, told.is_used) == (0, False)
    assert told.dropped == {"gone": UNKNOWN, "fixed": CONSTANT}
    assert "too short to choose among them" in told.in_words()


def test_where_every_input_is_dead_one_is_left() -> None:
    part = rows_of()
    dead = Part(np.full_like(part.table, np.nan), part.plain, part.means, part.steps, 1)
    assert chosen(dead).kept == ("signal",)


@given(st.integers(1, 200), st.integers(1, 30), st.integers(0, 9))
def test_shuffling_moves_whole_blocks_and_loses_no_row(rows: int, width: int, seed: int) -> None:
    order = selection._shuffled(rows, width, np.random.default_rng(seed))
    assert sorted(order.tolist()) == list(range(rows))
    assert (np.diff(order) != 1).sum() < -(-rows // width)
    assert rows <= width or (order != np.arange(rows)).any()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000))
def test_mutual_information_is_none_of_what_is_constant_and_all_of_what_is_the_same(seed: int) -> None:
    wanted = selection._binned(np.random.default_rng(seed).standard_normal((400, 1)))
    inputs = np.column_stack([wanted, 8 - wanted, np.zeros_like(wanted)])
    same, mirrored, none = selection._information(inputs, wanted[:, 0])
    assert same == pytest.approx(np.log(8), rel=0.01)
    assert mirrored == pytest.approx(same)
    assert none == pytest.approx(0.0, abs=1e-12)


def test_nothing_that_comes_after_what_trains_changes_the_choice_and_it_is_kept_with_the_model() -> None:
    columns = {CPU: waves(6)[CPU]}
    until = 4 * 288
    other = {CPU: np.where(np.arange(6 * 288) < until, columns[CPU], 50 * columns[CPU][::-1])}
    quick = XgboostForecaster(BoostedSettings(trees=20))
    # What is learned ends at `until`; the checking part and what would be scored lie behind it.
    one, another = (fitted(quick, Past(grid(own, 1), (Target.CPU,), until, until + 288)) for own in (columns, other))
    assert isinstance(one, boosted.FittedBoosted)
    assert isinstance(another, boosted.FittedBoosted)
    told = one.selections[Target.CPU]
    assert told == another.selections[Target.CPU]
    assert told.folds == 4
    assert [reason.code for reason in one.reasons] == ["inputs-selected"]
    assert one.reasons[0].text.startswith("cpu over the next 1h: XGBoost: ")
    back = boosted.restore(one.save())
    assert back.selections == one.selections
    assert back.reasons == one.reasons
    assert one.targets[Target.CPU].names(CPU) == told.kept
