"""Boosted trees on the table of a history: the mean of the coming horizon at once, and a quantile of its steps.

Two sets of trees a target correct the anchor (tabular.py): one the logarithm of the horizon's mean, with absolute
errors; one the level that 95 % of its steps stay below, with the quantile objective. How many trees, and which share of
their correction, the checking part says: where they have learnt nothing that came true, the anchor is the forecast.

What was grown is kept as arrays and read with numpy (mora/trees.py); beside them stands the library's own plain form,
for those who explain a forecast by it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mora.documents import Misfit, check, fields, items, mapping, number, one_of, pair, text, whole
from mora.domain import Reason, Target
from mora.domain.learning import Contributions, Experiments, Floats, HorizonGrid, Knob, Level, Past, Place, Saved
from mora.errors import NotEnoughData
from mora.features import HIGH_QUANTILE, TARGET_COLUMNS, TARGETS
from mora.forecasters import boosted_inputs, selection, tabular
from mora.forecasters.boosted_parts import (
    HIGH,
    MEAN,
    MOST_CHECKS,
    MOST_ROWS,
    Part,
    joined_parts,
    part_of,
    pinball,
    surely_best,
)
from mora.forecasters.places import Lesson, lessons_of, row_of
from mora.forecasters.selection import Selection, select
from mora.metrics import SCALE_FREE_COLUMNS
from mora.quantities import format_duration
from mora.seams import Reporter
from mora.trees import Trees

Rows = NDArray[np.int64]

_LEAST_ROWS, _LEAST_CHECKS = 12, 6
# Enough to tell which inputs are asked for.
_CHOOSING_TREES = 40
_CHOOSING_RATE = 0.1
# Where no part is set apart for checking, the last rows are.
_CHECKED_SHARE = 0.2
# Every mixture of the plain forecasts in tenths; the first is the mean of the last horizon alone.
_MIXTURES = tuple(
    np.array([10 - sum(tenths), *tenths]) / 10
    for tenths in itertools.product(range(11), repeat=len(tabular.ANCHORS) - 1)
    if sum(tenths) <= 10
)
# So many horizons of checks count half.
_DOUBT_HORIZONS = 2.0
_SHARES = tuple(tenth / 10 for tenth in range(11))
_TARGET = one_of(*(target.value for target in TARGETS))
_ONE_FIELDS = {
    "columns": items(text, least=1),
    "features": items(whole()),
    "idle": mapping(number(0)),
    "anchor": items(number(0, 1)),
    "steps": whole(1),
    "offsets": fields({MEAN: number(), HIGH: number()}),
    "shares": fields({MEAN: number(0, 1), HIGH: number(0, 1)}),
}
# Models of before were given every input.
_ONE = fields({**_ONE_FIELDS, "selection": selection.SHAPE}, needed=tuple(_ONE_FIELDS))
_DOCUMENT = fields({"targets": mapping(_ONE, _TARGET), "reasons": items(pair(text, text))})


@dataclass(frozen=True, slots=True)
class BoostedSettings:
    """How trees are grown. trees: the most of them. least_rows: in a leaf, as a share of the rows.

    select: whether inputs that do not help are dropped (selection.py).
    """

    trees: int = 200
    depth: int = 3
    learning_rate: float = 0.05
    least_rows: float = 0.02
    rows_drawn: float = 0.7
    features_drawn: float = 0.5
    ridge: float = 1.0
    select: bool = True


KNOBS = MappingProxyType(
    {
        "trees": Knob(50, 500, is_log=True, is_whole=True),
        "depth": Knob(1, 6, is_whole=True),
        "learning_rate": Knob(0.01, 0.3, is_log=True),
        "least_rows": Knob(0.005, 0.1, is_log=True),
        "rows_drawn": Knob(0.4, 1.0),
        "features_drawn": Knob(0.2, 1.0),
        "ridge": Knob(0.1, 20.0, is_log=True),
    }
)
"""What `mora train --tune` searches of BoostedSettings."""


@dataclass(frozen=True, slots=True)
class Grown:
    """Trees as arrays, and the same in the library's own plain form (UTF-8 text or UBJSON)."""

    trees: Trees
    raw: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Growth:
    """Trees that are asked for: they forecast a quantile of `wanted`, one value a row of the table.

    worth: how much each row counts. checks: a table, what is wanted of it, and what each row counts. count: of trees;
    with `checks`, at most, and as many as err least there.
    """

    table: Floats
    wanted: Floats
    worth: Floats
    checks: tuple[Floats, Floats, Floats] | None
    quantile: float
    count: int
    settings: BoostedSettings
    seed: int


