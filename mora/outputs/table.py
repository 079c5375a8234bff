"""The table for people: now, target, change, confidence; below it what decides each number, a line each.

Few workloads get a row a number; many get a row a container, which is easy to scan and to grep. With `verbose` all
reasons follow, wrapped. Plain text: it survives a pipe, a ticket and a diff.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence

from mora.columns import columns
from mora.domain import Advice, ContainerAdvice, Recommendation
from mora.outputs import DEFAULTS, OutputSettings
from mora.outputs.changes import changes, container_numbers, has_change, is_due, is_injected, numbers, to_write
from mora.outputs.wording import at_load, basis, clean, confidence, counted, one_line, other_reasons, summary
from mora.quantities import KIB, MIB, format_cpu, format_memory, format_moment, readable_bytes
from mora.savings import words as savings_words

# More workloads than this get the short table, unless reasons are asked for.
FEW = 10
_LABEL_WIDTH = len("memory request")
# Longer names would push the numbers off a terminal: they get a line of their own.
_LONGEST_NAME = 44


def render(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> str:
    """Numbers, the total savings where several workloads or prices are given, and what decides each number."""
    is_short = len(recommendations) > FEW and not settings.verbose
    lines = _short(recommendations, settings.width) if is_short else _long(recommendations, settings.width)
    if recommendations and (len(recommendations) > 1 or settings.prices is not None):
        lines += [*textwrap.wrap(savings_words(recommendations, settings.prices), settings.width), ""]
    if is_short:
        for text in (_counts(recommendations), _limits(recommendations), _unchanged(recommendations)):
            lines += [*textwrap.wrap(text, settings.width), ""] if text else []
    if settings.verbose:
        lines += _below(recommendations, _reasons, settings.width)
    elif settings.verbose is None and recommendations:
        if not is_short:
            lines += _below(recommendations, _summaries, settings.width)
        lines += [_where_reasons_are(recommendations), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _where_reasons_are(recommendations: Sequence[Recommendation]) -> str:
    name = recommendations[0].workload.name if len(recommendations) == 1 else "WORKLOAD"
    return f"Arithmetic and all reasons: --verbose, or mora explain {name}. For programs: -o json, -o csv."


# --- a row a number --------------------------------------------------------------------------------------------------

_HEADS = ("RESOURCE", "NOW", "TARGET", "CHANGE", "CONFIDENCE")


def _long(recommendations: Sequence[Recommendation], width: int, *, is_basis_full: bool = True) -> list[str]:
    """A block of rows a container, the names in front of it, or above it where they are long.

    is_basis_full: with the date of the model and the length of the history, where there is room for them.
    """
    has_basis = any(r.basis != "model" for r in recommendations)
    has_others = any(r.others for r in recommendations)
    has_namespaces = _has_namespaces(recommendations)
    heads = [*(["NAMESPACE"] if has_namespaces else []), "WORKLOAD", *(["CONTAINER"] if has_others else [])]
    names: list[list[str]] = []
    blocks: list[list[tuple[str, ...]]] = []
    for recommendation in recommendations:
        for container in recommendation.containers:
            names.append(_names(recommendation, container, has_namespaces, has_others))
            rests_on = basis(recommendation) if is_basis_full else recommendation.basis
            blocks.append(_rows(recommendation, container, rests_on if has_basis else None))
    titles = [*heads, *_HEADS, *(["BASED ON"] if has_basis else [])]
    is_right = [*(False for _ in heads), False, True, True, True, True, False]
    rows = [
        [*(name if number == 0 else [""] * len(name)), *row]
        for name, block in zip(names, blocks, strict=True)
        for number, row in enumerate(block)
    ]
    if _width([titles, *rows]) <= width:
        lines = columns([titles, *rows], is_right=is_right)
        return [lines[0], *_parted(lines[1:], [len(block) for block in blocks])]
    if has_basis and is_basis_full:
        return _long(recommendations, width, is_basis_full=False)
    lines = columns(
        [titles[len(heads) :], *(row for block in blocks for row in block)], is_right=is_right[len(heads) :]
    )
    parted: list[str] = ["  " + lines[0]]
    at = 1
    for name, block in zip(names, blocks, strict=True):
        parted += [_block_heading(name, has_others), *(f"  {line}" for line in lines[at : at + len(block)]), ""]
        at += len(block)
    return parted


def _block_heading(name: Sequence[str], has_others: bool) -> str:
    """The names of a block as a line of its own; with `has_others` the last name is the container's."""
    if not has_others:
        return " ".join(name)
    *rest, container = name
    return ", ".join(filter(None, [" ".join(filter(None, rest)), f"container {container}"]))


