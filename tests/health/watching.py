"""Detectors that are trained in a moment, stores of them, and a source of made-up samples, for tests of the watch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from mora.domain import Window
from mora.errors import BadModel, MoraError, SourceUnavailable
from mora.health.model import HealthModel, train
from mora.health.stored import Key
from mora.health.watch import Asked

START = datetime(2026, 11, 2, tzinfo=UTC)
STEP = timedelta(seconds=60)
FRONT, CART = ("shop", "frontend"), ("shop", "cart")
METRICS = ("cpu_cores_value", "mem_bytes_value", "latency_p95_seconds")


def usual(
    rows: int, start: datetime = START, *, seed: int = 1, step: timedelta = STEP, noise: float = 0.08
) -> pd.DataFrame:
    """Samples of a service that is itself: nowhere further from usual than those that it is trained on."""
    rng = np.random.default_rng(seed)
    values = {
        name: level * rng.uniform(1 - noise, 1 + noise, rows)
        for name, level in zip(METRICS, (0.2, 1e8, 0.05), strict=True)
    }
    return pd.DataFrame({"timestamp": pd.date_range(start, periods=rows, freq=step), **values})


def trained(
    detector: str = "robust-z", threshold: str = "quantile", *, start_up: timedelta = timedelta(0), key: Key = FRONT
) -> HealthModel:
    """A model of usual samples."""
    frame = usual(600, START - 600 * STEP, seed=7, noise=0.12)
    return train(
        frame,
        service=key[1],
        namespace=key[0],
        detector=detector,
        threshold=threshold,
        start_up=start_up,
        now=START,
    )


@dataclass
class Store:
    """Models in memory. broken: services whose model cannot be read."""

    keys: Sequence[Key]
    detector: str = "robust-z"
    threshold: str = "quantile"
    broken: set[Key] = field(default_factory=set)
    trained: dict[Key, int] = field(default_factory=dict)
    loads: int = 0

    def versions(self) -> Mapping[Key, str]:
        return {key: str(self.trained.get(key, 0)) for key in self.keys}

    def load(self, key: Key) -> HealthModel:
        self.loads += 1
        if key in self.broken:
            raise BadModel("The detector is torn.", hint="Train it again.")
        return trained(self.detector, self.threshold, key=key)


@dataclass
class Samples:
    """A source: what each service did, by its moment. away: why nothing answers. rows: how many were asked for.

    refused: services that are not answered, which is AWAY after the others.
    """

    of: dict[Key, pd.DataFrame]
    away: MoraError | None = None
    rows: int = 0
    looks: int = 0
    refused: set[Key] = field(default_factory=set)

    def __call__(self, wanted: Mapping[Key, Asked], window: Window) -> Iterator[tuple[Key, pd.DataFrame]]:
        self.looks += 1
        if self.away is not None:
            raise self.away
        first = round((window.start - START) / STEP)
        rows = np.arange(first, first + window.sample_count)
        made: dict[int, pd.DataFrame] = {}
        for key in wanted:
            if key in self.of and key not in self.refused:
                self.rows += len(rows)
                frame = self.of[key]
                if id(frame) not in made:
                    made[id(frame)] = _rows(frame, rows, window)
                yield key, made[id(frame)]
        if self.refused & wanted.keys():
            raise AWAY


def _rows(frame: pd.DataFrame, rows: np.ndarray[tuple[int], np.dtype[np.int64]], window: Window) -> pd.DataFrame:
    """Rows of a frame that begins at START, by their number; those that it does not have are not known."""
    is_there = (rows >= 0) & (rows < len(frame))
    grid: dict[str, object] = {"timestamp": pd.date_range(window.start, periods=len(rows), freq=window.step)}
    for name in frame.columns[1:]:
        values = np.full(len(rows), np.nan)
        values[is_there] = frame[name].to_numpy()[rows[is_there]]
        grid[name] = values
    return pd.DataFrame(grid)


AWAY = SourceUnavailable("http://127.0.0.1:9 cannot be reached: Connection refused.", hint="Is Prometheus running?")


@dataclass
class Clock:
    """A clock that stands until it is set."""

    at: datetime

    def __call__(self) -> datetime:
        return self.at

    def move(self, span: timedelta) -> None:
        self.at += span


class Lines:
    """The log lines: level, text, fields."""

    def __init__(self) -> None:
        self.of: list[tuple[str, str, dict[str, object]]] = []

    def __call__(self, level: str, message: str, **about: object) -> None:
        self.of.append((level, message, about))

    def texts(self) -> list[str]:
        return [text for _, text, _ in self.of]