Grow = Callable[[Growth], Grown]
"""Grows trees with one library."""


@dataclass(frozen=True, slots=True)
class OneTarget:
    """What was learnt of one target.

    columns: of the grid, that are looked at. features: numbers of those that the trees were given, in the order of
    tabular.names(). idle: column -> what is added to it. anchor: weights of the plain forecasts. offsets and shares:
    for the mean and the high level, what is added to the trees' sum, and which share of it counts. selection: why those
    features.
    """

    columns: tuple[str, ...]
    features: tuple[int, ...]
    idle: Mapping[str, float]
    anchor: tuple[float, ...]
    steps: int
    offsets: Mapping[str, float]
    shares: Mapping[str, float]
    grown: Mapping[str, Grown]
    selection: Selection | None = None

    def can_forecast(self, grid: HorizonGrid, row: int) -> bool:
        """Whether a grid has its columns and its horizon, and one horizon lies before the row."""
        return grid.steps == self.steps and row >= grid.steps and all(name in grid.means for name in self.columns)

    def inputs(self, grid: HorizonGrid, rows: Rows, column: str) -> tuple[Floats, Floats]:
        """What the trees are given, shape (rows, features), and the logarithm of the anchor, shape (rows,)."""
        given = tabular.table(grid, rows, self.columns, column, self.idle)[:, list(self.features)]
        return given, tabular.anchors(grid, rows, column, self.idle[column]) @ np.array(self.anchor)

    def names(self, column: str) -> tuple[str, ...]:
        """The names of what the trees are given."""
        every = tabular.names(self.columns, column)
        return tuple(every[number] for number in self.features)

    def at(self, grid: HorizonGrid, rows: Rows, column: str) -> list[Level]:
        """Mean and high level of the horizons that begin with the rows; each must have can_forecast()."""
        given, anchor = self.inputs(grid, rows, column)
        found = {}
        for name, grown in self.grown.items():
            change = self.offsets[name] + self.shares[name] * grown.trees.sums(given)
            found[name] = np.maximum(np.exp(np.clip(anchor + change, -700, 700)) - self.idle[column], 0.0)
        return list(zip(found[MEAN].tolist(), np.maximum(found[HIGH], found[MEAN]).tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class FittedBoosted:
    """The trees of each target."""

    targets: Mapping[Target, OneTarget]
    reasons: tuple[Reason, ...] = ()

    def levels(self, places: Sequence[Place]) -> list[Mapping[Target, Level]]:
        """Mean and high level at each row, and after each window, that one horizon lies before; nothing of a load."""
        found: list[dict[Target, Level]] = [{} for _ in places]
        rows = [(number, at) for number, at in enumerate(map(row_of, places)) if at is not None]
        for grid in {id(at.grid): at.grid for _, at in rows}.values():
            for target, one in self.targets.items():
                own = [(n, at.row) for n, at in rows if at.grid is grid and one.can_forecast(grid, at.row)]
                if own:
                    levels = one.at(grid, np.array([row for _, row in own]), TARGET_COLUMNS[target])
                    for (place, _), level in zip(own, levels, strict=True):
                        found[place][target] = level
        return list(found)

    @property
    def selections(self) -> dict[Target, Selection]:
        """What was chosen of the inputs, for the card."""
        return {target: one.selection for target, one in self.targets.items() if one.selection is not None}

    def contributions(
        self, grid: HorizonGrid, rows: Sequence[int], background: Sequence[int], *, seed: int
    ) -> dict[Target, Contributions]:
        """SHAP values of the trees and of the anchor, exactly."""
        own, others = (np.asarray(some, dtype=np.int64) for some in (rows, background))
        found = {}
        for target, one in self.targets.items():
            column = TARGET_COLUMNS[target]
            if not one.can_forecast(grid, int(min(own.min(), others.min()))):
                continue
            means = [np.array([mean for mean, _ in one.at(grid, some, column)]) for some in (own, others)]
            found[target] = boosted_inputs.contributions(
                grid,
                own,
                others,
                column=column,
                columns=one.columns,
                names=one.names(column),
                given=(one.inputs(grid, own, column)[0], one.inputs(grid, others, column)[0]),
                trees=one.grown[MEAN].trees,
                share=one.shares[MEAN],
                offset=one.offsets[MEAN],
                anchor=one.anchor,
                idle=one.idle[column],
                forecasts=(means[0], means[1]),
            )
        return found

    def save(self) -> Saved:
        """A document of numbers, the trees as arrays, and the library's own form of them as bytes."""
        targets: dict[str, Any] = {}
        arrays: dict[str, NDArray[Any]] = {}
        for target, one in self.targets.items():
            targets[target.value] = {
                "columns": list(one.columns),
                "features": list(one.features),
                "idle": dict(one.idle),
                "anchor": list(one.anchor),
                "steps": one.steps,
                "offsets": dict(one.offsets),
                "shares": dict(one.shares),
            }
            if one.selection is not None:
                targets[target.value]["selection"] = one.selection.to_dict()
            for name, grown in one.grown.items():
                arrays |= grown.trees.arrays(f"{target.value}.{name}.")
                arrays[f"{target.value}.{name}.raw"] = np.frombuffer(grown.raw, dtype=np.uint8)
        return Saved({"targets": targets, "reasons": [[reason.code, reason.text] for reason in self.reasons]}, arrays)


def restore(saved: Saved) -> FittedBoosted:
    """What FittedBoosted.save() gave; Misfit or BadModel where it did not give that. No library is needed."""
    plain = saved.document
    check(plain, _DOCUMENT)
    targets = {}
    for name, one in plain["targets"].items():
        column, columns = TARGET_COLUMNS[Target(name)], tuple(one["columns"])
        known = len(tabular.names(columns, column))
        is_whole = {column, *columns} <= one["idle"].keys() and len(one["anchor"]) == len(tabular.ANCHORS)
        if not is_whole or not all(number < known for number in one["features"]):
            raise Misfit(f"targets.{name} does not fit together")
        grown = {
            what: Grown(
                Trees.restore(saved.arrays, features=len(one["features"]), prefix=f"{name}.{what}."),
                np.asarray(saved.arrays.get(f"{name}.{what}.raw", ()), dtype=np.uint8).tobytes(),
            )
            for what in (MEAN, HIGH)
        }
        targets[Target(name)] = OneTarget(
            columns,
            tuple(one["features"]),
            one["idle"],
            tuple(one["anchor"]),
            one["steps"],
            one["offsets"],
            one["shares"],
            grown,
            selection.restore(one["selection"]) if "selection" in one else None,
        )
    return FittedBoosted(targets, tuple(Reason(code, words) for code, words in plain["reasons"]))


def fit(
    data: Experiments | Past, grow: Grow, settings: BoostedSettings, *, title: str, seed: int, reporter: Reporter
) -> FittedBoosted:
    """Learn every target of the data. Raises NotEnoughData where one has fewer than twelve horizons to learn from."""
    found = {}
    for done, target in enumerate(data.targets):
        reporter.advance(title, done, len(data.targets), target.value)
        lessons = lessons_of(data, target)
        found[target] = _fit_target(lessons, TARGET_COLUMNS[target], grow, settings, f"{title} of {target.value}", seed)
    reporter.advance(title, len(data.targets), len(data.targets))
    reasons = []
    if isinstance(data, Past) and settings.select:
        ahead = format_duration(data.grid.horizon_seconds)
        for target, one in found.items():
            if one.selection is not None:
                words = f"{target.value} over the next {ahead}: {title}: {one.selection.in_words()}"
                reasons.append(Reason("inputs-selected", words))
    return FittedBoosted(found, tuple(reasons))


def _fit_target(
    lessons: Sequence[Lesson], column: str, grow: Grow, settings: BoostedSettings, subject: str, seed: int
) -> OneTarget:
    columns = tuple(
        name
        for name in dict.fromkeys((column, *SCALE_FREE_COLUMNS))
        if lessons and all(name in lesson.grid.means for lesson in lessons)
    )
    idle = {name: _idle(lessons, name) for name in columns}
    training = joined_parts([part_of(one, columns, column, idle, is_check=False) for one in lessons], MOST_ROWS)
    checking = joined_parts([part_of(one, columns, column, idle, is_check=True) for one in lessons], MOST_CHECKS)
    is_own = training is not None and checking is None
    if is_own and training is not None:
        steps = lessons[0].grid.steps if len(lessons) == 1 else 0
        cut = len(training) - max(int(len(training) * _CHECKED_SHARE), 1)
        # A gap of one horizon: what is learned from does not reach into what is checked on.
        training, checking, whole_part = training.cut(0, cut - steps), training.cut(cut, len(training)), training
    have = [0 if part is None else len(part) for part in (training, checking)]
    if training is None or checking is None or have[0] < _LEAST_ROWS or have[1] < _LEAST_CHECKS:
        raise NotEnoughData(
            f"{subject} needs {_LEAST_ROWS} horizons to learn from and {_LEAST_CHECKS} to check on; "
            f"there are {have[0]} and {have[1]}."
        )
    steps = lessons[0].grid.steps
    anchor = _anchor(training, steps)
    blocks = max(len(checking) * checking.apart / steps, 0.0)
    features, told = _selected(
        training, tabular.names(columns, column), steps, grow, settings, seed, is_in_order=len(lessons) == 1
    )
    offsets, shares, grown = {}, {}, {}
    for what, quantile in ((MEAN, 0.5), (HIGH, HIGH_QUANTILE)):
        wanted = training.wanted(anchor, what)
        offset = float(np.quantile(wanted, quantile)) if what == HIGH else 0.0
        tables = [part.given(what)[:, list(features)] for part in (training, checking)]
        aims = checking.wanted(anchor, what) - offset
        checks = (tables[1], aims, checking.worth(anchor, what))
        worth = training.worth(anchor, what)
        asked = Growth(tables[0], wanted - offset, worth, checks, quantile, settings.trees, settings, seed)
        made = grow(asked)
        said, worth = made.trees.sums(tables[1]), checks[2]
        lost = np.stack([pinball(aims - one * said, quantile, worth) for one in _SHARES])
        share = _SHARES[surely_best(lost, steps, checking.apart) if what == MEAN else int(lost.mean(axis=1).argmin())]
        # What came true on two horizons may have been luck.
        share = round(share * blocks / (blocks + _DOUBT_HORIZONS), 3)
        if is_own and share > 0:
            wanted = whole_part.wanted(anchor, what)
            offset = float(np.quantile(wanted, quantile)) if what == HIGH else 0.0
            table = whole_part.given(what)[:, list(features)]
            worth = whole_part.worth(anchor, what)
            made = grow(Growth(table, wanted - offset, worth, None, quantile, len(made.trees.roots), settings, seed))
        offsets[what], shares[what], grown[what] = offset, share, made
    return OneTarget(columns, features, idle, tuple(anchor.tolist()), steps, offsets, shares, grown, told)


def _selected(
    part: Part,
    names: Sequence[str],
    steps: int,
    grow: Grow,
    settings: BoostedSettings,
    seed: int,
    *,
    is_in_order: bool,
) -> tuple[tuple[int, ...], Selection]:
    """The inputs that the trees are given; rows that say how many trees to grow take no part in the choice."""
    quick = replace(settings, learning_rate=max(settings.learning_rate, _CHOOSING_RATE))

    def learn(table: Floats, wanted: Floats, worth: Floats) -> Callable[[Floats], Floats]:
        return grow(Growth(table, wanted, worth, None, 0.5, _CHOOSING_TREES, quick, seed)).trees.sums

    def anchor_of(rows: Part) -> Floats:
        return _anchor(rows, steps)

    options: dict[str, Any] = {"seed": seed, "is_in_order": is_in_order and settings.select}
    return select(part, names, steps, anchor_of=anchor_of, learn=learn, **options)


def _anchor(part: Part, steps: int) -> Floats:
    """The weights of the plain forecasts, in tenths, with the smallest absolute error of the use itself.

    Of its logarithm another mixture may err least: one idle hour then counts as much as a busy one. The mean of the
    last horizon stands where no mixture is surely better.
    """
    truth = np.exp(part.means)
    errors = np.stack([np.abs(np.exp(part.plain @ weights) - truth) for weights in _MIXTURES])
    return _MIXTURES[surely_best(errors, steps, part.apart)]


def _idle(lessons: Sequence[Lesson], column: str) -> float:
    known = [lesson.grid.filled[column][: lesson.fit_until] for lesson in lessons]
    return tabular.idle_of(np.concatenate(known))
