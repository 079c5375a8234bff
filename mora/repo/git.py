"""Git, as the user has it: what is tracked, what is not committed, and new commits without touching what is there."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from mora.errors import MoraError, ToolMissing

# A file system monitor is a program that a checkout's own configuration may name; nothing here needs one.
_GIT = ("git", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false")
_LONGEST_SECONDS = 120.0


def git(
    folder: Path,
    *arguments: str,
    given: bytes | None = None,
    more: Mapping[str, str] | None = None,
    ok: Sequence[int] = (0,),
) -> bytes:
    """What a git command prints. given: its input. more: of its environment. ok: exit codes that are no failure.

    Raises MoraError with git's own words, ToolMissing where there is no git.
    """
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", **(more or {})}
    try:
        done = subprocess.run(
            [*_GIT, "-C", str(folder), *arguments],
            input=b"" if given is None else given,
            capture_output=True,
            env=environment,
            timeout=_LONGEST_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise ToolMissing("The program 'git' is not installed.", hint="Install the Debian package 'git'.") from error
    except subprocess.TimeoutExpired as error:
        raise MoraError(
            f"git {arguments[0]} did not end within {_LONGEST_SECONDS:.0f} s.",
            hint="Is another git waiting for a lock?",
        ) from error
    if done.returncode not in ok:
        words = " ".join(done.stderr.decode(errors="replace").split())
        raise MoraError(f"git {arguments[0]} failed in {folder}: {words or f'exit code {done.returncode}'}.")
    return done.stdout


def top_of(folder: Path) -> Path | None:
    """The top folder of the checkout that a folder is in; None where it is in none."""
    try:
        found = git(folder, "rev-parse", "--show-toplevel")
    except MoraError:
        return None
    return Path(os.fsdecode(found.rstrip(b"\n"))).resolve()


def names(listed: bytes) -> list[str]:
    """Paths of an answer that ends each with a zero byte."""
    return [os.fsdecode(name) for name in listed.split(b"\0") if name]


def known_files(top: Path) -> list[str]:
    """Every file that is tracked, or that is new and not ignored; sorted, once each."""
    return sorted(set(names(git(top, "ls-files", "-z", "--cached", "--others", "--exclude-standard"))))


def uncommitted(top: Path) -> list[str]:
    """Paths with changes that are not committed, new files included; sorted."""
    found: list[str] = []
    parts = iter(git(top, "status", "--porcelain=v1", "-z", "--untracked-files=all").split(b"\0"))
    for part in parts:
        if len(part) > 3:
            found.append(os.fsdecode(part[3:]))
            if part[:1] in (b"R", b"C"):
                found.append(os.fsdecode(next(parts, b"")))
    return sorted({name for name in found if name})
