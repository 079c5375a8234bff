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

from mora.bounds.carry import Carry
from mora.bounds.histograms import BUCKETS
from mora.bounds.ticks import Floats, Ticks

# What a unit of use above the reservation costs, in units reserved.
UNMET_PRICE = 20.0
# The cheapest multiplier is this quantile of used/base: 1 - 1 / UNMET_PRICE.
CHEAPEST_SHARE = 1 - 1 / UNMET_PRICE
# Buckets of log(used/base), from .05 to 135. The multiplier is the top of one, so that steady use is met; 1 % wide,
# since at 2 % steady pods were given half a per cent more for nothing.
_BUCKET = np.log(1.01)
_LEAST, _MOST = np.log(0.05), np.log(135.0)
# What lies on the edge of a bucket but for rounding lies in it: steady use beside its own mean or peak.
_HAIR = 1e-4
_TOPS = np.exp(_LEAST + _BUCKET * np.arange(int((_MOST - _LEAST) / _BUCKET) + 2))


@dataclass(frozen=True, slots=True)
class Copy:
    """How fast a calibrated copy of every rule forgets, and what it believes at first.

    half_life_hours: a sample this old weighs half. prior, prior_hours: the multiplier to begin with, and how many hours
    of samples it counts for.
    """

    half_life_hours: float
    prior: float
    prior_hours: float


# A p95 needs no more than itself, on VMs, PlanetLab, pods and data centres alike: both begin at 1. Samples of a long
# window come in runs, and a day of them tells less than as many by chance would: what is believed at first counts four
# times as long there (experiments/benchmarks/bounds.py, the long windows' table).
SHORT_COPIES = (Copy(240.0, 1.0, 24.0), Copy(720.0, 1.0, 72.0))
LONG_COPIES = (Copy(240.0, 1.0, 96.0), Copy(720.0, 1.0, 288.0))
# Losses are counted in what the best rule wastes, which is at first taken to be two mean uses, for six hours' worth of
# belief, and never less than a twentieth: where all rules waste little, a little more makes a difference.
_FIRST_WASTE, _FIRST_WASTE_HOURS, _LEAST_WASTE = 2.0, 6.0, 0.05
# A young series cannot wait: a day-old one follows its losses nearly four times as boldly as an old one.
_BOLD_HOURS, _LEAST_AGE_HOURS = 336.0, 3.0


@dataclass(frozen=True, slots=True)
class Mix:
    """How boldly a mixture follows what was cheap.

    rate: how much an hour in which a rule lost as much as the best one wastes counts against it, in an old series.
    half_life_hours: how long it counts against it. floor: share of the weight that stays with the prior.
    """

    rate: float
    half_life_hours: float
    floor: float = 0.0


def leads(ticks: Ticks) -> tuple[int, ...]:
    """How long before a tick the bases were issued that its samples are scored against.

    A window that begins now ends later; scored against what was issued up to one window ago, its samples teach at once.

    >>> from mora.bounds.ticks import cut
    >>> leads(cut(np.zeros((1, 48)), step_seconds=3600, decisions=np.array([24]), horizon_seconds=86400))
    (0, 6, 12, 18, 23)
    """
    last = ticks.horizon - 1
    return tuple(dict.fromkeys(min(round(ticks.horizon * part), last) for part in (0.0, 0.25, 0.5, 0.75, 1.0)))


def calibrated(bases: Floats, ticks: Ticks, carry: Carry, *, copies: tuple[Copy, ...] = SHORT_COPIES) -> Floats:
    """Every rule times the multiplier that would have been cheapest so far: shape (copies, ticks + 1, series, rules).

    bases: shape (ticks + 1, series, rules), positive, NaN before the first sample.
    """
    rows, series, rules = bases.shape
    found = np.full((len(copies), *bases.shape), np.nan)
    behind, lead = leads(ticks), ticks.horizon - 1
    paces = [0.5 ** (ticks.hours / copy.half_life_hours) for copy in copies]
    histograms = carry.histograms_of("calibrated", paces, series, rules)
    shares = np.full(len(copies), CHEAPEST_SHARE)
    firsts = np.arange(series * rules).reshape(series, 1, rules) * BUCKETS
    has_begun = carry.first("calibrated since", np.zeros(series)) > 0
    bases = carry.levels_before("bases", bases, lead)
    is_issued = np.isnan(bases).sum(axis=2) == 0
    given = np.where(is_issued[:, :, None], bases, 0.0)
    is_known = ~np.isnan(ticks.samples)
    with np.errstate(divide="ignore"):
        # In buckets, the edge of the lowest one at 0.
        log_used = (np.log(np.where(is_known, ticks.samples, 0.0)) - _LEAST) / _BUCKET
        log_said = np.log(np.where(is_issued[:, :, None], bases, 1.0)) / _BUCKET
    share_known = is_known / ticks.expected
    for tick in range(rows):
        row = lead + tick
        new = is_issued[row] & ~has_begun
        if new.any():
            for number, copy in enumerate(copies):
                bucket = int(np.ceil((np.log(copy.prior) - _LEAST) / _BUCKET - 1e-9))
                weight = copy.prior_hours / ticks.hours * bases[row, new]
                histograms.add((firsts[new, 0] + bucket).ravel(), weight.ravel(), pace=number)
            has_begun |= new
        if not is_issued[row].any():
            continue
        reached = _TOPS[np.minimum(histograms.quantiles(shares), len(_TOPS) - 1)]
        found[:, tick] = reached.reshape(len(copies), series, rules) * bases[row]
        if tick == rows - 1:
            break
        histograms.fade()
        old = [row - before for before in behind]
        issued = np.maximum(is_issued[old].sum(axis=0), 1)
        bucket = np.ceil(log_used[tick][None, :, :, None] - log_said[old][:, :, None, :] - _HAIR)
        places = np.clip(bucket, 0, len(_TOPS) - 1).astype(np.int64) + firsts
        weights = (given[old] / issued[:, None])[:, :, None, :] * share_known[tick][None, :, :, None]
        histograms.add(places.ravel(), weights.ravel())
    carry.leave("calibrated since", has_begun.astype(np.float64))
    return found


