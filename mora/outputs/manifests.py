"""What the manifest outputs share: the fields to set as Kubernetes spells them, and YAML that reads well."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from mora.domain import Advice, Reason, Recommendation, Resources
from mora.errors import NotEnoughData
from mora.quantities import format_cpu, format_memory

API_VERSION = "apps/v1"

# Section, resource and field of the four numbers of a container.
_FIELDS = (
    ("requests", "cpu", "cpu_request"),
    ("requests", "memory", "memory_request"),
    ("limits", "cpu", "cpu_limit"),
    ("limits", "memory", "memory_limit"),
)


def quantity(resource: str, amount: int) -> str:
    """Millicores or bytes as Kubernetes spells them.

    >>> quantity("cpu", 127), quantity("memory", 248512512)
    ('127m', '237Mi')
    """
    return format_cpu(amount) if resource == "cpu" else format_memory(amount)


def sets(advice: Advice) -> bool:
    """Whether there is something to write: a number, or the removal of a limit that is set."""
    return advice.value is not None or (advice.is_unset and advice.now is not None)


def advised_resources(recommendation: Recommendation) -> dict[str, dict[str, str | None]]:
    """The `resources` that are advised, None for a limit to drop; what there is no advice on is left out."""
    resources: dict[str, dict[str, str | None]] = {}
    for section, resource, name in _FIELDS:
        advice: Advice = getattr(recommendation, name)
        if sets(advice):
            text = None if advice.value is None else quantity(resource, advice.value)
            resources.setdefault(section, {})[resource] = text
    return resources


def previous_resources(recommendation: Recommendation) -> dict[str, dict[str, str | None]]:
    """What the advised fields hold now, None where not set: the way back."""
    resources: dict[str, dict[str, str | None]] = {}
    for section, resource, name in _FIELDS:
        advice: Advice = getattr(recommendation, name)
        if sets(advice):
            text = None if advice.now is None else quantity(resource, advice.now)
            resources.setdefault(section, {})[resource] = text
    return resources


def plain_resources(resources: Resources) -> dict[str, dict[str, str]]:
    """Requests and limits as a container's `resources` holds them; what is not set is not there."""
    plain: dict[str, dict[str, str]] = {}
    for section, resource, amount in (
        ("requests", "cpu", resources.cpu_request_millicores),
        ("requests", "memory", resources.memory_request_bytes),
        ("limits", "cpu", resources.cpu_limit_millicores),
        ("limits", "memory", resources.memory_limit_bytes),
    ):
        if amount is not None:
            plain.setdefault(section, {})[resource] = quantity(resource, amount)
    return plain


def sets_replicas(recommendation: Recommendation) -> bool:
    """Replicas belong into a patch only where there is a number and no autoscaler would fight over it."""
    return recommendation.replicas.value is not None and recommendation.current.autoscaler is None


def strategic_patch(recommendation: Recommendation) -> dict[str, Any]:
    """A strategic merge patch: the container list merges by name, so image, env and sidecars stay as they are."""
    replicas = recommendation.replicas.value if sets_replicas(recommendation) else None
    return _patch(recommendation, advised_resources(recommendation), replicas)


def rollback_patch(recommendation: Recommendation) -> dict[str, Any]:
    """The patch that puts back what strategic_patch() changes."""
    replicas = recommendation.current.replicas if sets_replicas(recommendation) else None
    return _patch(recommendation, previous_resources(recommendation), replicas)


def _patch(
    recommendation: Recommendation, resources: Mapping[str, Mapping[str, str | None]], replicas: int | None
) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    if replicas is not None:
        spec["replicas"] = replicas
    if resources:
        container = {"name": recommendation.container, "resources": resources}
        spec["template"] = {"spec": {"containers": [container]}}
    return {"spec": spec} if spec else {}


def header(recommendation: Recommendation) -> list[str]:
    """What a file is about, and the numbers that are missing with their reasons: comment lines."""
    load = recommendation.load
    at = f" at {load.users} users of {load.scenario}" if load else ""
    what = f"{recommendation.workload.kind} {recommendation.workload.namespace}/{recommendation.workload.name}"
    lines = [
        f"{what}, container {recommendation.container}: MOrA's advice{at}, "
        f"from data up to {recommendation.as_of:%Y-%m-%dT%H:%M:%SZ}"
    ]
    for name, advice in numbers(recommendation):
        if advice.value is None and not advice.is_unset:
            lines.append(f"no advice on {name}: {one_line(advice.reasons)}")
    return [wrapped for line in lines for wrapped in comment(line)]


def comment(text: str) -> list[str]:
    """Comment lines of one sentence, wrapped for a review."""
    return textwrap.wrap(
        text, 110, initial_indent="# ", subsequent_indent="#   ", break_long_words=False, break_on_hyphens=False
    )


def numbers(recommendation: Recommendation) -> tuple[tuple[str, Advice], ...]:
    """The five numbers with the words that a person knows them by."""
    return (
        ("cpu request", recommendation.cpu_request),
        ("cpu limit", recommendation.cpu_limit),
        ("memory request", recommendation.memory_request),
        ("memory limit", recommendation.memory_limit),
        ("replicas", recommendation.replicas),
    )


def one_line(reasons: Iterable[Reason]) -> str:
    """Reasons as one line, safe in a comment."""
    texts = dict.fromkeys(reason.text for reason in reasons)
    return " ".join("; ".join(texts).split()) or "no reason was given"


def nothing_to_write(what: str, recommendations: Sequence[Recommendation], why: Mapping[str, str]) -> NotEnoughData:
    """The error of an output that has not a single number: an empty file would look like success."""
    names = ", ".join(recommendation.workload.name for recommendation in recommendations) or "no service"
    by_text: dict[str, list[str]] = {}
    for name, text in why.items():
        by_text.setdefault(text, []).append(name)
    reasons = "; ".join(f"{', '.join(named)}: {text}" for text, named in by_text.items())
    return NotEnoughData(
        f"There is nothing to put into {what} for {names}{': ' + reasons if reasons else '.'}",
        hint="mora recommend -o table shows every number and its reasons.",
    )


class _Dumper(yaml.SafeDumper):
    """Lists indented under their key, as Kubernetes' own examples have them; no anchors for repeated values."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def dump(document: Mapping[str, Any]) -> str:
    """YAML with keys in the order given. Text that YAML 1.1 reads as something else ("Off", "2") is quoted."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=1000)


def documents(parts: Sequence[str]) -> str:
    """Several YAML documents as one text."""
    return "---\n".join(parts)