def _parted(lines: Sequence[str], lengths: Sequence[int]) -> list[str]:
    """The lines in blocks of these lengths, an empty line after each."""
    parted: list[str] = []
    at = 0
    for length in lengths:
        parted += [*lines[at : at + length], ""]
        at += length
    return parted


def _names(
    recommendation: Recommendation, container: ContainerAdvice, has_namespaces: bool, has_others: bool
) -> list[str]:
    """Namespace and workload, only beside the main container; each container's name."""
    is_first = container.is_main
    workload = recommendation.workload
    names = [workload.namespace] if has_namespaces else []
    names = [name if is_first else "" for name in (*names, workload.name)]
    return [*names, _container_name(recommendation, container)] if has_others else names


def _container_name(recommendation: Recommendation, container: ContainerAdvice) -> str:
    marks = {"native-sidecar": " (sidecar)", "init": " (init)", "sidecar": " (sidecar)"}
    mark = " (injected)" if is_injected(recommendation, container.container) else marks.get(container.role, "")
    return clean(container.container) + mark


def _rows(recommendation: Recommendation, container: ContainerAdvice, rests_on: str | None) -> list[tuple[str, ...]]:
    is_main = container.is_main
    rows: list[tuple[str, ...]] = [
        (name, amount(name, advice.now), _target(name, advice), change(advice), confidence(advice))
        for name, advice in (numbers(recommendation) if is_main else container_numbers(container))
    ]
    if rests_on is None:
        return rows
    return [(*row, rests_on if number == 0 else "") for number, row in enumerate(rows)]


# --- a row a container -----------------------------------------------------------------------------------------------

# Behind an amount that stays because there is no recommendation.
_NO_NUMBER = "*"
_MAX_NAMED = 5
_SHORT_HEADS = ("CPU REQUEST", "MEMORY REQUEST", "REPLICAS", "CONFIDENCE")


def _short(recommendations: Sequence[Recommendation], width: int) -> list[str]:
    """Current and recommended requests, a line a container: "500m -> 254m", one amount where it stays."""
    has_basis = any(r.basis != "model" for r in recommendations)
    has_namespaces = _has_namespaces(recommendations)
    names: list[str] = []
    rows: list[tuple[str, ...]] = []
    for recommendation in recommendations:
        for container in recommendation.containers:
            is_main = container.is_main
            if not is_main and _is_skipped(container):
                continue
            name = _container_name(recommendation, container)
            workload = recommendation.workload
            full = f"{workload.namespace}/{workload.name}" if has_namespaces else workload.name
            has_name = not is_main or (not all(map(_is_skipped, recommendation.others)) and name != workload.name)
            names.append(f"{full} {name}" if has_name else full)
            replicas = _step("replicas", recommendation.replicas) if is_main else ""
            row = (
                _step("cpu request", container.cpu_request),
                _step("memory request", container.memory_request),
                replicas,
                _lowest_confidence((container.cpu_request, container.memory_request)),
            )
            rows.append((*row, recommendation.basis) if has_basis else row)
    heads = (*_SHORT_HEADS, "BASED ON") if has_basis else _SHORT_HEADS
    numbers_ = columns([heads, *rows], is_right=(True, True, True, True, False))
    room = max(width - max(map(len, numbers_)) - 2, len("WORKLOAD"))
    room = min(max(map(len, ("WORKLOAD", *names))), max(min(room, _LONGEST_NAME), len("WORKLOAD")))
    lines = [f"{'WORKLOAD':<{room}}  {numbers_[0]}"]
    for name, row_ in zip(names, numbers_[1:], strict=True):
        lines += [f"{name:<{room}}  {row_}"] if len(name) <= room else [name, f"{'':<{room}}  {row_}"]
    return [*lines, ""]


