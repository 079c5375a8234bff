"""The folders of running sandboxes, by which others find them; only their user can read them.

    <home>/<name>.lock      locked while the sandbox runs or is being cleaned up
    <home>/<name>/          state.json (addresses, token), endpoints.json, logs/, traffic/, prometheus/

The home is $MORA_SANDBOX_HOME, else the user's runtime folder, else a folder of the user in the temporary folder.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import tempfile
import time
from pathlib import Path
from typing import Any

from mora.domain import check_name
from mora.errors import ClusterError

_STATE = "state.json"


def sandbox_home() -> Path:
    """The folder of all sandboxes of this user; created where it does not exist."""
    chosen = os.environ.get("MORA_SANDBOX_HOME")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if chosen:
        home = Path(chosen)
    elif runtime and Path(runtime).is_dir():
        home = Path(runtime) / "mora"
    else:
        home = Path(tempfile.gettempdir()) / f"mora-{os.getuid()}"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = home.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise ClusterError(
            f"{home} is not a folder that belongs to this user.",
            hint="Set MORA_SANDBOX_HOME to a folder that only you can write.",
        )
    return home.resolve()


def sandbox_folder(name: str) -> Path:
    """The folder of the sandbox of that name; BadInput where it cannot be a name."""
    return sandbox_home() / check_name(name, "sandbox name")


def list_sandboxes() -> list[str]:
    """Names of the running sandboxes, sorted."""
    return sorted(path.parent.name for path in sandbox_home().glob(f"*/{_STATE}") if is_locked(path.parent))


def take_lock(folder: Path, patience_seconds: float = 0.0) -> int | None:
    """Lock a sandbox: the descriptor of the lock; None where another process has it."""
    path = _lock_file(folder)
    deadline = time.monotonic() + patience_seconds
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            if time.monotonic() >= deadline:
                return None
            time.sleep(0.05)
            continue
        # The process that had the lock before may have removed the file; then this lock is useless.
        if path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino:
            return descriptor
        os.close(descriptor)


def is_locked(folder: Path) -> bool:
    """Whether a sandbox is running in the folder, or is being cleaned up."""
    descriptor = take_lock(folder)
    if descriptor is None:
        return True
    remove_lock(folder)
    os.close(descriptor)
    return False


def remove_lock(folder: Path) -> None:
    """Remove the lock file of a sandbox; only for the process that has the lock."""
    _lock_file(folder).unlink(missing_ok=True)


def _lock_file(folder: Path) -> Path:
    return folder.with_name(folder.name + ".lock")


def write_private(path: Path, text: str) -> None:
    """Write a file that only its user can read, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def write_state(folder: Path, state: dict[str, Any]) -> None:
    """Write the state of a running sandbox: addresses, process ids and token."""
    write_private(folder / _STATE, json.dumps(state, indent=2) + "\n")


def read_state(folder: Path) -> dict[str, Any] | None:
    """The state of a running sandbox; None where there is none."""
    try:
        state: dict[str, Any] = json.loads((folder / _STATE).read_text())
    except FileNotFoundError:
        return None
    return state
