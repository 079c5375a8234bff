"""What rates are taken over: four scrape intervals, found from the raw samples and not assumed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

from mora.domain import Window
from mora.sources.prometheus import promql
from mora.sources.prometheus.asked import Pace, Paces
from mora.sources.prometheus.wire import Wire

# rate() needs two samples in its window, also when one scrape is late and one is lost.
_SCRAPES_IN_A_RATE_WINDOW = 4
_SHORTEST_RATE_WINDOW = timedelta(seconds=10)
# Where no scrape interval is found: what suits the longest usual one, a minute.
FALLBACK_RATE_WINDOW = timedelta(minutes=5)
# Six hours, for what Thanos has downsampled to an hour.
_INTERVAL_SPANS = (timedelta(minutes=5), timedelta(hours=1), timedelta(hours=6))
# Whether the interval changed is looked at once a day, at most so often, by the samples of a short span.
_PROBE_EVERY, _MOST_PROBES, _PROBE_SPAN = timedelta(days=1), 16, timedelta(minutes=10)
# Intervals, and numbers of samples, that differ by no more than this factor are alike: a scrape may be lost.
_ALIKE = 1.5
# When it changed is sought to within so much.
_CHANGE_WITHIN = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class RateWindows:
    """The rate windows of cAdvisor's counters and of node-exporter's, which may be scraped at another interval.

    interval: of cAdvisor; None where it was not found, or not looked for.
    """

    container: timedelta
    node: timedelta
    warnings: tuple[str, ...] = ()
    interval: timedelta | None = None


def find_rate_windows(wire: Wire, namespace: str, window: Window) -> RateWindows:
    """The rate windows that suit the scrape intervals of a namespace; a warning where one could not be found."""
    found: list[timedelta] = []
    intervals: list[timedelta | None] = []
    warnings: list[str] = []
    for what, selector in (
        ("cAdvisor", promql.container_counters(namespace)),
        ("node-exporter", promql.node_counters()),
    ):
        interval = scrape_interval(wire, selector, window)
        intervals.append(interval)
        if interval is None:
            found.append(FALLBACK_RATE_WINDOW)
            warnings.append(
                f"The scrape interval of {what} could not be found, because there are no samples of {selector}. "
                f"Its rates are taken over {promql.duration(FALLBACK_RATE_WINDOW)}."
            )
        else:
            found.append(rate_window_of(interval))
    return RateWindows(container=found[0], node=found[1], warnings=tuple(warnings), interval=intervals[0])


def rate_window_of(interval: timedelta) -> timedelta:
    """The rate window for samples that come every `interval`.

    >>> rate_window_of(timedelta(seconds=15)), rate_window_of(timedelta(seconds=1))
    (datetime.timedelta(seconds=60), datetime.timedelta(seconds=10))
    """
    return max(_SCRAPES_IN_A_RATE_WINDOW * interval, _SHORTEST_RATE_WINDOW)


def paces_of(wire: Wire, selector: str, window: Window) -> Paces | None:
    """The paces at which a selector was scraped over the window; None where it has too few samples to tell.

    One cheap question looks for changes; where none is seen, the interval of the end is that of all of the window.
    Where there is one, it is sought by halving, and the longer interval reaches beyond it: `irate` takes the last two
    samples of its range, so a longer range does no harm.
    """
    if not _may_have_changed(wire, selector, window):
        interval = scrape_interval(wire, selector, window)
        return None if interval is None else Paces(((window.start, _pace(interval)),))
    asked = _Intervals(wire, selector)
    moments = list(reversed(_probes(window)))
    known = [(at, interval) for at in moments if (interval := asked.at(at)) is not None]
    if not known:
        return None
    since = [(window.start, _pace(known[0][1]))]
    for (begin, before), (end, after) in pairwise(known):
        if _is_alike(before, after):
            continue
        while end - begin > _CHANGE_WITHIN:
            middle = begin + (end - begin) / 2
            interval = asked.at(middle)
            if interval is None or _is_alike(interval, after):
                end = middle
            else:
                begin = middle
        # What was scraped often hides for a while that it no longer is: in the span that longer intervals are seen in.
        hidden = next((span for span in _INTERVAL_SPANS if span >= 3 * after), _INTERVAL_SPANS[-1])
        since.append((end + rate_window_of(before) if before > after else begin - hidden, _pace(after)))
    return Paces(tuple(since))


@dataclass(slots=True)
class _Intervals:
    """The scrape interval at single moments."""

    wire: Wire
    selector: str

    def at(self, moment: datetime) -> timedelta | None:
        return _interval_at(self.wire, self.selector, moment, _INTERVAL_SPANS)


def _may_have_changed(wire: Wire, selector: str, window: Window) -> bool:
    """Whether the best sampled series had as many samples in a short span at every moment that is looked at."""
    moments = _probes(window)
    text = promql.samples_at(selector, _PROBE_SPAN, [window.end - at for at in moments])
    counts = {row["metric"].get("ago", ""): float(row["value"][1]) for row in wire.instant(text, window.end)}
    highest, lowest = max(counts.values(), default=0.0), min(counts.values(), default=0.0)
    # What is not there at all is younger, or is too sparse for so short a span.
    return bool(counts) and (len(counts) < len(moments) or highest > _ALIKE * lowest)


def _probes(window: Window) -> list[datetime]:
    """Moments from the end backwards."""
    span = window.end - window.start
    every = max(_PROBE_EVERY, span / _MOST_PROBES)
    return [window.end - number * every for number in range(int(span / every) + 1)]


def _is_alike(one: timedelta, other: timedelta) -> bool:
    return max(one, other) <= _ALIKE * min(one, other)


def _pace(interval: timedelta) -> Pace:
    return Pace(interval, rate_window_of(interval))


def scrape_interval(wire: Wire, selector: str, window: Window) -> timedelta | None:
    """The median distance of the raw samples of the selector's best sampled series; None where there are too few.

    Counting samples would take a pod that is a minute old for one that is scraped rarely; their distance does not.
    """
    found = (_interval_at(wire, selector, at, _INTERVAL_SPANS) for at in _moments(window))
    return next((interval for interval in found if interval is not None), None)


def _interval_at(wire: Wire, selector: str, at: datetime, spans: Sequence[timedelta]) -> timedelta | None:
    """The interval in the first span before a moment that has three samples."""
    metric = selector.partition("{")[0]
    for span in spans:
        best = wire.instant(promql.best_sampled(selector, span), at)
        if not best or float(best[0]["value"][1]) < 3:
            continue
        samples = wire.samples(promql.raw_samples(metric, best[0]["metric"], span), at)
        between = [after - before for before, after in pairwise(samples[0])] if samples else []
        seconds = median(between) if between else 0.0
        if seconds <= 0:
            continue
        # A scrape is a few milliseconds early or late; a tenth of a second tells intervals apart.
        return timedelta(seconds=round(seconds, 1) or seconds)
    return None


def _moments(window: Window) -> Iterable[datetime]:
    return window.end, window.start + (window.end - window.start) / 2, window.start
