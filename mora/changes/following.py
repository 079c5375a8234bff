"""A change rule over a whole past: what would have been set, when, and how often that would have changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mora.changes.deciding import decide
from mora.changes.rule import ChangeRule
from mora.changes.state import ChangeState, Floats


@dataclass(frozen=True, slots=True)
class Followed:
    """What was set at each decision of n series: amounts (n, d), and where that was a change: is_change (n, d).

    The first number of a series is what it was deployed with: it waits for nothing, and is no change.
    """

    amounts: Floats
    is_change: NDArray[np.bool_]


def follow(
    rule: ChangeRule,
    wanted: Floats,
    moments: Floats,
    *,
    least: Floats | None = None,
    confidence: Floats | None = None,
) -> Followed:
    """Follow the numbers of many series by a rule, each by itself.

    wanted: (n, d) one number a decision, NaN where there is none; least, confidence: as of decide(), or None. moments:
    (d,) rising epoch seconds of the decisions. The number set for a decision rests on those before it and its own.

    >>> follow(ChangeRule(), np.array([[100.0, 110.0, 135.0, 130.0]]), np.arange(4.0)).amounts
    array([[100., 100., 135., 135.]])
    """
    amounts, is_change = np.full(wanted.shape, np.nan), np.zeros(wanted.shape, dtype=np.bool_)
    state = ChangeState.fresh(len(wanted), remembered=rule.changes_per_day or 0)
    now = np.full((len(wanted), 1), np.nan)
    for place, at in enumerate(moments):
        column = slice(place, place + 1)
        decided = decide(
            rule,
            now,
            wanted[:, column],
            state,
            at=float(at),
            least=None if least is None else least[:, column],
            confidence=None if confidence is None else confidence[:, column],
        )
        state, is_new = decided.state, np.isnan(now)
        is_change[:, place] = (decided.is_change & ~is_new)[:, 0]
        if is_change[:, place].any():
            state = state.changed_at(is_change[:, place], float(at))
        now = np.where(is_new, wanted[:, column], decided.amounts)
        amounts[:, column] = now
    return Followed(amounts, is_change)
