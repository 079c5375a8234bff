"""The record of a test of a challenger: what both forecast and what came, as models/frontend/ab.json has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mora import documents
from mora.domain import Target
from mora.errors import BadModel
from mora.files import json_text, read_regular
from mora.model.versions import is_digest

RECORD = "ab.json"
ALPHA = 0.05
LONGEST_DAYS = 60.0
LEAST_DAYS, MOST_DAYS = 0.1, 10_000.0
LEAST_ALPHA, MOST_ALPHA = 1e-6, 0.5
OUTCOMES = ("takeover", "kept", "undecided", "stopped")

_SCHEMA_VERSION = 1
_MOST_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Window:
    """A horizon that both have forecast. begins: epoch seconds. The figures: mean use, in the target's unit."""

    horizon_seconds: int
    begins: float
    target: Target
    champion: float
    challenger: float
    truth: float


@dataclass(frozen=True, slots=True)
class Ended:
    """How a test ended. outcome: one of OUTCOMES."""

    at: datetime
    outcome: str
    why: str


@dataclass(frozen=True, slots=True)
class Trial:
    """A test of a challenger. champion, challenger: digests.

    begins: epoch seconds; windows begin then or later. scales: horizon -> target -> the error that counts as 1.
    longest_days: of coming data, after which it ends undecided.
    """

    champion: str
    challenger: str
    started_at: datetime
    begins: float
    scales: Mapping[int, Mapping[Target, float]]
    alpha: float = ALPHA
    longest_days: float = LONGEST_DAYS
    windows: tuple[Window, ...] = ()
    ended: Ended | None = None

    @property
    def needed(self) -> float:
        """The evidence that decides: 1 / alpha, shared among the horizons, each of which may decide."""
        return len(self.scales) / self.alpha

    @property
    def seen_until(self) -> float:
        """When the last window ends that was scored; epoch seconds."""
        return max((window.begins + window.horizon_seconds for window in self.windows), default=self.begins)


def _digest(value: Any, where: str) -> None:
    if not is_digest(value):
        raise documents.Misfit(f"{where} is not the digest of a version")


def _seconds(value: Any, where: str) -> None:
    if not (isinstance(value, str) and value.isascii() and value.isdigit() and 0 < int(value[:9]) < 10**8):
        raise documents.Misfit(f"{where} is not a number of seconds")


_SIZED = documents.one_of(Target.CPU.value, Target.MEMORY.value)
_AMOUNT = documents.number(0, 1e18)
_SHAPE = documents.fields(
    {
        "schema_version": documents.whole(1, _SCHEMA_VERSION),
        "champion": _digest,
        "challenger": _digest,
        "started_at": documents.moment,
        "begins": documents.number(0, 1e11),
        "alpha": documents.number(LEAST_ALPHA, MOST_ALPHA),
        "longest_days": documents.number(LEAST_DAYS, MOST_DAYS),
        "scales": documents.mapping(documents.mapping(documents.number(1e-12, 1e18), _SIZED), _seconds),
        "windows": documents.items(
            documents.fields(
                {
                    "horizon_seconds": documents.whole(1, 10**8),
                    "begins": documents.number(0, 1e11),
                    "target": _SIZED,
                    "champion": _AMOUNT,
                    "challenger": _AMOUNT,
                    "truth": _AMOUNT,
                }
            )
        ),
        "ended": documents.optional(
            documents.fields({"at": documents.moment, "outcome": documents.one_of(*OUTCOMES), "why": documents.text})
        ),
    }
)


def read_trial(folder: Path) -> Trial | None:
    """The last test of a service; None where there was none. BadModel where its file cannot be believed."""
    path = folder / RECORD
    try:
        stored = documents.parse(read_regular(path, _MOST_BYTES, follows_links=False))
        documents.check(stored, _SHAPE)
        _check_windows(stored)
    except FileNotFoundError:
        return None
    except (OSError, documents.Misfit) as failure:
        why = failure.strerror if isinstance(failure, OSError) else str(failure)
        raise BadModel(
            f"{path} cannot be read: {why}.", hint=f"Delete it and start again: mora ab start {folder.name}"
        ) from failure
    ended = stored["ended"]
    scales = {int(seconds): dict(targets) for seconds, targets in stored["scales"].items()}
    return Trial(
        stored["champion"],
        stored["challenger"],
        datetime.fromisoformat(stored["started_at"]),
        stored["begins"],
        {seconds: {Target(name): scale for name, scale in targets.items()} for seconds, targets in scales.items()},
        stored["alpha"],
        stored["longest_days"],
        tuple(Window(**{**one, "target": Target(one["target"])}) for one in stored["windows"]),
        None if ended is None else Ended(datetime.fromisoformat(ended["at"]), ended["outcome"], ended["why"]),
    )


def _check_windows(stored: Mapping[str, Any]) -> None:
    for window in stored["windows"]:
        if window["target"] not in stored["scales"].get(str(window["horizon_seconds"]), {}):
            raise documents.Misfit("windows are of horizons or targets that are not compared")


def as_file(folder: Path, trial: Trial) -> tuple[Path, str]:
    """The file of the record of a test, and its text."""
    ended = trial.ended
    document = {
        "schema_version": _SCHEMA_VERSION,
        "champion": trial.champion,
        "challenger": trial.challenger,
        "started_at": trial.started_at.isoformat(),
        "begins": trial.begins,
        "alpha": trial.alpha,
        "longest_days": trial.longest_days,
        "scales": {
            str(seconds): {target.value: scale for target, scale in targets.items()}
            for seconds, targets in trial.scales.items()
        },
        "windows": [
            {
                "horizon_seconds": window.horizon_seconds,
                "begins": window.begins,
                "target": window.target.value,
                "champion": window.champion,
                "challenger": window.challenger,
                "truth": window.truth,
            }
            for window in trial.windows
        ],
        "ended": None if ended is None else {"at": ended.at.isoformat(), "outcome": ended.outcome, "why": ended.why},
    }
    return folder / RECORD, json_text(document)
