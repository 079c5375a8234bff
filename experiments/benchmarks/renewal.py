"""Numbers that are renewed often and followed only where it matters: what that saves, and how many changes it takes.

    python experiments/benchmarks/renewal.py [--traces ../shared/traces] [--series 20] [--only vms-15m ...]

For each set of recorded traces and each pace: CPU under MOrA's rule, KRR's and the VPA's, every one of them renewed at
that pace and followed by the same change rule (mora/changes). *waste* is cost - 1 over the better peer's, *changes* is
how often the number of one series changes in a day. The interval holds the middle 90 % of 1,000 draws of groups of
sibling series, whole groups with replacement (siblings: bounds.py): of twins, one would tell what the other does.

Then the deadbands from 0 to 75 %, of which only those points are printed that nothing beats (the Pareto front), and the
chosen rule with each of its parts left out: a part that saves neither waste nor changes has no place in it.
*hindsight* is the best constant of each window, all of which are followed: no rule at that pace can waste less.

PlanetLab's days are laid end to end, a machine counts as ten cores, and every third machine is replayed; there and on
the pods rules' least amounts are off. All of these traces were seen when the rule was chosen.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.benchmarks.bounds import sibling_groups
from mora.backtest.fronts import DEADBANDS, Point, with_best
from mora.backtest.policy import Decisions, Floats, Indices, Series, decide, load_policy
from mora.backtest.render import PEERS
from mora.backtest.renewing import followed
from mora.backtest.rules import round_up
from mora.backtest.scoring import Scored, SeriesScore, oracle, score, scored_samples, series_scores
from mora.backtest.traces import read_trace_file
from mora.bounds.cpu import cpu_bounds_many
from mora.changes.rule import FOLLOW_ALL, RULES, ChangeRule
from mora.policies import PolicySettings
from mora.quantities import format_duration

DAY, HOUR, QUARTER = 86_400, 3_600, 900
DRAWS, SEED = 1000, 0
IN_PLACE = RULES["in-place"]
# The chosen rule, and each of its parts left out; then with the deadband of the first trial.
PARTS = {
    "as chosen": IN_PLACE,
    "deadbands of what is set alone": replace(IN_PLACE, usual_share=0.0),
    "without low_confidence_step": replace(IN_PLACE, low_confidence_step=0.0),
    "up and down alike, 30 %": replace(IN_PLACE, deadband_up=0.30),
    "any number of changes a day": replace(IN_PLACE, changes_per_day=None),
    "at most 12 changes a day": replace(IN_PLACE, changes_per_day=12),
    "cuts settle for an hour": replace(IN_PLACE, settle_down_seconds=3600.0),
    "30 % of what is set, no more": ChangeRule(0.30, 0.30, usual_share=0.0),
}


@dataclass(frozen=True)
class Traces:
    """A file, and how it is replayed. every: only each so-many-th series."""

    file: str
    warmup: int
    time_column: str = "timestamp"
    cpu_scale: float = 1.0
    with_minimums: bool = True
    every: int = 1


SETS = {
    "vms": Traces("vms.parquet", 8 * DAY),
    "planetlab": Traces("planetlab.parquet", 3 * DAY, "seq_timestamp", 10.0, with_minimums=False, every=3),
    "pods": Traces("boutique_pods.parquet", 6 * HOUR, with_minimums=False),
}


@dataclass(frozen=True)
class Pace:
    """target: waste over the better peer's that is aimed at, and with how many changes a day."""

    renew: int
    horizon: int
    rule: ChangeRule
    target: tuple[float, float] | None = None


PACES = {
    "15m": Pace(QUARTER, QUARTER, IN_PLACE, (0.44, 9.0)),
    "1h": Pace(HOUR, HOUR, replace(IN_PLACE, deadband_up=0.15, deadband_down=0.20), (0.50, 4.6)),
    "1h-24h": Pace(HOUR, DAY, RULES["vpa"]),
    "24h": Pace(DAY, DAY, RULES["git-daily"]),
}