def _step(name: str, advice: Advice) -> str:
    if advice.value == advice.now or (advice.value is None and name == "replicas"):
        return amount(name, advice.now, none="-")
    if advice.value is None:
        return f"{amount(name, advice.now, none='none')} {_NO_NUMBER}"
    return f"{amount(name, advice.now, none='none')} -> {amount(name, advice.value)}"


def _lowest_confidence(advice: Iterable[Advice]) -> str:
    """The lowest of the confidences; "-" where a recommended number has none, since that is the lowest of all."""
    known = [a.confidence for a in advice if a.value is not None]
    if not known or None in known:
        return "-"
    return f"{round(min(one for one in known if one is not None) * 100)} %"


def _counts(recommendations: Sequence[Recommendation]) -> str:
    due = sum(map(is_due, recommendations))
    jobs = sum(has_change(r) and not is_due(r) for r in recommendations)
    unknown = sum(all(a.value is None for _, a in numbers(r)) and not has_change(r) for r in recommendations)
    right = len(recommendations) - due - jobs - unknown
    text = f"{len(recommendations)} workloads: {due} to change, {right} already right-sized"
    text += f", {counted(jobs, 'Job')} to create again" if jobs else ""
    text += f", {unknown} without a recommendation."
    skipped = sum(_is_skipped(other) for r in recommendations for other in r.others)
    if skipped:
        text += f" {counted(skipped, 'sidecar or init container')} skipped."
    return text


def _limits(recommendations: Sequence[Recommendation]) -> str:
    """How many limits change, which this table has no columns for."""
    found = [(r, advice) for r in recommendations for c in to_write(r) for advice in (c.cpu_limit, c.memory_limit)]
    of = [r.workload.name for r, advice in found if advice.is_unset and advice.now is not None]
    set_, removed = sum(changes(advice) and not advice.is_unset for _, advice in found), len(of)
    names = dict.fromkeys(of)
    whose = f" ({', '.join(names)})" if len(names) <= _MAX_NAMED else ""
    parts = [
        f"{counted(set_, 'limit')} changed" if set_ else "",
        f"{counted(removed, 'limit')} removed{whose}" if removed else "",
    ]
    text = ", ".join(filter(None, parts))
    return f"Limits, not shown here: {text}. To see them: -o csv." if text else ""


def _unchanged(recommendations: Sequence[Recommendation]) -> str:
    shown = [c for r in recommendations for c in r.containers if c.is_main or not _is_skipped(c)]
    requests = [("cpu request", c.cpu_request) for c in shown] + [("memory request", c.memory_request) for c in shown]
    if not any(_step(name, advice).endswith(_NO_NUMBER) for name, advice in requests):
        return ""
    return f"{_NO_NUMBER} unchanged, because there is no recommendation: mora explain WORKLOAD tells why."


def _is_skipped(container: ContainerAdvice) -> bool:
    """Whether there is no number for a container."""
    return all(advice.value is None for _, advice in container_numbers(container))


# --- words and figures -----------------------------------------------------------------------------------------------


def _has_namespaces(recommendations: Sequence[Recommendation]) -> bool:
    return len({recommendation.workload.namespace for recommendation in recommendations}) > 1


def _width(rows: Sequence[Sequence[str]]) -> int:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return sum(widths) + 2 * (len(widths) - 1)


def amount(name: str, value: int | None, *, none: str | None = None) -> str:
    """An amount in a readable unit: exact where it is whole in Ki, else rounded.

    >>> amount("cpu request", 1500), amount("memory limit", 123456789), amount("replicas", None)
    ('1500m', '118 MiB', 'unknown')
    """
    if value is None:
        return none or ("unknown" if name == "replicas" else "not set")
    if name == "replicas":
        return str(value)
    if name.startswith("cpu"):
        return format_cpu(value)
    return format_memory(value) if value % (MIB if value >= MIB else KIB) == 0 else readable_bytes(value)


def _target(name: str, advice: Advice) -> str:
    if advice.is_unset:
        return "not set"
    return "unchanged" if advice.value is None else amount(name, advice.value)


