"""Which new numbers become targets: the change rule (mora/changes) between a recommendation and a VPA's status.

Every pod that the VPA evicts or resizes it changes because a target moved. So a target moves only where the rule says
that the new number is worth it. One that lies below what the history shows to be needed (the lower bound) is raised at
once. What the rule remembers lives as long as the process: after a restart settling times begin anew, and the changes
of the day are counted anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from mora.changes.deciding import Verdict, decide, why_not
from mora.changes.rule import ChangeRule
from mora.changes.state import ChangeState
from mora.domain import ContainerAdvice
from mora.quantities import format_cpu, readable_bytes
from mora.vpa.objects import Vpa
from mora.vpa.status import Estimate, Follow, advice_of

if TYPE_CHECKING:
    from mora.vpa.loop import Log

_Key = tuple[str, str, str, str]


class Following:
    """A change rule over the targets of VPA objects, and what it remembers of each container and resource."""

    def __init__(self, rule: ChangeRule, *, log: Log) -> None:
        self._rule, self._log = rule, log
        self._states: dict[_Key, ChangeState] = {}
        self._reasons: dict[_Key, Verdict] = {}
        self._pending: set[_Key] = set()

    def chooser(self, vpa: Vpa, now: datetime) -> Follow:
        """What becomes of each new number of a VPA: itself, or the target that was written, with bounds around it."""

        def choose(container: ContainerAdvice, resource: str, written: int, found: Estimate) -> Estimate:
            return self._choose(
                (vpa.namespace, vpa.name, container.container, resource), container, written, found, now
            )

        return choose

    def written(self, vpa: Vpa, now: datetime) -> None:
        """The changes that were chosen for a VPA are in its status: they count."""
        for key in [key for key in self._pending if key[:2] == (vpa.namespace, vpa.name)]:
            self._states[key] = self._states[key].changed_at([0], now.timestamp())
            self._pending.discard(key)

    def forget(self, keep: Iterable[Vpa]) -> None:
        """Drop what is remembered of objects that are gone."""
        known = {(vpa.namespace, vpa.name) for vpa in keep}
        for key in [key for key in self._states if key[:2] not in known]:
            del self._states[key]
            self._reasons.pop(key, None)
            self._pending.discard(key)

    def _choose(self, key: _Key, container: ContainerAdvice, written: int, found: Estimate, now: datetime) -> Estimate:
        resource, at = key[-1], now.timestamp()
        decided = decide(
            self._rule,
            [[written]],
            [[found.target]],
            self._states.get(key) or ChangeState.fresh(1),
            at=at,
            least=[[found.lower if found.lower is not None else 0]],
            confidence=[[_or_nan(advice_of(container, resource).confidence)]],
        )
        self._states[key] = decided.state
        verdict = Verdict(int(decided.verdicts[0, 0]))
        self._pending.discard(key)
        if verdict is Verdict.CHANGE:
            self._pending.add(key)
            self._reasons.pop(key, None)
            # Rounded up: a target is a whole number, and half a millicore short is short.
            target = max(found.target, -int(-decided.amounts[0, 0] // 1)) if found.target > written else found.target
            return replace(found, target=target, upper=max(found.upper, target))
        if verdict is not Verdict.SAME and self._reasons.get(key) is not verdict:
            write = (lambda amount: format_cpu(round(amount))) if resource == "cpu" else readable_bytes
            why = why_not(self._rule, decided, 0, 0, now=written, wanted=found.target, at=at, write=write)
            about = dict(zip(("namespace", "vpa", "container", "resource"), key, strict=True))
            self._log("info", "target not changed", **about, why=why)
        self._reasons[key] = verdict
        lower = None if found.lower is None else min(found.lower, written)
        return Estimate(written, lower, max(found.upper, written))


def _or_nan(confidence: float | None) -> float:
    return float("nan") if confidence is None else confidence
