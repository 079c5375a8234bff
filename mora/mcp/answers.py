"""Recommendations as few tokens: a line a container, every number exact, and no more than an answer may cost."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mora.columns import printable
from mora.domain import Advice, Recommendation
from mora.outputs.changes import container_numbers
from mora.outputs.many import Row, rows_of, short_kind
from mora.outputs.order import is_starved, ordered
from mora.quantities import counted, format_memory, format_moment
from mora.savings import savings

BUDGET = 2_000
"""Tokens that an answer may cost."""
_MORE = 20  # of these, for the line that says how to ask for more
_PIECES = re.compile(r"[A-Za-z]+|\d+|\n|[^\sA-Za-z\d]")

LEGEND = "request now>recommended confidence, limit, replicas (x); = unchanged, ? unknown, ! lacks memory or CPU now"


def tokens(text: str) -> int:
    """How many tokens a text costs at most, near enough: three letters or digits each, and every other sign one.

    Tokenizers take most words whole; names of workloads are what they take to pieces.

    >>> tokens("frontend deploy"), tokens("cpu 1000m>384m")
    (5, 7)
    """
    return sum(-(-len(piece) // 3) if piece[0].isalnum() else 1 for piece in _PIECES.findall(text))


def compact(recommendations: Sequence[Recommendation], *, offset: int = 0, budget: int = BUDGET) -> str:
    """A line a container, what lacks resources first, then what frees most.

    offset: how many rows an earlier answer had. Rows that do not fit into the budget are counted, with the offset that
    asks for them.
    """
    if not recommendations:
        return "no workloads"
    several = len({one.workload.namespace for one in recommendations}) > 1
    rows = rows_of(ordered(recommendations))
    newest = max(one.as_of for one in recommendations)
    freed = savings(recommendations)
    head = [
        f"{counted(len(recommendations), 'workload')}, data until {format_moment(newest)}, "
        f"frees {freed.cores:.2f} of {freed.cores_now:.2f} cores, "
        f"{freed.memory_gib:.2f} of {freed.memory_gib_now:.2f} GiB (negative: takes more)",
        LEGEND,
    ]
    return _within(budget, head, [_row(row, several) for row in rows], offset)


def listing(recommendations: Sequence[Recommendation], *, offset: int = 0, budget: int = BUDGET) -> str:
    """A line a workload: its kind, replicas, and what its main container requests now."""
    if not recommendations:
        return "no workloads"
    several = len({one.workload.namespace for one in recommendations}) > 1
    lines = []
    for one in sorted(recommendations, key=lambda one: one.workload):
        main, replicas = one.main, one.replicas.now
        now = f"cpu {_amount('cpu', main.cpu_request.now)} mem {_amount('memory', main.memory_request.now)}"
        others = f" +{counted(len(one.others), 'container')}" if one.others else ""
        count = "" if replicas is None else f" x{replicas}"
        lines.append(f"{_name(one, several)} {short_kind(one.workload.kind)}{count} {now}{others}")
    return _within(
        budget, [f"{counted(len(recommendations), 'workload')}, requests of the main container"], lines, offset
    )


def compared(before: Sequence[Recommendation], after: Sequence[Recommendation]) -> str:
    """What is recommended as things are, and under the conditions of a question: a line a number."""
    earlier = {one.workload: one for one in before}
    lines = []
    for one in after:
        was = earlier.get(one.workload)
        lines.append(f"{printable(one.workload.name)} {short_kind(one.workload.kind)}")
        pairs: list[tuple[str, str, Advice, Advice | None]] = [
            ("replicas", "replicas", one.replicas, None if was is None else was.replicas)
        ]
        for container in one.containers:
            there = (
                None if was is None else next((c for c in was.containers if c.container == container.container), None)
            )
            known = dict(container_numbers(there)) if there is not None else {}
            label = "" if container.is_main else f"{printable(container.container)} "
            pairs += [
                (f"{label}{name}", name.partition(" ")[0], advice, known.get(name))
                for name, advice in container_numbers(container)
            ]
        lines += [line for pair in pairs if (line := _difference(*pair))]
    return "\n".join(lines)


def _difference(label: str, resource: str, advice: Advice, was: Advice | None) -> str:
    """One number: now, as recommended usually, as recommended if so; "" where there is none either way."""
    usual = None if was is None else was.value
    if advice.value is None and usual is None:
        return ""
    now = _amount(resource, advice.now)
    if advice.value == usual and was is not None:
        sure = (
            _confidence(advice) if advice.confidence == was.confidence else f"{_confidence(was)}, {_confidence(advice)}"
        )
        return f"  {label}: now {now}, {_amount(resource, usual)} either way ({sure})"
    before, after = (
        "no number" if one is None or one.value is None else f"{_amount(resource, one.value)} ({_confidence(one)})"
        for one in (was, advice)
    )
    why = f": {printable(advice.summary)}" if advice.summary else ""
    return f"  {label}: now {now}, usually {before}, if so {after}{why}"


def _within(budget: int, head: list[str], lines: list[str], offset: int) -> str:
    """The lines from an offset on that fit, at least one, and how to ask for the others."""
    left = budget - _MORE - sum(tokens(line) + 1 for line in head)
    shown: list[str] = []
    for line in lines[offset:]:
        left -= tokens(line) + 1
        if left < 0 and shown:
            break
        shown.append(line)
    rest = len(lines) - offset - len(shown)
    more = [f"{rest} more: ask with offset={offset + len(shown)}"] if rest > 0 else []
    return "\n".join([*head, *shown, *more])


def _row(row: Row, several: bool) -> str:
    one, container = row.recommendation, row.container
    name = _name(one, several)
    if not container.is_main:
        name += f"/{printable(container.container)}"
    cells = [
        f"{'!' if is_starved(container) else ''}{name} {short_kind(one.workload.kind)}",
        _cell("cpu", container.cpu_request, container.cpu_limit),
        _cell("mem", container.memory_request, container.memory_limit),
    ]
    if container.is_main and one.replicas.value not in (None, one.replicas.now):
        cells.append(f"x{_step('replicas', one.replicas)}")
    return " ".join(cells)


def _cell(label: str, request: Advice, limit: Advice) -> str:
    """A request, and its limit where that changes to something else."""
    if request.value is None:
        code = next((reason.code for reason in request.reasons), "no-number")
        text = f"{label} {_amount(label, request.now)} no number ({code})"
    else:
        text = f"{label} {_step(label, request)} {_confidence(request)}"
    if limit.is_unset and limit.now is not None:
        return f"{text} limit {_amount(label, limit.now)}>none"
    return text if limit.value in (None, limit.now, request.value) else f"{text} limit {_step(label, limit)}"


def _step(label: str, advice: Advice) -> str:
    now, value = _amount(label, advice.now), _amount(label, advice.value)
    return f"{value}=" if advice.now == advice.value else f"{now}>{value}"


def _confidence(advice: Advice) -> str:
    return "?" if advice.confidence is None else f"{round(advice.confidence * 100)}%"


def _amount(label: str, value: int | None) -> str:
    """An amount, exact: millicores, memory as Kubernetes spells it, replicas."""
    if value is None:
        return "none"
    if label == "replicas":
        return str(value)
    return f"{value}m" if label.startswith("cpu") else format_memory(value)


def _name(one: Recommendation, several: bool) -> str:
    name = one.workload.name
    return printable(f"{one.workload.namespace}/{name}" if several else name)
