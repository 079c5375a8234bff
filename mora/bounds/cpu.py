"""The CPU request that would have been cheapest, as far as the series' own past can tell.

Cost is what is minimised: reserved + 20 x the use above it. Plain rules (rules.py) are calibrated and mixed
(learning.py); no forecast, no training, no other series. What that yields beside KRR's rule and the VPA's is printed by
experiments/benchmarks/bounds.py.
"""

from __future__ import annotations

import numpy as np

from mora.bounds.confidence import CPU_OVER_SHARE, chances, cpu_prior, kept_holds
from mora.bounds.learning import Mix, calibrated, costs, mixed
from mora.bounds.levels import Past, count
from mora.bounds.rules import ANCHOR, WEEK_HOURS, cpu_rules, idle_level
from mora.bounds.ticks import HOUR_SECONDS, Bounds, Floats, Indices, cut

# Slow, bold and quick to forget: no single pace is best on every series, so the three are mixed once more, with the
# calibrated anchor among them for series on which choosing does not pay.
_FIRST_MIXES = (Mix(0.05, 336.0), Mix(0.2, 336.0), Mix(0.05, 72.0, floor=0.05))
_LAST_MIX = Mix(0.1, 336.0)
_LAST_PRIOR = np.array([0.2, 0.2, 0.2, 0.4])


def cpu_bounds(values: Floats, *, step_seconds: float, decisions: Indices, hold_seconds: float) -> Bounds:
    """One request per decision for the hold that begins there, in the unit of `values`, and how sure it is.

    values: use on a constant grid, shape (n,), NaN where missing. decisions: rising indices of the holds' first
    samples, shape (d,); request i rests on values[: decisions[i]]. NaN where nothing is known before a decision, 0
    where no sample before it is above 0. Scaling the values scales the requests.
    """
    requests, confidence = np.full(len(decisions), np.nan), np.full(len(decisions), np.nan)
    known = np.flatnonzero(~np.isnan(values[: decisions[-1]])) if len(decisions) else np.empty(0)
    if not len(known):
        return Bounds(requests, confidence)
    requests[decisions > known[0]] = 0.0
    ticks = cut(values, step_seconds=step_seconds, decisions=decisions, hold_seconds=hold_seconds)
    past = count(ticks)
    by_tick = np.full(len(ticks.samples) + 1, np.nan) if past is None else _by_tick(past)
    found = by_tick[ticks.decisions]
    requests = np.where(np.isnan(found), requests, found)
    kept = kept_holds(by_tick, ticks, CPU_OVER_SHARE)
    stated = chances(kept, ticks, cpu_prior(hold_seconds / HOUR_SECONDS))[ticks.decisions]
    return Bounds(requests, np.where(np.isnan(requests), np.nan, stated))


def _by_tick(past: Past) -> Floats:
    """The bound of the hold that begins with each tick, shape (ticks + 1,); NaN before the first sample above 0."""
    ticks = past.ticks
    rules = cpu_rules(past)
    copies = calibrated(np.array(list(rules.values())), ticks)
    experts = copies.reshape(-1, copies.shape[2])
    scale = np.maximum(past.window_means(WEEK_HOURS), idle_level(past))
    cost = costs(experts, ticks)
    firsts = [mixed(experts, cost, scale, ticks, mix) for mix in _FIRST_MIXES]
    last = np.array([*firsts, copies[0, list(rules).index(ANCHOR)]])
    return mixed(last, costs(last, ticks), scale, ticks, _LAST_MIX, _LAST_PRIOR)
