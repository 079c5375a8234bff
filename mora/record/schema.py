"""The SQLite file of the record: its tables, its version, and a clear error where it cannot be used.

A rollback journal, not WAL: one file that can lie on any volume, and that a reader opens without writing beside it. A
process that is killed at any moment leaves a file that the next one continues from.
"""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mora.errors import MoraError

VERSION = 1
_APPLICATION = 0x4D4F7241  # "MOrA": another program's file is not written to
# A writer's transaction takes milliseconds; a network volume may take longer.
_PATIENCE_SECONDS = 10.0

_TABLES = """
CREATE TABLE refresh (
    id INTEGER PRIMARY KEY, cluster TEXT NOT NULL, at REAL NOT NULL, seconds REAL NOT NULL, problem TEXT
);
CREATE INDEX refresh_at ON refresh (at);
CREATE TABLE episode (
    id INTEGER PRIMARY KEY,
    cluster TEXT NOT NULL, namespace TEXT NOT NULL, kind TEXT NOT NULL, workload TEXT NOT NULL,
    container TEXT NOT NULL, number TEXT NOT NULL,
    before INTEGER, low INTEGER NOT NULL, high INTEGER NOT NULL, value INTEGER NOT NULL, confidence REAL,
    replicas INTEGER,
    first_at REAL NOT NULL, last_at REAL NOT NULL,
    outcome TEXT NOT NULL, after INTEGER, ended_at REAL,
    follows INTEGER,
    covered INTEGER, samples INTEGER, needed REAL, oom_kills INTEGER, checked_at REAL
);
CREATE UNIQUE INDEX episode_open ON episode (cluster, namespace, kind, workload, container, number)
    WHERE outcome = 'open';
CREATE INDEX episode_ended ON episode (ended_at);
CREATE INDEX episode_of ON episode (namespace, workload);
CREATE TABLE point (
    episode INTEGER NOT NULL REFERENCES episode (id) ON DELETE CASCADE, at REAL NOT NULL, value INTEGER NOT NULL,
    PRIMARY KEY (episode, at)
) WITHOUT ROWID;
CREATE TABLE total (
    cluster TEXT NOT NULL, namespace TEXT NOT NULL, hour INTEGER NOT NULL,
    reserved_cores REAL NOT NULL, reserved_bytes REAL NOT NULL, waste_cores REAL NOT NULL, waste_bytes REAL NOT NULL,
    lack_cores REAL NOT NULL, lack_bytes REAL NOT NULL, workloads INTEGER NOT NULL, unsized INTEGER NOT NULL,
    PRIMARY KEY (hour, cluster, namespace)
) WITHOUT ROWID;
CREATE TABLE answer (cluster TEXT PRIMARY KEY, at REAL NOT NULL, body BLOB NOT NULL);
"""


def open_to_write(path: Path) -> sqlite3.Connection:
    """A connection to the record in a file, which is made where it is not there. MoraError where it cannot be used."""
    _check_regular(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MoraError(f"The folder of {path} cannot be made: {error.strerror}.", hint=_ANOTHER) from error
    with said_clearly(path):
        connection = sqlite3.connect(path, timeout=_PATIENCE_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            # A pod's root file system is read-only: no other folder than the record's can be relied on.
            connection.execute("PRAGMA temp_store = MEMORY")
            if _version(connection, path) == 0:
                _create(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection


def open_to_read(path: Path) -> sqlite3.Connection:
    """A connection that writes nothing; MoraError where there is no record."""
    _check_regular(path)
    if not path.exists():
        raise MoraError(
            f"There is no record of recommendations in {path}.",
            hint="mora serve writes one, and mora serve --once, as a nightly job. Name its file: --record FILE",
        )
    with said_clearly(path):
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=ro",
            uri=True,
            timeout=_PATIENCE_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            _check_filled(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection


def _check_filled(connection: sqlite3.Connection, path: Path) -> None:
    if _version(connection, path) == 0:
        raise MoraError(f"{path} has no record of recommendations yet.", hint="Fill it: mora serve --once")


_ANOTHER = "Name another file: --record FILE"


@contextmanager
def said_clearly(path: Path) -> Iterator[None]:
    """SQLite's errors as a MoraError: which file, why, and what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise problem_of(path, error) from error


def problem_of(path: Path, error: sqlite3.Error) -> MoraError:
    """The MoraError of what SQLite says about a file."""
    name = getattr(error, "sqlite_errorname", "")
    cures = {
        "SQLITE_FULL": "Free some space on that disk. What was recorded before is kept.",
        "SQLITE_BUSY": "Another process is writing to it: wait until it ends, or name another file (--record).",
        "SQLITE_READONLY": f"It cannot be written to. {_ANOTHER}",
        "SQLITE_CANTOPEN": f"It cannot be opened, or its folder cannot be written to. {_ANOTHER}",
        "SQLITE_NOTADB": f"It is another program's file, so it stays as it is. {_ANOTHER}",
        "SQLITE_CORRUPT": "It is damaged. Move it away; a new one is begun without what it had.",
        "SQLITE_IOERR": "The disk does not answer, or is full. What was recorded before is kept.",
    }
    cure = next((text for code, text in cures.items() if name.startswith(code)), None)
    return MoraError(f"The record in {path} cannot be used: {error}.", hint=cure)


def _check_regular(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise MoraError(f"The record in {path} cannot be used: {error.strerror}.", hint=_ANOTHER) from error
    if not stat.S_ISREG(mode):
        raise MoraError(f"The record in {path} cannot be used: it is not a regular file.", hint=_ANOTHER)


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """The version of the tables, 0 where there are none yet; MoraError where another program or a newer MOrA wrote."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != _APPLICATION and (application or version or tables):
        raise MoraError(
            f"The record in {path} cannot be used: it is another program's database, so it stays as it is.",
            hint=_ANOTHER,
        )
    if version > VERSION:
        raise MoraError(
            f"The record in {path} was written by a newer MOrA (version {version}; this one reads up to {VERSION}).",
            hint=f"Update MOrA. {_ANOTHER}",
        )
    return int(version)


def _create(connection: sqlite3.Connection, path: Path) -> None:
    # Space that pruning frees is given back; it must be set before the first table.
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    with transaction(connection):
        # Another process may have made the tables in between.
        if _version(connection, path) == 0:
            for statement in _TABLES.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute(f"PRAGMA user_version = {VERSION}")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All statements or none; writers take turns."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:  # a full disk has rolled back already
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
