"""The contract of a forecaster."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import pytest

from mora.domain import Load, Target
from mora.domain.learning import AfterWindow, AtLoad, AtRow, Experiments, HorizonGrid, Level, Past, Place, Saved
from mora.errors import NotEnoughData
from mora.features import TARGETS
from mora.seams import ExplainsItself, FittedForecaster, Forecaster, Silent
from mora.testing import examples

SIZED = (Target.CPU, Target.MEMORY)


class ForecasterContract:
    """Inherit it and fill in the fixture `forecaster`. Every kind of data is fitted once per name."""

    _fitted: ClassVar[dict[tuple[type, str, str], FittedForecaster]] = {}

    @pytest.fixture
    def forecaster(self) -> Forecaster:
        """The forecaster that is tested."""
        raise NotImplementedError("Fill in the fixture `forecaster`: return the forecaster that is tested.")

    def test_it_has_a_name_and_says_whether_it_is_refitted(self, forecaster: Forecaster) -> None:
        """`name` is the registered name, `is_refitted` a bool."""
        assert forecaster.name
        assert isinstance(forecaster.name, str)
        assert isinstance(forecaster.is_refitted, bool)

    @pytest.mark.parametrize("kind", ["experiments", "history"])
    def test_levels_are_finite_and_ordered_and_never_below_zero(self, forecaster: Forecaster, kind: str) -> None:
        """One mapping a place, of targets only, each with 0 <= mean <= high."""
        fitted = self.fitted(forecaster, kind)
        places = _places(kind)
        found = fitted.levels(places)
        assert len(found) == len(places)
        for levels in found:
            assert set(levels) <= set(Target)
            for mean, high in levels.values():
                assert np.isfinite([mean, high]).all()
                assert 0 <= mean <= high * (1 + 1e-9)

    @pytest.mark.parametrize("kind", ["experiments", "history"])
    def test_cpu_and_memory_are_forecast_somewhere(self, forecaster: Forecaster, kind: str) -> None:
        """Of experiments at a load that was driven or after a window, of a history at its end."""
        answered = {target for levels in self.fitted(forecaster, kind).levels(_places(kind)) for target in levels}
        assert set(SIZED) <= answered

    @pytest.mark.parametrize("kind", ["experiments", "history"])
    def test_a_place_has_the_same_forecast_alone_and_among_others(self, forecaster: Forecaster, kind: str) -> None:
        """Places may come in any mix and any order, and none at all is fine."""
        fitted = self.fitted(forecaster, kind)
        places = _places(kind)
        together = fitted.levels(list(reversed(places)))[::-1]
        for place, levels in zip(places, together, strict=True):
            _assert_same(fitted.levels([place])[0], levels)
        assert list(fitted.levels([])) == []

    @pytest.mark.parametrize("kind", ["experiments", "history"])
    def test_the_same_data_and_seed_give_the_same_forecast(self, forecaster: Forecaster, kind: str) -> None:
        """Nothing is drawn at prediction, and a fit is seeded."""
        again = forecaster.fit(_data(kind), seed=1, reporter=Silent())
        places = _places(kind)
        fitted = self.fitted(forecaster, kind)
        for one, other in zip(fitted.levels(places), again.levels(places), strict=True):
            _assert_same(one, other, rel=1e-5)
        assert list(fitted.levels(places)) == list(fitted.levels(places))

    @pytest.mark.parametrize("kind", ["experiments", "history"])
    def test_saved_and_restored_it_answers_the_same_to_the_last_bit(self, forecaster: Forecaster, kind: str) -> None:
        """Through JSON and numpy's own format without pickle, as a model's folder keeps it."""
        fitted = self.fitted(forecaster, kind)
        restored = forecaster.restore(_through_files(fitted.save()))
        assert list(restored.levels(_places(kind))) == list(fitted.levels(_places(kind)))

    def test_of_a_history_it_looks_back_only(self, forecaster: Forecaster) -> None:
        """A forecast at a row is the same whatever comes at that row or after it, and where nothing does."""
        fitted, whole = self.fitted(forecaster, "history"), examples.history()
        row = 14 * 24
        changed = {name: np.where(np.arange(len(whole)) < row, values, 9e9) for name, values in whole.means.items()}
        later = HorizonGrid(whole.horizon_seconds, whole.steps, whole.start_seconds, changed, changed)
        expected = fitted.levels([AtRow(whole, row)])[0]
        for grid in (later, whole.before(row)):
            _assert_same(fitted.levels([AtRow(grid, row)])[0], expected)

    def test_what_its_inputs_add_is_the_forecast(self, forecaster: Forecaster) -> None:
        """Where it has `contributions`: base and amounts are the mean of every row, to a millionth. It is optional."""
        fitted, grid = self.fitted(forecaster, "history"), examples.history()
        if not isinstance(fitted, ExplainsItself):
            return
        rows, background = [13 * 24, 14 * 24, len(grid)], [12 * 24, 14 * 24]
        found = fitted.contributions(grid, rows, background, seed=0)
        truth = fitted.levels([AtRow(grid, row) for row in rows])
        for target, one in found.items():
            assert one.amounts.shape == one.inputs.shape == (len(rows), len(one.names))
            assert len(set(one.names)) == len(one.names)
            assert one.forecasts == pytest.approx([levels[target][0] for levels in truth], rel=1e-6)
            usual = [levels[target][0] for levels in fitted.levels([AtRow(grid, row) for row in background])]
            assert one.base == pytest.approx(np.mean(usual), rel=1e-6)
        assert set(found) == set(truth[-1])

    @pytest.mark.parametrize("kind", ["experiments", "history"])
    def test_what_it_is_given_is_not_changed(self, forecaster: Forecaster, kind: str) -> None:
        """Neither in fitting nor in forecasting."""
        data, places = _data(kind), _places(kind)
        before = [values.copy() for values in _arrays_of(data)]
        forecaster.fit(data, seed=1, reporter=Silent()).levels(places)
        for one, other in zip(before, _arrays_of(data), strict=True):
            np.testing.assert_array_equal(one, other)

    def test_too_little_data_is_not_enough_data_and_nothing_else(self, forecaster: Forecaster) -> None:
        """A fit on a single sample works or raises NotEnoughData, since MOrA answers that error only."""
        grid = examples.history().before(1)
        short = [piece.cut(0, 1) for piece in examples.experiments()[:2]]
        for data in (Past(grid, SIZED, 1, 1), Experiments(short[:1], short[1:], TARGETS)):
            try:
                forecaster.fit(data, seed=1, reporter=Silent())
            except NotEnoughData as failure:
                assert failure.message  # noqa: PT017  # only this error is expected, and none is fine, too

    def fitted(self, forecaster: Forecaster, kind: str) -> FittedForecaster:
        """The forecaster, fitted on one kind of data; once per class and name, since a fit may take seconds."""
        key = (type(self), forecaster.name, kind)
        if key not in self._fitted:
            self._fitted[key] = forecaster.fit(_data(kind), seed=1, reporter=Silent())
        return self._fitted[key]


def _data(kind: str) -> Experiments | Past:
    if kind == "experiments":
        pieces = examples.experiments()
        return Experiments(pieces[:6], pieces[6:], TARGETS)
    return Past(examples.history(), SIZED, 8 * 24, 12 * 24)


def _places(kind: str) -> list[Place]:
    if kind == "experiments":
        pieces = examples.experiments()
        return [
            AtLoad(Load("browsing", 20), 2),
            AfterWindow(pieces[0]),
            AtLoad(Load("browsing", 40), 1),
            AfterWindow(pieces[8]),
        ]
    grid = examples.history()
    return [AtRow(grid, len(grid)), AtRow(grid, 13 * 24), AtRow(grid, 14 * 24)]


def _arrays_of(data: Experiments | Past) -> Sequence[np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    if isinstance(data, Past):
        return [*data.grid.means.values(), *data.grid.filled.values()]
    return [
        values for piece in (*data.training, *data.validation) for values in (piece.seconds, *piece.values.values())
    ]


def _assert_same(one: Mapping[Target, Level], other: Mapping[Target, Level], rel: float = 1e-9) -> None:
    assert set(one) == set(other)
    for target, level in one.items():
        assert level == pytest.approx(other[target], rel=rel, abs=1e-12)


def _through_files(saved: Saved) -> Saved:
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **saved.arrays)
    stream.seek(0)
    with np.load(stream, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return Saved(json.loads(json.dumps(saved.document, allow_nan=False)), arrays)
