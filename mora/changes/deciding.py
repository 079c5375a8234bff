"""The change rule itself: numbers in, verdicts and amounts out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mora.changes.rule import DAY_SECONDS, ChangeRule
from mora.changes.state import ChangeState, Floats, Ints
from mora.quantities import counted, format_duration, format_moment

# Float noise must not make a move of exactly the deadband too small: from 100 to 120 is a raise of 20 %.
_HAIR = 1e-9


class Verdict(IntEnum):
    """What becomes of a new number."""

    UNKNOWN = 0  # there is none
    SAME = 1  # it is what is set
    SMALL = 2  # it differs by less than the deadband
    STARTING = 3  # the container is starting up
    CLOSED = 4  # it is outside the maintenance window
    BACKING_OFF = 5  # a change of this kind had to be undone
    SETTLING = 6  # it has not been wanted for long enough
    ENOUGH = 7  # the container was changed often enough today
    CHANGE = 8


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of the numbers of n containers with k numbers each.

    verdicts: (n, k), of Verdict. amounts: (n, k) what to set; what is set where nothing changes. state: what to
    remember, before any change is made (ChangeState.changed_at). smallest_cuts: (n, k) the share from which on a cut is
    followed: the deadband, and more where confidence is low.
    """

    verdicts: Ints
    amounts: Floats
    state: ChangeState
    smallest_cuts: Floats

    @property
    def is_change(self) -> NDArray[np.bool_]:
        """(n, k): which numbers are to be set."""
        found: NDArray[np.bool_] = self.verdicts == Verdict.CHANGE
        return found


def decide(
    rule: ChangeRule,
    now: ArrayLike,
    wanted: ArrayLike,
    state: ChangeState,
    *,
    at: float,
    age_seconds: ArrayLike | None = None,
    least: ArrayLike | None = None,
    confidence: ArrayLike | None = None,
) -> Decided:
    """What to do about new numbers.

    now, wanted: (n, k) what is set and what is recommended, in one unit; NaN where nothing is. at: epoch seconds; where
    the clock was set back, what was remembered of later moments counts as of now. age_seconds: (n,) since the container
    started; None: none is starting. least: (n, k) what must be set at once: a number set below it is raised whatever
    the deadband, the settling time and the changes of the day. confidence: (n, k), 0..1; NaN or None: 1.
    """
    now, wanted = np.asarray(now, dtype=np.float64), np.asarray(wanted, dtype=np.float64)
    doubt = np.zeros(now.shape) if confidence is None else 1.0 - np.nan_to_num(np.asarray(confidence), nan=1.0)
    usual = np.where(np.isnan(state.usual), now, state.usual)
    state = _seen(rule, replace(state, usual=usual), wanted, at)
    raised = wanted * (1.0 + rule.low_confidence_step * doubt)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.fmax(now, rule.usual_share * usual)
        move = np.where(scale > 0, (wanted - now) / scale, np.where(wanted > 0, np.inf, 0.0))
    is_known, is_unset = ~np.isnan(wanted), np.isnan(now)
    must = is_known & ~is_unset & (now < (-np.inf if least is None else np.asarray(least))) & (move > 0)
    is_raise = is_known & (is_unset | must | ((move > 0) & (move >= rule.deadband_up - _HAIR)))
    # Who gives no deadband follows every number, sure or not.
    smallest_cuts = rule.deadband_down + rule.low_confidence_step * doubt * (rule.deadband_down > 0)
    is_cut = is_known & ~is_unset & (move < 0) & (-move >= smallest_cuts - _HAIR)
    direction = np.where(is_raise, 1, np.where(is_cut, -1, 0)).astype(np.int64)

    state = _wanting(state, direction, wanted, at)
    amounts = np.where(is_raise, raised, state.highest)
    verdicts = np.full(now.shape, int(Verdict.CHANGE), dtype=np.int64)
    settle = np.where(is_cut, rule.settle_down_seconds, np.where(must | is_unset, 0.0, rule.settle_up_seconds))
    # Of several that apply the last one is reported: the plainest comes last.
    verdicts[(_today(rule, state, at)[:, None]) & ~must] = Verdict.ENOUGH
    verdicts[at - state.since < settle - _HAIR] = Verdict.SETTLING
    until = np.minimum(state.blocked_until, at + rule.longest_backoff_seconds)
    verdicts[np.where(is_cut, until[:, :1], until[:, 1:]) > at] = Verdict.BACKING_OFF
    if rule.window is not None and not rule.window.is_open(at):
        verdicts[:] = Verdict.CLOSED
    if age_seconds is not None:
        verdicts[np.asarray(age_seconds) < rule.startup_seconds] = Verdict.STARTING
    verdicts[direction == 0] = Verdict.SMALL
    verdicts[move == 0] = Verdict.SAME
    verdicts[~is_known] = Verdict.UNKNOWN
    return Decided(verdicts, np.where(verdicts == Verdict.CHANGE, amounts, now), state, smallest_cuts)


