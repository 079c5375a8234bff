"""Reads what a watch needs from a Prometheus: for many services at once, in frames as detectors take them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from mora.detectors.frames import TIMESTAMP
from mora.domain import Window, Workload
from mora.errors import BadInput, SourceUnavailable
from mora.health.frames import REPLICAS
from mora.health.stored import Key
from mora.health.watch import Asked
from mora.sources.prometheus.grid import index_of
from mora.sources.prometheus.mesh import own_query, pace_of, read_columns
from mora.sources.prometheus.services import COLUMNS, Floats, read_services

if TYPE_CHECKING:
    import pandas as pd

    from mora.sources.prometheus.observe import PrometheusSource
    from mora.sources.prometheus.wire import Wire

# A query of many namespaces is one answer in memory, and one that a server may refuse.
_SERVICES_AT_ONCE = 500
_NAMESPACES_AT_ONCE = 20
_FAILURES_IN_A_ROW = 3
# The scrape interval of a namespace hardly changes.
_PACE_HOLDS_SECONDS = 1800.0


class LiveReader:
    """Reads services from a Prometheus. It keeps the rate windows of their namespaces, and nothing else."""

    def __init__(self, source: PrometheusSource, *, steady: Callable[[], float] = time.monotonic) -> None:
        self._source, self._steady = source, steady
        self._rates: dict[str, tuple[float, timedelta]] = {}

    def __call__(self, wanted: Mapping[Key, Asked], window: Window) -> Iterator[tuple[Key, pd.DataFrame]]:
        """Frames of the services that Prometheus knows something of: watch.Read.

        A question that fails is asked again for each of its namespaces alone: one with too many series, or one that
        takes too long, must not hold up the others. After _FAILURES_IN_A_ROW nothing answers.
        """
        by_rate: dict[timedelta, dict[str, list[Key]]] = {}
        with self._source.wire() as wire:
            for key in wanted:
                rate = self._rate(wire, key[0], window)
                by_rate.setdefault(rate, {}).setdefault(key[0], []).append(key)
            waiting = deque((some, rate) for rate, namespaces in by_rate.items() for some in _chunks(namespaces))
            failure, in_a_row = None, 0
            while waiting:
                some, rate = waiting.popleft()
                try:
                    yield from self._read(wire, {key: wanted[key] for key in some}, window, rate)
                except SourceUnavailable as error:
                    failure, in_a_row = error, in_a_row + 1
                    if in_a_row == _FAILURES_IN_A_ROW:
                        break
                    alone = [list(keys) for _, keys in groupby(some, key=lambda key: key[0])]
                    if len(alone) > 1:
                        waiting.extendleft((keys, rate) for keys in reversed(alone))
                else:
                    in_a_row = 0
            if failure is not None:
                raise failure

    def _read(
        self, wire: Wire, wanted: Mapping[Key, Asked], window: Window, rate: timedelta
    ) -> Iterator[tuple[Key, pd.DataFrame]]:
        spaces = sorted({namespace for namespace, _ in wanted})
        metrics = {name for one in wanted.values() for name in one.metrics if name not in one.own}
        columns = [name for name in COLUMNS if name in metrics or name == REPLICAS]
        found = {key: of for key, of in read_services(wire, spaces, columns, window, rate) if key in wanted}
        for key, asked in wanted.items():
            columns_of = dict(found.get(key, {}))
            if asked.own:
                columns_of |= _own(wire, key, asked, window, rate)
            if columns_of:
                yield key, _frame(columns_of, window)

    def _rate(self, wire: Wire, namespace: str, window: Window) -> timedelta:
        known = self._rates.get(namespace)
        now = self._steady()
        if known is None or now - known[0] > _PACE_HOLDS_SECONDS:
            interval, rate = pace_of(wire, namespace, window)
            if interval is None:  # nothing of it is scraped now: look again next time
                return rate if known is None else known[1]
            known = self._rates[namespace] = (now, rate)
        return known[1]


def _own(wire: Wire, key: Key, asked: Asked, window: Window, rate: timedelta) -> dict[str, Floats]:
    """The metrics of a service's own; one whose query no longer answers one series is not known.

    One that is refused is not known, either: where nothing answers at all, the questions of every service say so.
    """
    found: dict[str, Floats] = {}
    for name, text in asked.own.items():
        query = own_query(text, Workload(*key), rate)
        try:
            found[name] = read_columns(wire, {name: query}, window)[name].to_numpy(dtype=np.float64)
        except (BadInput, SourceUnavailable):
            continue
    return found


def _frame(columns: Mapping[str, Floats], window: Window) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({TIMESTAMP: index_of(window), **columns})


def _chunks(namespaces: Mapping[str, Iterable[Key]]) -> Iterator[list[Key]]:
    """The services of some namespaces at a time."""
    some: list[Key] = []
    spaces = 0
    for keys in namespaces.values():
        keys = list(keys)
        if some and (len(some) + len(keys) > _SERVICES_AT_ONCE or spaces == _NAMESPACES_AT_ONCE):
            yield some
            some, spaces = [], 0
        some += keys
        spaces += 1
    if some:
        yield some
