"""Writing a plan: into the files of the checkout, or as commits on a branch of their own.

Commits are made of Git's own objects, on a branch that appears when all of them are there: whatever kills this in
between, the branch that was checked out, its files and its index are as before.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mora.errors import BadInput, MoraError
from mora.files import write_files
from mora.repo import git
from mora.repo.changes import Change, Plan
from mora.repo.checkout import Checkout

_MOST_NAMED = 5


def check_clean(checkout: Checkout, *, allow_dirty: bool) -> None:
    """Refuse a checkout with changes that are not committed: they would mix with what is written here."""
    if not checkout.is_git or allow_dirty:
        return
    found = git.uncommitted(checkout.top)
    if found:
        named = ", ".join(found[:_MOST_NAMED]) + (
            f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
        )
        raise BadInput(
            f"{checkout.top} has changes that are not committed: {named}.",
            hint="Nothing was written. Commit or stash them (git stash -u), or use --allow-dirty.",
        )


def check_unchanged(checkout: Checkout, paths: Sequence[str]) -> None:
    """Refuse to write over a file that changed since it was read, or that appeared."""
    for path in paths:
        full = checkout.top / path
        before = checkout.content(path)
        now = full.read_bytes() if full.is_file() and not full.is_symlink() else None
        if now != before or not full.parent.resolve().is_relative_to(checkout.top):
            raise MoraError(
                f"{path} changed while MOrA worked on it.",
                hint="Nothing was written. Run it again, to work on the new one.",
            )


def write(plan: Plan, *, allow_dirty: bool = False) -> list[Path]:
    """Write every file that changes, all of them or none; what was written."""
    texts = plan.texts
    check_clean(plan.checkout, allow_dirty=allow_dirty)
    check_unchanged(plan.checkout, sorted(texts))
    write_files([(plan.checkout.top / path, texts[path]) for path in sorted(texts)])
    return [plan.checkout.top / path for path in sorted(texts)]


def commit(
    plan: Plan,
    branch: str,
    message: Callable[[Sequence[Change]], str],
    *,
    per: str = "workload",
    allow_dirty: bool = False,
) -> list[str]:
    """Make one commit for each workload, or each namespace, on a new branch, and check it out; the commits' ids.

    message: the text of a commit of these changes. Raises BadInput where there is no Git, the branch exists, the
    checkout has other changes, or a file to change has.
    """
    checkout = plan.checkout
    _check_can_commit(plan, branch, allow_dirty=allow_dirty)
    head = git.git(checkout.top, "rev-parse", "--verify", "HEAD").decode().strip()
    tip, made = head, []
    with tempfile.TemporaryDirectory(prefix="mora-index-") as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        git.git(checkout.top, "read-tree", head, more=index)
        for changes in _grouped(plan.changes, per):
            texts = {path: text for change in changes for path, text in change.texts.items()}
            tree = _tree(checkout, texts, index)
            words = message(changes).encode(errors="replace")
            tip = (
                git.git(checkout.top, "commit-tree", *_signing(checkout), tree, "-p", tip, "-F", "-", given=words)
                .decode()
                .strip()
            )
            made.append(tip)
    check_unchanged(checkout, sorted(plan.texts))
    git.git(checkout.top, "update-ref", "-m", "mora: rightsize", f"refs/heads/{branch}", tip, "0" * len(tip))
    try:
        git.git(checkout.top, "switch", "--quiet", branch)
    except MoraError as error:
        raise MoraError(
            f"The branch {branch} has {len(made)} commits, but it cannot be checked out: {error.message}",
            hint=f"Nothing is lost. Look at it: git log -p {branch}",
        ) from error
    return made


def _check_can_commit(plan: Plan, branch: str, *, allow_dirty: bool) -> None:
    checkout = plan.checkout
    if not checkout.is_git:
        raise BadInput(
            f"{checkout.folder} is in no Git checkout, so there is nothing to commit to.", hint="Use --write."
        )
    git.git(checkout.top, "check-ref-format", "--branch", branch)
    if _exists(checkout, branch):
        raise BadInput(f"The branch {branch} exists already.", hint="Name another one: --branch mora/...")
    check_clean(checkout, allow_dirty=allow_dirty)
    dirty = set(git.uncommitted(checkout.top)) & set(plan.texts)
    if dirty:
        raise BadInput(
            f"{', '.join(sorted(dirty))} has changes of your own, which would get into MOrA's commits.",
            hint="Commit or stash them first. --allow-dirty allows changes in other files only.",
        )


def free_branch(checkout: Checkout, name: str) -> str:
    """`name`, or the first of name-2, name-3, ... that is no branch yet."""
    number, branch = 1, name
    while checkout.is_git and _exists(checkout, branch):
        number += 1
        branch = f"{name}-{number}"
    return branch


def _exists(checkout: Checkout, branch: str) -> bool:
    return bool(git.git(checkout.top, "for-each-ref", f"refs/heads/{branch}"))


def _grouped(changes: Sequence[Change], per: str) -> list[list[Change]]:
    if per not in ("workload", "namespace"):
        raise BadInput(f"Commits are made per workload or per namespace, not per {per!r}.")
    groups: dict[object, list[Change]] = {}
    for change in changes:
        groups.setdefault(change.workload if per == "workload" else change.workload.namespace, []).append(change)
    return list(groups.values())


def _tree(checkout: Checkout, texts: Mapping[str, str], index: Mapping[str, str]) -> str:
    """The tree of the index with these files in it."""
    entries = b""
    for path in sorted(texts):
        # --path: a checkout's own rules for line ends and filters count.
        blob = (
            git.git(checkout.top, "hash-object", "-w", f"--path={path}", "--stdin", given=texts[path].encode())
            .decode()
            .strip()
        )
        listed = git.git(checkout.top, "ls-files", "--stage", "-z", "--", f":(literal){path}", more=index)
        mode = listed.split(b" ", 1)[0].decode() if listed else "100644"
        entries += f"{mode} {blob}\t".encode() + os.fsencode(path) + b"\0"
    git.git(checkout.top, "update-index", "-z", "--add", "--index-info", given=entries, more=index)
    return git.git(checkout.top, "write-tree", more=index).decode().strip()


def _signing(checkout: Checkout) -> list[str]:
    wants = git.git(checkout.top, "config", "--type=bool", "--default=false", "--get", "commit.gpgSign").strip()
    return ["-S"] if wants == b"true" else []
