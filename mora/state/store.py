"""The SQLite file of a state folder: which questions were asked of which pods over which time, and the answers.

Answers lie in blocks of some rows, so that a renewal rewrites the newest block and not two weeks. Everything of a batch
of workloads is written in one transaction: a process that is killed leaves the state of the batches before it.

One file, longer than most: every table has its reading and its writing here.
"""

from __future__ import annotations

import json
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from mora.domain import BoundSeries, KeptBound, Target, Workload
from mora.errors import MoraError
from mora.state.blocks import Samples, decode, encode, joined

_Item = TypeVar("_Item")

# Rows of a block: a day of five minutes, twelve of hours.
BLOCK = 288
_MOST_IN_A_QUERY = 500
_TARGETS = {one.value for one in Target}

TABLES = """
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE workload (
    id INTEGER PRIMARY KEY, namespace TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
    UNIQUE (namespace, kind, name)
);
CREATE TABLE question (id INTEGER PRIMARY KEY, step REAL NOT NULL, text TEXT NOT NULL, UNIQUE (step, text));
CREATE TABLE answered (
    workload INTEGER NOT NULL REFERENCES workload (id) ON DELETE CASCADE, question INTEGER NOT NULL,
    since INTEGER NOT NULL, until INTEGER NOT NULL, pods TEXT NOT NULL,
    PRIMARY KEY (workload, question)
);
CREATE TABLE block (
    workload INTEGER NOT NULL REFERENCES workload (id) ON DELETE CASCADE, question INTEGER NOT NULL,
    number INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (workload, question, number)
);
CREATE TABLE note (
    workload INTEGER NOT NULL REFERENCES workload (id) ON DELETE CASCADE, name TEXT NOT NULL, at REAL NOT NULL,
    body TEXT NOT NULL, PRIMARY KEY (workload, name)
);
CREATE TABLE bound (
    workload INTEGER NOT NULL REFERENCES workload (id) ON DELETE CASCADE, container TEXT NOT NULL, target TEXT NOT NULL,
    place INTEGER NOT NULL, step REAL NOT NULL, horizon REAL NOT NULL, since REAL NOT NULL, at REAL NOT NULL,
    until REAL NOT NULL, body BLOB NOT NULL, PRIMARY KEY (workload, step, horizon, container, target, place)
);
"""


@dataclass(frozen=True, slots=True)
class Answered:
    """What is kept of the answers to one question about one workload.

    since, until: the rows over which it was asked, both included. pods: the names that it was asked of, each with the
    newest row that it has a sample of; 0 where it has none.
    """

    since: int
    until: int
    pods: Mapping[str, int]
    series: Mapping[tuple[tuple[str, str], ...], Samples] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Question:
    """A question about any workload: how it is asked without naming one, and the step of its rows in seconds."""

    text: str
    step: float


