"""A backtest's scores as a table for people, and as JSON and CSV for programs.

The JSON is stable: `schema_version` rises when a field changes its meaning or goes; new fields may come at any time.

    {"schema_version": 2, "horizon": "24h", "warmup": "7d", "series": 100, "skipped": {"cpu": 0, "mem": 0},
     "renewal": {"every": "24h", "deadband_up": 0.0, "deadband_down": 0.0, "settle_up": "0s", "settle_down": "0s",
                 "changes_per_day": null, "change_price": "0s"},
     "results": {"krr": {"cpu": {"series": 100, "reserved_per_used": 2.157, "reserved_per_used_median": 2.201,
                                 "samples_exceeded": 0.068, "windows_exceeded": 0.714, "unmet": 0.104,
                                 "cost": 3.771, "changes_per_day": 0.98, "cost_with_changes": 3.771},
                         "mem": {...}}, ...}}

renewal: how often numbers are renewed, and which of them are followed (mora/changes). horizon, warmup: spans as the
command line takes them. series: how many were replayed; within a result, how many were scored. skipped: how many have
the resource, but used nothing of it or have no window to score. A resource that no series has is missing.
mora/backtest/scoring.py defines the scores. Version 1 said hold, left_out, over_rate and over_periods for horizon,
skipped, samples_exceeded and windows_exceeded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields

from mora.backtest.policy import RESOURCES, Resource
from mora.backtest.run import Backtest, BacktestSettings
from mora.backtest.scoring import Score
from mora.columns import columns
from mora.quantities import counted, format_duration

SCHEMA_VERSION = 2
# MOrA is measured against the better of these two.
PEERS = ("krr", "vpa")
WORDS: Mapping[Resource, str] = {"cpu": "CPU", "mem": "memory"}
# CPU is judged by its cost; memory by what it reserves, as long as it is exceeded in no more windows than KRR's rule.
LAST_HEADING: Mapping[Resource, str] = {"cpu": "waste", "mem": "vs krr"}
HEADINGS = ("policy", "reserved/used", "median", "samples exceeded", "windows exceeded", "unmet", "cost")
RENEWAL_HEADINGS = ("changes/day", "cost with changes")
FOOT = (
    "reserved/used and cost are geometric means over the series. cost = (reserved + 20 x use above it) / used.\n"
    "exceeded: share of samples, and of windows with such a sample, in which use was above the reservation.\n"
    "waste: cost - 1, divided by that of krr or vpa (the lower one). vs krr: reserved/used divided by krr's.\n"
    "oracle: the cheapest constant for each window, known only in hindsight."
)
RENEWAL_FOOT = (
    "changes/day: how often the reservation of one series becomes another one, mean over the series.\n"
    "cost with changes: cost, and {price} of the series' mean use for every change. The oracle follows every number."
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
        "renewal": _renewal(settings),
        "results": {
            name: {resource: asdict(score) for resource, score in scores.items()}
            for name, scores in backtest.scores.items()
        },
    }
    return json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def _renewal(settings: BacktestSettings) -> dict[str, object]:
    rule = settings.renewal.rule
    return {
        "every": format_duration(settings.renew_seconds),
        "deadband_up": rule.deadband_up,
        "deadband_down": rule.deadband_down,
        "settle_up": format_duration(rule.settle_up_seconds),
        "settle_down": format_duration(rule.settle_down_seconds),
        "changes_per_day": rule.changes_per_day,
        "change_price": format_duration(settings.renewal.change_price_seconds),
    }


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
            f"warm-up {format_duration(settings.warmup_seconds)}{pace(settings)}"
        )
        if backtest.skipped[resource]:
            title += f"; {backtest.skipped[resource]} skipped, without use or too short"
        table = [headings(backtest, resource), *rows]
        parts.append("\n".join([title, *columns(table)]))
    foot = "\n".join(foot_lines(backtest))
    return "\n\n".join(parts or ["No series could be scored."]) + (f"\n\n{foot}\n" if parts else "\n")


def pace(settings: BacktestSettings) -> str:
    """How often numbers are renewed and which are followed, to be appended; empty where all are, once a horizon."""
    if settings.renewal.is_plain:
        return ""
    rule = settings.renewal.rule
    up, down = f"{rule.deadband_up:.0%}", f"{rule.deadband_down:.0%}"
    words = [f"renewed every {format_duration(settings.renew_seconds)}"]
    words += [f"deadband {up}" if up == down else f"deadband {up} up and {down} down"]
    words += [f"cuts settle for {format_duration(rule.settle_down_seconds)}"] if rule.settle_down_seconds else []
    if rule.changes_per_day is not None:
        words.append(f"at most {counted(rule.changes_per_day, 'change')} a day")
    if rule.window is not None:
        words.append(f"changed {rule.window.text} UTC")
    return ", " + ", ".join(words)


def foot_lines(backtest: Backtest) -> list[str]:
    """What the columns mean."""
    renewal = backtest.settings.renewal
    if renewal.is_plain:
        return FOOT.splitlines()
    price = format_duration(renewal.change_price_seconds)
    return [*FOOT.splitlines(), *RENEWAL_FOOT.format(price=price).splitlines()]


def headings(backtest: Backtest, resource: Resource) -> tuple[str, ...]:
    """The heads of table_rows()."""
    extra = () if backtest.settings.renewal.is_plain else RENEWAL_HEADINGS
    return (*HEADINGS, *extra, LAST_HEADING[resource])


def table_rows(backtest: Backtest, resource: Resource) -> list[tuple[str, ...]]:
    """The cells under headings(), a row a policy that was scored."""
    is_plain = backtest.settings.renewal.is_plain
    return [
        (
            name,
            f"{score.reserved_per_used:.3f}",
            f"{score.reserved_per_used_median:.3f}",
            f"{score.samples_exceeded:.2%}",
            f"{score.windows_exceeded:.2%}",
            f"{score.unmet:.2%}",
            f"{score.cost:.3f}",
            *(() if is_plain else (f"{score.changes_per_day:.2f}", f"{score.cost_with_changes:.3f}")),
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