def _seen(rule: ChangeRule, state: ChangeState, wanted: Floats, at: float) -> ChangeState:
    """The state with new numbers in the usual ones: a mean that fades by the time between them, however irregular."""
    gap = np.maximum(at - state.seen_at, 0.0)[:, None]
    moved = state.usual + (wanted - state.usual) * (1.0 - 0.5 ** (gap / rule.usual_half_life_seconds))
    usual = np.where(np.isnan(moved), np.where(np.isnan(state.usual), wanted, state.usual), moved)
    return replace(state, usual=usual, seen_at=np.where(np.isnan(wanted).all(axis=1), state.seen_at, at))


def _wanting(state: ChangeState, direction: Ints, wanted: Floats, at: float) -> ChangeState:
    """The state with what is wanted now: since when, and the highest of it."""
    goes_on = (direction == state.direction) & (direction != 0)
    since = np.where(goes_on, np.minimum(state.since, at), np.where(direction != 0, at, np.nan))
    highest = np.where(goes_on, np.fmax(state.highest, wanted), np.where(direction != 0, wanted, np.nan))
    return replace(state, direction=direction, since=since, highest=highest)


def _today(rule: ChangeRule, state: ChangeState, at: float) -> NDArray[np.bool_]:
    """(n,): whether a container was changed as often as it may be in the last 24 hours."""
    if rule.changes_per_day is None:
        return np.zeros(len(state.changed), dtype=np.bool_)
    # Of a limit beyond what is remembered, what is remembered is the limit.
    oldest: Floats = np.minimum(state.changed[:, -min(rule.changes_per_day, state.changed.shape[1])], at)
    return oldest > at - DAY_SECONDS


def why_not(
    rule: ChangeRule,
    decided: Decided,
    row: int,
    number: int,
    *,
    now: float,
    wanted: float,
    at: float,
    write: Callable[[float], str],
) -> str:
    """Why a number is not followed, as text; empty where it is, or where there is none.

    now, wanted: as given to decide(). write: an amount for a person.

    >>> state = ChangeState.fresh(1)
    >>> decided = decide(ChangeRule(), [[100.0]], [[110.0]], state, at=0.0)
    >>> why_not(ChangeRule(), decided, 0, 0, now=100, wanted=110, at=0.0, write=lambda amount: f"{amount:.0f}m")
    'stays at 100m: the raise to 110m (10.0%) is deferred; raises below 20% are not worth a change'
    """
    verdict, state = Verdict(int(decided.verdicts[row, number])), decided.state
    if verdict in (Verdict.CHANGE, Verdict.UNKNOWN):
        return ""
    if verdict is Verdict.SAME:
        return f"stays at {write(now)}: that is what is recommended"
    is_cut = wanted < now
    word = "cut" if is_cut else "raise"
    begins = (
        f"stays at {write(now)}: the {word} to {write(wanted)}" if now == now else f"not set to {write(wanted)} yet"
    )
    if verdict is Verdict.SMALL:
        least = float(decided.smallest_cuts[row, number]) if is_cut else rule.deadband_up
        unsure = " at this confidence" if is_cut and least > rule.deadband_down else ""
        usual = float(state.usual[row, number])
        move = f" ({abs(wanted / now - 1):.1%})" if now else ""
        of_usual = rule.usual_share * usual > now
        of = f" of {_times(rule.usual_share)}the usual {write(usual)}" if of_usual else ""
        return f"{begins}{move} is deferred; {word}s below {least:.0%}{of} are not worth a change{unsure}"
    if verdict is Verdict.STARTING:
        about = format_duration(rule.startup_seconds)
        return f"{begins} waits: a container is not changed in its first {about}"
    if verdict is Verdict.CLOSED and rule.window is not None:
        opens = format_moment(rule.window.opens_at(at))
        return f"{begins} waits for the maintenance window ({rule.window.text} UTC), from {opens} on"
    if verdict is Verdict.BACKING_OFF:
        until = min(float(state.blocked_until[row, 0 if is_cut else 1]), at + rule.longest_backoff_seconds)
        times = counted(max(int(state.undone[row]), 1), "change")
        return f"{begins} is blocked until {format_moment(until)}: {times} in a row had to be undone"
    if verdict is Verdict.SETTLING:
        settle = rule.settle_down_seconds if is_cut else rule.settle_up_seconds
        wait = max(0.0, at - float(state.since[row, number]))
        return (
            f"{begins} waits: it has been wanted for {format_duration(wait)}, and is made after "
            f"{format_duration(settle)}"
        )
    times = counted(rule.changes_per_day or 0, "change")
    return f"{begins} waits: the container had {times} in 24h, the most that is allowed"


def _times(share: float) -> str:
    return "" if share == 1 else f"{share:g} times "
