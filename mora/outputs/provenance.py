"""What a trained model is based on, as labelled lines for people: its data, its runs, its errors, its calibration."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from mora.outputs.wording import readable
from mora.quantities import counted, format_duration, format_moment

_RUN = re.compile(r".*_replicas_(\d+)_users_(\d+)(?:_run_\d+)?")
_QUESTIONS = {"driven": "at a load that was driven", "undriven": "at another load"}
# More names than this are counted, not listed.
_MAX_NAMED = 3


def model_facts(card: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Label and text, line by line, from a model's card: data, runs, errors on validation windows, calibration."""
    report = card["report"]
    return (
        ("trained on", _data(card)),
        *(("runs", text) for text in _runs(card)),
        *(
            ("error", f"{target} over the next steps: {text}")
            for target, table in report["next_steps"].items()
            if (text := _error(target, table)) is not None
        ),
        *(
            ("calibration", f"{target} {_calibration(question, calibration)}")
            for question, targets in report["calibrations"].items()
            for target, calibration in targets.items()
        ),
    )


def _data(card: Mapping[str, Any]) -> str:
    what = "load experiment" if card["driven"] else "history"
    count = len(card["experiments"])
    sources = counted(count, what) if card["driven"] or count == 1 else f"{count} histories"
    until = format_moment(datetime.fromisoformat(card["last_sample"]))
    return f"{counted(card['rows'], 'sample')} of {sources}, data until {until}"


def _runs(card: Mapping[str, Any]) -> Iterator[str]:
    """The range of replicas and users, scenario by scenario; the names where nothing was driven."""
    if not card["driven"]:
        yield _named(card["experiments"])
        return
    for scenario in card["scenarios"]:
        names = [name for name in card["experiments"] if f"_{scenario}_replicas_" in name]
        found = [match for name in names if (match := _RUN.fullmatch(name))]
        if not found:
            continue
        replicas = [int(match[1]) for match in found]
        users = [int(match[2]) for match in found]
        yield f"{scenario}: {_range(replicas)} replicas, {_range(users)} users ({counted(len(names), 'run')})"


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"


def _named(names: Sequence[str]) -> str:
    more = len(names) - _MAX_NAMED
    return ", ".join(names[:_MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


def _error(target: str, table: Mapping[str, Any]) -> str | None:
    """Mean absolute error of the blend beside the naive forecast's; None without validation windows."""
    errors = table["errors"]
    if "blend" not in errors:
        return None
    windows = counted(table["windows"], "validation window")
    text = f"{readable(target, errors['blend']['mean'])} on average, on {windows}"
    if "naive" in errors:
        text += f" (naive forecast: {readable(target, errors['naive']['mean'])})"
    return f"{text}, at a mean of {readable(target, table['level'])}; weights: {_shares(table['shares'])}"


def _shares(shares: Mapping[str, float]) -> str:
    """The weights of a blend.

    >>> _shares({"lstm": 0.6, "prophet": 0.4})
    'lstm 60%, prophet 40%'
    """
    return ", ".join(f"{name} {share:.0%}" for name, share in shares.items()) or "none"


def _calibration(question: str, calibration: Mapping[str, Any]) -> str:
    where = _QUESTIONS.get(question) or f"over the next {format_duration(int(question))}"
    covered = f"{calibration['kept']} of {counted(calibration['windows'], 'validation window')} covered"
    if not calibration["multiplier_windows"] and not calibration["is_prior"]:
        return f"{where}: {covered}"
    others = " and other services" if calibration["is_prior"] else ""
    basis = f"from {counted(calibration['multiplier_windows'], 'window')}{others}"
    return f"{where}: upper bound = {calibration['multiplier']:.3g} x point forecast ({basis}), {covered}"
