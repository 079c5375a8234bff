"""Whether a load test has broken its SLO beyond doubt while it still runs, and how sure its p95 is when it has ended.

Requests of a load test are no independent draws: they slow down together. Both answers therefore count slow requests by
blocks of seconds, and take as many requests for one as the blocks vary more than independent requests would (the design
effect of cluster samples; Kish 1965). The test that ends a run is Wald's sequential probability ratio test: with
independent blocks it is wrong at most with the probability `DOUBT`, however often it is asked. A few blocks cannot
show how they depend on each other, so nearly all of them must be over the allowed share as well.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from mora.harness.record import Second

# How often a run that keeps its SLO may be called broken.
DOUBT = 0.001
# The share of slow requests beside the allowed one that the ratio test decides between.
_WORSE_TIMES = 3.0
_BLOCK_SECONDS = 3
# With fewer blocks their spread says little: it is then taken for as large as the usual one of a busy service. A run
# is never ended on less than that: of many moments, one may look as if requests were independent.
_MIN_BLOCKS, _USUAL_EFFECT = 5, 4.0
# One burst is no overload, however many requests it has: of the blocks so many must be over the allowed share.
_NEARLY_ALL = 0.9
_NORMAL_95, _P95 = 1.96, 0.95


@dataclass(frozen=True, slots=True)
class Count:
    """The requests of some seconds, and those of them that were slow (or failed)."""

    requests: int
    slow: int


def slow_counts(seconds: Sequence[Second], slower_than_seconds: float) -> list[Count]:
    """Of each second, the requests that answered, and those of them that were slower than so many seconds."""
    limit = slower_than_seconds * 1000
    return [
        Count(one.milliseconds.total(), sum(n for value, n in one.milliseconds.items() if value > limit))
        for one in seconds
    ]


def failed_counts(seconds: Sequence[Second]) -> list[Count]:
    """Of each second but the first, the requests and the failures, from their totals."""
    return [
        Count(after.requests - before.requests, after.failures - before.failures) for before, after in pairwise(seconds)
    ]


def p95_interval(seconds: Sequence[Second]) -> tuple[float, float] | None:
    """The 95 % confidence interval of the p95 of some seconds, in seconds; None without a request."""
    times: Counter[float] = Counter()
    for one in seconds:
        times.update(one.milliseconds)
    middle = quantile_interval(times, _P95, 1.0)
    if middle is None:
        return None
    effect = design_effect(slow_counts(seconds, (middle[0] + middle[1]) / 2000))
    low, high = quantile_interval(times, _P95, effect) or middle
    return round(low / 1000, 9), round(high / 1000, 9)


def design_effect(counts: Sequence[Count]) -> float:
    """How many requests say as much as one independent request, at least 1. counts: one a second.

    >>> design_effect([Count(100, 5)] * 30)
    1.0
    >>> round(design_effect([Count(100, 0), Count(100, 0), Count(100, 30)] * 10), 1)
    1.0
    >>> round(design_effect([Count(100, 0)] * 15 + [Count(100, 10)] * 15), 1)
    17.5
    """
    summed = [(block.requests, block.slow) for block in _blocks(counts)]
    total, slow = sum(requests for requests, _ in summed), sum(slow for _, slow in summed)
    if not 0 < slow < total:
        return 1.0
    if len(summed) < _MIN_BLOCKS:
        return _USUAL_EFFECT
    ratio = slow / total
    spread = sum((own - requests * ratio) ** 2 for requests, own in summed) * len(summed) / (len(summed) - 1)
    return max(1.0, spread / (total * ratio * (1 - ratio)))


def is_broken(counts: Sequence[Count], allowed: float) -> bool:
    """Whether more than the allowed share of requests is slow, beyond doubt. counts: one a second, in order.

    allowed: 0.05 for a p95; the error ratio of the SLO for failures, of which 0 allows none.

    >>> is_broken([Count(30, 0)] * 20, 0.05), is_broken([Count(30, 20)] * 15, 0.05), is_broken([Count(30, 1)], 0.0)
    (False, True, True)
    """
    requests, slow = sum(one.requests for one in counts), sum(one.slow for one in counts)
    if not requests or allowed >= 1:
        return False
    if allowed <= 0:
        return slow > 0
    worse = min(_WORSE_TIMES * allowed, (1 + allowed) / 2)
    ratio = slow * math.log(worse / allowed) + (requests - slow) * math.log((1 - worse) / (1 - allowed))
    blocks = _blocks(counts)
    nearly_all = sum(block.slow > allowed * block.requests for block in blocks) >= _NEARLY_ALL * len(blocks)
    is_certain = ratio / max(_USUAL_EFFECT, design_effect(counts)) >= math.log(1 / DOUBT)
    return is_certain and nearly_all and len(blocks) >= _MIN_BLOCKS


def _blocks(counts: Sequence[Count]) -> list[Count]:
    """The counts of blocks of seconds, without those that had no request."""
    pieces = (counts[at : at + _BLOCK_SECONDS] for at in range(0, len(counts), _BLOCK_SECONDS))
    summed = (Count(sum(one.requests for one in piece), sum(one.slow for one in piece)) for piece in pieces)
    return [block for block in summed if block.requests]


def quantile_interval(values: Counter[float], level: float, effect: float) -> tuple[float, float] | None:
    """The 95 % confidence interval of a quantile, by the order statistics of counted values; None without any.

    values: value -> how often. effect: the design effect of the count above the quantile.

    >>> quantile_interval(Counter({float(n): 1 for n in range(1, 1001)}), 0.95, 1.0)
    (936.0, 964.0)
    """
    total = values.total()
    if not total:
        return None
    half = _NORMAL_95 * math.sqrt(total * level * (1 - level) * effect)
    ranks = [min(max(rank, 1), total) for rank in (math.floor(total * level - half), math.ceil(total * level + half))]
    found: list[float] = []
    for value, count in sorted(values.items()):
        ranks = [rank - count for rank in ranks]
        while ranks and ranks[0] <= 0:
            found.append(value)
            ranks.pop(0)
    return found[0], found[1]
