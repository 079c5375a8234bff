"""One result of the doctor: what was checked, how it is, what was found, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a check ended: `missing` stops some command, `warning` makes one worse."""

    OK = "ok"
    WARNING = "warning"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. words: what was found; remedy: what to do, empty where everything is in order."""

    name: str
    state: State
    words: str
    remedy: str = ""
