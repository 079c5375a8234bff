"""Running cases: their series in a real Prometheus, `mora` beside it, and the verdicts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from experiments.odd_clusters.answer import Answer, Check, Run
from experiments.odd_clusters.case import KINDS, Case
from experiments.odd_clusters.series import write
from tests.sources.rig import serve


@dataclass(frozen=True)
class Verdict:
    """A case and what is wrong about the answer to it: nothing, where MOrA is right."""

    case: Case
    wrong: tuple[str, ...]


@dataclass(frozen=True)
class Posed:
    """A case whose series are in a Prometheus."""

    case: Case
    checks: Sequence[Check]
    url: str

    def answer(self, run: Run) -> Answer:
        """MOrA's answer, nothing asked yet."""
        return Answer(self.case.namespace, ("--prometheus", self.url, "--no-kubernetes", *self.case.options), run)

    def judge(self, run: Run) -> Verdict:
        """Every check of the case, asked of one answer."""
        answer = self.answer(run)
        found = ((check.text, check.wrong(answer)) for check in self.checks)
        return Verdict(self.case, tuple(f"{text}: {wrong}" for text, wrong in found if wrong is not None))


@contextmanager
def posed(cases: Sequence[Case], folder: Path) -> Iterator[list[Posed]]:
    """The cases in one Prometheus whose history ends now."""
    end = int(time.time())
    made = [(case, *case.series(end)) for case in cases]
    tsdb = folder / "tsdb"
    tsdb.mkdir(parents=True)
    write((series for _, series, _ in made), tsdb)
    with serve(tsdb) as url:
        yield [Posed(case, checks, url) for case, _, checks in made]


def together(cases: Sequence[Case]) -> list[list[Case]]:
    """The cases that can share a Prometheus: of one kind, so that none is asked minutes after its history ended."""
    shared = [[case for case in cases if case.kind == kind and not case.alone] for kind in KINDS]
    return [some for some in (*shared, *([case] for case in cases if case.alone)) if some]


def judge_all(
    cases: Sequence[Case], folder: Path, run: Run, *, done: Callable[[Verdict], None] = lambda verdict: None
) -> list[Verdict]:
    """All verdicts. done: told of each."""
    verdicts = []
    for number, some in enumerate(together(cases)):
        with posed(some, folder / str(number)) as inputs:
            for one in inputs:
                verdicts.append(one.judge(run))
                done(verdicts[-1])
    return verdicts
