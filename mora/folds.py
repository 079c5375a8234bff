"""Cross-validation over time: which rows of a history train, and which horizons are scored, fold by fold.

The one splitter of the house: the search of hyperparameters, the contest of models and the choice of features all cut
here. Folds lie at the end of the history, one after the other. Between the rows that train and the first horizon that
is scored lies a gap, of one horizon by default: what was learnt last is then as old as it is where a model is asked for
a horizon that is yet to begin, and no training target shares a row with a scored one (Bergmeir & Benitez 2012, "On the
use of cross-validation for time series predictor evaluation").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mora.errors import BadInput, NotEnoughData
from mora.quantities import format_duration


@dataclass(frozen=True, slots=True)
class Fold:
    """Rows train_start..train_stop train; the horizons that lie within score_start..score_stop are scored.

    Every stop is excluded. train_stop is at least a gap before score_start.
    """

    train_start: int
    train_stop: int
    score_start: int
    score_stop: int

    def origins(self, horizon: int, *, apart: int | None = None, most: int | None = None) -> list[int]:
        """The rows at which scored horizons begin, each ending by score_stop.

        horizon: rows of one. apart: rows between two of them; one horizon by default, so that none overlap. most: so
        many of them, spread evenly; all by default.

        >>> Fold(0, 80, 90, 100).origins(2, apart=2), Fold(0, 80, 90, 100).origins(2, most=3)
        ([90, 92, 94, 96, 98], [90, 94, 98])
        """
        _check(horizon=horizon, apart=horizon if apart is None else apart, most=1 if most is None else most)
        found = list(range(self.score_start, self.score_stop - horizon + 1, horizon if apart is None else apart))
        if most is None or len(found) <= most:
            return found
        return [found[round(place * (len(found) - 1) / max(most - 1, 1))] for place in range(most)]


def folds_of(
    rows: int,
    *,
    horizon: int,
    count: int,
    least: int,
    scored: int | None = None,
    gap: int | None = None,
    window: int | None = None,
    step_seconds: float | None = None,
) -> tuple[Fold, ...]:
    """Cut a history of so many rows into folds, oldest first; the scored parts end with the history's last row.

    horizon: rows of a horizon. count: how many folds. least: rows that the first of them trains on at least. scored:
    rows that each of them scores; by default as many horizons as leave `least` rows to train on, up to half of the
    history for all folds. gap: rows between training and scoring; one horizon by default. window: every fold trains on
    so many rows before its gap (a sliding window); by default on all rows before it (an expanding one). step_seconds:
    of a row, for the error's words.

    Raises NotEnoughData, with how many rows are needed, where the history is too short.

    >>> [(fold.train_stop, fold.score_start, fold.score_stop) for fold in folds_of(100, horizon=5, count=2, least=40)]
    [(45, 50, 75), (70, 75, 100)]
    >>> [fold.train_start for fold in folds_of(100, horizon=5, count=2, least=40, window=40)]
    [5, 30]
    """
    _check(horizon=horizon, count=count, least=least, rows=max(rows, 1))
    gap = horizon if gap is None else gap
    if gap < 0:
        raise BadInput(f"A gap of {gap} rows is none: it is 0 or more.")
    if window is not None:
        _check(window=window)
        least = max(least, window)
    if scored is None:
        scored = max(min((rows - least - gap) // count, rows // (2 * count)) // horizon, 1) * horizon
    if scored < horizon:
        raise BadInput(f"A fold that scores {scored} rows holds no horizon of {horizon}.")
    needed = least + gap + count * scored
    if rows < needed:
        raise NotEnoughData(
            f"Not enough history to validate over time: {_folds(count)} of a horizon of "
            f"{_span(horizon, step_seconds)} {'needs' if count == 1 else 'need'} {_span(needed, step_seconds)}, there "
            f"are {_span(max(rows, 0), step_seconds)}.",
            hint="Collect more with: mora collect --history 14d",
        )
    starts = [rows - (count - number) * scored for number in range(count)]
    return tuple(
        Fold(0 if window is None else start - gap - window, start - gap, start, start + scored) for start in starts
    )


def each_origin(folds: tuple[Fold, ...], horizon: int, *, most: int | None = None) -> Iterator[tuple[Fold, int]]:
    """Every scored horizon of every fold, by the row that it begins with. most: of each fold."""
    for fold in folds:
        for row in fold.origins(horizon, most=most):
            yield fold, row


def _check(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise BadInput(f"Folds over time need a {name} of 1 row or more, not {number}.")


def _folds(count: int) -> str:
    return "one fold" if count == 1 else f"{count} folds"


def _span(rows: int, step_seconds: float | None) -> str:
    return f"{rows} rows" if step_seconds is None else format_duration(rows * step_seconds, about=True)
