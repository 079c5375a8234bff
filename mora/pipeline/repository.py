"""Recommendations into a Git checkout: what changes there, as a diff, into the files, or as commits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mora.domain import Recommendation, WorkloadState
from mora.errors import BadInput
from mora.outputs import OutputSettings
from mora.seams import Reporter

if TYPE_CHECKING:
    from mora.repo.changes import Change, Plan
    from mora.repo.checkout import Checkout

PER = ("workload", "namespace")


@dataclass(frozen=True, slots=True)
class Repository:
    """Where to change resources, and what is allowed there.

    folder: a Git checkout, or a folder in one. writes, commits: neither is a dry run. branch: of the commits; None for
    mora/rightsize-DATE.
    """

    folder: Path
    writes: bool = False
    commits: bool = False
    per: str = "workload"
    branch: str | None = None
    in_base: bool = False
    split_anchors: bool = False
    allow_dirty: bool = False

    def open(self) -> Checkout:
        """The checkout. Refuses early what would fail in the end: no folder, no Git, other changes in it."""
        from mora.repo.checkout import Checkout
        from mora.repo.commits import check_clean

        if self.per not in PER:
            raise BadInput(f"--commit-per {self.per!r} is not known.", hint=f"It is {' or '.join(PER)}.")
        checkout = Checkout(self.folder)
        if self.commits and not checkout.is_git:
            raise BadInput(f"{self.folder} is in no Git checkout, so nothing can be committed.", hint="Use --write.")
        if self.writes or self.commits:
            check_clean(checkout, allow_dirty=self.allow_dirty)
        return checkout


@dataclass(frozen=True, slots=True)
class Changed:
    """What was done. diff: of everything that changes. written: files; commits: ids, on `branch`."""

    plan: Plan
    diff: str
    written: tuple[Path, ...] = ()
    commits: tuple[str, ...] = ()
    branch: str | None = None


def change_repository(
    repository: Repository,
    checkout: Checkout,
    recommendations: Sequence[Recommendation],
    states: Sequence[WorkloadState] = (),
    *,
    outputs: OutputSettings | None = None,
    reporter: Reporter | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Changed:
    """Find the places, and print, write or commit the changes. states: what the cluster knows, for its evidence.

    Raises BadInput and MoraError before anything is written, and writes all or nothing.
    """
    from mora.repo import commits
    from mora.repo.changes import plan
    from mora.repo.diff import unified
    from mora.repo.sites import WriteOptions

    allowed = WriteOptions(in_base=repository.in_base, split_anchors=repository.split_anchors)
    found = plan(checkout, recommendations, states, allowed, reporter=reporter)
    changed = Changed(found, unified(checkout, found.texts))
    if not found.changes:
        return changed
    if repository.commits:
        branch = repository.branch or commits.free_branch(checkout, f"mora/rightsize-{now():%Y-%m-%d}")

        def message(group: Sequence[Change]) -> str:
            return commit_message([one.recommendation for one in group], outputs or OutputSettings())

        made = commits.commit(found, branch, message, per=repository.per, allow_dirty=repository.allow_dirty)
        return replace(changed, commits=tuple(made), branch=branch)
    if repository.writes:
        return replace(changed, written=tuple(commits.write(found, allow_dirty=repository.allow_dirty)))
    return changed


def commit_message(recommendations: Sequence[Recommendation], outputs: OutputSettings) -> str:
    """The text of a pull request as that of a commit: its heading is the subject."""
    from mora.outputs.pr_body import render

    # The files change whatever the size of the change, so the message is of all of it.
    text = render(recommendations, replace(outputs, min_change=0.0))
    heading, _, body = text.partition("\n")
    return f"{heading.lstrip('# ')}\n{body}"