def change(advice: Advice) -> str:
    """The relative change: "-49%", "remove", "0%", "-" where it is not known."""
    if advice.change is None:
        return "remove" if advice.is_unset and advice.now is not None else "-"
    return "0%" if round(advice.change, 4) == 0 else f"{advice.change:+.0%}"


Labelled = list[tuple[str, str]]
Section = tuple[str, Labelled]
# What the whole workload is about, and so may be the same for all of a table.
_OF_THE_WHOLE = ("replicas", "note")


def _below(
    recommendations: Sequence[Recommendation], sections_of: Callable[[Recommendation, int], list[Section]], width: int
) -> list[str]:
    """What is below the table: a section a container, and once, at the end, what is the same for every workload."""
    found = [sections_of(recommendation, width) for recommendation in recommendations]
    shared: Labelled = []
    if len(found) > 1:
        sets = [{pair for _, labelled in sections for pair in labelled} for sections in found]
        pairs = dict.fromkeys(pair for _, labelled in found[0] for pair in labelled)
        shared = [pair for pair in pairs if pair[0] in _OF_THE_WHOLE and all(pair in other for other in sets)]
    lines: list[str] = []
    for sections in found:
        for heading, labelled in sections:
            lines += [heading, *_labelled([pair for pair in labelled if pair not in shared], width)]
        lines.append("")
    return [*lines, "every workload", *_labelled(shared, width), ""] if shared else lines


def _summaries(recommendation: Recommendation, width: int) -> list[Section]:
    """What decides each number, a line a number, and remarks on the whole."""
    sections: list[Section] = []
    for container in recommendation.containers:
        named = numbers(recommendation) if container.is_main else container_numbers(container)
        named = tuple((name, advice) for name, advice in named if "limit" not in name or _says_more(advice))
        labelled = [(name, _cut(summary(advice), width)) for name, advice in named if summary(advice)]
        if len(named) > 1 and len({summary(advice) for _, advice in named}) == 1:
            labelled = [("every number", "no recommendation: " + one_line(named[0][1].reasons))]
        remarks = [*(other_reasons(recommendation) if container.is_main else ()), *container.reasons]
        # How -o hpa would scale is that output's subject.
        labelled += [("note", reason.text) for reason in remarks if reason.code != "hpa-average-value"]
        sections.append((_heading(recommendation, container), labelled))
    return sections


def _cut(text: str, width: int) -> str:
    """The text as far as a line has room for it."""
    return textwrap.shorten(text, width - _LABEL_WIDTH - 4, placeholder=" ...")


def _says_more(limit: Advice) -> bool:
    """Whether a limit changes in another way than with the request that it equals."""
    return changes(limit) and any(reason.code != "limit-equals-request" for reason in limit.reasons)


def _heading(recommendation: Recommendation, container: ContainerAdvice) -> str:
    if not container.is_main:
        return f"{recommendation.workload.name}, container {_container_name(recommendation, container)}"
    return (
        f"{recommendation.workload.name}, container {clean(container.container)}{at_load(recommendation)}, "
        f"from data until {format_moment(recommendation.as_of)}"
    )


def _reasons(recommendation: Recommendation, _: int) -> list[Section]:
    """All reasons of each number, container by container."""
    sections: list[Section] = []
    for container in recommendation.containers:
        named = numbers(recommendation) if container.is_main else container_numbers(container)
        labelled = [(name, reason.text) for name, advice in named for reason in advice.reasons]
        labelled += [
            ("autoscaling" if reason.code == "hpa-average-value" else "note", reason.text)
            for reason in (other_reasons(recommendation) if container.is_main else ())
        ]
        labelled += [("note", reason.text) for reason in container.reasons]
        sections.append((_heading(recommendation, container), labelled))
    return sections


def _labelled(labelled: Sequence[tuple[str, str]], width: int) -> list[str]:
    lines: list[str] = []
    last = None
    for name, text in labelled:
        label = "" if name == last else name
        last = name
        indent = " " * (_LABEL_WIDTH + 4)
        lines += textwrap.wrap(
            clean(text),
            width,
            initial_indent=f"  {label.ljust(_LABEL_WIDTH)}  ",
            subsequent_indent=f"{indent}  ",
            break_on_hyphens=False,
        )
    return lines
