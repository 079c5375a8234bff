"""What the page knows of one workload, for its own script: numbers, reasons, history in columns, the patch.

The history travels as text, two characters a column (`packed`): 500 workloads with a chart of CPU and of memory for
each container stay below 5 MB.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mora.domain import Advice, ContainerAdvice, Past, Recommendation, Role, Target
from mora.outputs.changes import container_numbers, has_change, is_injected
from mora.outputs.explain import autoscalers, outcome, seen
from mora.outputs.figures import amount, change, has_goal, target
from mora.outputs.parts import THIS_FILE
from mora.outputs.patch import text_of
from mora.outputs.wording import clean, confidence, container_name, other_reasons, readable, sized_by, why_no_patch
from mora.quantities import format_moment

_ALPHABET = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", dtype=np.uint8)
_HIGHEST_CODE = 4094
_GAP = 4095
_PATCH_FILE = "patch.yaml"
# Why there is no history, by what the numbers rest on. A model may be of experiments, or of what was collected.
_NO_PAST = {
    "model": "Its numbers rest on a trained model alone. To see its history, name a Prometheus: --prometheus URL.",
    "experiments": "Its numbers rest on load experiments, so there is no history to draw.",
}
# A column in which a container was throttled in fewer of its CFS periods is not marked.
_THROTTLED = 0.01


def details(recommendation: Recommendation) -> dict[str, Any]:
    """One workload as JSON; every text is on one line, without characters that turn text around, but the patch."""
    workload = recommendation.workload
    digest = f" ({recommendation.model_digest[:12]})" if recommendation.model_digest else ""
    facts = [("sized by", sized_by(recommendation) + digest), ("data until", format_moment(recommendation.as_of))]
    if recommendation.load is not None:
        facts.append(("load", f"{recommendation.load.users} users of {recommendation.load.scenario}"))
    facts += [*recommendation.model_facts, ("replicas", outcome("replicas", recommendation.replicas))]
    facts += [("", reason.text) for reason in recommendation.replicas.reasons]
    facts += [("autoscaler", words) for words in autoscalers(recommendation)]
    return {
        "id": key(recommendation),
        "title": "/".join(filter(None, (recommendation.cluster, workload.namespace, workload.name))),
        "kind": workload.kind,
        "facts": _cleaned(facts),
        "notes": [clean(reason.text) for reason in other_reasons(recommendation)],
        "containers": [_container(recommendation, one) for one in recommendation.containers],
        **_patch(recommendation),
    }


def key(recommendation: Recommendation) -> str:
    """The workload in the page's address: shop/deployment/web, behind the name of its cluster where it has one."""
    workload = recommendation.workload
    return "/".join(filter(None, (recommendation.cluster, workload.namespace, workload.kind.lower(), workload.name)))


def _patch(recommendation: Recommendation) -> dict[str, str]:
    text = text_of(recommendation)
    if text is None or not has_change(recommendation):
        why = (
            why_no_patch(recommendation)
            if text is None
            else "nothing to change: what is set now is what is recommended"
        )
        return {"why": clean(why)}
    return {"patch": text.replace(THIS_FILE, _PATCH_FILE)}


def _container(recommendation: Recommendation, container: ContainerAdvice) -> dict[str, Any]:
    mark = "main" if container.is_main and recommendation.others else ""
    document: dict[str, Any] = {
        "name": container_name(recommendation, container) + (f" ({mark})" if mark else ""),
        "numbers": [_number(name, advice) for name, advice in container_numbers(container)],
        "notes": [clean(reason.text) for reason in container.reasons],
        "facts": [] if container.evidence is None else _cleaned(seen(container.evidence)),
    }
    if container.past is not None:
        document["past"] = _past(container, container.past)
        times = (container.evidence.abnormal if container.evidence else None) or ()
        document["past"]["abnormal"] = [
            [round(one.start.timestamp()), round(one.end.timestamp()), one.metric] for one in times
        ]
    elif not is_injected(recommendation, container.container) and container.role is not Role.INIT:
        document["no_past"] = _NO_PAST.get(recommendation.basis, "There are no samples of it to draw.")
    return document