def costs(requests: Floats, ticks: Ticks, carry: Carry, name: str) -> Floats:
    """What each tick would have cost per hour under what was issued up to one window before it.

    requests: shape (ticks + 1, series, requests), carried under `name`. Shape (ticks, series, requests), in units of
    use; NaN where a tick has no sample or nothing had been issued.
    """
    ends, series, number = requests.shape
    total = np.zeros((ends - 1, series, number))
    times = np.zeros((ends - 1, series))
    is_known = ~np.isnan(ticks.samples)
    known = is_known.sum(axis=2)
    # What is not known lies above nothing.
    used = np.where(is_known, ticks.samples, 0.0)
    price = (UNMET_PRICE / np.maximum(known, 1))[:, :, None]
    requests = carry.levels_before(name, requests, ticks.horizon - 1)
    for lead in leads(ticks):
        issued = requests[ticks.horizon - 1 - lead : len(requests) - 1 - lead]
        over, above = np.zeros(issued.shape), np.empty(issued.shape)
        for column in range(used.shape[2]):
            np.subtract(used[:, :, column, None], issued, out=above)
            over += np.maximum(above, 0.0, out=above)
        over *= price
        over += issued
        is_said = np.isnan(over).sum(axis=2) == 0
        total += np.where(is_said[:, :, None], over, 0.0)
        times += is_said
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(((times > 0) & (known > 0))[:, :, None], total / times[:, :, None], np.nan)


def faded_losses(cost: Floats, ticks: Ticks, half_life_hours: float, carry: Carry, name: str) -> Floats:
    """The costs so far, of which those a half-life ago count half: shape (ticks + 1, series, requests).

    cost: from costs(); a tick without one counts nothing. name: what they are carried under.
    """
    return carry.faded(name, np.nan_to_num(cost) * ticks.hours, 0.5 ** (ticks.hours / half_life_hours))


def loss_units(
    loss: Floats, cost: Floats, mean_use: Floats, ticks: Ticks, half_life_hours: float, carry: Carry, name: str
) -> Floats:
    """What losses are counted in, so that one rate suits steady series and wild ones: shape (ticks + 1, series).

    That is the waste per hour of the request that was cheapest so far (cost less use), and less in young series: rates
    that fall with the root of the age are what mixtures of experts are proven with (Cesa-Bianchi & Lugosi 2006, 2.3).
    loss: from faded_losses(cost, ticks, half_life_hours). mean_use: shape (ticks + 1, series). name: what the uses and
    hours that were scored are carried under.
    """
    is_known = ~np.isnan(ticks.samples)
    used = np.where(is_known, ticks.samples, 0.0).sum(axis=2) / np.maximum(is_known.sum(axis=2), 1)
    is_scored = ~np.isnan(cost[:, :, 0])
    uses = faded_losses(np.where(is_scored, used, 0.0), ticks, half_life_hours, carry, f"{name}, uses")
    hours = faded_losses(is_scored.astype(np.float64), ticks, half_life_hours, carry, f"{name}, hours")
    wasted = loss.min(axis=2) - uses + _FIRST_WASTE * _FIRST_WASTE_HOURS * mean_use
    unit = np.maximum(wasted / (hours + _FIRST_WASTE_HOURS), _LEAST_WASTE * mean_use)
    age = np.maximum(ticks.ages() * ticks.hours, _LEAST_AGE_HOURS)
    return np.asarray(unit / np.sqrt(1 + _BOLD_HOURS / age))


def mixed(requests: Floats, loss: Floats, unit: Floats, mix: Mix, prior: Floats | None = None) -> Floats:
    """The mean of the requests, each weighing exp(-rate x its faded loss): shape (ticks + 1, series).

    requests: shape (ticks + 1, series, requests). loss: theirs from faded_losses(). unit: from loss_units(), positive;
    NaN where there is no number yet. prior: weights to begin with, even by default; the mean is arithmetic because the
    cost is convex, so a mixture never costs more than the same mixture of costs.
    """
    start = np.full(requests.shape[2], 1.0 / requests.shape[2]) if prior is None else prior
    relative = (loss - loss.min(axis=2, keepdims=True)) / unit[:, :, None]
    weight = start * np.exp(-mix.rate * relative)
    weight *= (1 - mix.floor) / weight.sum(axis=2, keepdims=True)
    if mix.floor:
        weight += mix.floor * start
    weight *= requests
    return np.asarray(weight.sum(axis=2))
