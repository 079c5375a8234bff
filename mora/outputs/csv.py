"""Recommendations for a spreadsheet: a row a container, the unit in the column's name, empty where not known.

A spreadsheet runs a cell that begins with =, +, - or @ as a formula. Such a text gets an apostrophe in front, which
spreadsheets show as text; numbers never do. Control and bidirectional characters of a text become "?".
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from mora.domain import Advice, ContainerAdvice, Recommendation
from mora.outputs import DEFAULTS, OutputSettings
from mora.outputs.changes import container_numbers, is_injected
from mora.outputs.wording import clean, one_line

_AMOUNTS = {
    "cpu request": "cpu_request_millicores",
    "cpu limit": "cpu_limit_millicores",
    "memory request": "memory_request_bytes",
    "memory limit": "memory_limit_bytes",
}
# The last four are the full-width forms, which some spreadsheets take as well.
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_NAMES = ("cluster", "namespace", "workload", "kind", "container", "role", "is_main", "is_injected", "basis")
COLUMNS = (
    *_NAMES,
    *(f"{name}_{side}" for name in _AMOUNTS.values() for side in ("now", "target", "goal")),
    *("replicas_now", "replicas_target", "cpu_confidence", "memory_confidence", "reasons"),
)


def render(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> str:
    """A header and a row a container. A target is empty without a recommendation, and `unset` for a limit to remove.

    A goal is where a cut in several steps ends; elsewhere it is the target.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for recommendation in recommendations:
        for container in recommendation.containers:
            writer.writerow({name: _cell(value) for name, value in _row(recommendation, container).items()})
    return text.getvalue()


def _cell(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula.

    >>> _cell("=1+1"), _cell("p95 of 14 days"), _cell(250)
    ("'=1+1", 'p95 of 14 days', 250)
    """
    if not isinstance(value, str):
        return value
    text = clean(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _row(recommendation: Recommendation, container: ContainerAdvice) -> dict[str, Any]:
    workload = recommendation.workload
    is_main = container.is_main
    row: dict[str, Any] = {
        "cluster": recommendation.cluster,
        "namespace": workload.namespace,
        "workload": workload.name,
        "kind": workload.kind,
        "container": container.container,
        "role": str(container.role),
        "is_main": str(is_main).lower(),
        "is_injected": str(is_injected(recommendation, container.container)).lower(),
        "basis": recommendation.basis,
    }
    for name, advice in container_numbers(container):
        row |= _sides(_AMOUNTS[name], advice)
        row[f"{_AMOUNTS[name]}_goal"] = _side(advice.at_goal)
    if is_main:
        row |= _sides("replicas", recommendation.replicas)
    row["cpu_confidence"] = _share(container.cpu_request.confidence)
    row["memory_confidence"] = _share(container.memory_request.confidence)
    reasons = [reason for _, advice in container_numbers(container) for reason in advice.reasons]
    row["reasons"] = one_line([*reasons, *(recommendation.reasons if is_main else ()), *container.reasons])
    return row


def _sides(name: str, advice: Advice) -> dict[str, Any]:
    return {f"{name}_now": advice.now, f"{name}_target": _side(advice)}


def _side(advice: Advice) -> int | str | None:
    return "unset" if advice.is_unset else advice.value


def _share(confidence: float | None) -> str:
    return "" if confidence is None else f"{confidence:.4f}"
