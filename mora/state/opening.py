"""Opens the state in a folder: locked against other writers, of this version, and of the cluster that is asked.

What an older MOrA wrote, or what is damaged, is moved aside and read anew from the metrics source, with a note: a
source that keeps less than the state did cannot give all of it back. What a newer MOrA or another program wrote, and
the state of another cluster, is an error and stays as it is.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mora.errors import MoraError, StateUnusable
from mora.files import open_lock
from mora.quantities import format_duration
from mora.state.store import TABLES, Store

VERSION = 3
"""Of the tables and of what is in them."""
_APPLICATION = 0x4D4F7253  # "MOrS"
FILE, LOCK = "samples.sqlite", "lock"
_PATIENCE_SECONDS = 10.0
_LOOK_EVERY_SECONDS = 0.05
LONGEST_WAIT_SECONDS = 600.0

Say = Callable[[str], None]


@contextmanager
def opened(folder: Path, *, say: Say, wait_seconds: float = LONGEST_WAIT_SECONDS) -> Iterator[Store]:
    """The state in a folder, which is made where it is not there, and which no other process writes meanwhile.

    say: gets what a person must know: that another run is waited for, or that the state begins anew, and why.
    StateUnusable where the folder cannot be used, or where another process still has it after `wait_seconds`.
    """
    with _locked(folder, say, wait_seconds):
        store = _opened(folder / FILE, say)
        try:
            yield store
        finally:
            store.close()


@contextmanager
def _locked(folder: Path, say: Say, wait_seconds: float) -> Iterator[None]:
    # The kernel releases the lock when the process ends, however it ends.
    try:
        descriptor = open_lock(folder / LOCK)
    except MoraError as error:
        raise StateUnusable(error.message, hint=error.hint or "Name another folder: --state DIR") from error
    try:
        until, is_told = time.monotonic() + wait_seconds, False
        while not _is_taken(descriptor):
            owner = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
            if time.monotonic() >= until:
                raise StateUnusable(
                    f"Another run is writing to the state in {folder} (process {owner}).",
                    hint="Wait for it, stop it, or keep another state: --state OTHER_DIR",
                )
            if not is_told:
                say(f"Another run is writing to the state in {folder} (process {owner}): waiting until it is done.")
                is_told = True
            time.sleep(_LOOK_EVERY_SECONDS)
        os.ftruncate(descriptor, 0)
        with contextlib.suppress(OSError):  # on a full disk it is locked as well; only the process id is missing
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _is_taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _opened(path: Path, say: Say) -> Store:
    problem = _problems(path)
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise StateUnusable(
            f"{path} is not a file of its own but a link or a device.", hint="Name another folder: --state"
        )
    try:
        return _connected(path, problem, say)
    except _Unusable as unusable:
        aside = _moved_aside(path)
        say(
            f"The state in {path.parent} {unusable}: it is moved to {aside.name}, and everything is read from the "
            "source again."
        )
        return _connected(path, problem, say)


class _Unusable(Exception):
    """A state that a new one takes the place of; the text says why."""


def _connected(path: Path, problem: Callable[[sqlite3.Error], MoraError], say: Say) -> Store:
    try:
        connection = sqlite3.connect(path, timeout=_PATIENCE_SECONDS, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise problem(error) from error
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA temp_store = MEMORY")
        _check(connection, path)
    except sqlite3.Error as error:
        connection.close()
        if getattr(error, "sqlite_errorname", "").startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            raise _Unusable(f"is damaged ({error})") from error
        raise problem(error) from error
    except BaseException:
        connection.close()
        raise
    return Store(path, connection, problem, say)


def _check(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != _APPLICATION and (application or version or tables):
        raise StateUnusable(
            f"{path} is another program's database, so it stays as it is.", hint="Name another folder: --state DIR"
        )
    if version > VERSION:
        raise StateUnusable(
            f"The state in {path.parent} was written by a newer MOrA (version {version}; this one reads {VERSION}).",
            hint="Update MOrA, or name another folder: --state DIR",
        )
    if version == VERSION:
        for table in ("fact", "workload", "question", "answered", "block", "note", "bound"):
            connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()  # noqa: S608  # the names are ours
        return
    if version:
        raise _Unusable(f"was written by an older MOrA (version {version}; this one writes {VERSION})")
    # Space that ages out is given back; it must be set before the first table.
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("BEGIN IMMEDIATE")
    for statement in TABLES.split(";"):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {_APPLICATION}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _moved_aside(path: Path) -> Path:
    aside = path.with_name(f"{path.name}.aside")
    path.with_name(f"{path.name}-journal").unlink(missing_ok=True)
    path.replace(aside)
    return aside


def _problems(path: Path) -> Callable[[sqlite3.Error], MoraError]:
    cures = {
        "SQLITE_FULL": "Free some space on that disk. What was kept before is still there.",
        "SQLITE_BUSY": "Another process is writing to it: wait until it ends.",
        "SQLITE_READONLY": "It cannot be written to. Name another folder: --state DIR",
        "SQLITE_CANTOPEN": "It cannot be opened, or its folder cannot be written to. Name another: --state DIR",
        "SQLITE_IOERR": "The disk does not answer, or is full. What was kept before is still there.",
    }

    def problem(error: sqlite3.Error) -> MoraError:
        name = getattr(error, "sqlite_errorname", "")
        cure = next((text for code, text in cures.items() if name.startswith(code)), None)
        damaged = f"It is damaged. Delete the folder {path.parent}: the next run reads everything from the source."
        return StateUnusable(f"The state in {path.parent} cannot be used: {error}.", hint=cure or damaged)

    return problem


# --- whose state it is -----------------------------------------------------------------------------------------------

CLUSTER = "cluster"


def check_cluster(store: Store, identity: str, named: str) -> None:
    """Note of which cluster a state is; StateUnusable where it is of another one.

    identity: what tells clusters apart, empty where nothing does. named: how the one that is asked is called.
    """
    known = store.fact(CLUSTER)
    if identity and known not in (None, "", identity):
        raise StateUnusable(
            f"The state in {store.path.parent} is of another cluster than the one behind {named}.",
            hint="Keep a folder a cluster: --state OTHER_DIR",
        )
    if identity and known != identity:
        store.set_fact(CLUSTER, identity)
        store.commit(None)


def check_clock(store: Store, end: float, say: Say) -> None:
    """Tell that the clock is behind that of the last run; what was kept of later stays. end: of the window, seconds."""
    newest = store.newest()
    if newest is not None and newest > end:
        from datetime import timedelta

        behind = format_duration(timedelta(seconds=newest - end))
        say(
            f"The clock is {behind} behind that of the run that wrote the state in {store.path.parent}: "
            "samples from later are kept, and not used."
        )
