"""Faults that are known: windows with a name, from a file of labels such as `mora chaos run` writes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mora.errors import BadDataset
from mora.files import read_regular

_MOST_BYTES = 16 * 2**20
_NEEDED = ("start", "end")
# Who labels by hand writes one of these; the first that is there gives the name.
_NAMES = ("fault", "name", "label", "reason")


@dataclass(frozen=True, slots=True)
class Known:
    """A fault that is known: from `start` to `end`, and what it was."""

    start: datetime
    end: datetime
    name: str = "fault"

    @property
    def window(self) -> tuple[datetime, datetime]:
        """Its start and its end."""
        return self.start, self.end


def read_known(path: Path, *, namespace: str, service: str) -> list[Known]:
    """The faults of a service in a CSV of labels, in the order of time.

    The columns start and end are needed: ISO-8601, UTC where they have no zone. Rows of another `service` or
    `namespace` are passed over, where there are such columns; `fault` is the name. Raises BadDataset with the line.
    """
    try:
        text = read_regular(path, _MOST_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        words = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise BadDataset(f"The labels {path} cannot be read: {words}.") from error
    rows = csv.DictReader(io.StringIO(text))
    columns = rows.fieldnames or ()
    lacking = [name for name in _NEEDED if name not in columns]
    if lacking:
        raise BadDataset(
            f"{path}, line 1: missing column{'s' if len(lacking) > 1 else ''} {', '.join(lacking)}.",
            hint="Labels are a CSV with the columns start and end, and, where they are of several, service.",
        )
    found = []
    try:
        for row in rows:
            mine = {"service": service, "namespace": namespace}
            if all(row.get(name) in (None, "", wanted) for name, wanted in mine.items()):
                found.append(_known(path, rows.line_num, row))
    except csv.Error as error:
        raise BadDataset(f"{path}, line {rows.line_num}: {error}.") from error
    return sorted(found, key=lambda one: one.window)


def windows_of(known: Iterable[Known]) -> tuple[tuple[datetime, datetime], ...]:
    """Their windows alone."""
    return tuple(one.window for one in known)


def _known(path: Path, line: int, row: dict[str, str | None]) -> Known:
    moments = []
    for name in _NEEDED:
        text = row[name] or ""
        try:
            at = datetime.fromisoformat(text.strip())
        except ValueError as error:
            raise BadDataset(
                f"{path}, line {line}: {name} is {text[:40]!r}, not a time.",
                hint="Write ISO-8601 in UTC, like 2026-01-31T12:00:00Z.",
            ) from error
        moments.append((at.replace(tzinfo=UTC) if at.tzinfo is None else at).astimezone(UTC))
    start, end = moments
    if end < start:
        raise BadDataset(f"{path}, line {line}: it ends before it starts.")
    names = [word for column in _NAMES if (word := row.get(column))]
    return Known(start, end, names[0] if names else "fault")
