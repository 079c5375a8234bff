"""What a training learnt, for a person: held-out errors beside the naive forecast's, and what fell back and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mora.quantities import format_duration, readable_bytes, readable_cores

_NAMES = {"prophet": "Prophet", "lstm": "LSTM", "blend": "blend", "naive": "naive"}


def render(service: str, card: Mapping[str, Any], *, seconds: float) -> str:
    """A few lines and a table: per target the error of the next steps' mean and of their p95, in readable units.

    card: of the model; its `report` is what is shown.
    """
    report = card["report"]
    kind = "load experiments" if card["driven"] else "observed history"
    lines = [
        f"{service}: trained on {card['rows']} samples of {len(card['experiments'])} {kind} in {seconds:.1f} s",
        "",
    ]
    # Observed data is learnt for several holds, load experiments for the steps that follow.
    windows = {
        f"next {format_duration(int(seconds))}": horizon["errors"]
        for seconds, horizon in report.get("holds", {}).items()
    }
    said: dict[str, None] = {}
    for ahead, tables in (windows or {"next steps": report["next_steps"]}).items():
        lines += [*_table(tables, ahead), ""]
        for target, table in tables.items():
            said.update({f"{target}: {text}": None for _, text in table["reasons"]})
    for targets in report["calibrations"].values():
        for target, calibration in targets.items():
            said.update({f"{target}: {text}": None for _, text in calibration["reasons"]})
    said.update({text: None for _, text in report["reasons"]})
    lines += [f"  - {text}" for text in said]
    return "\n".join(lines) + "\n"


def _table(tables: Mapping[str, Mapping[str, Any]], ahead: str) -> list[str]:
    header = (f"held-out error of mean / p95 of the {ahead}", *_NAMES.values(), "of a mean use of")
    rows = [header]
    for target, table in tables.items():
        if not table["errors"]:
            rows.append((f"{target}: nothing held out", *("-" for _ in _NAMES), "-"))
            continue
        cells = [_errors(target, table["errors"].get(name)) for name in _NAMES]
        stretches = _count(table["stretches"], "stretch", "stretches")
        runs = _count(table["experiments"], "run", "runs")
        rows.append((f"{target} ({stretches} of {runs})", *cells, _readable(target, table["level"])))
    return _aligned(rows)


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _errors(target: str, errors: Mapping[str, float] | None) -> str:
    return "-" if errors is None else f"{_readable(target, errors['mean'])} / {_readable(target, errors['p95'])}"


def _readable(target: str, value: float) -> str:
    """An amount of use as a person reads it.

    >>> _readable("cpu", 0.0123), _readable("memory", 5.5e6), _readable("replicas", 0.25)
    ('12.3m', '5.25 MiB', '0.25')
    """
    if target == "cpu":
        return readable_cores(value)
    return readable_bytes(value) if target == "memory" else f"{value:.2g}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  "
        + "   ".join(
            f"{cell:<{width}}" if n == 0 else f"{cell:>{width}}"
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
