"""An answer: the recommendations of one cluster at one moment, as plain JSON documents.

It is made in a process of its own, crosses to the one that serves as JSON, and is kept in the record, so that a server
that starts again has something to show at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from mora.domain import JOB_KINDS, Recommendation
from mora.outputs import OutputSettings
from mora.outputs.documents import printable_json
from mora.outputs.explain import render as explain
from mora.outputs.json import document
from mora.outputs.pieces import Piece, piece_document, piece_of, read_piece
from mora.quantities import GIB
from mora.record.numbers import Key, Seen, Total
from mora.savings import Prices, Savings, savings

_VERSION = 1

FIELDS = {
    "cpu_request": "cpu_request_millicores",
    "cpu_limit": "cpu_limit_millicores",
    "memory_request": "memory_request_bytes",
    "memory_limit": "memory_limit_bytes",
}
"""The record's name of a container's number -> its field in the document."""


@dataclass(frozen=True)
class Entry:
    """One workload. document: as in `-o json`; explained: the text of `mora explain`; step, goal: what it frees.

    piece: what the page shows of it.
    """

    namespace: str
    kind: str
    workload: str
    document: Mapping[str, Any]
    explained: str
    step: Savings
    goal: Savings
    piece: Piece

    @cached_property
    def encoded(self) -> bytes:
        """The document as JSON, on one line, as it is sent."""
        return printable_json(json.dumps(self.document, ensure_ascii=False, separators=(",", ":"))).encode()

    @property
    def has_number(self) -> bool:
        """Whether anything is recommended, be it what is set now."""
        numbers = [self.document["replicas"], *(one[field] for one in self.containers for field in FIELDS.values())]
        return any(number["value"] is not None for number in numbers)

    @property
    def containers(self) -> Sequence[Mapping[str, Any]]:
        """The documents of its containers, the main one first."""
        found: Sequence[Mapping[str, Any]] = self.document["containers"]
        return found


@dataclass(frozen=True)
class Answer:
    """What is recommended for the workloads of a cluster. made_at: unix seconds. notes: what concerns no single one."""

    made_at: float
    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()
    prices: Prices | None = None

    def seen(self, cluster: str) -> Iterable[Seen]:
        """Its numbers, for the record; injected containers are in no template, so no one can apply theirs."""
        for entry in self.entries:
            place = (cluster, entry.namespace, entry.kind, entry.workload)
            replicas = None if entry.kind in JOB_KINDS else entry.document["replicas"]["now"]
            for container in entry.containers:
                if not container["is_injected"]:
                    for name, field in FIELDS.items():
                        yield from _seen(Key(*place, container["name"], name), container[field], replicas)
            yield from _seen(Key(*place, "", "replicas"), entry.document["replicas"], replicas)

    def totals(self, cluster: str) -> list[Total]:
        """What each namespace reserves, wastes and lacks."""
        return [
            _total(cluster, name, [entry for entry in self.entries if entry.namespace == name])
            for name in self.namespaces
        ]

    @cached_property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces that have workloads, sorted."""
        return tuple(sorted({entry.namespace for entry in self.entries}))


def _seen(key: Key, advice: Mapping[str, Any], replicas: int | None) -> Iterable[Seen]:
    value = advice["value"]
    if value is not None:
        goal = advice["goal"]
        yield Seen(key, advice["now"], value, value if goal is None else goal, advice["confidence"], replicas)


def _total(cluster: str, namespace: str, entries: Sequence[Entry]) -> Total:
    freed = [entry.goal for entry in entries]
    return Total(
        cluster,
        namespace,
        reserved_cores=sum(one.cores_now for one in freed),
        reserved_bytes=sum(one.memory_gib_now for one in freed) * GIB,
        waste_cores=sum(max(one.cores, 0.0) for one in freed),
        waste_bytes=sum(max(one.memory_gib, 0.0) for one in freed) * GIB,
        lack_cores=sum(max(-one.cores, 0.0) + one.new_cores for one in freed),
        lack_bytes=sum(max(-one.memory_gib, 0.0) + one.new_memory_gib for one in freed) * GIB,
        workloads=len(entries),
        unsized=sum(not entry.has_number for entry in entries),
    )


# --- to and from JSON ------------------------------------------------------------------------------------------------


def entry_document(recommendation: Recommendation, settings: OutputSettings) -> dict[str, Any]:
    """A recommendation as an answer has it."""
    workload = recommendation.workload
    step, goal = (_figures(savings([which], settings.prices)) for which in (recommendation, recommendation.at_goal))
    return {
        "namespace": workload.namespace,
        "kind": workload.kind,
        "workload": workload.name,
        # Whose answer it is, the server knows: its clusters have names of their own.
        "document": {name: value for name, value in document(recommendation).items() if name != "cluster"},
        "explained": explain([recommendation], settings),
        "step": step,
        "goal": goal,
        "piece": piece_document(piece_of(replace(recommendation, cluster=""), settings.prices or Prices())),
    }


def _figures(freed: Savings) -> dict[str, Any]:
    return {name: value for name, value in asdict(freed).items() if name != "prices"}


def answer_document(
    made_at: float, entries: Sequence[Mapping[str, Any]], notes: Sequence[str], prices: Prices | None
) -> dict[str, Any]:
    """An answer for the wire and for the record; read_answer() reads it."""
    return {
        "version": _VERSION,
        "made_at": made_at,
        "entries": list(entries),
        "notes": list(notes),
        "prices": None if prices is None else asdict(prices),
    }


def read_answer(found: Mapping[str, Any]) -> Answer | None:
    """An answer from its document; None for one of another MOrA's, which the next refresh replaces."""
    try:
        if found["version"] != _VERSION:
            return None
        prices = None if found["prices"] is None else Prices(**found["prices"])
        savings_of: Callable[[Mapping[str, Any]], Savings] = lambda figures: Savings(**figures, prices=prices)  # noqa: E731
        entries = [
            Entry(
                one["namespace"],
                one["kind"],
                one["workload"],
                one["document"],
                one["explained"],
                savings_of(one["step"]),
                savings_of(one["goal"]),
                read_piece(one["piece"], prices or Prices()),
            )
            for one in found["entries"]
        ]
        return Answer(float(found["made_at"]), tuple(entries), tuple(found["notes"]), prices)
    except (KeyError, TypeError, ValueError):
        return None
