"""Writing answers into the record, one transaction each, and pruning it."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from mora.record.numbers import Key, Seen, Total, Use
from mora.record.outcomes import Outcome, Recommended, judge
from mora.record.schema import open_to_write, said_clearly, transaction

# What moves by less between two answers is the same recommendation.
_MOVED_BY = 0.02
_HOUR, _DAY = 3600, 86_400
# Totals stay hour by hour for this long; of older days the last one stays.
_HOURLY_DAYS = 14
# A container without a number for so long is gone; a Prometheus may be away for a day.
_GONE_AFTER_DAYS = 2


@dataclass(frozen=True, slots=True)
class InForce:
    """A recommendation that was applied and is still set: since when (unix seconds), and to what amount.

    covered: whether it has covered the use since, None where that is not known yet. oom_kills: those since.
    """

    episode: int
    key: Key
    since: float
    amount: int
    covered: bool | None = None
    oom_kills: int | None = None


class Record:
    """The record in a file, to write; a context manager. Methods may be called from any thread.

    keep_days: how long what has ended is kept. Raises MoraError (schema.problem_of) where the file cannot be used, is
    full or locked; then nothing of the call is written, and the next one may succeed.
    """

    def __init__(self, path: Path, *, keep_days: float = 90.0) -> None:
        self.path, self._keep_days = path, keep_days
        self._connection = open_to_write(path)
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._connection.close()

    def take(
        self,
        cluster: str,
        at: float,
        seen: Iterable[Seen],
        totals: Sequence[Total],
        *,
        seconds: float = 0.0,
        uses: Mapping[int, Use] | None = None,
        answer: bytes | None = None,
    ) -> None:
        """Record an answer of a cluster at a moment (unix seconds).

        uses: episode (InForce.episode) -> what was needed since. answer: what last_answer() gives from now on.
        """
        with self._lock, said_clearly(self.path), transaction(self._connection):
            self._connection.execute(
                "INSERT INTO refresh (cluster, at, seconds, problem) VALUES (?, ?, ?, NULL)", (cluster, at, seconds)
            )
            known = self._open_episodes(cluster)
            for one in seen:
                self._take_number(known.get(one.key), one, at)
            # An hour has the last whole answer of each cluster, so that a namespace that has gone is not counted on.
            hour = int(at // _HOUR)
            self._connection.execute("DELETE FROM total WHERE hour = ? AND cluster = ?", (hour, cluster))
            for total in totals:
                self._connection.execute(
                    "INSERT INTO total (hour, cluster, namespace, reserved_cores, reserved_bytes, "
                    "waste_cores, waste_bytes, lack_cores, lack_bytes, workloads, unsized) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (hour, *astuple(total)),
                )
            for episode, use in (uses or {}).items():
                self._take_use(episode, use)
            if answer is not None:
                self._connection.execute(
                    "INSERT OR REPLACE INTO answer (cluster, at, body) VALUES (?, ?, ?)",
                    (cluster, at, zlib.compress(answer, 6)),
                )
            self._prune(cluster, at)
        with self._lock, said_clearly(self.path):
            self._connection.execute("PRAGMA incremental_vacuum").fetchall()

    def failed(self, cluster: str, at: float, problem: str, *, seconds: float = 0.0) -> None:
        """Record that a refresh failed, and why."""
        with self._lock, said_clearly(self.path), transaction(self._connection):
            self._connection.execute(
                "INSERT INTO refresh (cluster, at, seconds, problem) VALUES (?, ?, ?, ?)",
                (cluster, at, seconds, problem),
            )

    def in_force(self, cluster: str) -> list[InForce]:
        """The recommendations that were applied and whose setting has not changed since: what to check the use of."""
        with self._lock, said_clearly(self.path):
            rows = self._connection.execute(
                "SELECT past.id, past.ended_at, past.after, past.covered, past.oom_kills, "  # noqa: S608  # the columns are ours
                f"{_KEY_COLUMNS} FROM episode AS now "
                "JOIN episode AS past ON past.id = now.follows "
                "WHERE now.outcome = 'open' AND now.cluster = ? AND past.outcome IN ('applied', 'partly') "
                "AND now.number IN ('cpu_request', 'memory_request')",
                (cluster,),
            ).fetchall()
        return [
            InForce(episode, Key(*key), since, amount, None if covered is None else bool(covered), kills)
            for episode, since, amount, covered, kills, *key in rows
        ]

    def last_answer(self, cluster: str) -> tuple[float, bytes] | None:
        """The last answer of a cluster and its moment (unix seconds); None where there is none that can be read."""
        with self._lock, said_clearly(self.path):
            row = self._connection.execute("SELECT at, body FROM answer WHERE cluster = ?", (cluster,)).fetchone()
        if row is None:
            return None
        try:
            return row[0], zlib.decompress(row[1])
        except (zlib.error, TypeError):
            return None

    def _open_episodes(self, cluster: str) -> dict[Key, tuple[int, Recommended, int]]:
        """Key -> the open episode, what it recommends, and the amount of its last point."""
        rows = self._connection.execute(
            f"SELECT now.id, now.before, now.low, now.high, {_LAST_POINT}, {_KEY_COLUMNS} FROM episode AS now "  # noqa: S608
            "WHERE now.outcome = 'open' AND now.cluster = ?",
            (cluster,),
        )
        return {
            Key(*key): (episode, Recommended(before, low, high), noted)
            for episode, before, low, high, noted, *key in rows
        }

    def _take_number(self, known: tuple[int, Recommended, int] | None, one: Seen, at: float) -> None:
        follows = None
        if known is not None:
            episode, recommended, noted = known
            outcome = judge(recommended, one.now)
            if outcome is Outcome.OPEN:
                now = recommended.widened(one.value, one.goal)
                self._connection.execute(
                    "UPDATE episode SET low = ?, high = ?, value = ?, confidence = ?, replicas = ?, last_at = ? "
                    "WHERE id = ?",
                    (now.low, now.high, one.value, one.confidence, one.replicas, at, episode),
                )
                if abs(one.value - noted) > _MOVED_BY * noted:
                    self._add_point(episode, at, one.value)
                return
            self._connection.execute(
                "UPDATE episode SET outcome = ?, after = ?, ended_at = ? WHERE id = ?",
                (outcome.value, one.now, at, episode),
            )
            follows = episode
        low, high = min(one.value, one.goal), max(one.value, one.goal)
        key = one.key
        made = self._connection.execute(
            "INSERT INTO episode (cluster, namespace, kind, workload, container, number, before, low, high, value, "
            "confidence, replicas, first_at, last_at, outcome, follows) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'open', ?)",
            (*astuple(key), one.now, low, high, one.value, one.confidence, one.replicas, at, at, follows),
        )
        self._add_point(int(made.lastrowid or 0), at, one.value)

    def _add_point(self, episode: int, at: float, value: int) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO point (episode, at, value) VALUES (?, ?, ?)", (episode, at, value)
        )

    def _take_use(self, episode: int, use: Use) -> None:
        """Note whether what is set has covered the use since; memory that was exceeded once stays exceeded."""
        row = self._connection.execute(
            "SELECT after, covered, number, oom_kills FROM episode WHERE id = ?", (episode,)
        ).fetchone()
        if row is None or use.needed is None or row[0] is None:
            return
        amount, before, number, kills_before = row
        kills = None if use.oom_kills is None else max(use.oom_kills, kills_before or 0)
        is_covered = use.needed <= amount and not kills
        if number == "memory_request" and before == 0:
            is_covered = False
        self._connection.execute(
            "UPDATE episode SET covered = ?, samples = ?, needed = ?, oom_kills = ?, checked_at = ? WHERE id = ?",
            (int(is_covered), use.samples, use.needed, kills, use.until, episode),
        )

    def _prune(self, cluster: str, at: float) -> None:
        """Close what is gone, forget what ended long ago, thin totals to one a day."""
        run = self._connection.execute
        gone_at = at - _GONE_AFTER_DAYS * _DAY
        run(
            "UPDATE episode SET outcome = 'gone', ended_at = last_at "
            "WHERE outcome = 'open' AND cluster = ? AND last_at < ?",
            (cluster, gone_at),
        )
        oldest = at - self._keep_days * _DAY
        # What an open episode follows is still looked at.
        run(
            "DELETE FROM episode WHERE ended_at < ? "
            "AND id NOT IN (SELECT follows FROM episode WHERE outcome = 'open' AND follows IS NOT NULL)",
            (oldest,),
        )
        # The last point before the limit says what was recommended then.
        run(
            "DELETE FROM point WHERE at < ? AND at < (SELECT max(later.at) FROM point AS later "
            "WHERE later.episode = point.episode AND later.at <= ?)",
            (oldest, oldest),
        )
        run("DELETE FROM refresh WHERE at < ?", (oldest,))
        run("DELETE FROM total WHERE hour < ?", (int(oldest // _HOUR),))
        thin = int((at - _HOURLY_DAYS * _DAY) // _HOUR)
        run(
            "DELETE FROM total WHERE hour < ? AND EXISTS (SELECT 1 FROM total AS later WHERE later.cluster = "
            "total.cluster AND later.hour > total.hour AND later.hour < (total.hour / 24 + 1) * 24)",
            (thin,),
        )


_LAST_POINT = "(SELECT value FROM point WHERE episode = now.id ORDER BY at DESC LIMIT 1)"
_KEY_COLUMNS = "now.cluster, now.namespace, now.kind, now.workload, now.container, now.number"
