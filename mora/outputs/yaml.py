"""The container's `resources`, to paste into a manifest or Helm values; one document a service."""

from __future__ import annotations

from collections.abc import Sequence

from mora.domain import Recommendation
from mora.outputs import DEFAULTS, OutputSettings
from mora.outputs.manifests import documents, dump, header, plain_resources, sets_replicas


def render(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> str:
    """Requests and limits as they should stand, what is not advised included as it is; replicas as a comment."""
    return documents([_snippet(recommendation) for recommendation in recommendations])


def _snippet(recommendation: Recommendation) -> str:
    lines = header(recommendation)
    if sets_replicas(recommendation):
        lines.append(f"# replicas: {recommendation.replicas.value}")
    return "\n".join(lines) + "\n" + dump({"resources": plain_resources(recommendation.resources)})
