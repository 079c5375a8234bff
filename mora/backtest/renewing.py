"""Numbers that are renewed often and followed only where they moved: the change rule (mora/changes) in the replay.

Every policy's numbers are followed by the same rule, so that policies are compared at one pace. Memory that is set
below the highest use of the last seven days is raised whatever the deadband: memory that is not there kills.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mora.backtest.policy import Decisions, Floats, Indices, Resource, Series
from mora.bounds.levels import sliding_max
from mora.changes.following import follow
from mora.changes.rule import FOLLOW_ALL, ChangeRule

_WEEK_SECONDS = 7 * 86_400


@dataclass(frozen=True, slots=True)
class Renewal:
    """How often numbers are renewed, and what becomes of them.

    every_seconds: from one number to the next; None: the horizon. rule: when a new number is followed. change_price:
    what a change costs, in seconds of the mean use of the series that is changed.
    """

    every_seconds: int | None = None
    rule: ChangeRule = FOLLOW_ALL
    change_price_seconds: float = 0.0

    @property
    def is_plain(self) -> bool:
        """Whether every number is followed, once a horizon, and changes cost nothing."""
        return self == PLAIN


PLAIN = Renewal()


def followed(
    series: Sequence[Series],
    resource: Resource,
    decisions: Decisions,
    wanted: Sequence[Floats],
    rule: ChangeRule,
    *,
    confidence: Sequence[Floats] | None = None,
) -> tuple[list[Floats], list[int]]:
    """What a rule sets of each series' numbers, one for each decision, and how often it changes that.

    wanted: one array per series, of one number per decision; confidence: of each number, 0..1; None: all are sure.
    """
    if rule == FOLLOW_ALL:
        return list(wanted), [int((np.abs(np.diff(one)) > 0).sum()) for one in wanted]
    amounts, changes = [np.empty(0)] * len(wanted), [0] * len(wanted)
    for numbers in _together(series, decisions, rule):
        longest = max(len(wanted[number]) for number in numbers)
        laid, least, sure = np.full((3, len(numbers), longest), np.nan)
        for row, number in enumerate(numbers):
            count = len(wanted[number])
            laid[row, :count] = wanted[number]
            least[row, :count] = _least(series[number], resource, decisions.at[number])
            if confidence is not None:
                sure[row, :count] = confidence[number]
        found = follow(rule, laid, _moments(series, decisions, numbers, longest), least=least, confidence=sure)
        for row, number in enumerate(numbers):
            count = len(wanted[number])
            amounts[number] = found.amounts[row, :count]
            changes[number] = int(found.is_change[row, :count].sum())
    return amounts, changes


def _together(series: Sequence[Series], decisions: Decisions, rule: ChangeRule) -> list[list[int]]:
    """Numbers of series that can be followed at once: all of them, unless the rule looks at the clock."""
    groups: dict[int, list[int]] = defaultdict(list)
    for number, at in enumerate(decisions.at):
        if len(at):
            one = series[number]
            groups[0 if rule.window is None else one.start + int(at[0]) * one.step_seconds].append(number)
    return list(groups.values())


def _moments(series: Sequence[Series], decisions: Decisions, numbers: Sequence[int], count: int) -> Floats:
    """When the decisions of some series were made; of several that begin at other times, as if all began with one."""
    longest = max(numbers, key=lambda number: len(decisions.at[number]))
    one, at = series[longest], decisions.at[longest]
    return np.asarray(one.start + at[:count] * float(one.step_seconds), dtype=np.float64)


def _least(one: Series, resource: Resource, at: Indices) -> Floats:
    """The highest memory of the seven days before each decision; nothing for CPU, of which too little is only slow."""
    use = one.use(resource)
    if resource == "cpu" or use is None:
        return np.full(len(at), -np.inf)
    known = np.where(np.isnan(use), -np.inf, use)
    highest = sliding_max(known[:, None], max(1, _WEEK_SECONDS // one.step_seconds))[:, 0]
    return np.asarray(highest[at], dtype=np.float64)
