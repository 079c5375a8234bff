"""Labels: which fault was in force where and when, as a CSV beside the metrics that it disturbed."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mora.domain import is_name
from mora.errors import BadDataset
from mora.files import read_regular
from mora.quantities import format_moment

LABELS = "labels.csv"
COLUMNS = ("id", "fault", "namespace", "service", "start", "end", "strength", "seed")
_MOST_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Label:
    """One fault as it was in force: from `start` to `end`, at a service."""

    id: str
    fault: str
    namespace: str
    service: str
    start: datetime
    end: datetime
    strength: float = 1.0
    seed: int = 0


def labels_text(labels: Iterable[Label]) -> str:
    """Labels as CSV, a row each, in the order of time."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in sorted(labels, key=lambda label: (label.start, label.id)):
        start, end = (format_moment(at, "shortest") for at in (one.start, one.end))
        writer.writerow([one.id, one.fault, one.namespace, one.service, start, end, f"{one.strength:g}", one.seed])
    return text.getvalue()


def read_labels(path: Path) -> list[Label]:
    """The labels of a file, in the order of time; BadDataset with the line of what cannot be one."""
    try:
        text = read_regular(path, _MOST_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadDataset(f"The labels {path} cannot be read: {error}.") from error
    rows = csv.DictReader(io.StringIO(text))
    if tuple(rows.fieldnames or ()) != COLUMNS:
        raise BadDataset(f"{path}: the columns must be {', '.join(COLUMNS)}.")
    found = []
    for row in rows:
        try:
            found.append(_label({name: str(row[name]) for name in COLUMNS}))
        except (ValueError, OverflowError) as error:
            raise BadDataset(f"{path}, line {rows.line_num}: this is no label ({error}).") from error
    return sorted(found, key=lambda label: (label.start, label.id))


def _label(row: dict[str, str]) -> Label:
    start, end = (datetime.fromisoformat(row[name]) for name in ("start", "end"))
    if start.tzinfo is None or end.tzinfo is None:
        raise ValueError("a time without its zone")
    if end < start:
        raise ValueError("it ends before it starts")
    if not (is_name(row["namespace"]) and is_name(row["service"])):
        raise ValueError("the service has no name that Kubernetes allows")
    if not (row["id"].isprintable() and row["fault"].isprintable()):
        raise ValueError("a name with characters that cannot be printed")
    strength = float(row["strength"])
    if not math.isfinite(strength):
        raise ValueError("a strength that is no number")
    return Label(
        row["id"],
        row["fault"],
        row["namespace"],
        row["service"],
        start.astimezone(UTC),
        end.astimezone(UTC),
        strength,
        int(row["seed"]),
    )
