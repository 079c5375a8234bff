"""The Markdown of a pull request: what changes and why, the table, the risks and the rollback; details are folded.

Workloads that change by less than `min_change` are skipped and counted: such a change is not worth a rollout.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mora.domain import Advice, ContainerAdvice, Reason, Recommendation, is_name
from mora.outputs import DEFAULTS, OutputSettings
from mora.outputs.changes import changes, container_numbers, is_injected, sets_replicas, to_write
from mora.outputs.commands import apply_lines, rollback_lines
from mora.outputs.figures import amount, change, has_goal
from mora.outputs.markdown import plain
from mora.outputs.patch import patch_of
from mora.outputs.wording import (
    at_load,
    cautions,
    clean,
    confidence,
    grouped,
    other_reasons,
    sized_by,
    title,
    why_no_patch,
)
from mora.quantities import counted, format_moment
from mora.savings import words as savings_words

# GitHub and GitLab differ; GitHub's limit for the body is the smaller: 65,536 characters.
LONGEST = 65_000
_TABLE_HEAD = 2
_MAX_LISTED = 30
_MAX_NAMED = 5
Row = tuple[Recommendation, ContainerAdvice | None, str, Advice]


def render(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> str:
    """One text for all workloads that change enough; a text that says so where none does.

    What does not fit into a pull request is dropped, and the text says so: first the reasons, then the commands, then
    rows of the table.
    """
    rows = {r.workload: _rows(r, settings.min_change) for r in recommendations}
    changed = [r for r in recommendations if rows[r.workload]]
    skipped = _skipped(recommendations, changed, settings.min_change)
    if not changed:
        return _joined(["## Rightsize: nothing to change", "No workload needs another size.", *skipped])
    all_rows = [row for r in changed for row in rows[r.workload]]
    head = [f"## {_title(changed)}", f"{_what(changed, all_rows)} {savings_words(changed, settings.prices)}"]
    lines = _table(all_rows)
    patched = [r for r in changed if patch_of(r)]
    body = [*skipped, *_by_hand(changed), "### Risks", "\n".join(_risks(changed, all_rows)), *_rollback(patched)]
    why, commands = _folded("Why: the arithmetic of every number", _whys(changed)), _commands(patched)
    table = "\n".join(lines)
    for parts in (
        [table, *body, why, *commands],
        [table, *body, *commands, "The reasons do not fit here: `mora recommend -o explain`."],
        [table, *body, "Reasons and commands do not fit here: `mora recommend -o explain` and `-o commands`."],
    ):
        text = _joined([*head, *parts])
        if len(text) <= LONGEST:
            return text
    rest = [*body, "Reasons and commands do not fit here, either: `mora recommend -o explain` and `-o commands`."]
    return _joined([*head, _shortened(lines, LONGEST - len(_joined([*head, *rest]))), *rest])


def _title(changed: Sequence[Recommendation]) -> str:
    if len(changed) > 1:
        return f"Rightsize {len(changed)} workloads"
    workload = changed[0].workload
    return f"Rightsize {workload.namespace}/{workload.name}"


def _what(changed: Sequence[Recommendation], rows: Sequence[Row]) -> str:
    """One sentence: what changes, and that it follows what was measured."""
    whose = "this workload" if len(changed) == 1 else "these workloads"
    until = format_moment(max(r.as_of for r in changed))
    counts = {
        "lower": sum(a.change is not None and a.change < 0 for *_, a in rows),
        "higher": sum(a.change is not None and a.change > 0 for *_, a in rows),
        "set for the first time": sum(a.now is None and a.value is not None for *_, a in rows),
        "removed": sum(a.is_unset for *_, a in rows),
    }
    outcome = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return f"Sizes {whose} by the use that MOrA measured until {until} (numbers below: {outcome})."


def _risks(changed: Sequence[Recommendation], rows: Sequence[Row]) -> list[str]:
    """What a reviewer should look at, a list item each."""
    items = ["Each changed pod template starts a rollout: the pods of the workload are replaced."]
    cuts = [row for row in rows if (row[3].change or 0) < 0]
    if cuts:
        row = min(cuts, key=lambda cut: cut[3].change or 0)
        items.append(f"The largest cut is {change(row[3])}: {_place(row)}.")
    sure = [row for row in rows if row[3].confidence is not None]
    if sure:
        row = min(sure, key=lambda one: one[3].confidence or 0)
        items.append(
            f"The lowest confidence is {confidence(row[3])}: {_place(row)}. Confidence is the chance that a number "
            "covers the next window, as past windows show."
        )
    unsure = [
        row
        for row in rows
        if row[3].confidence is None and row[3].value is not None and row[2] not in ("cpu limit", "memory limit")
    ]
    if unsure:
        items.append(f"No confidence is known for {_places(unsure)}: check again after the rollout.")
    unlimited = [row for row in rows if row[3].is_unset]
    if unlimited:
        items.append(
            f"{counted(len(unlimited), 'CPU limit')} removed: without one, a container may use idle CPU of its node."
        )
    scalers = [scaler for r in changed for scaler in r.retargets]
    if scalers:
        names = ", ".join(f"{_code(s.name)} ({s.resource} {s.target}%)" for s in scalers)
        items.append(f"The targets of these autoscalers must change together with the requests: {names}.")
    texts: dict[str, list[str]] = {}
    for recommendation in changed:
        for reason in cautions(recommendation):
            texts.setdefault(reason.text, []).append(recommendation.workload.name)
    for text, named in texts.items():
        some = ", ".join(map(_code, named[:_MAX_NAMED]))
        items.append(
            f"{some}{f' and {len(named) - _MAX_NAMED} more' if len(named) > _MAX_NAMED else ''}: {plain(text)}"
        )
    return [f"- {item}" for item in items]


def _place(row: Row) -> str:
    recommendation, container, name, _ = row
    workload = recommendation.workload
    whose = "" if container is None else f" container {_code(container.container)}"
    return f"`{workload.namespace}/{workload.name}`{whose}, {name}"


def _places(rows: Sequence[Row]) -> str:
    named = [_place(row) for row in rows[:_MAX_NAMED]]
    more = len(rows) - len(named)
    return "; ".join(named) + (f"; and {more} more" if more else "")


def _rollback(patched: Sequence[Recommendation]) -> list[str]:
    if not patched:
        return []
    return ["### Roll back", "Revert this pull request, or run the commands under *Roll back with kubectl*."]


def _joined(parts: Sequence[str]) -> str:
    return "\n\n".join(parts) + "\n"


def _shortened(lines: Sequence[str], room: int) -> str:
    """The first rows of a table that fit, and how many more there are."""
    remark = "{} more rows do not fit here: `mora recommend -o csv`."
    room -= len(remark) + 10
    kept: list[str] = []
    for line in lines:
        room -= len(line) + 1
        if room < 0 and len(kept) >= _TABLE_HEAD:
            break
        kept.append(line)
    return "\n".join([*kept, "", remark.format(len(lines) - len(kept))])


def files(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> dict[str, str]:
    """The body as a file."""
    return {"pr-body.md": render(recommendations, settings)}


def _rows(recommendation: Recommendation, min_change: float) -> list[Row]:
    """The numbers that change; none where no change of the workload is large enough."""
    found: list[Row] = [
        (recommendation, container, name, advice)
        for container in to_write(recommendation)
        for name, advice in container_numbers(container)
        if changes(advice)
    ]
    found = _joined_limits(found)
    if sets_replicas(recommendation) and changes(recommendation.replicas):
        found.append((recommendation, None, "replicas", recommendation.replicas))
    return found if any(_is_large(advice, min_change) for *_, advice in found) else []


def _joined_limits(rows: Sequence[Row]) -> list[Row]:
    """A request and a limit that change in the same way, of a container, as one row."""
    joined: list[Row] = []
    for row in rows:
        _, container, name, advice = row
        resource, _, kind = name.partition(" ")
        last = joined[-1] if joined else None
        is_same = last is not None and last[1] is container and last[2] == f"{resource} request"
        if kind == "limit" and last is not None and is_same and _figures(last[3]) == _figures(advice):
            joined[-1] = (last[0], container, f"{resource} request and limit", last[3])
        else:
            joined.append(row)
    return joined


def _figures(advice: Advice) -> tuple[object, ...]:
    return advice.now, advice.value, advice.is_unset, confidence(advice)


def _is_large(advice: Advice, min_change: float) -> bool:
    """Whether a change counts; a number that is set for the first time or removed always does."""
    # Float noise must not make a change of exactly the threshold too small.
    return advice.change is None or round(abs(advice.change), 9) >= min_change


def _by_hand(changed: Sequence[Recommendation]) -> list[str]:
    lines = _listed([r for r in changed if not patch_of(r)])
    return ["### Change by hand", "\n".join(lines)] if lines else []


def _listed(recommendations: Sequence[Recommendation]) -> list[str]:
    """The first workloads and why nothing is written for them, and how many more there are."""
    lines = [f"- {title(r.workload)}: {plain(why_no_patch(r))}" for r in recommendations[:_MAX_LISTED]]
    more = len(recommendations) - len(lines)
    return [*lines, f"- and {more} more"] if more else lines


def _table(rows: Sequence[Row]) -> list[str]:
    lines = [
        "| workload | container | number | now | new | change | confidence |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    for recommendation, container, name, advice in rows:
        workload = recommendation.workload
        after = "not set" if advice.is_unset else amount(name, advice.value)
        whose = "" if container is None else _code(container.container)
        if has_goal(advice):
            after += f", later {amount(name, advice.at_goal.value)}"
        lines.append(
            f"| `{workload.namespace}/{workload.name}` | {whose} | {name} | {amount(name, advice.now)} | {after} "
            f"| {change(advice)} | {confidence(advice)} |"
        )
    return lines


def _skipped(
    recommendations: Sequence[Recommendation], changed: Sequence[Recommendation], min_change: float
) -> list[str]:
    rest = [r for r in recommendations if r not in changed]
    silent = [r for r in rest if not to_write(r) and not sets_replicas(r)]
    small = len(rest) - len(silent)
    parts = []
    if small:
        parts.append(f"Skipped: {counted(small, 'workload')} that would change by less than {min_change:.0%}.")
    if silent:
        parts.append(f"No recommendation for {counted(len(silent), 'workload')}:\n\n" + "\n".join(_listed(silent)))
    return parts


def _whys(changed: Sequence[Recommendation]) -> list[str]:
    """A paragraph a workload; what is the same for every one stands once, in a last one."""
    per_workload = [_whole(r) for r in changed]
    shared = [line for line in per_workload[0] if len(changed) > 1 and all(line in other for other in per_workload)]
    paragraphs = [_why(r, [line for line in _whole(r) if line not in shared]) for r in changed]
    return [*paragraphs, "\n".join(["**Every workload**", "", *shared])] if shared else paragraphs


def _whole(recommendation: Recommendation) -> list[str]:
    """The reasons that are not of one container."""
    # How -o hpa would scale is no part of the change.
    notes = [reason for reason in other_reasons(recommendation) if reason.code != "hpa-average-value"]
    return [*_reasons("replicas", recommendation.replicas.reasons), *_reasons("note", notes)]


def _why(recommendation: Recommendation, of_the_whole: Sequence[str]) -> str:
    lines = [
        f"**{title(recommendation.workload)}**{_at(recommendation)}: from {sized_by(recommendation)}, data until "
        f"{format_moment(recommendation.as_of)}.",
        "",
    ]
    for container in recommendation.containers:
        for names, text in grouped((n, a) for n, a in container_numbers(container) if a.reasons):
            lines.append(f"- {_code(container.container)} {names}: {plain(text)}")
        if is_injected(recommendation, container.container):
            lines.append(f"- {_code(container.container)} is injected at admission and not changed")
        lines += _reasons(_code(container.container), container.reasons)
    return "\n".join([*lines, *of_the_whole])


def _at(recommendation: Recommendation) -> str:
    words = at_load(recommendation)
    return f" {plain(words)}" if words else ""


def _reasons(name: str, reasons: Sequence[Reason]) -> list[str]:
    return [f"- {name}: {plain(reason.text)}" for reason in reasons]


def _code(name: str) -> str:
    """A name as code; one that Kubernetes does not allow as text, each of its signs as an HTML entity.

    >>> _code("server"), _code("a`|b")
    ('`server`', 'a&#96;&#124;b')
    """
    return f"`{name}`" if is_name(name) else re.sub(r"[^\w ]", lambda found: f"&#{ord(found[0])};", clean(name))


def _commands(recommendations: Sequence[Recommendation]) -> list[str]:
    if not recommendations:
        return []
    apply = [line for r in recommendations for line in apply_lines(r)]
    dry_run = [line for r in recommendations for line in apply_lines(r, is_dry_run=True)]
    back = [line for r in recommendations for line in rollback_lines(r)]
    return [
        _folded("Dry run with kubectl: the server checks it and changes nothing", [_fenced(dry_run)]),
        _folded("Apply with kubectl", [_fenced(apply)]),
        _folded("Roll back with kubectl", [_fenced(back)]),
    ]


def _folded(heading: str, parts: Sequence[str]) -> str:
    """A section that opens on a click; Markdown inside needs the empty lines."""
    return "\n\n".join([f"<details><summary>{heading}</summary>", *parts, "</details>"])


def _fenced(lines: Sequence[str]) -> str:
    return "\n".join(["```sh", "set -e", *lines, "```"])
