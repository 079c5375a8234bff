"""What a change rule must remember of each container from one pass to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mora.changes.rule import ChangeRule
from mora.errors import BadInput

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rows = Sequence[int] | Ints | NDArray[np.bool_]

# Moments of changes that are remembered: enough for any limit a day that is one.
MOST_REMEMBERED = 96


@dataclass(frozen=True, slots=True)
class ChangeState:
    """Of n containers with k numbers each (CPU and memory, say); moments are epoch seconds.

    changed: (n, m) the latest changes, oldest first, -inf where there were fewer. direction: (n, k) 1 where a raise is
    wanted now, -1 where a cut is, 0 where neither. since: (n, k) from when on without a break; NaN where neither.
    highest: (n, k) the highest number wanted in that time. usual: (n, k) the fading mean of all numbers; NaN before the
    first. seen_at: (n,) when the last one came. undone: (n,) changes undone in a row. blocked_until: (n, 2) until when
    cuts, and raises, wait; -inf where they do not.
    """

    changed: Floats
    direction: Ints
    since: Floats
    highest: Floats
    usual: Floats
    seen_at: Floats
    undone: Ints
    blocked_until: Floats

    @classmethod
    def fresh(cls, containers: int, numbers: int = 1, *, remembered: int = MOST_REMEMBERED) -> ChangeState:
        """Of containers of which nothing is known. remembered: m, at least the rule's changes a day."""
        return cls(
            np.full((containers, remembered), -np.inf),
            np.zeros((containers, numbers), dtype=np.int64),
            np.full((containers, numbers), np.nan),
            np.full((containers, numbers), np.nan),
            np.full((containers, numbers), np.nan),
            np.full(containers, np.nan),
            np.zeros(containers, dtype=np.int64),
            np.full((containers, 2), -np.inf),
        )

    def changed_at(self, rows: Rows, at: float) -> ChangeState:
        """The state after containers were changed at a moment. What was wanted begins anew."""
        changed, direction = self.changed.copy(), self.direction.copy()
        since, highest = self.since.copy(), self.highest.copy()
        if changed.shape[1]:
            changed[rows] = np.concatenate([changed[rows][:, 1:], np.full((len(changed[rows]), 1), at)], axis=1)
        direction[rows], since[rows], highest[rows] = 0, np.nan, np.nan
        return replace(self, changed=changed, direction=direction, since=since, highest=highest)

    def undone_at(self, rows: Rows, at: float, rule: ChangeRule, *, direction: int | None = None) -> ChangeState:
        """The state after changes had to be undone: further ones wait, twice as long every time in a row.

        direction: -1 where cuts are to wait, 1 where raises are (one that was refused, say); None: both.
        """
        undone, blocked_until = self.undone.copy(), self.blocked_until.copy()
        undone[rows] += 1
        until = at + np.array([rule.backoff(int(count)) for count in undone[rows]])
        for column in (0, 1) if direction is None else ((0,) if direction < 0 else (1,)):
            blocked_until[rows, column] = np.maximum(blocked_until[rows, column], until)
        return replace(self, undone=undone, blocked_until=blocked_until)

    def proven(self, rows: Rows) -> ChangeState:
        """The state after a change stood its trial: the next back-off is as long as the first."""
        undone = self.undone.copy()
        undone[rows] = 0
        return replace(self, undone=undone)

    def document(self, row: int) -> dict[str, Any]:
        """One container's state as JSON; read() takes it back.

        >>> document = ChangeState.fresh(1).changed_at([0], 60.0).document(0)
        >>> document["changed"], document["undone"], document["blocked_until"]
        ([60.0], 0, [None, None])
        """
        wanted = [
            [int(way), float(since), float(highest)] if way else None
            for way, since, highest in zip(self.direction[row], self.since[row], self.highest[row], strict=True)
        ]
        return {
            "changed": [float(moment) for moment in self.changed[row] if np.isfinite(moment)],
            "wanted": wanted,
            "usual": [_or_none(amount) for amount in self.usual[row]],
            "seen_at": _or_none(self.seen_at[row]),
            "undone": int(self.undone[row]),
            "blocked_until": [_or_none(moment) for moment in self.blocked_until[row]],
        }

    @classmethod
    def read(cls, documents: Sequence[Mapping[str, Any] | None], numbers: int = 1) -> ChangeState:
        """The state of containers from their documents; None where nothing is known of one.

        Raises BadInput where a document is none of ours.
        """
        state = cls.fresh(len(documents), numbers)
        for row, document in enumerate(documents):
            if document is None:
                continue
            try:
                _fill(state, row, document, numbers)
            except (KeyError, TypeError, ValueError, OverflowError) as wrong:
                raise BadInput(
                    f"What was remembered of a container's changes cannot be read: {type(wrong).__name__}: {wrong}.",
                    hint="It is of another version, or was edited.",
                ) from wrong
        return state


def _fill(state: ChangeState, row: int, document: Mapping[str, Any], numbers: int) -> None:
    moments = np.sort(_finite(document["changed"]))[-MOST_REMEMBERED:]
    if len(moments):
        state.changed[row, -len(moments) :] = moments
    for name in ("wanted", "usual"):
        if len(document[name]) != numbers:
            raise ValueError(f"{name}: {len(document[name])} numbers, not {numbers}")
    state.usual[row] = [np.nan if amount is None else _finite([amount])[0] for amount in document["usual"]]
    if document["seen_at"] is not None:
        state.seen_at[row] = _finite([document["seen_at"]])[0]
    for number, wanted in enumerate(document["wanted"]):
        if wanted is not None:
            way, since, highest = _finite(wanted)
            if way not in (-1, 1):
                raise ValueError(f"the direction {way:g}")
            state.direction[row, number], state.since[row, number] = int(way), since
            state.highest[row, number] = highest
    undone = document["undone"]
    if isinstance(undone, bool) or not isinstance(undone, int) or undone < 0:
        raise ValueError(f"undone {undone!r}")
    state.undone[row] = undone
    cuts, raises = document["blocked_until"]
    state.blocked_until[row] = [-np.inf if moment is None else _finite([moment])[0] for moment in (cuts, raises)]


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _finite(values: Sequence[Any]) -> Floats:
    if any(isinstance(value, (bool, str)) for value in values):
        raise ValueError(f"{values!r} are not numbers")
    found = np.asarray(values, dtype=np.float64).reshape(-1)
    if not np.isfinite(found).all():
        raise ValueError(f"{values!r} are not finite")
    return found
