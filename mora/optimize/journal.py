"""What was measured, on disk after every step: a killed run continues, and a later question needs no new experiments.

`data/.optimize/<digest>.json`, written whole or not at all. The digest is of all that the numbers depend on: services,
loads, SLOs, the text of the scenarios, the sizes of pods.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mora import documents
from mora.errors import BadInput
from mora.files import json_text, write_files
from mora.harness.ledger import read_record

_SCHEMA_VERSION = 1
FOLDER = ".optimize"
_AMOUNT = documents.number(0.0)
_BY_NAME = documents.mapping(_AMOUNT)
_MAYBE_BY_NAME = documents.mapping(documents.optional(_AMOUNT))
_COUNTS = documents.mapping(documents.whole())
_STEP = documents.fields(
    {
        "users": _COUNTS,
        "p95_seconds": _MAYBE_BY_NAME,
        "p95_upper_seconds": _MAYBE_BY_NAME,
        "error_ratio": _MAYBE_BY_NAME,
        "requests_per_second": _BY_NAME,
        "cores": _BY_NAME,
        "memory_bytes": _COUNTS,
        "throttled_ratio": _BY_NAME,
        "was_cut": documents.flag,
        "setting": documents.mapping(documents.pair(documents.whole(), documents.whole())),
        "together": documents.items(documents.items(documents.text)),
        "contended": documents.items(documents.text),
        "remarks": documents.items(documents.text),
    },
    only=True,
)
_JOURNAL = documents.fields(
    {"digest": documents.text, "written": documents.text, "steps": documents.mapping(_STEP)}, only=True
)


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run showed: classes by scenario, services by name.

    setting: service -> replicas, and the millicores that each pod might take. together: see Learned.
    contended: what else the machines did that could have changed these figures; empty where nothing.
    remarks: that a load was not offered as asked, and why.
    """

    users: Mapping[str, int]
    p95_seconds: Mapping[str, float | None]
    p95_upper_seconds: Mapping[str, float | None]
    error_ratio: Mapping[str, float | None]
    requests_per_second: Mapping[str, float]
    cores: Mapping[str, float]
    memory_bytes: Mapping[str, int]
    throttled_ratio: Mapping[str, float]
    was_cut: bool = False
    setting: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    together: tuple[frozenset[str], ...] = ()
    contended: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(slots=True)
class Journal:
    """The steps of one question, in the order they were measured. written: when the first was, as text."""

    path: Path
    digest: str
    written: str
    steps: dict[str, Measured] = field(default_factory=dict)

    def add(self, name: str, measured: Measured) -> None:
        """Add a step, and write the file."""
        self.steps[name] = measured
        steps = {
            key: {**asdict(one), "together": [sorted(group) for group in one.together]}
            for key, one in self.steps.items()
        }
        write_files([(self.path, json_text({"schema_version": _SCHEMA_VERSION, **self._head(), "steps": steps}))])

    def _head(self) -> dict[str, str]:
        return {"digest": self.digest, "written": self.written}


def open_journal(data_dir: Path, digest: str, now: str, *, resume: bool) -> Journal:
    """The journal of a question: that of an earlier run where `resume`, else an empty one that will replace it."""
    path = data_dir / FOLDER / f"{digest}.json"
    if resume and path.is_file():
        return read_journal(path)
    if resume:
        raise BadInput(
            f"There is nothing to resume: {data_dir / FOLDER} has no run with these loads, SLOs, services and "
            "scenarios.",
            hint="Run it without --resume.",
        )
    return Journal(path, digest, now)


def read_journal(path: Path) -> Journal:
    """What a file has; MoraError where it is none of ours."""
    content = read_record(
        path,
        _JOURNAL,
        version=_SCHEMA_VERSION,
        what="what `mora optimize` measured",
        hint="Delete it, and measure again.",
    )
    steps = {
        name: Measured(
            **{
                **one,
                "setting": {service: (replicas, size) for service, (replicas, size) in one["setting"].items()},
                "together": tuple(frozenset(group) for group in one["together"]),
                "contended": tuple(one["contended"]),
                "remarks": tuple(one["remarks"]),
            }
        )
        for name, one in content["steps"].items()
    }
    return Journal(path, content["digest"], content["written"], steps)


def digest_of(content: Mapping[str, Any]) -> str:
    """A short hash of what the numbers depend on."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