class Store:
    """The open file; methods may be called from any thread. MoraError where the disk is full or the file is damaged."""

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        problem: Callable[[sqlite3.Error], MoraError],
        say: Callable[[str], None],
    ) -> None:
        self.path = path
        self._connection = connection
        self._problem = problem
        self._lock = threading.Lock()
        self._pending: list[Callable[[sqlite3.Connection], None]] = []
        self._answers: list[Callable[[sqlite3.Connection, float], None]] = []
        self._bounds: queue.SimpleQueue[tuple[BoundSeries, timedelta, timedelta, KeptBound]] = queue.SimpleQueue()
        self._say, self._told = say, set[str]()

    # -- reading --

    def fact(self, name: str) -> str | None:
        """What is noted under a name."""
        with self._reading() as run:
            row = run.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def workloads(self, namespaces: Sequence[str], since: float) -> dict[Workload, frozenset[str]]:
        """The workloads of some namespaces (none: of all) and their pods with samples since a moment (unix seconds)."""
        with self._reading() as run:
            rows = run.execute(
                "SELECT namespace, name, kind, pods, step FROM answered "
                "JOIN workload ON workload.id = answered.workload JOIN question ON question.id = answered.question"
            ).fetchall()
        found: dict[Workload, frozenset[str]] = {}
        for namespace, name, kind, pods, step in rows:
            if not namespaces or namespace in namespaces:
                workload = Workload(namespace, name, kind)
                lately = frozenset(pod for pod, row in _pods(pods).items() if row * step >= since)
                found[workload] = found.get(workload, frozenset()) | lately
        return found

    def answered(
        self, workloads: Iterable[Workload], question: Question, first: int, last: int
    ) -> dict[Workload, Answered]:
        """What is kept of a question about some workloads, with all samples of blocks that touch the rows asked for."""
        with self._reading() as run:
            of_question = self._number_of(run, question)
            if of_question is None:
                return {}
            numbers = self._numbers(run, workloads)
            found: dict[Workload, Answered] = {}
            for some in _portions(sorted(numbers)):
                marks = ",".join("?" * len(some))
                rows = run.execute(
                    f"SELECT workload, since, until, pods FROM answered WHERE question = ? AND workload IN ({marks})",  # noqa: S608
                    (of_question, *some),
                ).fetchall()
                blocks: dict[int, list[bytes]] = {}
                for workload, body in run.execute(
                    f"SELECT workload, body FROM block WHERE question = ? AND workload IN ({marks}) "  # noqa: S608
                    "AND number BETWEEN ? AND ? ORDER BY workload, number",
                    (of_question, *some, first // BLOCK, last // BLOCK),
                ):
                    blocks.setdefault(workload, []).append(body)
                for workload, since, until, pods in rows:
                    series = joined(self._decoded(body) for body in blocks.get(workload, ()))
                    found[numbers[workload]] = Answered(since, until, _pods(pods), series)
        return found

    def notes(self, workloads: Iterable[Workload], prefix: str) -> dict[Workload, dict[str, str]]:
        """What is noted of some workloads under names that begin so: workload -> rest of the name -> text."""
        with self._reading() as run:
            numbers = self._numbers(run, workloads)
            found: dict[Workload, dict[str, str]] = {}
            for some in _portions(sorted(numbers)):
                marks = ",".join("?" * len(some))
                for workload, name, body in run.execute(
                    f"SELECT workload, name, body FROM note WHERE workload IN ({marks}) "  # noqa: S608
                    "AND substr(name, 1, ?) = ?",
                    (*some, len(prefix), prefix),
                ):
                    found.setdefault(numbers[workload], {})[name[len(prefix) :]] = body
        return found

    def bounds(
        self, workloads: Iterable[Workload], step: timedelta, horizon: timedelta
    ) -> dict[BoundSeries, KeptBound]:
        """What bounds of some workloads go on from, as far as it is written."""
        with self._reading() as run:
            numbers = self._numbers(run, workloads)
            found: dict[BoundSeries, KeptBound] = {}
            for some in _portions(sorted(numbers)):
                marks = ",".join("?" * len(some))
                for workload, container, target, place, *kept in run.execute(
                    "SELECT workload, container, target, place, since, at, until, body FROM bound "  # noqa: S608
                    f"WHERE step = ? AND horizon = ? AND workload IN ({marks})",
                    (step.total_seconds(), horizon.total_seconds(), *some),
                ):
                    if target in _TARGETS:
                        found[BoundSeries(numbers[workload], container, Target(target), place)] = KeptBound(*kept)
        return found

    # -- writing: gathered, and written by commit() --

    def keep_bounds(self, found: Mapping[BoundSeries, KeptBound], step: timedelta, horizon: timedelta) -> None:
        """Keep what bounds go on from. They are learnt while the next answers are read, and written with these."""
        for series, kept in found.items():
            self._bounds.put((series, step, horizon, kept))

    def tell(self, words: str) -> None:
        """Tell a person what became of what was kept; the same words once."""
        if words not in self._told:
            self._told.add(words)
            self._say(words)

    def set_fact(self, name: str, value: str) -> None:
        """Note a text under a name."""
        self._pending.append(
            lambda run: _run(run, "INSERT OR REPLACE INTO fact (name, value) VALUES (?, ?)", (name, value))
        )

    def put(
        self, workload: Workload, question: Question, answered: Answered, changed: Iterable[tuple[int, int]]
    ) -> None:
        """Keep the answers of a question about a workload. changed: first and last rows of what differs from before.

        answered: what the blocks that these rows touch are to contain, whole.
        """
        numbers = sorted({number for first, last in changed for number in range(first // BLOCK, last // BLOCK + 1)})
        bodies = [
            (number, [one.within(number * BLOCK, (number + 1) * BLOCK - 1) for one in answered.series.values()])
            for number in numbers
        ]
        # Encoded here, outside of the transaction.
        coded = [(number, encode(part) if any(len(one.rows) for one in part) else None) for number, part in bodies]

        def write(run: sqlite3.Connection, reached: float) -> None:
            # It is not known yet that there is nothing after the newest sample of all.
            until = min(answered.until, int(reached // question.step))
            if until < answered.since:
                return
            of = self._made(run, workload)
            about = self._made_question(run, question)
            _run(
                run,
                "INSERT OR REPLACE INTO answered (workload, question, since, until, pods) VALUES (?, ?, ?, ?, ?)",
                (of, about, answered.since, until, json.dumps(dict(sorted(answered.pods.items())))),
            )
            for number, body in coded:
                if body is None:
                    _run(
                        run, "DELETE FROM block WHERE workload = ? AND question = ? AND number = ?", (of, about, number)
                    )
                else:
                    _run(
                        run,
                        "INSERT OR REPLACE INTO block (workload, question, number, body) VALUES (?, ?, ?, ?)",
                        (of, about, number, body),
                    )

        self._answers.append(write)

    def note(self, workload: Workload, name: str, at: float, body: str) -> None:
        """Note a text of a workload under a name; at: the moment that it is of, by which it ages out."""

        def write(run: sqlite3.Connection) -> None:
            of = self._made(run, workload)
            _run(
                run, "INSERT OR REPLACE INTO note (workload, name, at, body) VALUES (?, ?, ?, ?)", (of, name, at, body)
            )

        self._pending.append(write)

    def drop_pending(self) -> None:
        """Forget what was gathered and not written."""
        self._pending.clear()
        self._answers.clear()

    def commit(self, reached: float | None) -> None:
        """Write what was gathered, all of it or none.

        reached: the newest moment (unix seconds) that any answer has a sample of. Without one no answer is written: a
        source that is silent, or a clock that is ahead, is no reason to know anything.
        """
        pending, answers = self._pending, self._answers if reached is not None else []
        self._pending, self._answers = [], []
        if not pending and not answers and self._bounds.empty():
            return
        with self._writing() as run:
            while not self._bounds.empty():
                self._write_bound(run, *self._bounds.get())
            for write in pending:
                write(run)
            for put in answers:
                put(run, reached or 0.0)

    def age_out(self, before: float) -> int:
        """Drop what is older than a moment (unix seconds), and workloads without anything left; how many these are."""
        with self._writing() as run:
            _run(
                run,
                "DELETE FROM block WHERE rowid IN (SELECT block.rowid FROM block JOIN question "
                "ON question.id = block.question WHERE (block.number + 1) * ? * question.step <= ?)",
                (BLOCK, before),
            )
            _run(run, "DELETE FROM note WHERE at < ?", (before,))
            _run(run, "DELETE FROM bound WHERE at < ?", (before,))
            oldest = "(SELECT CAST(? / step AS INTEGER) FROM question WHERE id = answered.question)"
            _run(run, f"UPDATE answered SET since = {oldest} WHERE since < {oldest}", (before, before))  # noqa: S608
            _run(run, "DELETE FROM answered WHERE until < since", ())
            # The rest of a block of which only a part is old; its question's number may become that of another one.
            _run(
                run, "DELETE FROM block WHERE (workload, question) NOT IN (SELECT workload, question FROM answered)", ()
            )
            gone = run.execute(
                "DELETE FROM workload WHERE id NOT IN (SELECT workload FROM answered) "
                "AND id NOT IN (SELECT workload FROM note)"
            ).rowcount
            _run(run, "DELETE FROM question WHERE id NOT IN (SELECT question FROM answered)", ())
        with self._reading() as run:
            run.execute("PRAGMA incremental_vacuum").fetchall()
        return max(gone, 0)

    def newest(self) -> float | None:
        """The moment of the newest row that was asked for (unix seconds); None of an empty state."""
        with self._reading() as run:
            row = run.execute(
                "SELECT max(until * question.step) FROM answered JOIN question ON question.id = answered.question"
            ).fetchone()
        return None if row is None or row[0] is None else float(row[0])

    # -- SQLite --

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise self._problem(error) from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as run:
            run.execute("BEGIN IMMEDIATE")
            try:
                yield run
            except BaseException:
                if run.in_transaction:  # a full disk has rolled back already
                    run.execute("ROLLBACK")
                raise
            run.execute("COMMIT")

    def _write_bound(
        self, run: sqlite3.Connection, series: BoundSeries, step: timedelta, horizon: timedelta, kept: KeptBound
    ) -> None:
        key = (self._made(run, series.workload), series.container, series.target.value, series.place)
        pace = (step.total_seconds(), horizon.total_seconds())
        _run(
            run,
            "INSERT OR REPLACE INTO bound (workload, container, target, place, step, horizon, since, at, until, body) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*key, *pace, kept.since, kept.at, kept.until, kept.body),
        )

    def _decoded(self, body: bytes) -> list[Samples]:
        try:
            return decode(body)
        except ValueError as error:
            raise self._problem(sqlite3.DatabaseError(str(error))) from error

    def _numbers(self, run: sqlite3.Connection, workloads: Iterable[Workload]) -> dict[int, Workload]:
        wanted = set(workloads)
        spaces = sorted({one.namespace for one in wanted})
        found: dict[int, Workload] = {}
        for some in _portions(spaces):
            marks = ",".join("?" * len(some))
            for number, namespace, name, kind in run.execute(
                f"SELECT id, namespace, name, kind FROM workload WHERE namespace IN ({marks})",  # noqa: S608
                tuple(some),
            ):
                workload = Workload(namespace, name, kind)
                if workload in wanted:
                    found[number] = workload
        return found

    def _number_of(self, run: sqlite3.Connection, question: Question) -> int | None:
        row = run.execute(
            "SELECT id FROM question WHERE step = ? AND text = ?", (question.step, question.text)
        ).fetchone()
        return None if row is None else int(row[0])

    def _made(self, run: sqlite3.Connection, workload: Workload) -> int:
        values = (workload.namespace, workload.kind, workload.name)
        _run(run, "INSERT OR IGNORE INTO workload (namespace, kind, name) VALUES (?, ?, ?)", values)
        row = run.execute("SELECT id FROM workload WHERE namespace = ? AND kind = ? AND name = ?", values).fetchone()
        return int(row[0])

    def _made_question(self, run: sqlite3.Connection, question: Question) -> int:
        number = self._number_of(run, question)
        if number is None:
            made = run.execute("INSERT INTO question (step, text) VALUES (?, ?)", (question.step, question.text))
            number = int(made.lastrowid or 0)
        return number

    def close(self) -> None:
        """Close the file; what was gathered and not written is dropped."""
        with self._lock:
            self._connection.close()


def _run(connection: sqlite3.Connection, text: str, values: tuple[object, ...]) -> None:
    connection.execute(text, values)


def _pods(text: str) -> dict[str, int]:
    try:
        return {str(name): int(row) for name, row in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise sqlite3.DatabaseError(f"no list of pods: {error}") from error


def _portions(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    for begin in range(0, len(items), _MOST_IN_A_QUERY):
        yield items[begin : begin + _MOST_IN_A_QUERY]