def _number(name: str, advice: Advice) -> list[Any]:
    """The cells of a row, and the reasons below it."""
    goal = amount(name, advice.at_goal.value) if has_goal(advice) else ""
    cells = [name, amount(name, advice.now), target(name, advice), goal, change(advice), confidence(advice)]
    return [*cells, [clean(reason.text) for reason in advice.reasons]]


# --- the history -----------------------------------------------------------------------------------------------------


def _past(container: ContainerAdvice, past: Past) -> dict[str, Any]:
    numbers = {
        Target.CPU: (container.cpu_request, container.cpu_limit, 1000.0),
        Target.MEMORY: (container.memory_request, container.memory_limit, 1.0),
    }
    document: dict[str, Any] = {
        "start": round(past.start.timestamp()),
        "step": round(past.step.total_seconds()),
        "oom_kills": [round(at.timestamp()) for at in past.oom_kills],
    }
    if past.throttled is not None:
        document["throttled"] = _runs(past.throttled >= _THROTTLED)
    for resource, (request, limit, unit) in numbers.items():
        highest, mean = past.highest[resource], past.mean[resource]
        if np.isnan(highest).all():
            continue
        top = float(np.nanmax(highest))
        levels = {
            "request": _in_units(request.now, unit),
            "limit": _in_units(limit.now, unit),
            "target": _in_units(request.value, unit),
            "goal": _in_units(request.at_goal.value if has_goal(request) else None, unit),
            "bound": past.bounds.get(resource),
        }
        document[str(resource)] = {
            "top": float(f"{top:.6g}"),
            "highest": packed(highest, top),
            "mean": packed(mean, top),
            "levels": {name: float(f"{value:.6g}") for name, value in levels.items() if value is not None},
            "text": _sentence(resource, highest, mean, levels),
        }
    return document


def _in_units(value: int | None, unit: float) -> float | None:
    return None if value is None else value / unit


def _sentence(
    resource: Target, highest: NDArray[np.float32], mean: NDArray[np.float32], levels: dict[str, float | None]
) -> str:
    """What the chart shows, for those who cannot see it."""
    word = "CPU" if resource is Target.CPU else "Memory"
    text = f"{word}: at most {readable(resource, float(np.nanmax(highest)))}, "
    text += f"{readable(resource, float(np.nanmean(mean)))} on average"
    named = {"request": "requested", "limit": "limit", "bound": "upper bound", "target": "recommended"}
    parts = [
        f"{words} {readable(resource, value)}" for name, words in named.items() if (value := levels[name]) is not None
    ]
    return f"{text}; {', '.join(parts)}." if parts else f"{text}; nothing is requested."


def packed(values: NDArray[np.float32], top: float) -> str:
    """Values of 0 to `top` as two characters each, in 4094ths of `top`; a gap is a code of its own.

    >>> packed(np.array([0.0, 1.0, np.nan], dtype=np.float32), 1.0)
    'AA_-__'
    """
    scaled = np.nan_to_num(values.astype(float)) / top * _HIGHEST_CODE if top > 0 else np.zeros(len(values))
    codes = np.where(np.isnan(values), _GAP, np.clip(np.round(scaled), 0, _HIGHEST_CODE)).astype(np.intp)
    return np.stack([_ALPHABET[codes >> 6], _ALPHABET[codes & 63]], axis=1).tobytes().decode()


def _runs(is_there: NDArray[np.bool_]) -> list[list[int]]:
    """The first column of each run, and the one after its last.

    >>> _runs(np.array([False, True, True, False, True]))
    [[1, 3], [4, 5]]
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_there, [False]]).astype(np.int8)))
    return [[int(begin), int(end)] for begin, end in zip(edges[::2], edges[1::2], strict=True)]


def _cleaned(pairs: Iterator[tuple[str, str]] | Sequence[tuple[str, str]]) -> list[list[str]]:
    return [[clean(name), clean(text)] for name, text in pairs]
