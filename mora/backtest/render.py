"""A backtest's scores as a table for people, and as JSON and CSV for programs.

The JSON is stable: `schema_version` rises when a field changes its meaning or goes; new fields may come at any time.

    {"schema_version": 1, "hold": "24h", "warmup": "7d", "series": 100, "left_out": {"cpu": 0, "mem": 0},
     "results": {"krr": {"cpu": {"series": 100, "reserved_per_used": 2.157, "reserved_per_used_median": 2.201,
                                 "over_rate": 0.068, "over_periods": 0.714, "unmet": 0.104, "cost": 3.771},
                         "mem": {...}}, ...}}

hold, warmup: spans of time as the command line takes them. series: how many were replayed; within a result, how many
were scored. left_out: how many have the resource, and either used nothing of it or have no hold to score. A resource
that no series has is missing. What the scores mean stands in mora/backtest/scoring.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields

from mora.backtest.policy import RESOURCES, Resource
from mora.backtest.run import Backtest
from mora.backtest.scoring import Score
from mora.quantities import format_duration

SCHEMA_VERSION = 1
# MOrA is measured against the better of these two.
PEERS = ("krr", "vpa")
WORDS: Mapping[Resource, str] = {"cpu": "CPU", "mem": "memory"}
# CPU is judged by its cost; memory by what it takes at no more holds over than KRR's rule has.
LAST_HEADING: Mapping[Resource, str] = {"cpu": "waste", "mem": "of krr's"}
HEADINGS = ("policy", "reserved/used", "median", "over: samples", "over: holds", "unmet", "cost")
FOOT = (
    "reserved/used, cost: geometric means over the series; cost = (reserved + 20 x use above it) / used.\n"
    "waste: cost - 1 over that of the better of krr and vpa. of krr's: reserved/used over krr's.\n"
    "oracle: the cheapest constant of each hold, known only in hindsight."
)


def render_json(backtest: Backtest) -> str:
    """The document that the module's docstring shows."""
    settings = backtest.settings
    document = {
        "schema_version": SCHEMA_VERSION,
        "hold": format_duration(settings.horizon_seconds),
        "warmup": format_duration(settings.warmup_seconds),
        "series": len(backtest.series),
        "left_out": dict(backtest.left_out),
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
            f"{WORDS[resource]}: {scored} series, hold {format_duration(settings.horizon_seconds)}, "
            f"warm-up {format_duration(settings.warmup_seconds)}"
        )
        if backtest.left_out[resource]:
            title += f"; {backtest.left_out[resource]} left out, without use or too short"
        table = [(*HEADINGS, LAST_HEADING[resource]), *rows]
        widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(
                cell.ljust(width) if column == 0 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in table
        ]
        parts.append("\n".join([title, *lines]))
    return "\n\n".join(parts or ["No series could be scored."]) + (f"\n\n{FOOT}\n" if parts else "\n")


def table_rows(backtest: Backtest, resource: Resource) -> list[tuple[str, ...]]:
    """The cells under HEADINGS and LAST_HEADING, a row a policy that was scored."""
    return [
        (
            name,
            f"{score.reserved_per_used:.3f}",
            f"{score.reserved_per_used_median:.3f}",
            f"{score.over_rate:.2%}",
            f"{score.over_periods:.2%}",
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
    least = min((peer.cost for peer in scored.values()), default=1.0) - 1
    return (score.cost - 1) / least if least > 0 else None


RENDERERS: Mapping[str, Callable[[Backtest], str]] = {"table": render_table, "json": render_json, "csv": render_csv}
