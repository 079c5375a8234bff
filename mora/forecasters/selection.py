"""Which inputs boosted trees are given: those that help out of fold, over time.

The rows to learn from are cut into folds over time (mora/folds.py). In each, an input that says no more of the target
than it says of the target at other times (mutual information, by bins, against the target rolled in time) is set aside;
trees then learn from the rest, and an input helps where the error of the rows that are scored grows once its values
there are shuffled by blocks of one horizon (permutation importance: Breiman 2001; by blocks, as neighbours are one
witness). An input that helps in fewer than half of the folds is dropped.

Whether dropping is worth anything is measured on what the choice did not see: each fold is forecast with every input,
and with those that the folds before it chose. The choice is taken only where the error with it is not larger; with too
few rows for folds every input stays that changes at all.

Only rows that teach are looked at: neither the rows that say how many trees to grow, nor a later moment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mora.documents import fields, flag, items, mapping, number, one_of, text, whole
from mora.domain.learning import Floats
from mora.errors import NotEnoughData
from mora.folds import folds_of
from mora.forecasters.boosted_parts import MEAN, Part

UNKNOWN, CONSTANT, SILENT, UNHELPFUL = "unknown", "constant", "says nothing", "does not help"
"""Why an input is dropped."""
SHAPE = fields(
    {
        "kept": items(text),
        "dropped": mapping(one_of(UNKNOWN, CONSTANT, SILENT, UNHELPFUL)),
        "folds": whole(),
        "error_before": number(0),
        "error_after": number(0),
        "doubt": number(0),
        "is_used": flag,
    }
)
"""Of Selection.to_dict()."""

Learn = Callable[[Floats, Floats, Floats], Callable[[Floats], Floats]]
"""Table, what is wanted and what each row counts -> what is learnt: table -> the value of each row."""

_FOLDS = 4
# So many of the dropped are named in a line; the card names them all.
_NAMED = 3
# The first fold trains on this share of the rows at least, and on so many.
_LEAST_SHARE, _LEAST_ROWS = 1 / 3, 24
# Of the rows that a fold scores: two horizons, so that some lie whole within.
_LEAST_HORIZONS = 2
_BINS = 8
_ROLLS = 6
_SHUFFLES = 2
# More rows than this cost time and say nothing new: neighbours overlap.
_MOST_ROWS = 700
# Fewer horizons that are judged say nothing of the doubt.
_LEAST_JUDGED = 3


@dataclass(frozen=True, slots=True)
class Selection:
    """What was chosen of the inputs of one target.

    kept: their names. dropped: name -> why. folds: how many there were; none where the rows are too few. error_before,
    error_after: out of fold, with every input and with the chosen ones, as shares of the mean use; 0 without folds.
    doubt: one standard error of their difference. is_used: whether the choice is taken; else only inputs that are
    unknown or constant are dropped, and `dropped` names those alone.
    """

    kept: tuple[str, ...]
    dropped: Mapping[str, str]
    folds: int = 0
    error_before: float = 0.0
    error_after: float = 0.0
    doubt: float = 0.0
    is_used: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, as it is saved and as the card has it."""
        return {
            "kept": list(self.kept),
            "dropped": dict(self.dropped),
            "folds": self.folds,
            "error_before": self.error_before,
            "error_after": self.error_after,
            "doubt": self.doubt,
            "is_used": self.is_used,
        }

    def in_words(self) -> str:
        """What was kept and dropped, and what that does to the error."""
        count = f"{len(self.kept)} of {len(self.kept) + len(self.dropped)} inputs are used"
        if not self.folds:
            return f"{count}{self._without()}; the history is too short to choose among them"
        errors = f"{_percent(self.error_before)} of the mean use with every input, {_percent(self.error_after)} with"
        if not self.is_used:
            return f"{count}{self._without()}; out of fold the error is {errors} those that helped, which is no gain"
        return f"{count}{self._without()}; out of fold the error is {errors} those that help"

    def _without(self) -> str:
        names = sorted(self.dropped, key=lambda name: (self.dropped[name] in (SILENT, UNHELPFUL), name))
        more = f" and {len(names) - _NAMED} others" if len(names) > _NAMED else ""
        return f" (without {', '.join(names[:_NAMED])}{more})" if names else ""


def restore(plain: Mapping[str, Any]) -> Selection:
    """What to_dict() gave; the caller has checked its SHAPE."""
    return Selection(tuple(plain["kept"]), dict(plain["dropped"]), *(plain[name] for name in _REST))


_REST = ("folds", "error_before", "error_after", "doubt", "is_used")


