"""What a rule is to the replay of many series: plain numbers in, one reservation for each decision out.

A rule is a plain function, registered under `replay_policies`:

    def rule(series: Sequence[Series], resource: Resource, decisions: Decisions) -> list[Floats]

It gets all series at once, complete, so that it may learn from many and work incrementally over time; one that
looks at a single series is written as a `LoneRule`, and can then be replayed series by series. What keeps a rule
honest is its contract (tests/backtest/test_contract.py, by truncation, for every registered name): the number for the
decision at sample k must be the same, bit for bit, whatever any series contains from that moment on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from mora import registry

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Resource = Literal["cpu", "mem"]
RESOURCES: tuple[Resource, ...] = ("cpu", "mem")


@dataclass(frozen=True, slots=True)
class Series:
    """One service's (or VM's) use over time, on a constant grid.

    step_seconds: 10 to 3600. start: epoch seconds of sample 0. cpu: cores. mem: bytes. Shape (n,) where present, NaN
    where a sample is missing; None where the resource was never recorded. Both arrays are of one length.
    """

    id: str
    step_seconds: int
    start: int
    cpu: Floats | None
    mem: Floats | None

    @property
    def sample_count(self) -> int:
        """How many samples the grid has, missing ones included."""
        known = self.cpu if self.cpu is not None else self.mem
        return 0 if known is None else len(known)

    def use(self, resource: Resource) -> Floats | None:
        """The samples of one resource; None where it was never recorded."""
        return self.cpu if resource == "cpu" else self.mem

    def before(self, sample: int) -> Series:
        """The same series as it was known before a sample was taken."""
        return replace(
            self,
            cpu=None if self.cpu is None else self.cpu[:sample],
            mem=None if self.mem is None else self.mem[:sample],
        )


@dataclass(frozen=True, slots=True)
class Decisions:
    """When the replay asks: per series, the index of the first sample of every window.

    The decision for the window that begins at sample k may rest on samples before k, of its own series; and of another
    one only on those taken before the same moment (`start + k * step_seconds`).

    at: one array of rising sample indices per series, in the order of the series; it may be empty. until: the index
        after the last sample of each of those windows.
    with_minimums: whether a rule's own minimums (KRR's 10m and 100 MiB, the VPA's 25m and 250 MiB) and its
        rounding up to whole units apply. Off for series in other units than cores and bytes.
    """

    warmup_seconds: int
    horizon_seconds: int
    at: tuple[Indices, ...]
    until: tuple[Indices, ...]
    with_minimums: bool = True


class ReplayPolicy(Protocol):
    """A rule under its name."""

    @property
    def name(self) -> str:
        """What tables and flags call it."""
        ...

    def reservations(self, series: Sequence[Series], resource: Resource, decisions: Decisions) -> list[Floats]:
        """Per series one array, of one reservation (cores or bytes) per decision.

        Finite and at least 0 wherever the series has a known sample of the resource before the decision; NaN where it
        has none yet (such a window is not scored). A series without the resource gets NaN throughout.
        """


Rule = Callable[[Sequence[Series], Resource, Decisions], list[Floats]]


@dataclass(frozen=True, slots=True)
class LoneRule:
    """A rule that learns nothing from other series: a function of one series, given its own decisions.

    one: (series, resource, at, decisions) -> one reservation for each sample index in `at`. confidence: likewise, the
    chance (0..1) that each covers its window; None where the rule states none.
    """

    one: Callable[[Series, Resource, Indices, Decisions], Floats]
    confidence: Callable[[Series, Resource, Indices, Decisions], Floats] | None = None

    def __call__(self, series: Sequence[Series], resource: Resource, decisions: Decisions) -> list[Floats]:
        """The rule's answers, series by series."""
        return [self.one(single, resource, at, decisions) for single, at in zip(series, decisions.at, strict=True)]


@dataclass(frozen=True, slots=True)
class NamedRule:
    """A plain function as a ReplayPolicy."""

    name: str
    rule: Rule

    @property
    def is_lone(self) -> bool:
        """Whether each series' answer rests on that series alone."""
        return isinstance(self.rule, LoneRule)

    @property
    def states_confidence(self) -> bool:
        """Whether the rule says how sure it is of each number."""
        return isinstance(self.rule, LoneRule) and self.rule.confidence is not None

    def reservations(self, series: Sequence[Series], resource: Resource, decisions: Decisions) -> list[Floats]:
        """What the rule answers."""
        return self.rule(series, resource, decisions)

    def confidence(self, series: Sequence[Series], resource: Resource, decisions: Decisions) -> list[Floats]:
        """How sure the rule is of each number; of rules that state it."""
        assert isinstance(self.rule, LoneRule) and self.rule.confidence is not None  # noqa: S101, PT018  # asked before
        return LoneRule(self.rule.confidence)(series, resource, decisions)


def policy_names() -> list[str]:
    """The registered rules, in the order in which tables list them."""
    return registry.names("replay_policies")


def load_policy(name: str) -> NamedRule:
    """The registered rule of that name; BadInput with the names that exist where there is none."""
    return NamedRule(name, registry.load("replay_policies", name))


def decide(
    series: Sequence[Series],
    *,
    horizon_seconds: int,
    warmup_seconds: int,
    with_minimums: bool = True,
    renew_seconds: int | None = None,
) -> Decisions:
    """A decision after the warm-up and after every renewal from there on, while a whole window fits.

    renew_seconds: from one decision to the next, which ends its window; None: the horizon. Where the step does not
    divide it, a window begins with the first sample at or after its time.

    >>> hourly = Series("a", 3600, 0, np.zeros(100), None)
    >>> decide([hourly], horizon_seconds=86400, warmup_seconds=2 * 86400).at
    (array([48, 72]),)
    """
    edges, every = [], renew_seconds or horizon_seconds
    for one in series:
        count = max(0, (one.sample_count * one.step_seconds - warmup_seconds) // every)
        seconds = warmup_seconds + every * np.arange(count + 1, dtype=np.int64)
        edges.append(-(-seconds // one.step_seconds))
    at, until = tuple(edge[:-1] for edge in edges), tuple(edge[1:] for edge in edges)
    return Decisions(warmup_seconds, horizon_seconds, at, until, with_minimums)
