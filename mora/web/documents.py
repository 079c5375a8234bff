"""The JSON documents of the API: what one answers is made once for all who ask the same of the same answer."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import asdict
from threading import Lock
from typing import Any

from mora.outputs.documents import printable_json
from mora.outputs.json import SCHEMA_VERSION, savings_document
from mora.quantities import format_moment
from mora.record.reading import Episode, Moment, Moved
from mora.savings import summed
from mora.web.answer import Entry
from mora.web.live import Cluster, Problem, Shown

_KEPT = 64


class Kept:
    """What was made for the last version of what is served, by what was asked for; the least recently used go first."""

    def __init__(self, most: int = _KEPT) -> None:
        self._most, self._version = most, -1
        self._made: OrderedDict[tuple[object, ...], bytes] = OrderedDict()
        self._lock = Lock()

    def get(self, version: int, asked: tuple[object, ...], make: Callable[[], bytes]) -> bytes:
        """What was made for a question, or is made now; those who ask the same meanwhile wait for it."""
        with self._lock:
            if version != self._version:
                self._made.clear()
                self._version = version
            if asked not in self._made:
                self._made[asked] = make()
                while len(self._made) > self._most:
                    self._made.popitem(last=False)
            self._made.move_to_end(asked)
            return self._made[asked]


def recommendations(shown: Shown, found: Sequence[tuple[Cluster, Entry]]) -> bytes:
    """The documents of some workloads, with what they free: the fields of `-o json`, and the clusters they are of."""
    prices = next((one.answer.prices for one in shown.clusters if one.answer is not None), None)
    entries = [entry for _, entry in found]
    freed = savings_document(
        summed([entry.step for entry in entries], prices), summed([entry.goal for entry in entries], prices)
    )
    parts = []
    for cluster, entry in found:
        named = f'{{"cluster":{_text(cluster.name or None)},'.encode()
        parts.append(named + entry.encoded[1:])
    head = f'{{"schema_version":{SCHEMA_VERSION},"clusters":{_text([_cluster(one) for one in shown.clusters])},'
    return b"".join(
        [head.encode(), b'"recommendations":[', b",".join(parts), b'],"savings":', _text(freed).encode(), b"}\n"]
    )


def explanations(found: Sequence[tuple[Cluster, Entry]]) -> bytes:
    """How each number of some workloads is derived: the text of `mora explain` beside the document."""
    return _body(
        {
            "explanations": [
                {
                    "cluster": cluster.name,
                    "namespace": entry.namespace,
                    "kind": entry.kind,
                    "workload": entry.workload,
                    "text": entry.explained,
                    "recommendation": entry.document,
                }
                for cluster, entry in found
            ]
        }
    )


def status(shown: Shown, now: float) -> bytes:
    """Each cluster: how old its answer is, what is wrong, what concerns no single workload."""
    clusters = [
        {
            **_cluster(one),
            "age_seconds": None if (age := shown.age(one, now)) is None else round(age, 1),
            "is_stale": shown.is_stale(one, now),
            "workloads": 0 if one.answer is None else len(one.answer.entries),
            "notes": [] if one.answer is None else list(one.answer.notes),
        }
        for one in shown.clusters
    ]
    return _body({"clusters": clusters})


def history(episodes: Sequence[Episode]) -> bytes:
    """What was recommended for a workload, when, and what became of it."""
    return _body({"history": [_episode(one) for one in episodes]})


def changes(moved: Sequence[Moved], ended: Sequence[Episode], since: float) -> bytes:
    """What is recommended otherwise than at a moment, and which settings were changed since."""
    return _body(
        {
            "since": _moment(since),
            "recommendations": [
                {**asdict(one.key), "now": one.now, "recommended_before": one.before, "recommended": one.value}
                for one in moved
            ],
            "settings": [_episode(one) for one in ended],
        }
    )


def trend(moments: Sequence[Moment]) -> bytes:
    """What was reserved, wasted and lacking over time."""
    return _body(
        {
            "trend": [
                {
                    "at": _moment(one.at),
                    "reserved_cpu_cores": round(one.reserved_cores, 6),
                    "waste_cpu_cores": round(one.waste_cores, 6),
                    "lack_cpu_cores": round(one.lack_cores, 6),
                    "reserved_memory_bytes": round(one.reserved_bytes),
                    "waste_memory_bytes": round(one.waste_bytes),
                    "lack_memory_bytes": round(one.lack_bytes),
                }
                for one in moments
            ]
        }
    )


def error(message: str, hint: str | None = None) -> bytes:
    """Why there is no answer, and what to do."""
    return _body({"error": {"message": message, "hint": hint}})


def _cluster(one: Cluster) -> dict[str, Any]:
    return {
        "name": one.name,
        "as_of": None if one.answer is None else _moment(one.answer.made_at),
        "problem": _problem(one.problem),
        "record_problem": _problem(one.unrecorded),
    }


def _problem(problem: Problem | None) -> dict[str, Any] | None:
    if problem is None:
        return None
    return {"message": problem.message, "hint": problem.hint, "since": _moment(problem.since)}


def _episode(one: Episode) -> dict[str, Any]:
    return {
        **asdict(one.key),
        "set_before": one.before,
        "recommended": one.value,
        "confidence": one.confidence,
        "first_at": _moment(one.first_at),
        "last_at": _moment(one.last_at),
        "outcome": one.outcome.value,
        "set_after": one.after,
        "changed_at": None if one.ended_at is None else _moment(one.ended_at),
        "covered": one.covered,
        "needed_since": None if one.needed is None else round(one.needed, 3),
        "samples_since": one.samples,
        "oom_kills_since": one.oom_kills,
        "points": [{"at": _moment(at), "recommended": value} for at, value in one.points],
    }


def _moment(at: float) -> str:
    return format_moment(at, "seconds")


def _text(value: Any) -> str:
    return printable_json(json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")))


def _body(value: Any) -> bytes:
    return _text(value).encode() + b"\n"
