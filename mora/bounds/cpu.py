"""The CPU request that would have been cheapest, as far as the series' own past shows.

Cost is what is minimised: reserved + 20 x the use above it. Plain rules (rules.py) are calibrated and mixed
(learning.py); no forecast, no training, no other series. What that yields beside KRR's rule and the VPA's is printed by
experiments/benchmarks/bounds.py.
"""

from __future__ import annotations

import numpy as np

from mora.bounds.carry import Carry
from mora.bounds.confidence import chances, cpu_model
from mora.bounds.learning import LONG_COPIES, SHORT_COPIES, Mix, calibrated, costs, faded_losses, loss_units, mixed
from mora.bounds.levels import Past, count, in_units
from mora.bounds.rules import SHORT_HORIZON_HOURS, WEEK_HOURS, anchor, cpu_rules, idle_level
from mora.bounds.ticks import Bounds, Floats, Indices, Ticks, cut

# Slow, bold and quick to forget: no single pace is best on every series, so the three are mixed once more, with the
# anchor among them for series on which choosing does not pay. For windows longer than SHORT_HORIZON_HOURS a young
# series is calibrated on too little: there the plain rules are among those that are mixed, and the anchor is plain.
_FIRST_MIXES = (Mix(0.1, 336.0), Mix(0.4, 336.0), Mix(0.1, 72.0, floor=0.05))
_LAST_MIX = Mix(0.2, 336.0)
_LAST_PRIOR = np.array([0.2, 0.2, 0.2, 0.4])


# Series that are worked on at once: enough to share the toil of each tick, few enough for memory.
_AT_ONCE = 64


def cpu_bounds(values: Floats, *, step_seconds: float, decisions: Indices, horizon_seconds: float) -> Bounds:
    """One request per decision for the window that begins there, in the unit of `values`, and its confidence.

    values: use on a constant grid, shape (n,), NaN where missing. decisions: rising indices of the windows' first
    samples, shape (d,); request i rests on values[: decisions[i]]. NaN where nothing is known before a decision, 0
    where no sample before it is above 0. Scaling the values scales the requests.
    """
    return cpu_bounds_many(
        values[None], step_seconds=step_seconds, decisions=decisions, horizon_seconds=horizon_seconds
    ).of(0)


def cpu_bounds_many(values: Floats, *, step_seconds: float, decisions: Indices, horizon_seconds: float) -> Bounds:
    """cpu_bounds() of many series on one grid, each by itself: requests and confidence of shape (s, d).

    values: shape (s, n); a series that begins later than others has NaN in front, which changes none of its numbers.
    """
    requests, confidence = np.full((2, len(values), len(decisions)), np.nan)
    for first in range(0, len(values) if len(decisions) else 0, _AT_ONCE):
        some = slice(first, first + _AT_ONCE)
        found = _some(values[some], step_seconds, decisions, horizon_seconds)
        requests[some], confidence[some] = found.requests, found.confidence
    return Bounds(requests, confidence)


def _some(values: Floats, step_seconds: float, decisions: Indices, horizon_seconds: float) -> Bounds:
    ticks = cut(values, step_seconds=step_seconds, decisions=decisions, horizon_seconds=horizon_seconds)
    found = cpu_by_tick(ticks, Carry())
    return Bounds(found.requests[ticks.decisions].T, found.confidence[ticks.decisions].T)


def cpu_by_tick(ticks: Ticks, carry: Carry) -> Bounds:
    """The bound of the window that begins with each tick, and its confidence: shapes (ticks + 1, series).

    carry: of the ticks before these. NaN before a series' first sample, 0 before its first sample above 0.
    """
    relative, units = in_units(ticks, carry)
    found = _by_tick(count(relative, carry)) * units
    requests = np.where(np.isnan(found), np.where(ticks.ages() > 0, 0.0, np.nan), found)
    return Bounds(requests, chances(requests, ticks, cpu_model(ticks.horizon * ticks.hours), carry))


def _by_tick(past: Past) -> Floats:
    """The bound of the window that begins with each tick, shape (ticks + 1, series); NaN before the first sample above
    0."""
    ticks, carry = past.ticks, past.carry
    rules = cpu_rules(past)
    bases = np.stack(list(rules.values()), axis=2)
    is_long = ticks.horizon * ticks.hours > SHORT_HORIZON_HOURS
    copies = calibrated(bases, ticks, carry, copies=LONG_COPIES if is_long else SHORT_COPIES)
    experts = np.concatenate([*copies, bases] if is_long else list(copies), axis=2)
    mean_use = np.maximum(past.window_means(WEEK_HOURS), idle_level(past))
    cost = costs(experts, ticks, carry, "experts")
    losses, units = {}, {}
    for hours in dict.fromkeys(mix.half_life_hours for mix in _FIRST_MIXES):
        losses[hours] = faded_losses(cost, ticks, hours, carry, f"losses {hours}")
        units[hours] = loss_units(losses[hours], cost, mean_use, ticks, hours, carry, f"losses {hours}")
    firsts = [mixed(experts, losses[mix.half_life_hours], units[mix.half_life_hours], mix) for mix in _FIRST_MIXES]
    leaned_on = (bases if is_long else copies[0])[:, :, list(rules).index(anchor(ticks.horizon * ticks.hours))]
    last = np.stack([*firsts, leaned_on], axis=2)
    cost = costs(last, ticks, carry, "mixes")
    loss = faded_losses(cost, ticks, _LAST_MIX.half_life_hours, carry, "losses of mixes")
    unit = loss_units(loss, cost, mean_use, ticks, _LAST_MIX.half_life_hours, carry, "losses of mixes")
    return mixed(last, loss, unit, _LAST_MIX, _LAST_PRIOR)
