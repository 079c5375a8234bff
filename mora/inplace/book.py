"""What the audit log says: the changes that are open, what was kept last, what waits. Pure.

The loop changes nothing here but by an event that it wrote first, so a loop that starts anew knows what the one before
it knew. The events of a change, in their order:

    begun      which workload, what for; no pod was asked for anything yet
    asked      a pod, what it had and what it is to have: written before the request is sent
    refused    the API server's words, where it refused that
    applied    the node has given it to the pod
    stage      canary -> rest -> watch, or undo
    harmed     what the change did, by which it is undone
    put-back   a pod has its earlier resources again; or cannot have them, and why
    ended      kept, undone, refused, dropped (its pods are gone), or stuck (it could not be put back)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from mora import documents
from mora.domain import Resources, Workload
from mora.errors import BadInput
from mora.inplace.journal import Event

_AMOUNTS = tuple(Resources.__dataclass_fields__)
_OF_EVENT: Mapping[str, Mapping[str, documents.Check]] = {
    "begun": {"change": documents.text, "kind": documents.text, "name": documents.text, "why": documents.text},
    "asked": {"change": documents.text, "pod": documents.text, "uid": documents.text},
    "ended": {"change": documents.text, "outcome": documents.text},
}


class Stage(StrEnum):
    """Where a change stands: one pod has it, the others get it, all are watched; or it is undone."""

    CANARY = "canary"
    REST = "rest"
    WATCH = "watch"
    UNDO = "undo"


@dataclass(frozen=True, slots=True)
class PodChange:
    """One pod of a change. before, after: container -> resources. restarts: container -> count when it was asked.

    killed: container -> when it was last OOM-killed before that, by the API server's clock. throttled: container ->
    share of throttled periods then. is_done: whether it is as it is to be: applied, or (in the stage undo) put back,
    or beyond help.
    """

    uid: str
    before: Mapping[str, Resources]
    after: Mapping[str, Resources]
    asked_at: datetime
    restarts: Mapping[str, int] = field(default_factory=dict)
    killed: Mapping[str, datetime] = field(default_factory=dict)
    throttled: Mapping[str, float] = field(default_factory=dict)
    applied_at: datetime | None = None
    is_done: bool = False
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a workload. wanted: container -> resources, before what a single pod allows of it.

    is_join: pods that are new get what the others have already. harm: why it is undone.
    """

    id: str
    workload: Workload
    why: str
    wanted: Mapping[str, Resources]
    begun_at: datetime
    revision: str = ""
    is_join: bool = False
    stage: Stage = Stage.CANARY
    stage_at: datetime | None = None
    pods: Mapping[str, PodChange] = field(default_factory=dict)
    harm: str = ""

    @property
    def since(self) -> datetime:
        """Since when it is in its stage."""
        return self.stage_at or self.begun_at


@dataclass(frozen=True, slots=True)
class Past:
    """A workload's earlier changes. kept: what its pods have by the last one, and of which template they were.

    states: container -> what the change rule remembers of it (mora.changes.ChangeState.document). unchanged: why it
    was skipped at the last look.
    """

    kept: Mapping[str, Resources] = field(default_factory=dict)
    kept_revision: str = ""
    states: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    unchanged: str = ""


