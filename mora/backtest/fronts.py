"""What is saved against how often it takes a change: one backtest, followed with wider and wider deadbands.

The numbers that were wanted are those of the run: only the rule that follows them differs from point to point.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mora.backtest.policy import Resource
from mora.backtest.renewing import followed
from mora.backtest.run import ORACLE, Backtest
from mora.backtest.scoring import Score, score, scored_samples, series_scores
from mora.columns import columns
from mora.seams import Reporter, Silent

DEADBANDS = (0.0, 0.05, 0.10, 0.15, 0.20, 0.30, 0.40, 0.50, 0.60, 0.75)


@dataclass(frozen=True, slots=True)
class Point:
    """One policy at one deadband, the same for raises and cuts.

    is_best: whether no point of any policy has both a lower cost and fewer changes (the Pareto front); of points that
    are alike, the first.
    """

    policy: str
    deadband: float
    changes_per_day: float
    cost: float
    is_best: bool = False


Fronts = Mapping[Resource, Sequence[Point]]


def sweep(
    backtest: Backtest, *, deadbands: Sequence[float] = DEADBANDS, reporter: Reporter | None = None
) -> dict[Resource, list[Point]]:
    """Every policy of a backtest at every deadband; the rest of its change rule stays. The oracle is left out."""
    reporter = reporter or Silent()
    names = [name for name in backtest.scores if name != ORACLE]
    resources: list[Resource] = [resource for resource in backtest.skipped if any(map(backtest.scores.get, names))]
    total = len(names) * len(resources) * len(deadbands)
    found: dict[Resource, list[Point]] = {}
    done = 0
    for resource in resources:
        points: list[Point] = []
        for name in names:
            for deadband in deadbands:
                one = _at(backtest, name, resource, deadband)
                if one is not None:
                    points.append(Point(name, deadband, one.changes_per_day, one.cost))
                done += 1
                reporter.advance("sweep", done, total, f"{name} {resource}, deadband {deadband:.0%}")
        found[resource] = with_best(points)
    return found


def with_best(points: Sequence[Point]) -> list[Point]:
    """The points, those on the Pareto front marked.

    >>> points = [Point("a", 0.1, 4, 2.0), Point("b", 0.1, 5, 2.0), Point("b", 0.2, 9, 1.5)]
    >>> [point.is_best for point in with_best(points)]
    [True, False, True]
    """

    def beats(other: Point, one: Point) -> bool:
        better = other.cost - one.cost, other.changes_per_day - one.changes_per_day
        return max(better) <= 0 and (min(better) < 0 or points.index(other) < points.index(one))

    return [replace(one, is_best=not any(beats(other, one) for other in points)) for one in points]


def _at(backtest: Backtest, name: str, resource: Resource, deadband: float) -> Score | None:
    settings, decisions = backtest.settings, backtest.decisions
    rule = replace(settings.renewal.rule, deadband_up=deadband, deadband_down=deadband)
    wanted, sure = backtest.wanted[name][resource], backtest.confidence.get(name, {}).get(resource)
    set_, changes = followed(backtest.series, resource, decisions, wanted, rule, confidence=sure)
    samples = [
        scored_samples(one, resource, at, until)
        for one, at, until in zip(backtest.series, decisions.at, decisions.until, strict=True)
    ]
    return score(series_scores(samples, set_, changes, settings.renew_seconds))


def render_sweep(fronts: Fronts, words: Mapping[Resource, str]) -> str:
    """The points as tables, those on the front marked with a star."""
    parts = []
    for resource, points in fronts.items():
        table = [("policy", "deadband", "changes/day", "cost", "front")]
        table += [
            (
                one.policy,
                f"{one.deadband:.0%}",
                f"{one.changes_per_day:.2f}",
                f"{one.cost:.3f}",
                "*" if one.is_best else "",
            )
            for one in points
        ]
        title = f"{words[resource]}: cost against changes per day, at deadbands from {min(DEADBANDS):.0%} on"
        parts.append("\n".join([title, *columns(table)]))
    return "\n\n".join(parts) + "\n\nfront: no policy at any deadband has both a lower cost and fewer changes.\n"
