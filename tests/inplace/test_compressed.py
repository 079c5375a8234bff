"""The use of a sandbox as a longer history: a second counts as five minutes, the hottest pod counts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from mora.domain import Allocation, Container, Window, Workload, WorkloadState
from mora.inplace.compressed import FACTOR, histories_of
from mora.sources.prometheus.matrix import Strip

START = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


class Wire:
    """Two pods of a service, of which one uses more in turn; answered in two pieces, as a busy server does."""

    def ranges(self, questions: Any) -> Iterator[tuple[str, Window, list[Strip]]]:
        for name, _, window in questions:
            half = Window(window.start, window.start + timedelta(seconds=4), window.step)
            rest = Window(window.start + timedelta(seconds=5), window.end, window.step)
            for number, part in enumerate((half, rest)):
                count = part.sample_count
                a = Strip({"pod": "web-abc-1"}, slice(0, count), np.full(count, 1.0 + number))
                b = Strip({"pod": "web-abc-2"}, np.arange(0, count, 2), np.full(len(range(0, count, 2)), 1.5))
                yield name, part, [a, b]


class Source:
    @contextmanager
    def wire(self) -> Iterator[Wire]:
        yield Wire()


def test_a_second_counts_as_five_minutes_and_the_hottest_pod_counts() -> None:
    states = [
        WorkloadState(Workload("default", name), Allocation(2, (Container("server", is_main=True),)))
        for name in ("web", "quiet")
    ]
    end = START + timedelta(seconds=9)
    window, (web, quiet) = histories_of(Source(), states, START, end)  # type: ignore[arg-type]  # no more is asked of it
    assert (window.step, window.end, window.sample_count) == (timedelta(seconds=FACTOR), end, 10)
    assert web.containers["server"].cpu_cores.tolist() == [1.5, 1, 1.5, 1, 1.5, 2, 2, 2, 2, 2]
    assert np.isnan(quiet.containers["server"].cpu_cores).all()
