"""Incidents whose cause is certain, so that no one has to name them: left out only where that is asked for.

There are two such causes: a memory leak that ended in an OOM kill and was mended by a new image, and an outage of a
dependency (outages.py). Each has to be shown by what was measured before, then and after it: what a service used that
cannot be explained so stays, since the unusual is what a request has to cover.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from mora.domain import ContainerHistory, ImageUse, Window, WorkloadHistory
from mora.fleet.evidence import Floats, moment
from mora.fleet.incidents import Incident
from mora.fleet.outages import outages_of
from mora.fleet.spans import Span
from mora.quantities import format_duration, format_moment, readable_bytes
from mora.seams import CauseSource

_SOURCE = "a certain cause"
_DAY = timedelta(days=1)
# A rise has so many samples, in order as nearly as this rank correlation says, and ends at half as much again.
_LEAST_SAMPLES = 12
_STEADY_RISE = 0.9
_LEAST_GAIN = 0.5
# The level that it rose from: a low quantile, since the first samples of a restart are lower than any later ones.
_LOW = 0.05
_STARTED = 0.1
# An OOM kill is noted up to so many samples after the last sample of the memory that it freed.
_NOTED_LATE = 2
# A mended service rises less than half as fast as the leak did, if at all.
_MENDED = 0.5
# As much load came again where the usual CPU of the rise lies no more than a tenth above the high level since.
_USUAL_LOAD, _AS_MUCH = 0.95, 1.1

Causes = Callable[[WorkloadHistory], tuple[Incident, ...]]
"""The incidents of a workload's history whose cause is certain."""


def no_causes(history: WorkloadHistory) -> tuple[Incident, ...]:
    """None: the answer where they were not asked for, or nothing can tell."""
    return ()


def causes_of(source: CauseSource) -> Causes:
    """What finds them. The source is asked for the images of those workloads alone whose memory rose to an OOM kill."""

    def find(history: WorkloadHistory) -> tuple[Incident, ...]:
        return (*_leaks(history), *_outages(history))

    def _outages(history: WorkloadHistory) -> tuple[Incident, ...]:
        window = history.window
        return tuple(
            Incident(span, _SOURCE, text)
            for calls in source.failing_calls(history.workload, window)
            for span, text in outages_of(calls, window)
        )

    def _leaks(history: WorkloadHistory) -> tuple[Incident, ...]:
        leaks = {name: found for name, one in history.containers.items() if (found := leaks_of(one))}
        if not leaks:
            return ()
        images = source.images(history.workload, history.window)
        return tuple(
            incident
            for name, found in leaks.items()
            for incident in mended(
                found, history.containers[name], [one for one in images if one.container == name], history.window
            )
        )

    return find


# --- leaks -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Leak:
    """Memory that rose steadily from row `start` to row `peak`, where an OOM kill ended it, noted at `kill`; bytes."""

    start: int
    peak: int
    kill: int
    low: float
    high: float


def leaks_of(one: ContainerHistory) -> list[Leak]:
    """The rises of a container's memory that each ended in an OOM kill, in order. Pure; whether mended is not asked."""
    found = []
    after = 0
    for group in _groups(one.oom_rows):
        begin = max(after, group[0] - _NOTED_LATE)
        near = one.mem_bytes[begin : group[-1] + 1]
        if len(near) and not np.isnan(near).all():
            rise = _rise(one.mem_bytes, after, begin + int(np.nanargmax(near)))
            if rise is not None:
                found.append(replace(rise, kill=group[-1]))
        after = group[-1] + 1
    return found


def _groups(rows: Sequence[int]) -> list[list[int]]:
    """Kills that are too near to each other for a rise between them: those of several pods, or of a crash loop."""
    groups: list[list[int]] = []
    for row in sorted(rows):
        if groups and row - groups[-1][-1] < _LEAST_SAMPLES:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def _rise(memory: Floats, first: int, peak: int) -> Leak | None:
    """The steady rise up to a row; None where there is none since row `first`."""
    known = first + np.flatnonzero(~np.isnan(memory[first : peak + 1]))
    if len(known) < _LEAST_SAMPLES:
        return None
    values = memory[known]
    low, high = float(np.quantile(values, _LOW)), float(values[-1])
    if high - low < _LEAST_GAIN * low:
        return None
    begin = int(np.flatnonzero(values <= low + _STARTED * (high - low))[-1])
    if len(values) - begin < _LEAST_SAMPLES or _rank_correlation(values[begin:]) < _STEADY_RISE:
        return None
    # What it rose by before that is within its usual noise: as much earlier as the rest of the rise took for it.
    earlier = round((peak - int(known[begin])) * _STARTED / (1 - _STARTED))
    return Leak(max(first, int(known[begin]) - earlier), peak, peak, low, high)


