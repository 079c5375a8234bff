"""A Reader over made-up series: what the shared part of the clouds is tried with, without any client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from mora.domain import Window, Workload
from mora.sources.cloud.reader import Tried
from mora.sources.cloud.signals import Of, Remark, Scope, Series, Signal

START = datetime(2026, 11, 1, tzinfo=UTC)
MINUTES_5 = timedelta(minutes=5)
WEB, REDIS = Workload("shop", "web"), Workload("shop", "redis", "StatefulSet")
WEB_PODS = ("web-7d4b9c8f6d-x2klp", "web-7d4b9c8f6d-zz9vb")
Floats = NDArray[np.float64]
NOBODY = Of()
UNITS = {Signal.CPU: "{cpu}", Signal.MEMORY: "By", Signal.RESTARTS: "1", Signal.NODE_CPU: "1", Signal.RECEIVED: "By/s"}


def window(rows: int = 12) -> Window:
    return Window(START, START + (rows - 1) * MINUTES_5, MINUTES_5)


def page(
    signal: Signal, values: Sequence[float] | Floats, of: Of = NOBODY, *, unit: str | None = None, first_row: int = 0
) -> Series:
    """Points that end on the rows of `window()`, from a row on."""
    seconds = START.timestamp() + 300.0 * np.arange(first_row, first_row + len(values), dtype=np.float64)
    default = UNITS.get(signal, "By" if "memory" in signal else "{cpu}")
    return Series(signal, of, default if unit is None else unit, seconds, np.array(values, dtype=np.float64))


def of(workload: Workload, pod: str, container: str = "server", node: str = "node-1") -> Of:
    return Of(workload, pod, container, node)


class MadeUpReader:
    """Answers the pages that it is given, of the namespace and workload that are asked for."""

    title = "a made-up cloud"
    signals = frozenset({*UNITS, Signal.CPU_REQUEST, Signal.CPU_LIMIT, Signal.MEMORY_REQUEST, Signal.MEMORY_LIMIT})
    finest = timedelta(minutes=1)

    def __init__(self, *pages: Series, remarks: Sequence[str] = ()) -> None:
        self.pages, self.remarks = pages, remarks
        self.asked: list[tuple[tuple[Signal, ...], Scope, Window]] = []

    def read(self, signals: Sequence[Signal], scope: Scope, window: Window) -> Iterator[Series | Remark]:
        self.asked.append((tuple(signals), scope, window))
        yield from map(Remark, self.remarks)
        yield from (one for one in self.pages_of(scope) if one.signal in signals)

    def pages_of(self, scope: Scope) -> Iterator[Series]:
        for one in self.pages:
            workload = one.of.workload
            if workload is None or (
                scope.namespace in (None, workload.namespace) and scope.workload in (None, workload.name)
            ):
                yield one

    def queries(self, signals: Sequence[Signal], scope: Scope, window: Window) -> Mapping[str, str]:
        return {str(signal): f"{signal} of {scope.namespace}/{scope.workload}" for signal in signals}

    def check(self, at: datetime) -> Iterator[Tried]:
        yield Tried("made up", True, "answers")


def shop(rows: int = 12) -> MadeUpReader:
    """Two pods of web with a sidecar, one of redis, on two nodes; the second pod of web is the hotter."""
    first, second = WEB_PODS
    ones = np.ones(rows)
    return MadeUpReader(
        page(Signal.CPU, 0.1 * ones, of(WEB, first)),
        page(Signal.CPU, 0.3 * ones, of(WEB, second, node="node-2")),
        page(Signal.CPU, 0.05 * ones, of(WEB, first, "istio-proxy")),
        page(Signal.MEMORY, 100e6 * ones, of(WEB, first)),
        page(Signal.MEMORY, 90e6 * ones, of(WEB, second, node="node-2")),
        page(Signal.CPU_REQUEST, 0.5 * ones, of(WEB, first)),
        page(Signal.CPU_LIMIT, 1.0 * ones, of(WEB, first)),
        page(Signal.MEMORY_REQUEST, 2.0**28 * ones, of(WEB, first)),
        page(Signal.MEMORY_LIMIT, 2.0**28 * ones, of(WEB, first)),
        page(Signal.RESTARTS, [0.0, 2.0] + [0.0] * (rows - 2), of(WEB, second, node="node-2")),
        page(Signal.RECEIVED, 1000 * ones, Of(WEB, first)),
        page(Signal.RECEIVED, 500 * ones, Of(WEB, second)),
        page(Signal.NODE_CPU, 0.4 * ones, Of(node="node-1")),
        page(Signal.NODE_CPU, 0.9 * ones, Of(node="node-3")),
        page(Signal.CPU, 0.02 * ones, of(REDIS, "redis-0", "redis")),
        page(Signal.MEMORY, 50e6 * ones, of(REDIS, "redis-0", "redis")),
    )