@dataclass(slots=True)
class Book:
    """The changes of one namespace. open: by workload. outcomes: how many changes ended how."""

    namespace: str
    identity: str = ""
    open: dict[Workload, Change] = field(default_factory=dict)
    past: dict[Workload, Past] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    last_at: datetime | None = None

    @classmethod
    def of(cls, namespace: str, events: Iterable[Event]) -> Book:
        """What a log says. BadInput where an event lacks what it must have."""
        book = cls(namespace)
        for event in events:
            book.note(event)
        return book

    def note(self, event: Event) -> None:
        """Take one event in, which is in the log already."""
        try:
            self._note(event)
        except (KeyError, TypeError, ValueError, documents.Misfit) as error:
            raise BadInput(
                f"The audit log has an event that cannot be: {event.get('event')} of {event.get('at')}: {error}.",
                hint="Was it edited? Move its folder away to begin a new one; open changes then stay as they are.",
            ) from error

    def history(self, workload: Workload) -> Past:
        """A workload's earlier changes; empty where there are none."""
        return self.past.get(workload, Past())

    def remember(self, workload: Workload, states: Mapping[str, Mapping[str, Any]]) -> None:
        """Since when a container wants what: of use to the change rule alone, and begun anew with the process."""
        self.past[workload] = replace(self.history(workload), states=states)

    def _note(self, event: Event) -> None:
        kind, at = str(event["event"]), datetime.fromisoformat(event["at"])
        documents.check(dict(event), documents.fields(_OF_EVENT.get(kind, {})))
        self.last_at = at if self.last_at is None else max(self.last_at, at)
        if kind == "opened":
            self.identity = str(event["identity"])
        elif kind == "unchanged":
            workload = self._workload(event)
            self.past[workload] = replace(self.history(workload), unchanged=str(event["why"]))
        elif kind == "begun":
            self._begin(event, at)
        elif "change" in event and (change := self._change(str(event["change"]))) is not None:
            self._go_on(change, kind, event, at)

    def _begin(self, event: Event, at: datetime) -> None:
        workload = self._workload(event)
        self.open[workload] = Change(
            id=event["change"],
            workload=workload,
            why=event["why"],
            wanted=read_amounts(event.get("wanted", {})),
            begun_at=at,
            revision=str(event.get("revision") or ""),
            is_join=bool(event.get("join")),
        )
        self._remember(workload, event, unchanged="")

    def _go_on(self, change: Change, kind: str, event: Event, at: datetime) -> None:
        name = str(event.get("pod") or "")
        pod = change.pods.get(name)
        if kind == "asked":
            found = PodChange(
                uid=event["uid"],
                before=read_amounts(event["before"]),
                after=read_amounts(event["after"]),
                asked_at=at,
                restarts={n: int(count) for n, count in (event.get("restarts") or {}).items()},
                killed={n: datetime.fromisoformat(when) for n, when in (event.get("killed") or {}).items()},
                throttled={n: float(share) for n, share in (event.get("throttled") or {}).items()},
            )
            change = replace(change, pods={**change.pods, name: found})
        elif kind == "stage":
            pods = change.pods
            if event["stage"] == Stage.UNDO:
                pods = {n: replace(one, is_done=False) for n, one in pods.items()}
            change = replace(change, stage=Stage(event["stage"]), stage_at=at, pods=pods)
        elif kind == "harmed":
            change = replace(change, harm=str(event["why"]))
        elif kind == "ended":
            self._end(change, event, at)
            return
        elif pod is not None:
            if kind == "applied":
                pod = replace(pod, is_done=True, applied_at=at)
            elif kind in ("put-back", "refused", "gone"):
                pod = replace(pod, is_done=True, refusal=str(event.get("why") or ""))
            change = replace(change, pods={**change.pods, name: pod})
        self.open[change.workload] = change

    def _end(self, change: Change, event: Event, at: datetime) -> None:
        del self.open[change.workload]
        outcome = str(event["outcome"])
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        kept = {"kept": change.wanted, "kept_revision": change.revision} if outcome == "kept" else {}
        self._remember(change.workload, event, **kept)

    def _remember(self, workload: Workload, event: Event, **about: Any) -> None:
        """Note what the change rule remembers of a workload after an event, where it says so."""
        if "states" in event:
            states = event["states"]
            documents.check(states, documents.mapping(documents.fields({})))
            about["states"] = states
        self.past[workload] = replace(self.history(workload), **about)

    def _workload(self, event: Event) -> Workload:
        return Workload(self.namespace, str(event["name"]), str(event["kind"]))

    def _change(self, change_id: str) -> Change | None:
        return next((one for one in self.open.values() if one.id == change_id), None)


def write_amounts(resources: Mapping[str, Resources]) -> dict[str, dict[str, int]]:
    """Container -> resources, as the log has them: amounts that are not set are left out."""
    return {
        name: {amount: value for amount, value in asdict(one).items() if value is not None}
        for name, one in resources.items()
    }


def read_amounts(written: Mapping[str, Any]) -> dict[str, Resources]:
    """write_amounts() back. Misfit where it is none of its."""
    amounts = documents.fields(dict.fromkeys(_AMOUNTS, documents.whole(1, 2**60)), needed=(), only=True)
    documents.check(written, documents.mapping(amounts))
    return {name: Resources(**one) for name, one in written.items()}