@dataclass(frozen=True)
class Wanted:
    """Of one set at one pace: the numbers of each rule before a change rule, and MOrA's confidence in its own."""

    series: Sequence[Series]
    decisions: Decisions
    renew: int
    numbers: dict[str, list[Floats]]
    confidence: list[Floats]
    samples: list[Scored]

    def under(self, name: str, rule: ChangeRule) -> list[SeriesScore]:
        """The scores of a rule's numbers, followed by a change rule."""
        sure = self.confidence if name == "mora" and rule.low_confidence_step else None
        amounts, changes = followed(self.series, "cpu", self.decisions, self.numbers[name], rule, confidence=sure)
        return series_scores(self.samples, amounts, changes, self.renew)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = Path(__file__).resolve().parent.parent.parent
    parser.add_argument(
        "--traces", type=Path, default=Path(os.environ.get("MORA_TRACES", root / ".." / "shared" / "traces"))
    )
    parser.add_argument("--series", type=int, help="only so many of each file, evenly")
    names = [f"{of}-{pace}" for of in SETS for pace in PACES if not (of == "pods" and pace.endswith("24h"))]
    parser.add_argument("--only", nargs="+", metavar="CASE", choices=names, default=names, help=", ".join(names))
    asked = parser.parse_args()
    if not asked.traces.is_dir():
        print(f"Skipped: there are no traces in {asked.traces} (set MORA_TRACES).")
        return 0
    for of, traces in SETS.items():
        paces = [name for name in PACES if f"{of}-{name}" in asked.only]
        if not paces:
            continue
        every = read_trace_file(asked.traces / traces.file, time_column=traces.time_column, cpu_scale=traces.cpu_scale)
        series = every[:: traces.every]
        series = series if asked.series is None else series[:: max(1, len(series) // asked.series)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # series without memory have no mean of it
            groups = sibling_groups(series)
        for name in paces:
            started = time.process_time()
            wanted = wanted_by(series, traces, PACES[name])
            tell(f"{of}-{name}", PACES[name], wanted, groups)
            print(f"   {time.process_time() - started:.0f} CPU seconds\n", flush=True)
    return 0


def wanted_by(series: Sequence[Series], traces: Traces, pace: Pace) -> Wanted:
    """What each rule wants at every renewal."""
    every = decide(
        series,
        horizon_seconds=pace.horizon,
        warmup_seconds=traces.warmup,
        with_minimums=traces.with_minimums,
        renew_seconds=pace.renew,
    )
    numbers = {name: load_policy(name).reservations(series, "cpu", every) for name in PEERS}
    numbers["mora"], confidence = mora_numbers(series, every)
    samples = [
        scored_samples(one, "cpu", at, until) for one, at, until in zip(series, every.at, every.until, strict=True)
    ]
    return Wanted(series, every, pace.renew, numbers, confidence, samples)


def mora_numbers(series: Sequence[Series], decisions: Decisions) -> tuple[list[Floats], list[Floats]]:
    """What `mora` reserves for CPU and its confidence, as mora/backtest/mora_policy.py has it; many series at once."""
    alike: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for number, (one, at) in enumerate(zip(series, decisions.at, strict=True)):
        if len(at) and one.cpu is not None:
            alike[one.step_seconds, len(at), int(at[0])].append(number)
    found, confidence = [np.empty(0)] * len(series), [np.empty(0)] * len(series)
    least = PolicySettings().cpu_floor_millicores / 1000
    for members in alike.values():
        at = decisions.at[members[0]]
        use = np.array(
            [one.cpu[: int(at[-1])] for one in (series[number] for number in members) if one.cpu is not None]
        )
        bounds = cpu_bounds_many(
            use, step_seconds=series[members[0]].step_seconds, decisions=at, horizon_seconds=decisions.horizon_seconds
        )
        for row, number in enumerate(members):
            need = bounds.requests[row]
            found[number] = np.maximum(round_up(need, 0.001), least) if decisions.with_minimums else need
            confidence[number] = bounds.confidence[row]
    return found, confidence


def tell(name: str, pace: Pace, wanted: Wanted, groups: Indices) -> None:
    """The tables of one set at one pace."""
    busy = [bool(len(one.values)) and float(one.values.sum()) > 0 for one in wanted.samples]
    own_groups = groups[np.array(busy)]
    print(
        f"-- {name}: {sum(busy)} series in {len(np.unique(own_groups))} groups, renewed every "
        f"{format_duration(pace.renew)} for {format_duration(pace.horizon)}"
    )
    for words, rule in (("every number", FOLLOW_ALL), ("by its rule", pace.rule)):
        scores = {policy: wanted.under(policy, rule) for policy in ("mora", *PEERS)}
        low, high = interval(scores, own_groups)
        for policy, of in scores.items():
            total = score(of)
            assert total is not None
            share = f"waste {waste(scores, slice(None), policy):.3f}"
            share += f" ({low:.3f} to {high:.3f})" if policy == "mora" else ""
            print(
                f"   {words}, {policy:<4} {share:<29} cost {total.cost:.3f}  changes {total.changes_per_day:6.2f}  "
                f"samples exceeded {total.samples_exceeded:.2%}"
            )
            if policy == "mora" and pace.target is not None and rule is pace.rule:
                reached = waste(scores, slice(None)) <= pace.target[0] and total.changes_per_day <= pace.target[1] + 0.5
                verdict = "reached" if reached else "NOT REACHED"
                print(f"      target: waste {pace.target[0]:.2f} with about {pace.target[1]:g} changes: {verdict}")
        if waste(scores, slice(None)) > 1:
            print("      LOST: the better peer wastes less")
    known = series_scores(wanted.samples, hindsight(wanted), [0] * len(wanted.series), wanted.renew)
    bound = waste({"mora": known, **{policy: wanted.under(policy, FOLLOW_ALL) for policy in PEERS}}, slice(None))
    print(f"   hindsight: waste {bound:.3f}")
    points = []
    for policy in ("mora", *PEERS):
        for deadband in DEADBANDS:
            total = score(wanted.under(policy, replace(FOLLOW_ALL, deadband_up=deadband, deadband_down=deadband)))
            assert total is not None
            points.append(Point(policy, deadband, total.changes_per_day, total.cost))
    print("   nothing has both fewer changes a day and a lower cost than, at a deadband of:")
    for point in sorted(with_best(points), key=lambda point: point.changes_per_day):
        if point.is_best:
            print(f"      {point.policy:<5}{point.deadband:>5.0%} {point.changes_per_day:7.2f} {point.cost:.3f}")
    if pace.rule is not IN_PLACE:
        return
    peers = {policy: wanted.under(policy, pace.rule) for policy in PEERS}
    print("   the rule and its parts: waste over the better peer's, changes a day, samples exceeded")
    for words, rule in PARTS.items():
        own = wanted.under("mora", rule)
        total = score(own)
        assert total is not None
        ratio = waste({"mora": own, **peers}, slice(None))
        print(f"      {words:<32} {ratio:.3f} {total.changes_per_day:7.2f} {total.samples_exceeded:7.2%}")


def hindsight(wanted: Wanted) -> list[Floats]:
    """The cheapest constant of each window."""
    return [oracle(scored, len(at)) for scored, at in zip(wanted.samples, wanted.decisions.at, strict=True)]


def waste(scores: dict[str, list[SeriesScore]], rows: Indices | slice, policy: str = "mora") -> float:
    """cost - 1 of a rule over the better peer's, on some series."""
    costs = {
        name: float(np.exp(np.log(np.array([one.cost for one in of])[rows]).mean())) - 1 for name, of in scores.items()
    }
    return costs[policy] / min(costs[peer] for peer in PEERS)


def interval(scores: dict[str, list[SeriesScore]], groups: Indices) -> tuple[float, float]:
    """The middle 90 % of MOrA's waste over the better peer's, over draws of whole groups of siblings."""
    rng = np.random.default_rng(SEED)
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    drawn = [
        waste(scores, np.concatenate([members[number] for number in rng.integers(0, len(members), len(members))]))
        for _ in range(DRAWS)
    ]
    return float(np.quantile(drawn, 0.05)), float(np.quantile(drawn, 0.95))


if __name__ == "__main__":
    sys.exit(main())