def _rank_correlation(values: Floats) -> float:
    """Spearman's, of values with their order; 0 where all are equal. What is level for long lowers it: ties share."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    if len(counts) < 2:
        return 0.0
    return float(np.corrcoef(ranks, np.arange(len(values)))[0, 1])


def mended(
    leaks: Sequence[Leak], one: ContainerHistory, images: Sequence[ImageUse], window: Window
) -> tuple[Incident, ...]:
    """Those leaks that a new image is shown to have mended, as incidents, in order. Pure.

    images: of this container, each with when it was seen first and last. A leak that came again until then counts with
    the last one.
    """
    found: list[Incident] = []
    by: int | None = None
    change: _Change | None = None
    for leak in reversed(leaks):
        if change is None:
            change = _change_after(leak, images, window)
            if change is None or not _is_mended(leak, change, one, window):
                change = None
                continue
            by = change.row
        assert by is not None  # noqa: S101  # set with the change
        if by - leak.kill > max(leak.peak - leak.start, _DAY / window.step):
            break
        found.append(_incident(leak, one.container, change, window))
        by = leak.start
    return tuple(reversed(found))


@dataclass(frozen=True, slots=True)
class _Change:
    """A new image: since which row it ran, from which row on alone, and both names."""

    row: int
    alone: int
    before: str
    after: str


def _change_after(leak: Leak, images: Sequence[ImageUse], window: Window) -> _Change | None:
    """The first image that came after a kill and was never seen before it, if those that leaked are gone since."""

    def row(one: ImageUse, *, last: bool = False) -> int:
        return round(((one.end if last else one.start) - window.start) / window.step)

    leaking = [one for one in images if row(one) <= leak.kill and row(one, last=True) >= leak.peak - _NOTED_LATE]
    new = [one for one in images if row(one) > leak.kill]
    if not leaking or not new:
        return None
    first = min(new, key=lambda one: (one.start, one.image))
    gone = max(row(one, last=True) for one in leaking) + 1
    return _Change(row(first), max(gone, row(first)), leaking[0].image, first.image)


def _is_mended(leak: Leak, change: _Change, one: ContainerHistory, window: Window) -> bool:
    """Whether memory did not rise again although as much load came: for a day at least, without an OOM kill."""
    took, left = leak.peak - leak.start, window.sample_count - 1 - change.alone
    if left * window.step < _DAY or any(row >= change.row for row in one.oom_rows):
        return False
    memory, cpu = (_known(values[change.alone + 1 :]) for values in (one.mem_bytes, one.cpu_cores))
    then = _known(one.cpu_cores[leak.start : leak.peak + 1])
    if len(memory) < 0.5 * left or len(cpu) < 0.5 * left or not len(then):
        return False
    allowed = leak.low + _MENDED * (leak.high - leak.low) * min(1.0, left / took)
    return bool(memory.max() <= allowed and np.median(then) <= _AS_MUCH * np.quantile(cpu, _USUAL_LOAD))


def _known(values: Floats) -> NDArray[np.float64]:
    return values[~np.isnan(values)]


def _incident(leak: Leak, container: str, change: _Change, window: Window) -> Incident:
    start, peak, kill, changed = (moment(window, row) for row in (leak.start, leak.peak, leak.kill, change.row))
    hours = timedelta(hours=max(1, round((peak - start) / timedelta(hours=1))))
    text = (
        f"memory of {container} rose for {format_duration(hours)} from "
        f"{readable_bytes(leak.low)} to {readable_bytes(leak.high)}, to an OOM kill at {format_moment(kill)}; the "
        f"image changed at {format_moment(changed)} from {change.before} to {change.after}, and it has not risen so "
        "since"
    )
    return Incident(Span(start, kill), _SOURCE, text)
