"""What rates are taken over: four scrape intervals, found from the raw samples and not assumed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

from mora.domain import Window
from mora.sources.prometheus import promql
from mora.sources.prometheus.wire import Wire

# rate() needs two samples in its window, also when one scrape is late and one is lost.
_SCRAPES_IN_A_RATE_WINDOW = 4
_SHORTEST_RATE_WINDOW = timedelta(seconds=10)
# Where no scrape interval is found: what suits the longest usual one, a minute.
FALLBACK_RATE_WINDOW = timedelta(minutes=5)
_INTERVAL_SPANS = (timedelta(minutes=5), timedelta(hours=1))


@dataclass(frozen=True, slots=True)
class RateWindows:
    """The rate windows of cAdvisor's counters and of node-exporter's, which may be scraped at another interval."""

    container: timedelta
    node: timedelta
    warnings: tuple[str, ...] = ()


def find_rate_windows(wire: Wire, namespace: str, window: Window) -> RateWindows:
    """The rate windows that suit the scrape intervals of a namespace; a warning where one could not be found."""
    found: list[timedelta] = []
    warnings: list[str] = []
    for what, selector in (
        ("cAdvisor", promql.container_counters(namespace)),
        ("node-exporter", promql.node_counters()),
    ):
        interval = scrape_interval(wire, selector, window)
        if interval is None:
            found.append(FALLBACK_RATE_WINDOW)
            warnings.append(
                f"The scrape interval of {what} could not be found, because there are no samples of {selector}. "
                f"Its rates are taken over {promql.duration(FALLBACK_RATE_WINDOW)}."
            )
        else:
            found.append(rate_window_of(interval))
    return RateWindows(container=found[0], node=found[1], warnings=tuple(warnings))


def rate_window_of(interval: timedelta) -> timedelta:
    """The rate window for samples that come every `interval`.

    >>> rate_window_of(timedelta(seconds=15)), rate_window_of(timedelta(seconds=1))
    (datetime.timedelta(seconds=60), datetime.timedelta(seconds=10))
    """
    return max(_SCRAPES_IN_A_RATE_WINDOW * interval, _SHORTEST_RATE_WINDOW)


def scrape_interval(wire: Wire, selector: str, window: Window) -> timedelta | None:
    """The median distance of the raw samples of the selector's best sampled series; None where there are too few.

    Counting samples would take a pod that is a minute old for one that is scraped rarely; their distance does not.
    """
    metric = selector.partition("{")[0]
    for at in _moments(window):
        for span in _INTERVAL_SPANS:
            best = wire.instant(promql.best_sampled(selector, span), at)
            if not best or float(best[0]["value"][1]) < 3:
                continue
            samples = wire.instant(promql.raw_samples(metric, best[0]["metric"], span), at)
            times = [float(pair[0]) for pair in samples[0]["values"]]
            seconds = median(after - before for before, after in pairwise(times))
            # A scrape is a few milliseconds early or late; a tenth of a second tells intervals apart.
            return timedelta(seconds=round(seconds, 1) or seconds)
    return None


def _moments(window: Window) -> Iterable[datetime]:
    return window.end, window.start + (window.end - window.start) / 2, window.start
