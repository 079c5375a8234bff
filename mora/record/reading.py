"""What the record tells: the history of a workload, what changed since a moment, waste over time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mora.record.numbers import Key
from mora.record.outcomes import Outcome
from mora.record.schema import open_to_read, said_clearly

# A recommendation that moved by less since yesterday is not shown as a change.
CHANGED_BY = 0.10


@dataclass(frozen=True, slots=True)
class Episode:
    """A recommendation from its first moment to what became of it. Moments in unix seconds, amounts as in Seen.

    before: the setting that it was about; None where not set. points: (moment, recommended amount), oldest first.
    after, ended_at: what the setting became, and when MOrA saw it; None while it is open. covered: whether the new
    setting has covered the use since, None where that is not known; needed: what would have; samples: of how many.
    replicas: as in Seen, when it was last recommended.
    """

    key: Key
    before: int | None
    value: int
    confidence: float | None
    first_at: float
    last_at: float
    outcome: Outcome
    after: int | None = None
    ended_at: float | None = None
    covered: bool | None = None
    needed: float | None = None
    samples: int | None = None
    oom_kills: int | None = None
    checked_at: float | None = None
    replicas: int | None = None
    points: tuple[tuple[float, int], ...] = ()

    @property
    def is_change(self) -> bool:
        """Whether it recommends something else than what was set."""
        return self.value != self.before


@dataclass(frozen=True, slots=True)
class Moment:
    """The sums of some namespaces at a moment (unix seconds, at most an hour wide); as numbers.Total."""

    at: float
    reserved_cores: float
    reserved_bytes: float
    waste_cores: float
    waste_bytes: float
    lack_cores: float
    lack_bytes: float


@dataclass(frozen=True, slots=True)
class Moved:
    """A recommendation that is another than it was. before: the amount then; None where there was none yet."""

    key: Key
    now: int | None
    before: int | None
    value: int


@dataclass(frozen=True, slots=True)
class Refresh:
    """The last refresh of a cluster and the last that succeeded (unix seconds). problem: why the last one failed."""

    cluster: str
    at: float
    succeeded_at: float | None
    problem: str | None


class Reading:
    """Questions to a record, by a connection that writes nothing."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection, self._path = connection, path

    def history(
        self, namespace: str, workload: str, *, kind: str | None = None, cluster: str | None = None
    ) -> list[Episode]:
        """All that was recommended for a workload, oldest first."""
        return self._episodes(
            "namespace = ? AND workload = ? AND (? IS NULL OR kind = ? COLLATE NOCASE) AND (? IS NULL OR cluster = ?)",
            (namespace, workload, kind, kind, cluster, cluster),
            with_points=True,
        )

    def ended_since(self, since: float, *, cluster: str | None = None, namespace: str | None = None) -> list[Episode]:
        """Recommendations whose setting was changed since a moment, in the order of their keys."""
        return self._episodes(
            "ended_at >= ? AND outcome IN ('applied', 'partly', 'otherwise') "
            "AND (? IS NULL OR cluster = ?) AND (? IS NULL OR namespace = ?)",
            (since, cluster, cluster, namespace, namespace),
        )

    def recommended_since(
        self, since: float, *, cluster: str | None = None, namespace: str | None = None
    ) -> list[Episode]:
        """What was recommended at any time since a moment, changes alone, in the order of their keys."""
        found = self._episodes(
            "last_at >= ? AND (? IS NULL OR cluster = ?) AND (? IS NULL OR namespace = ?)",
            (since, cluster, cluster, namespace, namespace),
        )
        return [one for one in found if one.is_change]

    def in_force(self, *, cluster: str | None = None, namespace: str | None = None) -> list[Episode]:
        """Recommendations of requests that were applied, whenever, and whose setting has not changed since."""
        return self._episodes(
            "outcome IN ('applied', 'partly') AND number IN ('cpu_request', 'memory_request') "
            "AND id IN (SELECT follows FROM episode WHERE outcome = 'open') "
            "AND (? IS NULL OR cluster = ?) AND (? IS NULL OR namespace = ?)",
            (cluster, cluster, namespace, namespace),
        )

    def moved_since(self, since: float, *, cluster: str | None = None, namespace: str | None = None) -> list[Moved]:
        """Open recommendations that are new since a moment, or differ by a tenth from what they were then.

        Where the record of a cluster begins later, they are compared with its first answer.
        """
        rows = self._rows(
            f"SELECT {_KEY}, before, value, first_at, begin, "  # noqa: S608  # the columns are ours
            "(SELECT point.value FROM point WHERE point.episode = episode.id AND point.at <= begin "
            " ORDER BY point.at DESC LIMIT 1) "
            "FROM episode JOIN (SELECT cluster AS whose, max(min(at), ?) AS begin FROM refresh WHERE problem IS NULL "
            " GROUP BY cluster) ON whose = cluster "
            "WHERE outcome = 'open' AND (? IS NULL OR cluster = ?) AND (? IS NULL OR namespace = ?) "
            f"ORDER BY {_KEY}",
            (since, cluster, cluster, namespace, namespace),
        )
        found = []
        for *key, before, value, first_at, begin, then in rows:
            is_new = first_at > begin and value != before
            is_moved = then is not None and abs(value - then) > CHANGED_BY * then
            if is_new or is_moved:
                found.append(Moved(Key(*key), before, then, value))
        return found

    def trend(self, *, since: float = 0.0, cluster: str | None = None, namespace: str | None = None) -> list[Moment]:
        """What is reserved, wasted and lacking, oldest first; a cluster that is away keeps its last figures."""
        rows = self._rows(
            f"SELECT hour, cluster, {_SUMS} FROM total WHERE (? IS NULL OR cluster = ?) "  # noqa: S608  # ours
            "GROUP BY hour, cluster ORDER BY hour",
            (*([namespace] * 2 * len(_FIGURES)), cluster, cluster),
        )
        last: dict[str, tuple[float, ...]] = {}
        moments: dict[int, Moment] = {}
        for hour, its_cluster, *figures in rows:
            last[its_cluster] = tuple(figures)
            moments[hour] = Moment(hour * 3600.0, *(sum(each) for each in zip(*last.values(), strict=True)))
        return [moment for moment in moments.values() if moment.at >= since - 3600]

    def refreshes(self) -> list[Refresh]:
        """The state of each cluster."""
        rows = self._rows(
            "SELECT cluster, max(at), (SELECT max(at) FROM refresh AS good WHERE good.cluster = refresh.cluster "
            "AND good.problem IS NULL), problem FROM refresh GROUP BY cluster ORDER BY cluster",
            (),
        )
        return [Refresh(*row) for row in rows]

    def clusters(self) -> list[str]:
        """The clusters that were ever read; "" is that of a kubeconfig's current context."""
        return [one for (one,) in self._rows("SELECT DISTINCT cluster FROM refresh ORDER BY cluster", ())]

    def namespaces(self, cluster: str | None = None) -> list[str]:
        """The namespaces that anything is recorded of, in a cluster or in any."""
        rows = self._rows(
            "SELECT namespace FROM total WHERE ? IS NULL OR cluster = ? UNION "
            "SELECT namespace FROM episode WHERE ? IS NULL OR cluster = ? ORDER BY namespace",
            (cluster,) * 4,
        )
        return [one for (one,) in rows]

    def _episodes(self, where: str, values: Sequence[object], *, with_points: bool = False) -> list[Episode]:
        rows = self._rows(
            f"SELECT {_KEY}, id, before, value, confidence, first_at, last_at, outcome, after, ended_at, covered, "  # noqa: S608
            f"needed, samples, oom_kills, checked_at, replicas FROM episode WHERE {where} ORDER BY {_KEY}, first_at",
            values,
        )
        found = []
        for row in rows:
            key, (episode, before, value, confidence, first, last, outcome, *rest) = row[:6], row[6:]
            after, ended, covered, needed, samples, kills, checked, replicas = rest
            points = ()
            if with_points:
                points = tuple(self._rows("SELECT at, value FROM point WHERE episode = ? ORDER BY at", (episode,)))
            found.append(
                Episode(
                    key=Key(*key),
                    before=before,
                    value=value,
                    confidence=confidence,
                    first_at=first,
                    last_at=last,
                    outcome=Outcome(outcome),
                    after=after,
                    ended_at=ended,
                    covered=None if covered is None else bool(covered),
                    needed=needed,
                    samples=samples,
                    oom_kills=kills,
                    checked_at=checked,
                    replicas=replicas,
                    points=points,
                )
            )
        return found

    def _rows(self, query: str, values: Sequence[object]) -> list[Any]:
        with said_clearly(self._path):
            return self._connection.execute(query, values).fetchall()


_FIGURES = ("reserved_cores", "reserved_bytes", "waste_cores", "waste_bytes", "lack_cores", "lack_bytes")
_SUMS = ", ".join(f"sum(CASE WHEN ? IS NULL OR namespace = ? THEN {figure} ELSE 0 END)" for figure in _FIGURES)
_KEY = "cluster, namespace, kind, workload, container, number"


@contextmanager
def reading(path: Path) -> Iterator[Reading]:
    """Questions to the record in a file; MoraError where there is none, or it cannot be read."""
    with closing(open_to_read(path)) as connection:
        yield Reading(connection, path)
