"""What `mora recommend --repo` does with its answer: the diff on stdout, what was found and what not on stderr."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mora.cli.common import on_one_line, progress, say
from mora.columns import printable
from mora.errors import BadInput
from mora.quantities import counted

if TYPE_CHECKING:
    from mora.outputs import OutputSettings
    from mora.pipeline import Advised, Changed, Repository
    from mora.repo.checkout import Checkout

_MOST_SKIPPED = 10


def repository_of(
    folder: Path | None,
    *,
    writes: bool,
    commits: bool,
    per: str | None,
    branch: str | None,
    in_base: bool,
    split_anchors: bool,
    allow_dirty: bool,
    is_dry: bool,
    also: Sequence[str] = (),
) -> Repository | None:
    """The checkout that the flags name; None without --repo. BadInput where they contradict each other.

    also: flags that ask for another output.
    """
    from mora import pipeline

    given = {
        "--write": writes,
        "--commit": commits,
        "--commit-per": per is not None,
        "--branch": branch is not None,
        "--in-base": in_base,
        "--split-anchors": split_anchors,
        "--allow-dirty": allow_dirty,
        "--dry-run": is_dry,
    }
    if folder is None:
        named = [name for name, is_given in given.items() if is_given]
        if named:
            raise BadInput(f"{', '.join(named)} needs a Git checkout.", hint="Name it: --repo DIR")
        return None
    if also:
        raise BadInput(f"--repo prints a diff, and {also[0]} asks for another output.", hint="Give one of them.")
    if is_dry and (writes or commits):
        raise BadInput("--dry-run writes nothing, and --write and --commit do.", hint="Give one of them.")
    if not commits and (per is not None or branch is not None):
        raise BadInput("--commit-per and --branch are about commits.", hint="Add --commit.")
    return pipeline.Repository(
        folder,
        writes=writes,
        commits=commits,
        per=per or "workload",
        branch=branch,
        in_base=in_base,
        split_anchors=split_anchors,
        allow_dirty=allow_dirty,
    )


def change(repository: Repository, checkout: Checkout, advised: Advised, shown: OutputSettings) -> bool:
    """Print the diff and what was done; whether anything changes."""
    from mora import pipeline

    with progress() as reporter:
        done = pipeline.change_repository(
            repository, checkout, advised.recommendations, advised.states, outputs=shown, reporter=reporter
        )
    sys.stdout.write(printable(done.diff) if sys.stdout.isatty() else done.diff)
    sys.stdout.flush()
    _tell(repository, done)
    return bool(done.plan.changes)


def _tell(repository: Repository, done: Changed) -> None:
    from mora.repo.matching import drift

    plan = done.plan
    where = "repository" if plan.checkout.is_git else "folder"
    if not plan.checkout.is_git:
        say(f"{on_one_line(str(plan.checkout.top))} is in no Git checkout: all files below it are searched, and what")
        say("      --write changes there, Git cannot undo. Is it the folder that you mean?")
    for one in plan.changes:
        for placement in one.placements:
            if placement.site is not None:
                why = ", ".join(placement.evidence)
                who = f"{one.workload.namespace}/{one.workload.name} {placement.container.name}"
                say(on_one_line(f"{who}: {placement.site.where}, {placement.site.form}; {why}"))
                if differs := drift(placement):
                    say(on_one_line(f"      the repository differs from the cluster: {differs}"))
    for problem in plan.unchanged:
        who = f"{problem.workload.namespace}/{problem.workload.name}"
        say(on_one_line(f"Not changed: {who}{f' {problem.container}' if problem.container else ''}: {problem.reason}."))
    tell_skipped(plan.checkout)
    files = counted(len(plan.texts), "file")
    workloads = counted(len(plan.changes), "workload")
    if plan.set_already:
        say(f"Set as recommended already: {counted(len(plan.set_already), 'workload')}.")
    if not plan.changes:
        say(f"Nothing to change in this {where}.")
    elif done.commits:
        say(f"{counted(len(done.commits), 'commit')} on the branch {done.branch}: {workloads}, {files}.")
        say(f"      Look at them: git log -p -{len(done.commits)}. Push them: git push -u origin {done.branch}")
    elif done.written:
        say(f"{files} written: {workloads}." + (" Look at it: git diff" if plan.checkout.is_git else ""))
    else:
        how = "Add --write, or --commit for a branch." if plan.checkout.is_git else "Add --write."
        say(f"{workloads} would change, in {files}; nothing was written. {how}")


def tell_skipped(checkout: Checkout) -> None:
    """Note the files that were not read, with the reasons; many of one reason as a number."""
    by_reason: dict[str, list[str]] = {}
    for path, why in sorted(checkout.skipped.items()):
        by_reason.setdefault(why, []).append(path)
    for why, paths in by_reason.items():
        more = f" and {len(paths) - _MOST_SKIPPED} more" if len(paths) > _MOST_SKIPPED else ""
        say(on_one_line(f"Skipped: {', '.join(paths[:_MOST_SKIPPED])}{more}: {why}."))
