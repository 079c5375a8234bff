"""The result of a training for people: errors on the validation windows beside the naive forecast's, and remarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mora.columns import columns
from mora.outputs.wording import readable
from mora.quantities import counted, format_duration

_TITLES = {"prophet": "Prophet", "lstm": "LSTM"}


def render(service: str, card: Mapping[str, Any], *, seconds: float | None) -> str:
    """A few lines and a table: per target the error of the next steps' mean and of their p95, in readable units.

    card: of the model; its `report` is shown. seconds: how long the training took; None where that is not known.
    """
    report = card["report"]
    kind = "load experiments" if card["driven"] else "observed history"
    took = "" if seconds is None else f" in {format_duration(seconds, about=True)}"
    lines = [f"{service}: trained on {counted(card['rows'], 'sample')} of {len(card['experiments'])} {kind}{took}", ""]
    # Observed data is learned for several horizons, load experiments for the steps that follow.
    horizons = {
        f"next {format_duration(int(seconds))}": horizon["errors"]
        for seconds, horizon in report.get("horizons", {}).items()
    }
    remarks: dict[str, None] = {}
    for ahead, tables in (horizons or {"next steps": report["next_steps"]}).items():
        lines += [*_table(tables, ahead, card.get("forecasters", ())), ""]
        for target, table in tables.items():
            remarks.update({_about(target, text): None for _, text in table["reasons"]})
    for targets in report["calibrations"].values():
        for target, calibration in targets.items():
            remarks.update({_about(target, text): None for _, text in calibration["reasons"]})
    remarks.update({text: None for _, text in report["reasons"]})
    lines += [f"  - {text}" for text in remarks]
    return "\n".join(lines) + "\n"


def _about(target: str, text: str) -> str:
    """A reason with the target that it is about, which many name themselves.

    >>> _about("cpu", "cpu: 3 validation windows are too few"), _about("cpu", "the LSTM failed")
    ('cpu: 3 validation windows are too few', 'cpu: the LSTM failed')
    """
    return text if text.startswith(target) else f"{target}: {text}"


def _table(tables: Mapping[str, Mapping[str, Any]], ahead: str, order: Sequence[str]) -> list[str]:
    last = ("blend", "naive")
    known = {name for table in tables.values() for name in table["errors"]}
    names = [*(name for name in order if name in known), *sorted(known.difference(order, last)), *last]
    titles = [_TITLES.get(name, name) for name in names]
    rows = [(f"error on validation windows, mean / p95 of the {ahead}", *titles, "mean use")]
    for target, table in tables.items():
        if not table["errors"]:
            rows.append((f"{target}: no validation windows", *("-" for _ in names), "-"))
            continue
        cells = [_errors(target, table["errors"].get(name)) for name in names]
        windows = counted(table["windows"], "window")
        runs = counted(table["experiments"], "run")
        rows.append((f"{target} ({windows} of {runs})", *cells, readable(target, table["level"])))
    return [f"  {line}" for line in columns(rows, gap=3)]


def _errors(target: str, errors: Mapping[str, float] | None) -> str:
    return "-" if errors is None else f"{readable(target, errors['mean'])} / {readable(target, errors['p95'])}"
