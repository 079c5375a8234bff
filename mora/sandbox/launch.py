"""`python -m mora.sandbox.launch PARENT NICE GROUPS -- PROGRAM ...` becomes PROGRAM, prepared as the sandbox's child.

It makes the kernel kill it when its parent ends (prctl(PR_SET_PDEATHSIG) survives exec), joins its cgroups before the
program allocates memory, sets its priority, and starts a session, so that Ctrl-C in the terminal reaches only the
supervisor.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
STAY = b"+"
"""What the starter of a sandbox writes to its pipe when the sandbox is to outlive it."""


def command(program: Sequence[str], *, nice: int, process_files: Sequence[Path] = ()) -> list[str]:
    """The command line that starts a program as a child of this process."""
    files = os.pathsep.join(str(path) for path in process_files)
    return [*python_command("mora.sandbox.launch"), str(os.getpid()), str(nice), files, "--", *program]


def python_command(module: str) -> list[str]:
    """Python with only the standard library and MOrA: without site-packages it starts in a third of the time."""
    return [sys.executable, "-S", "-E", "-m", module]


def package_root() -> Path:
    """The folder of the package `mora`; children start there, so that they find it."""
    return Path(__file__).resolve().parents[2]


def main(arguments: list[str]) -> None:
    """Prepare this process and become the program."""
    parent, nice, files, separator, *program = arguments
    assert separator == "--"  # noqa: S101  (command() wrote it)
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    # The parent may have ended before the call above.
    if os.getppid() != int(parent):
        sys.exit(1)
    for file in filter(None, files.split(os.pathsep)):
        Path(file).write_text("0")
    os.setsid()
    os.nice(int(nice))
    os.execv(program[0], program)  # noqa: S606  (no shell is meant)


if __name__ == "__main__":
    main(sys.argv[1:])
