"""The containers' `resources`, to paste into a manifest; one document a workload."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mora.domain import Recommendation, Workload
from mora.outputs import DEFAULTS, OutputSettings
from mora.outputs.changes import in_template, list_name, plain_resources, sets_replicas
from mora.outputs.documents import documents, dump
from mora.outputs.parts import Parts
from mora.outputs.wording import header, remark, why_no_patch


def render(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> str:
    """Requests and limits as they should be, unchanged ones included; replicas as a comment."""
    return documents([_snippet(recommendation) for recommendation in recommendations])


def files(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> dict[str, str]:
    """File name -> snippet."""
    texts: dict[Workload, str] = {r.workload: _snippet(r) for r in recommendations}
    return Parts(texts, {}).files(".resources.yaml")


def _snippet(recommendation: Recommendation) -> str:
    lines = header(recommendation)
    if sets_replicas(recommendation):
        lines.append(remark(f"replicas: {recommendation.replicas.value}"))
    if not in_template(recommendation):
        lines.append(remark(why_no_patch(recommendation)))
    return "\n".join(lines) + "\n" + dump(_resources(recommendation))


def _resources(recommendation: Recommendation) -> dict[str, Any]:
    """Only `resources` where one container is sized; else each under its name in its list."""
    containers = in_template(recommendation)
    if len(recommendation.containers) == 1 and containers:
        return {"resources": plain_resources(containers[0].resources)}
    lists: dict[str, list[dict[str, Any]]] = {}
    for container in containers:
        item = {"name": container.container, "resources": plain_resources(container.resources)}
        lists.setdefault(list_name(container.role), []).append(item)
    return lists
