"""One case: the series of an odd cluster and what a right answer holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module

from experiments.odd_clusters.answer import Check, whole
from experiments.odd_clusters.series import Series

Build = Callable[[Series], Sequence[Check]]

KINDS = ("control", "believable", "oom", "pods", "time", "memory", "fit", "odd", "sums", "context")
"""The modules of this package that hold the cases, and what each is about, in the order of a report."""


@dataclass(frozen=True)
class Case:
    """One case. source: the public report it was made after, `owner/repository#number`, or "own".

    days, every: the length of the history, and seconds between scrapes. alone: its Prometheus holds nothing else, for
    what a store says of a whole cluster. has_nodes: whether the node's size is known. has_answer: whether there is
    anything to size. options: of `mora recommend`.
    """

    name: str
    kind: str
    source: str
    story: str
    build: Build
    days: float
    every: int
    alone: bool
    has_nodes: bool
    has_answer: bool
    options: tuple[str, ...]

    @property
    def namespace(self) -> str:
        """The namespace of its own."""
        return self.name.replace("_", "-")

    def series(self, end: int) -> tuple[Series, list[Check]]:
        """Its series up to a moment, and what the answer must hold."""
        series = Series(self.namespace, end, days=self.days, every=self.every)
        checks = [*(whole() if self.has_answer else ()), *self.build(series)]
        if self.has_nodes:
            series.nodes()
        return series, checks


ALL: list[Case] = []


def case(
    source: str,
    *,
    days: float = 7,
    every: int = 60,
    alone: bool = False,
    has_nodes: bool = True,
    has_answer: bool = True,
    options: Sequence[str] = (),
) -> Callable[[Build], Build]:
    """Registers a function as a case; its name names the case, its docstring tells the story."""

    def register(build: Build) -> Build:
        kind = build.__module__.rpartition(".")[2]
        story = " ".join((build.__doc__ or "").split())
        ALL.append(
            Case(build.__name__, kind, source, story, build, days, every, alone, has_nodes, has_answer, tuple(options))
        )
        return build

    return register


def load() -> list[Case]:
    """All cases, by kind."""
    for kind in KINDS:
        import_module(f"experiments.odd_clusters.{kind}")
    return sorted(ALL, key=lambda one: KINDS.index(one.kind))
