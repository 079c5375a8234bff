"""The table of many workloads: a row a container, one unit a column, and below it what the rows add up to.

What all rows share becomes one line below the table. Where there is no room for all columns, the least telling ones are
dropped, and a line names them; `-o wide` prints them whatever the width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mora.columns import columns
from mora.domain import Advice, ContainerAdvice, Recommendation
from mora.outputs.changes import changes, container_numbers, has_change, to_write
from mora.outputs.figures import change, has_goal, plain
from mora.outputs.order import is_starved
from mora.outputs.wording import clean, container_name
from mora.quantities import counted
from mora.savings import Prices, Savings, savings

# In front of a row, and behind an amount that stays because there is no recommendation.
_STARVED, _DOUBTED, NO_NUMBER = "!", "~", "*"
_DOUBTED_BELOW = 0.85
"""A cut with a lower confidence is marked: the rule covers 9 of 10 windows on most workloads (mora/bounds), and a
confidence is there to find those where it does not."""

# kubectl's short names.
_SHORT_KINDS = {"Deployment": "deploy", "StatefulSet": "sts", "DaemonSet": "ds", "CronJob": "cj", "Job": "job"}
# Longer names would push the numbers off a terminal: they get a line of their own.
_LONGEST_NAME = 44
_MAX_NAMED = 5
_MAX_NAMESPACES = 20


@dataclass(frozen=True, slots=True)
class Row:
    """A container of a recommendation."""

    recommendation: Recommendation
    container: ContainerAdvice


@dataclass(frozen=True, slots=True)
class _Column:
    """A column. drops: the highest go first where there is too little room; 0: never. name: for a line below."""

    head: str
    cell: Callable[[Row], str]
    drops: int = 0
    name: str = ""
    is_right: bool = True


# --- the rows --------------------------------------------------------------------------------------------------------


def rows_of(recommendations: Sequence[Recommendation]) -> list[Row]:
    """A row for the main container of each workload, and for every other one that has a number."""
    return [
        Row(recommendation, container)
        for recommendation in recommendations
        for container in recommendation.containers
        if container.is_main or not is_skipped(container)
    ]


def table(rows: Sequence[Row], width: int | None) -> list[str]:
    """The rows as lines, and what they share or there was no room for. width: None where there is room for all."""
    found = _columns(rows)
    shared = [one for one in found if one.name in ("kind", "based on") and len({one.cell(row) for row in rows}) == 1]
    shown = [one for one in found if one not in shared]
    names = _names(rows)
    longest = min(max(map(len, names)), _LONGEST_NAME)
    dropped: list[_Column] = []
    lines = _lines(rows, shown)
    while width is not None and longest + 2 + max(map(len, lines)) > width and any(one.drops for one in shown):
        next_ = max(one.drops for one in shown)
        dropped = [*(one for one in shown if one.drops == next_), *dropped]
        shown = [one for one in shown if one.drops != next_]
        lines = _lines(rows, shown)
    room = longest if width is None else min(longest, max(width - max(map(len, lines)) - 2, len(names[0])))
    said = [
        rows[0].recommendation.workload.kind if one.name == "kind" else f"{one.name} {one.cell(rows[0])}"
        for one in shared
    ]
    about = [f"Every row: {', '.join(said)}."] if said else []
    if dropped:
        what = ", ".join(dict.fromkeys(one.name for one in dropped))
        about.append(f"Not shown in {width} columns: {what}. To see them: -o wide.")
    return [*_beside(names, lines, room), "", *about, *([""] if about else [])]


def _lines(rows: Sequence[Row], shown: Sequence[_Column]) -> list[str]:
    cells = [[one.head for one in shown], *([one.cell(row) for one in shown] for row in rows)]
    return columns(cells, is_right=[one.is_right for one in shown])


def _beside(names: Sequence[str], lines: Sequence[str], room: int) -> Iterator[str]:
    """Each name in front of its line; one that is longer than there is room for on a line of its own."""
    for name, line in zip(names, lines, strict=True):
        if len(name) > room:
            yield name
        yield f"{name if len(name) <= room else '':<{room}}  {line}"


def _names(rows: Sequence[Row]) -> list[str]:
    """The head and the name of each row, with the namespace where there are several, behind its mark where any has."""
    has_clusters = len({row.recommendation.cluster for row in rows}) > 1
    has_namespaces = has_clusters or len({row.recommendation.workload.namespace for row in rows}) > 1
    marks = ["", *map(_mark, rows)]
    names = ["WORKLOAD", *(_name(row, has_namespaces, has_clusters) for row in rows)]
    return [f"{mark:<2}{name}" for mark, name in zip(marks, names, strict=True)] if any(marks) else names


def _name(row: Row, has_namespaces: bool, has_clusters: bool) -> str:
    recommendation, container = row.recommendation, row.container
    name, workload = container_name(recommendation, container), recommendation.workload
    full = f"{workload.namespace}/{workload.name}" if has_namespaces else workload.name
    full = f"{clean(recommendation.cluster)}/{full}" if has_clusters else full
    has_others = not all(map(is_skipped, recommendation.others))
    return f"{full} {name}" if not container.is_main or (has_others and name != workload.name) else full


def _mark(row: Row) -> str:
    if is_starved(row.container):
        return _STARVED
    requests = (row.container.cpu_request, row.container.memory_request)
    return _DOUBTED if any(map(_is_doubted, requests)) else ""


def _is_doubted(advice: Advice) -> bool:
    """Whether a cut has no confidence, or little."""
    is_cut = advice.change is not None and advice.change < 0
    return is_cut and (advice.confidence is None or advice.confidence < _DOUBTED_BELOW)


# --- the columns -----------------------------------------------------------------------------------------------------


def _columns(rows: Sequence[Row]) -> list[_Column]:
    """What there is to print of these rows, from left to right."""
    found = [_Column("KIND", lambda row: short_kind(row.recommendation.workload.kind), 1, "kind", is_right=False)]
    for name, head in (("cpu request", "CPU (m)"), ("memory request", "MEMORY (Mi)")):
        found.append(_Column(head, _cell(_step, name)))
        if any(has_goal(_number(row, name)) for row in rows):
            found.append(_Column("GOAL", _cell(_goal, name)))
        found.append(_Column("CHANGE", _cell(_change, name)))
        found.append(_Column("CONF.", _cell(_confidence, name)))
    if any(changes(row.recommendation.replicas) for row in rows):
        found.append(_Column("REPLICAS", _replicas, 2, "replicas"))
    for name, head in (("cpu limit", "CPU LIMIT (m)"), ("memory limit", "MEMORY LIMIT (Mi)")):
        if any(changes(_number(row, name)) for row in rows):
            found.append(_Column(head, _cell(_step, name), 3, "limits"))
    if any(row.recommendation.basis != "model" for row in rows):
        found.append(_Column("BASED ON", lambda row: row.recommendation.basis, 4, "based on", is_right=False))
    return found


def _cell(of: Callable[[str, Advice], str], name: str) -> Callable[[Row], str]:
    """The cell of one number of a row."""
    return lambda row: of(name, _number(row, name))


def short_kind(kind: str) -> str:
    """A kind as kubectl abbreviates it.

    >>> short_kind("Deployment"), short_kind("StrimziPodSet")
    ('deploy', 'strimzipodset')
    """
    return _SHORT_KINDS.get(kind, clean(kind).lower())


def _number(row: Row, name: str) -> Advice:
    return dict(container_numbers(row.container))[name]


def _step(name: str, advice: Advice) -> str:
    """The current amount and the recommended one; one amount where it stays."""
    now, is_limit = plain(name, advice.now), name.endswith("limit")
    if advice.is_unset and advice.now is not None:
        return f"{now} -> none"
    if advice.value is None:
        return now if is_limit else f"{now} {NO_NUMBER}"
    return now if advice.value == advice.now else f"{now} -> {plain(name, advice.value)}"


def _goal(name: str, advice: Advice) -> str:
    return plain(name, advice.at_goal.value) if has_goal(advice) else ""


def _change(name: str, advice: Advice) -> str:
    return "" if advice.value is None or advice.value == advice.now else change(advice)


def _confidence(name: str, advice: Advice) -> str:
    """The confidence of this number alone, "-" where there is no number to be sure of."""
    if advice.value is None:
        return "-"
    return "unknown" if advice.confidence is None else f"{round(advice.confidence * 100)} %"


def _replicas(row: Row) -> str:
    if not row.container.is_main:
        return ""
    advice = row.recommendation.replicas
    if advice.value is None or advice.value == advice.now:
        return "-" if advice.now is None else str(advice.now)
    return f"{plain('replicas', advice.now)} -> {advice.value}"


def is_skipped(container: ContainerAdvice) -> bool:
    """Whether there is no number for a container."""
    return all(advice.value is None for _, advice in container_numbers(container))


# --- what the rows add up to -----------------------------------------------------------------------------------------


def marks(rows: Sequence[Row]) -> list[str]:
    """What the marks of the rows mean, a line each, of those that are there."""
    found = set(map(_mark, rows))
    lines = []
    if _STARVED in found:
        lines.append(f"{_STARVED} it lacks memory or CPU now: it was OOM-killed, or its use is limit-bound.")
    if _DOUBTED in found:
        few = f"below {_DOUBTED_BELOW:.0%}".replace("%", " %")
        lines.append(f"{_DOUBTED} a cut whose confidence is {few} or unknown: look at it first (mora explain).")
    return lines


# Code of a reason -> why there is no number, as it goes on after "3 CPU requests, ".
_WHY = {
    "autoscaler-utilisation": "an HPA scales on their utilisation",
    "too-little-data": "too little data",
    "no-number": "too little data",
    "no-history": "no samples",
    "metric-missing": "Prometheus lacks their metric",
    "unreadable": "their object cannot be read",
    "bad-annotation": "an annotation cannot be used",
    "bounds-contradict": "bounds contradict each other",
    "vpa": "a VPA sets them",
    "source-limit": "limit of the metrics store",
    "samples-unbelievable": "too many samples that cannot be",
    "above-node": "refused, above the largest node",
    "above-use": "refused, far above the highest use",
    "above-now": "refused, far above what is set now",
    "cap-below-need": "a cap or a LimitRange is below the need",
    "not-answered": "no answer",
    "skipped": "skipped as asked for",
    "excluded": "skipped as asked for",
}


def missing(rows: Sequence[Row]) -> str:
    """Why numbers are missing: how many of which, of whose, the commonest cause first."""
    by_cause: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for what, advice in (
            ("CPU request", row.container.cpu_request),
            ("memory request", row.container.memory_request),
        ):
            if advice.value is None:
                code = advice.reasons[-1].code if advice.reasons else "no-number"
                cause = _WHY.get(code, code.replace("-", " "))
                by_cause.setdefault((cause, what), []).append(row.recommendation.workload.name)
    parts = [
        f"{counted(len(names), what)}, {cause}{some(names)}"
        for (cause, what), names in sorted(by_cause.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
    if not parts:
        return ""
    return f"{NO_NUMBER} unchanged, because there is no recommendation: {'; '.join(parts)}."


def some(names: Sequence[str]) -> str:
    """The first of the names, and how many more there are."""
    there = list(dict.fromkeys(names))
    more = f" and {len(there) - _MAX_NAMED} more" if len(there) > _MAX_NAMED else ""
    return f" ({', '.join(there[:_MAX_NAMED])}{more})"


def limits(recommendations: Sequence[Recommendation]) -> str:
    """How many limits change, and whose are removed."""
    found = [(r, advice) for r in recommendations for c in to_write(r) for advice in (c.cpu_limit, c.memory_limit)]
    of = [r.workload.name for r, advice in found if advice.is_unset and advice.now is not None]
    set_ = sum(changes(advice) and not advice.is_unset for _, advice in found)
    parts = [
        f"{counted(set_, 'limit')} changed" if set_ else "",
        f"{counted(len(of), 'limit')} removed{some(of)}" if of else "",
    ]
    text = ", ".join(filter(None, parts))
    return f"Limits: {text}." if text else ""


@dataclass(frozen=True, slots=True)
class NamespaceSum:
    """What the workloads of a namespace add up to. step: what this change frees. goal: what all steps free."""

    name: str
    recommendations: Sequence[Recommendation]
    step: Savings
    goal: Savings

    @property
    def to_change(self) -> int:
        """How many workloads have something to change."""
        return sum(map(has_change, self.recommendations))

    @property
    def lacking(self) -> int:
        """How many workloads lack memory or CPU now."""
        return sum(any(map(is_starved, one.containers)) for one in self.recommendations)


def has_several_clusters(recommendations: Sequence[Recommendation]) -> bool:
    """Whether the recommendations are of more than one cluster."""
    return len({recommendation.cluster for recommendation in recommendations}) > 1


def namespace_of(recommendation: Recommendation, *, has_clusters: bool) -> str:
    """The namespace of a workload, behind its cluster where there are several: prod/shop."""
    namespace = recommendation.workload.namespace
    return f"{clean(recommendation.cluster)}/{namespace}" if has_clusters else namespace


def of_namespaces(recommendations: Sequence[Recommendation], prices: Prices | None) -> list[NamespaceSum]:
    """Each namespace of each cluster, the one that frees most first.

    Without prices the goal has those of OpenCost, to compare by.
    """
    found: dict[str, list[Recommendation]] = {}
    has_clusters = has_several_clusters(recommendations)
    for recommendation in recommendations:
        name = namespace_of(recommendation, has_clusters=has_clusters)
        found.setdefault(name, []).append(recommendation)
    summed = [
        NamespaceSum(name, those, savings(those, prices), savings([one.at_goal for one in those], prices or Prices()))
        for name, those in found.items()
    ]
    return sorted(summed, key=lambda one: (-(one.goal.money_per_month or 0), one.name))


def by_namespace(recommendations: Sequence[Recommendation], prices: Prices | None) -> list[str]:
    """A line a namespace, what frees most first; none where there is only one."""
    summed = of_namespaces(recommendations, prices)
    if len(summed) < 2:
        return []
    has_goals = any((one.step.cores, one.step.memory_gib) != (one.goal.cores, one.goal.memory_gib) for one in summed)
    of_goal = ["GOAL"] if has_goals else []
    head = ["NAMESPACE", "WORKLOADS", "TO CHANGE", "LACKING", "CORES", "FREED", *of_goal, "GiB", "FREED", *of_goal]
    lines = [head + ([f"{prices.currency}/MONTH"] if prices else [])]
    for one in summed[:_MAX_NAMESPACES]:
        step, goal = one.step, one.goal
        cells = [one.name, str(len(one.recommendations)), str(one.to_change), str(one.lacking)]
        for now, freed, last in (
            (step.cores_now, step.cores, goal.cores),
            (step.memory_gib_now, step.memory_gib, goal.memory_gib),
        ):
            cells += [_figure(now), _figure(freed), *([_figure(last)] if has_goals else [])]
        lines.append(cells + ([f"{step.money_per_month:,.2f}"] if prices else []))
    more = len(summed) - _MAX_NAMESPACES
    return [*columns(lines), *([f"and {more} more: -o csv."] if more > 0 else []), ""]


def _figure(value: float) -> str:
    return f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"
