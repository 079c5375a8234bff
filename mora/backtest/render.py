"""A backtest's scores as a table for people, and as JSON and CSV for programs.

The JSON is stable: `schema_version` rises when a field changes its meaning or goes; new fields may come at any time.

    {"schema_version": 2, "horizon": "24h", "warmup": "7d", "series": 100, "skipped": {"cpu": 0, "mem": 0},
     "results": {"krr": {"cpu": {"series": 100, "reserved_per_used": 2.157, "reserved_per_used_median": 2.201,
                                 "samples_exceeded": 0.068, "windows_exceeded": 0.714, "unmet": 0.104,
                                 "cost": 3.771},
                         "mem": {...}}, ...}}

horizon, warmup: spans as the command line takes them. series: how many were replayed; within a result, how many were
scored. skipped: how many have the resource, but used nothing of it or have no window to score. A resource that no
series has is missing. mora/backtest/scoring.py defines the scores. Version 1 said hold, left_out, over_rate and
over_periods for horizon, skipped, samples_exceeded and windows_exceeded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields

from mora.backtest.policy import RESOURCES, Resource
from mora.backtest.run import Backtest
from mora.backtest.scoring import Score
from mora.columns import columns
from mora.quantities import format_duration

SCHEMA_VERSION = 2
# MOrA is measured against the better of these two.
PEERS = ("krr", "vpa")
WORDS: Mapping[Resource, str] = {"cpu": "CPU", "mem": "memory"}
# CPU is judged by its cost; memory by what it reserves, as long as it is exceeded in no more windows than KRR's rule.
LAST_HEADING: Mapping[Resource, str] = {"cpu": "waste", "mem": "vs krr"}
HEADINGS = ("policy", "reserved/used", "median", "samples exceeded", "windows exceeded", "unmet", "cost")
FOOT = (
    "reserved/used and cost are geometric means over the series. cost = (reserved + 20 x use above it) / used.\n"
    "exceeded: share of samples, and of windows with such a sample, in which use was above the reservation.\n"
    "waste: cost - 1, divided by that of krr or vpa (the lower one). vs krr: reserved/used divided by krr's.\n"
    "oracle: the cheapest constant for each window, known only in hindsight."
)


def render_json(backtest: Backtest) -> str:
    """The document that the module's docstring shows."""
    settings = backtest.settings
    document = {
        "schema_version": SCHEMA_VERSION,
        "horizon": format_duration(settings.horizon_seconds),
        "warmup": format_duration(settings.warmup_seconds),
        "series": len(backtest.series),
        "skipped": dict(backtest.skipped),
        "results": {
            name: {resource: asdict(score) for resource, score in scores.items()}
            for name, scores in backtest.scores.items()
        },
    }
    return json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def render_csv(backtest: Backtest) -> str:
    """A line for each policy and resource, under the names of the JSON."""
    names = [field.name for field in fields(Score)]
    lines = [",".join(["policy", "resource", *names])]
    for policy, scores in backtest.scores.items():
        for resource, score in scores.items():
            lines.append(",".join([policy, resource, *(repr(getattr(score, name)) for name in names)]))
    return "\n".join(lines) + "\n"


def render_table(backtest: Backtest) -> str:
    """A table for each resource, policies in the order asked for."""
    settings = backtest.settings
    parts = []
    for resource in RESOURCES:
        rows = table_rows(backtest, resource)
        if not rows:
            continue
        scored = max(scores[resource].series for scores in backtest.scores.values() if resource in scores)
        title = (
            f"{WORDS[resource]}: {scored} series, horizon {format_duration(settings.horizon_seconds)}, "
            f"warm-up {format_duration(settings.warmup_seconds)}"
        )
        if backtest.skipped[resource]:
            title += f"; {backtest.skipped[resource]} skipped, without use or too short"
        table = [(*HEADINGS, LAST_HEADING[resource]), *rows]
        parts.append("\n".join([title, *columns(table)]))
    return "\n\n".join(parts or ["No series could be scored."]) + (f"\n\n{FOOT}\n" if parts else "\n")


def table_rows(backtest: Backtest, resource: Resource) -> list[tuple[str, ...]]:
    """The cells under HEADINGS and LAST_HEADING, a row a policy that was scored."""
    return [
        (
            name,
            f"{score.reserved_per_used:.3f}",
            f"{score.reserved_per_used_median:.3f}",
            f"{score.samples_exceeded:.2%}",
            f"{score.windows_exceeded:.2%}",
            f"{score.unmet:.2%}",
            f"{score.cost:.3f}",
            "-" if (share := against_peers(backtest, resource, score)) is None else f"{share:.3f}",
        )
        for name, scores in backtest.scores.items()
        if (score := scores.get(resource)) is not None
    ]


def against_peers(backtest: Backtest, resource: Resource, score: Score) -> float | None:
    """CPU: `cost - 1` over that of the better peer. Memory: reserved per used over KRR's. None without the peers."""
    scored = {name: backtest.scores[name][resource] for name in PEERS if resource in backtest.scores.get(name, {})}
    if resource == "mem":
        return score.reserved_per_used / scored["krr"].reserved_per_used if "krr" in scored else None
    lowest = min((peer.cost for peer in scored.values()), default=1.0) - 1
    return (score.cost - 1) / lowest if lowest > 0 else None


RENDERERS: Mapping[str, Callable[[Backtest], str]] = {"table": render_table, "json": render_json, "csv": render_csv}
