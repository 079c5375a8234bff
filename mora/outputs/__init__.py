"""Recommendations as text: every output is a function `render(recommendations, settings) -> str`.

Where text is meant for kubectl, it says no more than was recommended: a number that MOrA does not have is left as it
is on the cluster, and the reason stands in a comment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mora.savings import Prices


@dataclass(frozen=True, slots=True)
class OutputSettings:
    """What an output may be told; every default works."""

    kustomize_version: str = "5"
    """Version of the kustomize that will build. Before 4 (kubectl 1.20 has 2.0.3) it knows only the older fields."""
    kustomize_base: str = "../base"
    """Where the manifests to patch are, as seen from the kustomization."""
    width: int = 100
    """Columns that the words below the table are wrapped to."""
    why: bool | None = None
    """Whether the table tells the reasons below its numbers; None: where there are few workloads."""
    vpa_cpu: bool = False
    """Whether a VPA object takes CPU, too. By default CPU is left to `-o hpa`: both on one would chase each other."""
    prices: Prices | None = None
    """What a core and a GiB cost; None: what is freed is told without money."""
    helm_paths: Mapping[str, str] = field(default_factory=dict)
    """Where a chart keeps a container's resources: "server", "frontend/server" or "shop/frontend/server" -> path."""
    min_change: float = 0.10
    """The body of a pull request leaves out workloads that change by less."""


DEFAULTS = OutputSettings()