def select(
    part: Part,
    names: Sequence[str],
    horizon_steps: int,
    *,
    anchor_of: Callable[[Part], Floats],
    learn: Learn,
    seed: int,
    is_in_order: bool = True,
) -> tuple[tuple[int, ...], Selection]:
    """The numbers of the inputs that are kept, and the account of the choice.

    part: the rows to learn from, oldest first. names: of its table's columns. anchor_of: rows -> weights of the plain
    forecasts. is_in_order: whether the rows are of one history; else nothing but what is unknown or constant is
    dropped. The same seed gives the same choice.
    """
    alive, dead = _alive(part.table)
    columns = np.array(alive)
    part = part.thinned(min(-(-len(part) // _MOST_ROWS), max(round(horizon_steps / part.apart), 1)))
    dropped = {names[at]: why for at, why in dead.items()}
    width = max(round(horizon_steps / part.apart), 1)
    folds = _folds(part, width, columns, anchor_of, learn) if is_in_order and len(alive) > 1 else []
    if not folds:
        return alive, Selection(tuple(names[at] for at in alive), dropped)
    rng = np.random.default_rng(seed)
    votes = np.zeros((len(folds), len(columns)), dtype=bool)
    speaking = np.zeros_like(votes)
    before: list[float] = []
    after: list[float] = []
    for number_of, fold in enumerate(folds):
        every = fold.learnt(np.full(len(columns), True))
        wrong = fold.errors(every, fold.scored)
        if number_of:
            # What the folds before this one chose has seen nothing of what it scores.
            chosen = _chosen(votes[:number_of])
            less = wrong if chosen.all() else fold.errors(fold.learnt(chosen), fold.scored[:, chosen])
            before += fold.by_horizon(wrong)
            after += fold.by_horizon(less)
        speaking[number_of] = speaks = fold.speaks(rng)
        own = every if speaks.all() else fold.learnt(speaks)
        votes[number_of, speaks] = fold.importance(own, speaks, rng) > 0
    chosen = _chosen(votes)
    differences = np.array(after) - np.array(before)
    if len(differences) < _LEAST_JUDGED:
        return alive, Selection(tuple(names[at] for at in alive), dropped)
    if chosen.all():
        differences = np.zeros_like(differences)
        after = before
    doubt = float(differences.std(ddof=1) / np.sqrt(len(differences)))
    is_used = float(differences.mean()) <= 0
    kept = columns[chosen] if is_used else columns
    quiet = 2 * speaking.sum(axis=0) < len(folds)
    for at, is_quiet in zip(alive, quiet.tolist(), strict=True):
        if at not in kept:
            dropped[names[at]] = SILENT if is_quiet else UNHELPFUL
    told = Selection(
        tuple(names[at] for at in kept),
        dropped,
        len(folds),
        float(np.mean(before)),
        float(np.mean(after)),
        doubt,
        is_used,
    )
    return tuple(kept.tolist()), told


def _alive(table: Floats) -> tuple[tuple[int, ...], dict[int, str]]:
    """The columns that change, and why the others are of no use; where none does, the first is kept."""
    known = ~np.isnan(table)
    low = np.where(known, table, np.inf).min(axis=0, initial=np.inf)
    high = np.where(known, table, -np.inf).max(axis=0, initial=-np.inf)
    changes = high > low
    if not changes.any():
        changes[0] = True
    dead = {int(at): CONSTANT if known[:, at].any() else UNKNOWN for at in np.flatnonzero(~changes)}
    return tuple(np.flatnonzero(changes).tolist()), dead


def _chosen(votes: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What helps in half of the folds at least; everything where nothing does."""
    found: NDArray[np.bool_] = 2 * votes.sum(axis=0) >= len(votes)
    return found if found.any() else np.full(len(found), True)


def _folds(
    part: Part, width: int, columns: NDArray[np.int64], anchor_of: Callable[[Part], Floats], learn: Learn
) -> list[_Fold]:
    """None where the rows are too few. width: rows of a horizon."""
    # A row begins a horizon; the last one ends so many rows after it.
    rows = len(part) + width
    least = max(int(rows * _LEAST_SHARE), _LEAST_ROWS + width)
    scored = max((rows - least - width) // _FOLDS // width, _LEAST_HORIZONS) * width
    try:
        cuts = folds_of(rows, horizon=width, count=_FOLDS, least=least, scored=scored)
    except NotEnoughData:
        return []
    found = []
    for cut in cuts:
        training = part.cut(0, cut.train_stop - width)
        scoring = part.cut(cut.score_start, cut.score_stop - width + 1)
        found.append(_Fold(training, scoring, columns, width, anchor_of(training), learn))
    return found


@dataclass(frozen=True, slots=True)
class _Fold:
    """Rows that train and rows that are scored. columns: the inputs in question. width: rows of a horizon."""

    training: Part
    scoring: Part
    columns: NDArray[np.int64]
    width: int
    anchor: Floats
    learn: Learn

    @property
    def scored(self) -> Floats:
        """The inputs of the rows that are scored."""
        return self.scoring.table[:, self.columns]

    def learnt(self, which: NDArray[np.bool_]) -> Callable[[Floats], Floats]:
        """What the training rows teach by some of the inputs."""
        rows = self.training
        return self.learn(
            rows.table[:, self.columns[which]], rows.wanted(self.anchor, MEAN), rows.worth(self.anchor, MEAN)
        )

    def errors(self, learnt: Callable[[Floats], Floats], given: Floats) -> Floats:
        """How far the forecast of each scored row is from what came. given: shape (..., rows, inputs)."""
        said = learnt(given.reshape(-1, given.shape[-1])).reshape(given.shape[:-1])
        forecast = np.exp(np.clip(self.scoring.plain @ self.anchor + said, -700, 700))
        wrong: Floats = np.abs(forecast - np.exp(self.scoring.means))
        return wrong

    def by_horizon(self, errors: Floats) -> list[float]:
        """The mean of each horizon, as a share of the mean use: neighbours are one witness."""
        use = max(float(np.exp(self.scoring.means).mean()), 1e-300)
        return [float(errors[at : at + self.width].mean()) / use for at in range(0, len(errors), self.width)]

    def speaks(self, rng: np.random.Generator) -> NDArray[np.bool_]:
        """Inputs that say more of the target than of the target rolled in time; all where none does."""
        wanted = _binned(self.training.wanted(self.anchor, MEAN)[:, None])[:, 0]
        inputs = _binned(self.training.table[:, self.columns])
        rolls = rng.integers(self.width, max(len(wanted) - self.width, self.width + 1), _ROLLS)
        own = _information(inputs, wanted)
        found: NDArray[np.bool_] = own > np.mean([_information(inputs, np.roll(wanted, by)) for by in rolls], axis=0)
        return found if found.any() else np.full(len(found), True)

    def importance(
        self, learnt: Callable[[Floats], Floats], which: NDArray[np.bool_], rng: np.random.Generator
    ) -> Floats:
        """How much the mean error grows once each of these inputs is shuffled by blocks of one horizon."""
        given = self.scored[:, which]
        usual = float(self.errors(learnt, given).mean())
        orders = np.stack([_shuffled(len(given), self.width, rng) for _ in range(_SHUFFLES)])
        found = np.zeros(given.shape[1])
        for at in range(given.shape[1]):
            tables = np.repeat(given[None], len(orders), axis=0)
            tables[:, :, at] = given[orders, at]
            found[at] = float(self.errors(learnt, tables).mean()) - usual
        # What is not asked for by any tree changes nothing.
        found[np.abs(found) <= 1e-12 * max(usual, 1e-300)] = 0.0
        return found


def _shuffled(rows: int, width: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Row numbers, in another order of blocks."""
    blocks = -(-rows // width)
    order = rng.permutation(blocks)
    if blocks > 1 and (order == np.arange(blocks)).all():
        order = np.roll(order, 1)
    return np.concatenate([np.arange(at * width, min((at + 1) * width, rows)) for at in order])


def _binned(values: Floats) -> NDArray[np.int64]:
    """The number of the bin of each value, by quantiles of its column; what is not known has a bin of its own."""
    found = np.full(values.shape, _BINS, dtype=np.int64)
    for at in range(values.shape[1]):
        known = ~np.isnan(values[:, at])
        if known.any():
            limits = np.quantile(values[known, at], np.arange(1, _BINS) / _BINS)
            found[known, at] = np.searchsorted(limits, values[known, at], side="left")
    return found


def _information(inputs: NDArray[np.int64], wanted: NDArray[np.int64]) -> Floats:
    """Mutual information of each column of bins with the target's, in nats, shape (columns,).

    Source: Cover & Thomas (2006), "Elements of information theory", section 2.3.
    """
    count, side = inputs.shape[1], _BINS + 1
    cells = (np.arange(count) * side + inputs) * side + wanted[:, None]
    joint = np.bincount(cells.ravel(), minlength=count * side * side).reshape(count, side, side) / len(wanted)
    apart = joint.sum(axis=2, keepdims=True) * joint.sum(axis=1, keepdims=True)
    terms = np.where(joint > 0, joint * np.log(np.where(joint > 0, joint, 1.0) / np.where(apart > 0, apart, 1.0)), 0.0)
    found: Floats = terms.sum(axis=(1, 2))
    return found


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
