"""The Markdown of a pull request: what changes, why, how sure that is, what it frees, how to apply it and to go back.

Workloads that change by less than `min_change` are left out and counted: such a change is not worth a rollout.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mora.domain import Advice, ContainerAdvice, Reason, Recommendation
from mora.outputs import DEFAULTS, OutputSettings
from mora.outputs.changes import changes, container_numbers, is_injected, sets_replicas, to_write
from mora.outputs.commands import apply_lines, rollback_lines
from mora.outputs.patch import patch_of
from mora.outputs.table import amount, change
from mora.outputs.wording import clean, grouped, title, untold, why_no_patch
from mora.quantities import format_moment
from mora.savings import line as savings_line
from mora.savings import savings

# GitHub and GitLab differ; GitHub's limit for the body is the smaller: 65,536 characters.
LONGEST = 65_000
_TABLE_HEAD = 2
_MOST_LISTED = 30
Row = tuple[Recommendation, ContainerAdvice | None, str, Advice]


def render(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> str:
    """One text for all workloads that change enough; a text that says so where none does.

    What a pull request has no room for is left out, and said: first the reasons, then the commands, then rows.
    """
    rows = {r.workload: _rows(r, settings.min_change) for r in recommendations}
    changed = [r for r in recommendations if rows[r.workload]]
    left_out = _left_out(recommendations, changed, settings.min_change)
    head = [f"## Rightsize {_count(len(changed), 'workload')}"]
    if not changed:
        return _joined([*head, "Nothing to change.", *left_out])
    head.append(savings_line(savings(changed, settings.prices)))
    lines = _table([row for r in changed for row in rows[r.workload]])
    body = [*left_out, *_by_hand(changed)]
    why, commands = ["### Why", *map(_why, changed)], _commands([r for r in changed if patch_of(r)])
    table = "\n".join(lines)
    for parts in (
        [table, *body, *why, *commands],
        [table, *body, *commands, "The reasons have no room here: `mora recommend -o explain`."],
        [table, *body, "Reasons and commands have no room here: `mora recommend -o explain` and `-o commands`."],
    ):
        text = _joined([*head, *parts])
        if len(text) <= LONGEST:
            return text
    rest = [*body, "Reasons and commands have no room here, either: `mora recommend -o explain` and `-o commands`."]
    return _joined([*head, _shortened(lines, LONGEST - len(_joined([*head, *rest]))), *rest])


def _joined(parts: Sequence[str]) -> str:
    return "\n\n".join(parts) + "\n"


def _shortened(lines: Sequence[str], room: int) -> str:
    """The first rows of a table that fit, and how many more there are."""
    said = "{} more rows have no room here: `mora recommend -o csv`."
    room -= len(said) + 10
    kept: list[str] = []
    for line in lines:
        room -= len(line) + 1
        if room < 0 and len(kept) >= _TABLE_HEAD:
            break
        kept.append(line)
    return "\n".join([*kept, "", said.format(len(lines) - len(kept))])


def files(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> dict[str, str]:
    """The body as a file."""
    return {"pr-body.md": render(recommendations, settings)}


def _rows(recommendation: Recommendation, min_change: float) -> list[Row]:
    """The numbers that change, none where no change of the workload is large enough."""
    found: list[Row] = [
        (recommendation, container, name, advice)
        for container in to_write(recommendation)
        for name, advice in container_numbers(container)
        if changes(advice)
    ]
    if sets_replicas(recommendation) and changes(recommendation.replicas):
        found.append((recommendation, None, "replicas", recommendation.replicas))
    return found if any(_is_large(advice, min_change) for *_, advice in found) else []


def _is_large(advice: Advice, min_change: float) -> bool:
    """A number that is set or removed is a change of any size."""
    # Float noise must not make a change of exactly the threshold too small.
    return advice.change is None or round(abs(advice.change), 9) >= min_change


def _by_hand(changed: Sequence[Recommendation]) -> list[str]:
    lines = _listed([r for r in changed if not patch_of(r)])
    return ["### By hand", "\n".join(lines)] if lines else []


def _listed(recommendations: Sequence[Recommendation]) -> list[str]:
    """The first workloads and why nothing is written for them, and how many more there are."""
    lines = [f"- {title(r.workload)}: {_plain(why_no_patch(r))}" for r in recommendations[:_MOST_LISTED]]
    more = len(recommendations) - len(lines)
    return [*lines, f"- and {more} more"] if more else lines


def _table(rows: Sequence[Row]) -> list[str]:
    lines = [
        "| workload | container | number | before | after | change | confidence |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    for recommendation, container, name, advice in rows:
        workload = recommendation.workload
        after = "not set" if advice.is_unset else amount(name, advice.value)
        sure = "-" if advice.confidence is None else f"{advice.confidence:.0%}"
        whose = "" if container is None else f"`{container.container}`"
        lines.append(
            f"| `{workload.namespace}/{workload.name}` | {whose} | {name} | {amount(name, advice.now)} | {after} "
            f"| {change(advice)} | {sure} |"
        )
    return lines


def _left_out(
    recommendations: Sequence[Recommendation], changed: Sequence[Recommendation], min_change: float
) -> list[str]:
    rest = [r for r in recommendations if r not in changed]
    silent = [r for r in rest if not to_write(r) and not sets_replicas(r)]
    small = len(rest) - len(silent)
    parts = []
    if small:
        parts.append(f"{_count(small, 'workload')} would change by less than {min_change:.0%}: left out.")
    if silent:
        parts.append(f"{_count(len(silent), 'workload')} without a number:\n\n" + "\n".join(_listed(silent)))
    return parts


def _why(recommendation: Recommendation) -> str:
    load = recommendation.load
    at = f", at {load.users} users of {load.scenario}" if load else ""
    model = "a trained model" if recommendation.basis == "model" else "the rule for histories"
    lines = [
        f"<details><summary>{title(recommendation.workload)}</summary>",
        "",
        f"From data up to {format_moment(recommendation.as_of)}, by {model}{at}.",
        "",
    ]
    for container in recommendation.containers:
        for names, text in grouped((n, a) for n, a in container_numbers(container) if a.reasons):
            lines.append(f"- `{container.container}` {names}: {_plain(text)}")
        if is_injected(recommendation, container.container):
            lines.append(f"- `{container.container}` is put into the pods from outside and left alone")
        lines += _reasons(f"`{container.container}`", container.reasons)
    lines += _reasons("replicas", recommendation.replicas.reasons)
    lines += _reasons("all", untold(recommendation))
    return "\n".join([*lines, "", "</details>"])


def _reasons(name: str, reasons: Sequence[Reason]) -> list[str]:
    return [f"- {name}: {_plain(reason.text)}" for reason in reasons]


def _plain(text: str) -> str:
    """Words that Markdown and HTML do not read as their own.

    >>> _plain("at p95 < 300 ms | *now*")
    'at p95 &lt; 300 ms \\\\| \\\\*now\\\\*'
    """
    escaped = clean(text).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", escaped)


def _commands(recommendations: Sequence[Recommendation]) -> list[str]:
    if not recommendations:
        return []
    apply = [line for r in recommendations for line in apply_lines(r)]
    rehearse = [line for r in recommendations for line in apply_lines(r, is_rehearsal=True)]
    back = [line for r in recommendations for line in rollback_lines(r)]
    return [
        *("### Rehearse: the server checks it and changes nothing", _fenced(rehearse)),
        *("### Apply", _fenced(apply)),
        *("### Roll back", _fenced(back)),
    ]


def _fenced(lines: Sequence[str]) -> str:
    return "\n".join(["```sh", "set -e", *lines, "```"])


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
