"""The table that a person reads: now, target, change, confidence; below it the reasons, wrapped.

Plain text: it survives a pipe, a ticket and a diff.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from mora.domain import Advice, Recommendation
from mora.outputs import DEFAULTS, OutputSettings
from mora.outputs.manifests import numbers
from mora.quantities import KIB, MIB, format_cpu, format_memory, readable_bytes

_HEADS = ("SERVICE", "RESOURCE", "NOW", "TARGET", "CHANGE", "CONFIDENCE")
_IS_RIGHT = (False, False, True, True, True, True)
_LABEL_WIDTH = len("memory request")


def render(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> str:
    """One block of rows a service, then why, service by service."""
    is_one_namespace = len({recommendation.workload.namespace for recommendation in recommendations}) <= 1
    blocks = [_rows(recommendation, is_one_namespace) for recommendation in recommendations]
    rows = [_HEADS, *(row for block in blocks for row in block)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_line(_HEADS, widths)]
    for block in blocks:
        lines += [*(_line(row, widths) for row in block), ""]
    for recommendation in recommendations if settings.why else ():
        lines += [*_why(recommendation, settings.width), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _rows(recommendation: Recommendation, is_one_namespace: bool) -> list[tuple[str, ...]]:
    workload = recommendation.workload
    service = workload.name if is_one_namespace else f"{workload.namespace}/{workload.name}"
    return [
        (
            service if name == "cpu request" else "",
            name,
            _amount(name, advice.now),
            _target(name, advice),
            _change(advice),
            _confidence(advice),
        )
        for name, advice in numbers(recommendation)
    ]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell.rjust(width) if is_right else cell.ljust(width)
        for cell, width, is_right in zip(cells, widths, _IS_RIGHT, strict=True)
    ]
    return "  ".join(padded).rstrip()


def _amount(name: str, amount: int | None) -> str:
    """An amount in the unit a person reads: exact where it is whole in Ki, else rounded."""
    if amount is None:
        return "unknown" if name == "replicas" else "not set"
    if name == "replicas":
        return str(amount)
    if name.startswith("cpu"):
        return format_cpu(amount)
    return format_memory(amount) if amount % (MIB if amount >= MIB else KIB) == 0 else readable_bytes(amount)


def _target(name: str, advice: Advice) -> str:
    if advice.is_unset:
        return "not set"
    return "no advice" if advice.value is None else _amount(name, advice.value)


def _change(advice: Advice) -> str:
    if advice.change is None:
        return "remove" if advice.is_unset and advice.now is not None else "-"
    return "0%" if round(advice.change, 4) == 0 else f"{advice.change:+.0%}"


def _confidence(advice: Advice) -> str:
    if advice.confidence is None:
        return "-"
    return f"{advice.confidence:.0%} ({advice.holds} hold{'' if advice.holds == 1 else 's'})"


def _why(recommendation: Recommendation, width: int) -> list[str]:
    load = recommendation.load
    at = f" at {load.users} users of {load.scenario}" if load else ""
    lines = [
        f"{recommendation.workload.name}, container {recommendation.container}{at}, "
        f"from data up to {recommendation.as_of:%Y-%m-%d %H:%M} UTC"
    ]
    labelled = [(name, reason.text) for name, advice in numbers(recommendation) for reason in advice.reasons]
    labelled += [
        ("autoscaling" if reason.code == "hpa-average-value" else "all", reason.text)
        for reason in recommendation.reasons
        if not any(reason.text in text for _, text in labelled)
    ]
    last = None
    for name, text in labelled:
        label = "" if name == last else name
        last = name
        indent = " " * (_LABEL_WIDTH + 4)
        lines += textwrap.wrap(
            text, width, initial_indent=f"  {label.ljust(_LABEL_WIDTH)}  ", subsequent_indent=f"{indent}  "
        )
    return lines
