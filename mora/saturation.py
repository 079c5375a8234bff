"""Whether use is limit-bound: demand above a limit cannot be seen, so what was measured is "at least".

Driven runs, observed histories and fleets ask here, so that one history gets one verdict. It follows what the kernel
can know:

    what was measured               what it proves                                             limit-bound
    an OOM kill                     memory was needed beyond the limit                         yes
    CFS periods throttled           in those periods more CPU was wanted than the quota        where busy: yes
                                    allows; while idle, a burst that decides no request        while idle: no
    CPU at its limit, no counters   a hint: it may have wanted more, or just that much         yes
    CPU at its limit, counters at   everything that was wanted fitted into the quota           no
    zero
    memory at its limit, no kill    need, or cache that could be given back: the kernel does   yes
                                    not know, and a little more is a kill
    a limit raised since            nothing of demand beyond the old limit; a day of samples   by the samples
                                    under the new limit shows it                               since then

An OOM kill counts wherever it happened in the last two weeks: the kill proves a need, and a day without one does not
disprove it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mora.domain import Reason, Target
from mora.quantities import readable_bytes, readable_cores

Floats = NDArray[np.float64]

# More throttled CFS periods than this: use is what the quota allowed, not what was wanted.
THROTTLED_RATIO = 0.10
# A level this close to its limit is the limit. CPU rates are averages over a window, so they stay a little below it.
CPU_AT_LIMIT_RATIO = 0.95
MEMORY_AT_LIMIT_RATIO = 0.98
# A limit cuts off the highest samples first: a twentieth of them at the limit is the p95.
_AT_LIMIT_SHARE = 0.05
# Throttling hurts when there is work to do: it is looked at where use is highest. Fewer samples than those of an hour
# are noise (one of 180 driven runs of ten minutes would change its verdict by six samples of sixty).
_BUSY_SHARE = 0.10
_BUSY_SPAN = timedelta(hours=1)
_WEEK = timedelta(days=7)
KILLS_COUNT_FOR = timedelta(days=14)
"""How long an OOM kill counts: what runs once in two weeks may need its memory again. Experiments do not age."""
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class LimitBound:
    """That use is limit-bound, and how that is known.

    level: the least that the samples show to be needed, in cores or bytes; how far to go above an OOM kill is the
    policy's. text: the cause as text, with its figures.
    """

    cause: Literal["at-limit", "throttled", "oom-killed"]
    level: float
    text: str

    @property
    def reason(self) -> Reason:
        """The verdict as a reason of a recommendation."""
        return Reason("limit-bound", self.text)


def limit_bound(
    target: Target,
    use: Floats,
    *,
    step: timedelta,
    limit: Floats | None = None,
    throttled: Floats | None = None,
    oom_kills: int = 0,
    oom_limit_bytes: float | None = None,
) -> LimitBound | None:
    """Why use of the last week is limit-bound; None where demand was seen in full.

    use: samples of one container on a grid of `step`, NaN where missing. limit: the limit at each of them, NaN where
    there was none; None where none is known. throttled: share of CFS periods that were throttled, 0..1, NaN or None
    where there is no counter. oom_kills: kills in the samples; oom_limit_bytes: the limit that they happened at.
    """
    known = np.flatnonzero(~np.isnan(use))
    if target is Target.MEMORY and oom_kills > 0:
        return _oom_killed(use[known], oom_kills, oom_limit_bytes)
    if not len(known):
        return None
    # What has gone is judged by its last week.
    last = int(known[-1]) + 1
    begin = max(0, last - _count(_WEEK, step))
    raised = _since_raised(use, limit, begin, last, _count(_DAY, step))
    era = slice(begin if raised is None else raised, last)
    when = "in the last 7 days" if raised is None else "since its limit was raised"
    limit = None if limit is None else limit[era]
    throttled = None if throttled is None or target is not Target.CPU else throttled[era]
    found = _at_limit(use[era], limit, throttled, target, when)
    if found is None and throttled is not None:
        found = _throttled(use[era], throttled, _count(_BUSY_SPAN, step), when)
    return found


def _oom_killed(use: Floats, kills: int, limit: float | None) -> LimitBound:
    level = float(use.max()) if len(use) else 0.0
    killed_at = level if limit is None or np.isnan(limit) else max(limit, level)
    text = (
        f"limit-bound: {kills} OOM kill{'s' if kills > 1 else ''} at {readable_bytes(killed_at)}, so real memory "
        "demand is higher than the limit was"
    )
    return LimitBound("oom-killed", level, text)


def _since_raised(use: Floats, limit: Floats | None, begin: int, last: int, day: int) -> int | None:
    """The first sample under today's limit, where a lower one came before it and a day of samples came since."""
    if limit is None:
        return None
    now = limit[last - 1]
    lower = np.flatnonzero(limit[begin:last] < (np.inf if np.isnan(now) else now * CPU_AT_LIMIT_RATIO))
    if not len(lower):
        return None
    raised = begin + int(lower[-1]) + 1
    return raised if int((~np.isnan(use[raised:last])).sum()) >= day else None


def _at_limit(
    use: Floats, limit: Floats | None, throttled: Floats | None, target: Target, when: str
) -> LimitBound | None:
    if limit is None:
        return None
    is_cpu = target is Target.CPU
    known = ~np.isnan(use)
    bound = known & (use >= limit * (CPU_AT_LIMIT_RATIO if is_cpu else MEMORY_AT_LIMIT_RATIO))
    if throttled is not None:
        # Not one period was throttled: all that was wanted fitted into the quota, however close to it.
        bound &= ~(throttled == 0.0)
    # CPU may touch its limit now and then; memory that does is a step away from a kill.
    if bound.sum() < (max(_AT_LIMIT_SHARE * known.sum(), 1) if is_cpu else 1):
        return None
    level, share = float(limit[bound].max()), bound.sum() / known.sum()
    text = (
        f"limit-bound: {_WORDS[target]} use was at its limit of {_readable(target, level)} in {share:.1%} of the "
        f"samples {when}, so real demand may be higher"
    )
    return LimitBound("at-limit", level, text)


def _throttled(use: Floats, throttled: Floats, least: int, when: str) -> LimitBound | None:
    known = ~np.isnan(use) & ~np.isnan(throttled)
    if not known.any():
        return None
    # The busiest tenth, but no fewer samples than those of an hour.
    share = max(_BUSY_SHARE, min(1.0, least / int(known.sum())))
    busy = known & (use >= np.quantile(use[known], 1.0 - share))
    ratio = float(throttled[busy].mean())
    if ratio <= THROTTLED_RATIO:
        return None
    # Not the peak: one spike of an hour shows little of what the busy hours wanted.
    level = float(np.quantile(use[known], 1.0 - _AT_LIMIT_SHARE))
    text = (
        f"limit-bound: CPU was throttled in {ratio:.0%} of its periods when it was busiest {when}, so real demand may "
        f"be higher than the p95 of use, {_readable(Target.CPU, level)}"
    )
    return LimitBound("throttled", level, text)


_WORDS = {Target.CPU: "CPU", Target.MEMORY: "memory"}


def _readable(target: Target, use: float) -> str:
    return readable_cores(use) if target is Target.CPU else readable_bytes(use)


def _count(span: timedelta, step: timedelta) -> int:
    return max(1, round(span / step))
