"""One training as any tracker takes it: parameters, metrics and files, all from the model's card; and the Protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from mora.tracking.plot import errors_svg

LONGEST_VALUE = 500


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """What is written down of a training.

    name: of the registered model, NAMESPACE.SERVICE. version: the digest. alias: "champion", "challenger" or "".
    model: the model's own files, plain formats. extra: files beside them, by name.
    """

    name: str
    version: str
    alias: str
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    model: Mapping[str, bytes]
    extra: Mapping[str, bytes]


class Tracker(Protocol):
    """Writes trainings down. All raise MoraError where it cannot, with no credential in the words."""

    def log(self, run: TrainingRun) -> str:
        """Write a training down; returns where it is, for people."""

    def mark(self, name: str, version: str, alias: str) -> None:
        """Let an alias point to a version that was logged before, by its digest."""

    def unmark(self, name: str, alias: str) -> None:
        """Remove an alias, where there is one."""


def run_of(
    card: Mapping[str, Any], version: str, files: Mapping[str, bytes], *, alias: str, report: str
) -> TrainingRun:
    """The run of a model. card: its card. files: of the model. report: what `mora train` printed of it."""
    settings = card.get("settings", {})
    parameters = {
        **{f"settings.{name}": _short(value) for name, value in sorted(settings.items())},
        "forecasters": ", ".join(card.get("forecasters", ())) or "none",
        "trained_on": "load experiments" if card.get("driven") else "observed history",
        "rows": str(card.get("rows")),
        "last_sample": str(card.get("last_sample")),
        "data_sha256": str(card.get("data_sha256")),
        "mora_version": str(card.get("mora_version")),
    }
    extra = {"report.txt": report.encode(), "errors.svg": errors_svg(tables_of(card)).encode()}
    name = f"{card['namespace']}.{card['service']}"
    return TrainingRun(name, version, alias, parameters, dict(_metrics(card)), files, extra)


def tables_of(card: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What is forecast -> its table of errors: "cpu.3600s" of a history, "cpu" of load experiments."""
    horizons = card["report"].get("horizons", {})
    if horizons:
        return {
            f"{target}.{seconds}s": table
            for seconds, horizon in sorted(horizons.items(), key=lambda item: int(item[0]))
            for target, table in horizon["errors"].items()
        }
    return dict(card["report"]["next_steps"])


def _metrics(card: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for what, table in tables_of(card).items():
        for forecaster, errors in table["errors"].items():
            yield f"{what}.{forecaster}.error_of_mean", float(errors["mean"])
            yield f"{what}.{forecaster}.error_of_p95", float(errors["p95"])
        yield f"{what}.mean_use", float(table["level"])
        yield f"{what}.windows", float(table["windows"])
    for question, targets in card["report"]["calibrations"].items():
        for target, calibration in targets.items():
            ahead = f"{target}.{question}s" if question.isdigit() else f"{target}.{question}"
            yield f"{ahead}.bound_multiplier", float(calibration["multiplier"])
            if calibration["windows"]:
                yield f"{ahead}.covered", calibration["kept"] / calibration["windows"]


def _short(value: Any) -> str:
    text = ", ".join(f"{key}={one}" for key, one in value.items()) if isinstance(value, Mapping) else str(value)
    return text[:LONGEST_VALUE]
