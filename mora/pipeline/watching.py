"""One pass of `mora watch`: recommend anew, and find which numbers moved so far that they are worth a change.

A number is compared with what is set, or with what was printed last where that has not been set yet: each change is
printed once. When a move is worth a change, the rule of mora/changes decides. What was printed is kept beside samples.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mora.changes.deciding import decide, why_not
from mora.changes.rule import ChangeRule
from mora.changes.state import ChangeState
from mora.domain import Advice, ContainerAdvice, Recommendation, Target, Workload
from mora.errors import BadInput
from mora.pipeline.recommending import Request, recommend_workloads
from mora.quantities import KIB, MIB, counted, format_cpu, format_memory
from mora.seams import Reporter

if TYPE_CHECKING:
    from mora.settings import Settings
    from mora.state.store import Store

Floats = np.ndarray[Any, np.dtype[np.float64]]

_TOLD = "told "
_WRITE: Mapping[Target, Callable[[float], str]] = {
    Target.CPU: lambda amount: format_cpu(round(amount)),
    Target.MEMORY: lambda amount: format_memory(_readable(round(amount))),
}
_TARGETS = (Target.CPU, Target.MEMORY)
_UNITS = np.array([1.0, MIB])


@dataclass(frozen=True, slots=True)
class Number:
    """A request of a container: what it was, what it should be, and why it is printed or not.

    before: what is set, or what was printed last; None where nothing is set. why: of a number that stays, the reason.
    """

    workload: Workload
    container: str
    target: Target
    before: int | None
    after: int
    confidence: float | None
    why: str

    @property
    def share(self) -> float | None:
        """By which share it moved; None where nothing was set."""
        return self.after / self.before - 1.0 if self.before else None

    def written(self, amount: int | None) -> str:
        """An amount as Kubernetes writes it."""
        return "none" if amount is None else _WRITE[self.target](amount)


@dataclass(frozen=True, slots=True)
class Renewed:
    """What one pass found. at: unix seconds. without: the workloads without any number, and why."""

    at: float
    seconds: float
    workloads: int
    changes: tuple[Number, ...]
    stays: tuple[Number, ...]
    without: tuple[tuple[Workload, str], ...]


def renew(
    request: Request,
    settings: Settings,
    rule: ChangeRule,
    *,
    tell: Callable[[Renewed], None] = lambda found: None,
    say: Callable[[str], None] = lambda words: None,
    reporter: Reporter | None = None,
) -> Renewed:
    """Recommend all that is asked for, reading what is new since the last pass, and tell apart what is worth a change.

    tell: prints what was found. It is noted as printed afterwards: a process that is killed in between prints it again,
    rather than never. Raises as recommend_workloads(), or as tell() does; nothing is noted then, and the next pass
    tells what this one would have.
    """
    from mora.state.opening import opened

    if settings.state_dir is None:
        raise BadInput("Where is the state to be kept?", hint="Name a folder: --state DIR")
    began = time.monotonic()
    # The rule decides how far and how often; step limits are for those who roll a template out again and again.
    folder, policy = settings.state_dir, replace(settings.policy, allow_any_step=True, min_change=0.0)
    settings = replace(settings, policy=policy)
    advised = recommend_workloads(request, settings, say=say, reporter=reporter)
    at = time.time()
    without = tuple(
        (one.workload, "; ".join(dict.fromkeys(why.text for why in one.reasons)) or "there is too little data")
        for one in advised.recommendations
        if not any(_is_known(container) for container in one.containers)
    )
    with opened(folder, say=say) as store:
        changes, stays = _decided(advised.recommendations, rule, store, at, say)
        seconds = time.monotonic() - began
        found = Renewed(at, seconds, len(advised.recommendations), tuple(changes), tuple(stays), without)
        tell(found)
        store.commit(None)
    return found


def _is_known(container: ContainerAdvice) -> bool:
    return container.cpu_request.value is not None or container.memory_request.value is not None


def _decided(
    advice: Sequence[Recommendation], rule: ChangeRule, store: Store, at: float, say: Callable[[str], None]
) -> tuple[list[Number], list[Number]]:
    """The numbers that are worth a change, and those that are not; what is printed is noted in the store."""
    rows = [(one.workload, container) for one in advice for container in one.containers if _is_known(container)]
    if not rows:
        return [], []
    told = _told(store, {workload for workload, _ in rows}, say)
    notes = [told.get((workload, container.container)) for workload, container in rows]
    numbers = [(container.cpu_request, container.memory_request) for _, container in rows]
    now = np.array(
        [[_base(of, note, place) for place, of in enumerate(row)] for row, note in zip(numbers, notes, strict=True)]
    )
    wanted = np.array([[_number(of.value) for of in row] for row in numbers])
    state = ChangeState.read([None if note is None else note["rule"] for note in notes], len(_TARGETS))
    decided = decide(
        rule,
        now,
        wanted,
        state,
        at=at,
        least=np.array([[-np.inf, container.least_memory_bytes] for _, container in rows]),
        confidence=np.array([[_number(of.confidence) for of in row] for row in numbers]),
    )
    # A change is to an amount that people write: whole MiB, as what is recommended is.
    amounts = np.where(decided.is_change, np.ceil(np.round(decided.amounts / _UNITS, 6)) * _UNITS, decided.amounts)
    after = decided.state.changed_at(np.flatnonzero(decided.is_change.any(axis=1)), at)
    changes: list[Number] = []
    stays: list[Number] = []
    for row, (workload, container) in enumerate(rows):
        for place, target in enumerate(_TARGETS):
            of = numbers[row][place]
            if of.value is None:
                continue
            before = None if np.isnan(now[row, place]) else int(now[row, place])
            is_change = bool(decided.is_change[row, place])
            why = why_not(
                rule,
                decided,
                row,
                place,
                now=float(now[row, place]),
                wanted=float(wanted[row, place]),
                at=at,
                write=_WRITE[target],
            )
            value = round(float(amounts[row, place])) if is_change else of.value
            one = Number(workload, container.container, target, before, value, of.confidence, why or of.summary)
            (changes if is_change else stays).append(one)
        store.note(
            workload,
            _TOLD + container.container,
            at,
            _note(numbers[row], now[row], amounts[row], after.document(row)),
        )
    return changes, stays


def _readable(amount: int) -> int:
    """Bytes as a person set them (500M, 1Gi), exactly; what is a mean of such, to whole MiB."""
    return round(amount / MIB) * MIB if amount % 1000 and amount % KIB and amount >= MIB else amount


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)


# --- what was printed ------------------------------------------------------------------------------------------------

_Note = dict[Literal["set", "told", "rule"], Any]


def _base(advice: Advice, note: _Note | None, place: int) -> float:
    """What a number is compared with: what was printed, as long as what is set is what it was then."""
    if note is None or note["set"][place] != advice.now or note["told"][place] is None:
        return _number(advice.now)
    return _number(note["told"][place])


def _note(numbers: Sequence[Advice], now: Floats, amounts: Floats, rule: Mapping[str, Any]) -> str:
    known = [None if np.isnan(amount) else round(float(amount)) for amount in np.where(np.isnan(amounts), now, amounts)]
    return json.dumps({"set": [of.now for of in numbers], "told": known, "rule": rule})


def _told(store: Store, workloads: set[Workload], say: Callable[[str], None]) -> dict[tuple[Workload, str], _Note]:
    """What was printed of each container; what cannot be read is as if nothing had been."""
    found: dict[tuple[Workload, str], _Note] = {}
    unread = 0
    for workload, notes in store.notes(workloads, _TOLD).items():
        for container, text in notes.items():
            note = _read(text)
            if note is None:
                unread += 1
                continue
            found[workload, container] = note
    if unread:
        say(
            f"What was printed of {counted(unread, 'container')} cannot be read: another version wrote it. "
            "It is printed anew."
        )
    return found


def _read(text: str) -> _Note | None:
    try:
        note: _Note = json.loads(text)
        ChangeState.read([note["rule"]], len(_TARGETS))
        is_whole = len(note["set"]) == len(note["told"]) == len(_TARGETS)
    except (ValueError, KeyError, TypeError, BadInput):
        return None
    return note if is_whole else None
