"""The change rule (mora/changes) for the containers of one workload: which of their new numbers are followed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np

from mora.changes.deciding import Decided, Verdict, decide, why_not
from mora.changes.rule import ChangeRule
from mora.changes.state import ChangeState
from mora.domain import Resources
from mora.inplace.fit import Wanted
from mora.quantities import format_cpu, format_memory

States = Mapping[str, Mapping[str, Any]]
_NUMBERS = (
    ("CPU request", "cpu_request_millicores", lambda amount: format_cpu(round(amount))),
    ("memory request", "memory_request_bytes", lambda amount: format_memory(round(amount))),
)


def followed(
    rule: ChangeRule, wanted: Mapping[str, Wanted], states: States, *, now: datetime, age_seconds: float | None
) -> tuple[dict[str, Resources], dict[str, str], dict[str, Mapping[str, Any]]]:
    """What the rule lets through, container -> resources; why the rest is not, container -> words; and its new state.

    A container whose memory limit alone differs follows its memory request.
    """
    names = sorted(wanted)
    state = _state(states, names)
    have, then = (np.array([_amounts(getattr(wanted[name], side)) for name in names]) for side in ("now", "then"))
    sure = np.array([[np.nan if c is None else c for c in wanted[name].confidence] for name in names])
    at = now.timestamp()
    ages = None if age_seconds is None else np.full(len(names), age_seconds)
    least = np.array([[0.0, wanted[name].least_memory_bytes] for name in names])
    decided = decide(rule, have, then, state, at=at, age_seconds=ages, least=least, confidence=sure)
    amounts: dict[str, Resources] = {}
    reasons: dict[str, str] = {}
    for row, name in enumerate(names):
        one = wanted[name]
        resources = one.now
        if decided.verdicts[row, 0] == Verdict.CHANGE:
            resources = replace(resources, cpu_request_millicores=round(float(decided.amounts[row, 0])))
        if decided.verdicts[row, 1] == Verdict.CHANGE:
            request = round(float(decided.amounts[row, 1]))
            limit = one.then.memory_limit_bytes
            limit = limit if limit is None else max(limit, request)
            resources = replace(resources, memory_request_bytes=request, memory_limit_bytes=limit)
        if resources != one.now:
            amounts[name] = resources
        else:
            reasons[name] = _why(rule, decided, row, have[row], then[row], at) or "; ".join(one.notes)
    return amounts, reasons, {name: decided.state.document(row) for row, name in enumerate(names)}


def is_open(rule: ChangeRule, states: States, names: Iterable[str], now: datetime, *, cuts: bool) -> bool:
    """Whether pods may get now what others have: by the maintenance window, and by what had to be undone before."""
    at = now.timestamp()
    until = _state(states, sorted(names)).blocked_until[:, 0 if cuts else 1]
    is_blocked = bool((np.minimum(until, at + rule.longest_backoff_seconds) > at).any())
    return not is_blocked and (rule.window is None or rule.window.is_open(at))


def changed(states: States, names: list[str], at: datetime) -> dict[str, Mapping[str, Any]]:
    """The state after containers were changed: it counts for the changes of the day."""
    return _with(states, names, lambda state: state.changed_at(range(len(names)), at.timestamp()))


def undone(
    states: States, names: list[str], at: datetime, rule: ChangeRule, direction: int | None
) -> dict[str, Mapping[str, Any]]:
    """The state after a change had to be undone: the next ones in that direction wait, longer every time."""
    return _with(
        states, names, lambda state: state.undone_at(range(len(names)), at.timestamp(), rule, direction=direction)
    )


def proven(states: States, names: list[str]) -> dict[str, Mapping[str, Any]]:
    """The state after a change was watched and kept."""
    return _with(states, names, lambda state: state.proven(range(len(names))))


def direction_of(before: Mapping[str, Resources], after: Mapping[str, Resources]) -> int | None:
    """-1 where a change cuts any number, 1 where it only raises some; None where it does neither."""
    moves = [
        (new or 0) - (old or 0)
        for name in after
        for old, new in zip(_fields(before.get(name, Resources())), _fields(after[name]), strict=True)
    ]
    if any(move < 0 for move in moves):
        return -1
    return 1 if any(move > 0 for move in moves) else None


def _with(states: States, names: list[str], change: Any) -> dict[str, Mapping[str, Any]]:
    state: ChangeState = change(_state(states, names))
    return {**states, **{name: state.document(row) for row, name in enumerate(names)}}


def _state(states: States, names: list[str]) -> ChangeState:
    return ChangeState.read([states.get(name) for name in names], numbers=2)


def _fields(resources: Resources) -> tuple[int | None, ...]:
    return (
        resources.cpu_request_millicores,
        resources.cpu_limit_millicores,
        resources.memory_request_bytes,
        resources.memory_limit_bytes,
    )


def _amounts(resources: Resources) -> list[float]:
    """CPU and memory requests; NaN where none is set, since a resize that adds one could not be taken back."""
    return [
        np.nan if amount is None else float(amount)
        for amount in (resources.cpu_request_millicores, resources.memory_request_bytes)
    ]


def _why(rule: ChangeRule, decided: Decided, row: int, have: Any, then: Any, at: float) -> str:
    words = []
    for number, (word, _, write) in enumerate(_NUMBERS):
        if decided.verdicts[row, number] in (Verdict.SAME, Verdict.UNKNOWN):
            continue
        said = why_not(rule, decided, row, number, now=have[number], wanted=then[number], at=at, write=write)
        if said:
            words.append(f"{word} {said}")
    return "; ".join(words)
