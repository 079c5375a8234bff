"""The table for people: now, target, change, confidence; below it what decides each number, a line each.

Few workloads get a row a number; many get a row a container (many.py), which is easy to scan and to grep. What needs a
look first comes first (order.py). With `verbose` all reasons follow, wrapped. Plain text: it survives a pipe, a ticket
and a diff.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Sequence

from mora.columns import columns
from mora.domain import Advice, ContainerAdvice, Recommendation
from mora.outputs import DEFAULTS, OutputSettings, many, tally
from mora.outputs.changes import all_numbers, changes, container_numbers, numbers
from mora.outputs.figures import amount, change, has_goal, target
from mora.outputs.order import ordered
from mora.outputs.wording import at_load, basis, clean, confidence, container_name, one_line, other_reasons, summary
from mora.quantities import format_moment
from mora.savings import words as savings_words

# More workloads than this get the short table, unless reasons are asked for.
FEW = 10
_LABEL_WIDTH = len("memory request")


def render(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> str:
    """Numbers, the total savings where several workloads or prices are given, and what decides each number."""
    return _render(recommendations, settings, settings.columns or settings.width)


def wide(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> str:
    """A row a container with all columns, limits included, however many workloads there are."""
    return _render(recommendations, settings, None)


def _render(recommendations: Sequence[Recommendation], settings: OutputSettings, width: int | None) -> str:
    """The table. width: of its rows; None for a row a container with all columns."""
    recommendations = ordered(recommendations, settings.sort, settings.prices)
    is_short = width is None or (len(recommendations) > FEW and not settings.verbose)
    rows = many.rows_of(recommendations) if is_short else []
    lines = many.table(rows, width) if width is None or is_short else _long(recommendations, width)
    if recommendations and (len(recommendations) > 1 or settings.prices is not None):
        lines += [*textwrap.wrap(savings_words(recommendations, settings.prices), settings.width), ""]
    if is_short and recommendations:
        lines += many.by_namespace(recommendations, settings.prices)
        marks = many.marks(rows)
        for text in (tally.counts(recommendations), many.limits(recommendations), many.missing(rows)):
            lines += [*textwrap.wrap(text, settings.width), ""] if text else []
        lines += [*marks, ""] if marks else []
    if settings.verbose:
        lines += _below(recommendations, _reasons, settings.width)
    elif settings.verbose is None and recommendations:
        is_long = len(recommendations) > FEW
        which = _notes if is_long else _summaries
        lines += _below(recommendations, which, settings.width, is_shared_only=is_long)
        lines += [_where_reasons_are(recommendations), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _where_reasons_are(recommendations: Sequence[Recommendation]) -> str:
    name = recommendations[0].workload.name if len(recommendations) == 1 else "WORKLOAD"
    return f"Arithmetic and all reasons: --verbose, or mora explain {name}. For programs: -o json, -o csv."


# --- a row a number --------------------------------------------------------------------------------------------------


def _long(recommendations: Sequence[Recommendation], width: int, *, is_basis_full: bool = True) -> list[str]:
    """A block of rows a container, the names in front of it, or above it where they are long.

    is_basis_full: with the date of the model and the length of the history, where there is room for them.
    """
    has_basis = any(r.basis != "model" for r in recommendations)
    has_others = any(r.others for r in recommendations)
    has_clusters = len({r.cluster for r in recommendations}) > 1
    has_namespaces = has_clusters or _has_namespaces(recommendations)
    heads = [
        *(["CLUSTER"] if has_clusters else []),
        *(["NAMESPACE"] if has_namespaces else []),
        "WORKLOAD",
        *(["CONTAINER"] if has_others else []),
    ]
    has_goals = any(has_goal(advice) for r in recommendations for _, advice in all_numbers(r))
    of_goal = ["GOAL"] if has_goals else []
    names: list[list[str]] = []
    blocks: list[list[tuple[str, ...]]] = []
    for recommendation in recommendations:
        for container in recommendation.containers:
            cluster = [clean(recommendation.cluster) if container.is_main else ""] if has_clusters else []
            names.append([*cluster, *_names(recommendation, container, has_namespaces, has_others)])
            rests_on = basis(recommendation) if is_basis_full else recommendation.basis
            blocks.append(_rows(recommendation, container, rests_on if has_basis else None, has_goals=has_goals))
    titles = [*heads, "RESOURCE", "NOW", "TARGET", *of_goal, "CHANGE", "CONFIDENCE"]
    is_right = [*(False for _ in (*heads, "RESOURCE")), *(True for _ in ("", "", *of_goal, "", "")), False]
    titles += ["BASED ON"] if has_basis else []
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
    return [*names, container_name(recommendation, container)] if has_others else names


def _rows(
    recommendation: Recommendation, container: ContainerAdvice, rests_on: str | None, *, has_goals: bool
) -> list[tuple[str, ...]]:
    unknown = None if recommendation.current.is_described else "unknown"
    rows: list[tuple[str, ...]] = []
    for name, advice in numbers(recommendation) if container.is_main else container_numbers(container):
        goal = (amount(name, advice.at_goal.value) if has_goal(advice) else "",) if has_goals else ()
        rows.append(
            (
                name,
                amount(name, advice.now, none=unknown),
                target(name, advice),
                *goal,
                change(advice),
                confidence(advice),
            )
        )
    if rests_on is None:
        return rows
    return [(*row, rests_on if number == 0 else "") for number, row in enumerate(rows)]


# --- words and figures -----------------------------------------------------------------------------------------------


def _has_namespaces(recommendations: Sequence[Recommendation]) -> bool:
    return len({recommendation.workload.namespace for recommendation in recommendations}) > 1


def _width(rows: Sequence[Sequence[str]]) -> int:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return sum(widths) + 2 * (len(widths) - 1)


Labelled = list[tuple[str, str]]
Section = tuple[str, Labelled]
# What the whole workload is about, and so may be the same for all of a table.
_OF_THE_WHOLE = ("replicas", "note")


def _below(
    recommendations: Sequence[Recommendation],
    sections_of: Callable[[Recommendation, int], list[Section]],
    width: int,
    *,
    is_shared_only: bool = False,
) -> list[str]:
    """What is below the table: a section a container, and once, at the end, what several workloads have in common.

    is_shared_only: that alone, where it is of all workloads of a namespace or of half of all.
    """
    found = [sections_of(recommendation, width) for recommendation in recommendations]
    namespaces = [" ".join(filter(None, (clean(one.cluster), one.workload.namespace))) for one in recommendations]
    shared = _shared(found)
    lines: list[str] = []
    for sections in found:
        if is_shared_only:
            break
        for heading, labelled in sections:
            lines += textwrap.wrap(heading, width, subsequent_indent="  ")
            lines += _labelled([pair for pair in labelled if pair not in shared], width)
        lines.append("")
    banners: dict[str, Labelled] = {}
    names = [recommendation.workload.name for recommendation in recommendations]
    for pair, those in shared.items():
        is_of_namespaces = _are_whole(those, namespaces)
        if is_shared_only and not is_of_namespaces and 2 * len(those) < len(found):
            continue  # the rows of many say what concerns a few of them
        if len(those) == len(found):
            heading = "every workload"
        elif is_of_namespaces:
            heading = f"every workload of {', '.join(sorted({namespaces[number] for number in those}))}"
        else:
            heading = f"{len(those)} workloads{many.some([names[number] for number in those])}"
        banners.setdefault(heading, []).append(pair)
    for heading, labelled in banners.items():
        lines += [heading, *_labelled(labelled, width), ""]
    return lines


def _shared(found: Sequence[Sequence[Section]]) -> dict[tuple[str, str], list[int]]:
    """What several workloads have in common, and the numbers of those: a condition, of no single workload."""
    having: dict[tuple[str, str], list[int]] = {}
    for number, sections in enumerate(found):
        for pair in dict.fromkeys(pair for _, labelled in sections for pair in labelled if pair[0] in _OF_THE_WHOLE):
            having.setdefault(pair, []).append(number)
    return {pair: those for pair, those in having.items() if len(those) > 1}


def _are_whole(those: Sequence[int], namespaces: Sequence[str]) -> bool:
    """Whether these workloads are all that there are of their namespaces."""
    sizes = Counter(namespaces)
    return all(count == sizes[name] for name, count in Counter(namespaces[number] for number in those).items())


def _summaries(recommendation: Recommendation, width: int) -> list[Section]:
    """What decides each number, a line a number, and remarks on the whole."""
    sections: list[Section] = []
    for container in recommendation.containers:
        named = numbers(recommendation) if container.is_main else container_numbers(container)
        named = tuple((name, advice) for name, advice in named if "limit" not in name or _says_more(advice))
        labelled = [(name, _cut(summary(advice), width)) for name, advice in named if summary(advice)]
        is_one = recommendation.is_refused or len({summary(advice) for _, advice in named}) == 1
        if len(named) > 1 and is_one:
            labelled = [("every number", "no recommendation: " + one_line(named[0][1].reasons))]
        remarks = [*(other_reasons(recommendation) if container.is_main else ()), *container.reasons]
        # How -o hpa would scale is that output's subject.
        labelled += [("note", reason.text) for reason in remarks if reason.code != "hpa-average-value"]
        sections.append((_heading(recommendation, container), labelled))
    return sections


def _notes(recommendation: Recommendation, _: int) -> list[Section]:
    """The remarks on the whole workload."""
    # How -o hpa would scale is that output's subject.
    notes = [("note", one.text) for one in other_reasons(recommendation) if one.code != "hpa-average-value"]
    return [("", notes)]


def _cut(text: str, width: int) -> str:
    """The text as far as a line has room for it."""
    return textwrap.shorten(text, width - _LABEL_WIDTH - 4, placeholder=" ...")


def _says_more(limit: Advice) -> bool:
    """Whether a limit changes in another way than with the request that it equals."""
    return changes(limit) and any(reason.code != "limit-equals-request" for reason in limit.reasons)


def _heading(recommendation: Recommendation, container: ContainerAdvice) -> str:
    if not container.is_main:
        return f"{recommendation.workload.name}, container {container_name(recommendation, container)}"
    workload = recommendation.workload
    where = f"{clean(recommendation.cluster)}: " if recommendation.cluster else ""
    return (
        f"{where}{workload.kind} {workload.name}, container {clean(container.container)}{at_load(recommendation)}, "
        f"data until {format_moment(recommendation.as_of)}"
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
