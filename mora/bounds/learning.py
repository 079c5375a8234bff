"""Learning from one series as it goes: how many times its base a rule must reserve, and which rule to trust.

Two closed forms and no training. *Calibration*: with cost = reserved + 20 x unmet use, the multiplier that would have
been cheapest so far is a weighted quantile of used/base (the critical fractile of the newsvendor problem; Koenker &
Bassett 1978, "Regression quantiles", for why it is a quantile). *Mixing*: exponential weights on what each calibrated
rule would have cost (Littlestone & Warmuth 1994, "The weighted majority algorithm"; Cesa-Bianchi & Lugosi 2006,
"Prediction, learning, and games", for the fading losses).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mora.bounds.ticks import Floats, Ticks

# What a unit of use above the reservation costs, in units reserved.
UNMET_PRICE = 20.0
# The cheapest multiplier is this quantile of used/base: 1 - 1 / UNMET_PRICE.
CHEAPEST_SHARE = 1 - 1 / UNMET_PRICE
# Buckets of log(used/base), from .05 to 135. The multiplier is the top of one, so that steady use is met; 1 % wide,
# since at 2 % steady pods were given half a per cent more for nothing.
_BUCKET = np.log(1.01)
_LEAST, _MOST = np.log(0.05), np.log(135.0)
_TOPS = np.exp(_LEAST + _BUCKET * np.arange(int((_MOST - _LEAST) / _BUCKET) + 2))
# Mean use, against which losses are counted, fades with this half-life.
_NORM_HALF_LIFE_HOURS = 168.0


@dataclass(frozen=True, slots=True)
class Copy:
    """How fast a calibrated copy of every rule forgets, and what it believes at first.

    half_life_hours: a sample this old weighs half. prior, prior_hours: the multiplier to begin with, and how many hours
    of samples it counts for.
    """

    half_life_hours: float
    prior: float
    prior_hours: float


COPIES = (Copy(240.0, 1.0, 24.0), Copy(720.0, 1.15, 72.0))


@dataclass(frozen=True, slots=True)
class Mix:
    """How boldly a mixture follows what was cheap.

    rate: how much a loss of one mean use for an hour counts against a rule. half_life_hours: how long it is held
    against it. floor: share of the weight that stays with the prior.
    """

    rate: float
    half_life_hours: float
    floor: float = 0.0


def leads(ticks: Ticks) -> tuple[int, ...]:
    """How long before a tick the bases were issued that its samples are scored against.

    A hold that begins now ends later; scored against what was said up to one hold ago, its samples teach at once.

    >>> from mora.bounds.ticks import cut
    >>> leads(cut(np.zeros(48), step_seconds=3600, decisions=np.array([24]), hold_seconds=86400))
    (0, 6, 12, 18, 23)
    """
    last = ticks.hold - 1
    return tuple(dict.fromkeys(min(round(ticks.hold * part), last) for part in (0.0, 0.25, 0.5, 0.75, 1.0)))


def calibrated(bases: Floats, ticks: Ticks, *, copies: tuple[Copy, ...] = COPIES) -> Floats:
    """Every rule times the multiplier that would have been cheapest so far: shape (copies, rules, ticks + 1).

    bases: shape (rules, ticks + 1), positive, NaN before the first sample.
    """
    rules, rows = bases.shape
    found = np.full((len(copies), rules, rows), np.nan)
    behind = leads(ticks)
    fades = np.array([0.5 ** (ticks.hours / copy.half_life_hours) for copy in copies])[:, None, None]
    state = np.zeros((len(copies), rules, len(_TOPS)))
    offsets = np.arange(rules) * len(_TOPS)
    started = False
    with np.errstate(divide="ignore"):
        logs = np.log(ticks.samples)
    for tick in range(rows):
        base = bases[:, tick]
        if not started and not np.isnan(base).any():
            started = True
            for number, copy in enumerate(copies):
                bucket = int(np.ceil((np.log(copy.prior) - _LEAST) / _BUCKET - 1e-9))
                state[number, :, bucket] = copy.prior_hours / ticks.hours * base
        if not started:
            continue
        cumulated = np.cumsum(state, axis=2)
        reached = cumulated >= CHEAPEST_SHARE * cumulated[:, :, -1:]
        found[:, :, tick] = _TOPS[reached.argmax(axis=2)] * base
        if tick == rows - 1:
            break
        state *= fades
        known = logs[tick][~np.isnan(logs[tick])]
        if not len(known):
            continue
        issued = [bases[:, tick - lead] for lead in behind if tick >= lead and not np.isnan(bases[0, tick - lead])]
        for old in issued:
            bucket = np.ceil((known[:, None] - np.log(old) - _LEAST) / _BUCKET)
            place = np.clip(bucket, 0, len(_TOPS) - 1).astype(np.int64) + offsets
            weight = np.broadcast_to(old / (len(issued) * ticks.expected), place.shape)
            state += np.bincount(place.ravel(), weight.ravel(), minlength=state[0].size).reshape(state[0].shape)
    return found


def costs(requests: Floats, ticks: Ticks) -> Floats:
    """What each tick would have cost per hour under what was said up to one hold before it: shape (requests, ticks).

    requests: shape (requests, ticks + 1). In units of use; NaN where a tick has no sample or nothing had been said.
    """
    total = np.zeros((len(requests), len(ticks.samples)))
    number = np.zeros(len(ticks.samples))
    known = ~np.isnan(ticks.samples)
    shares = known / np.maximum(known.sum(axis=1), 1)[:, None]
    used = np.where(known, ticks.samples, 0.0)
    for lead in leads(ticks):
        said = np.full((len(requests), len(used)), np.nan)
        said[:, lead:] = requests[:, : len(used) - lead]
        over = np.zeros(said.shape)
        for column in range(used.shape[1]):
            over += shares[:, column] * np.maximum(used[:, column] - said, 0.0)
        cost = said + UNMET_PRICE * over
        spoken = ~np.isnan(cost).any(axis=0)
        total += np.where(spoken, cost, 0.0)
        number += spoken
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where((number > 0) & known.any(axis=1), total / number, np.nan)


def mixed(
    requests: Floats, cost: Floats, mean_use: Floats, ticks: Ticks, mix: Mix, prior: Floats | None = None
) -> Floats:
    """The mean of the requests, each weighing exp(-rate x its faded loss): shape (ticks + 1,).

    requests: shape (requests, ticks + 1). cost: theirs from costs(). mean_use: shape (ticks + 1,), positive, what
    losses are counted in. prior: weights to begin with, even by default; the mean is arithmetic because the cost is
    convex, so a mixture never costs more than the same mixture of costs.
    """
    count = len(requests)
    start = np.full(count, 1.0 / count) if prior is None else prior
    fade = 0.5 ** (ticks.hours / mix.half_life_hours)
    loss = np.zeros(count)
    found = np.full(requests.shape[1], np.nan)
    hours = ticks.hours
    for tick in range(requests.shape[1]):
        if not np.isnan(mean_use[tick]):
            relative = (loss - loss.min()) / mean_use[tick]
            weight = start * np.exp(-mix.rate * relative)
            weight = (1 - mix.floor) * weight / weight.sum() + mix.floor * start
            found[tick] = (weight * requests[:, tick]).sum()
        if tick < cost.shape[1]:
            loss *= fade
            if not np.isnan(cost[0, tick]):
                loss += cost[:, tick] * hours
    return found
