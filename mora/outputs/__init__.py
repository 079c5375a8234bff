"""Recommendations as text: every output is a function `render(recommendations, settings) -> str`.

Where text is meant for kubectl, it says no more than was recommended: a number that MOrA does not have is left as it
is on the cluster, and the reason stands in a comment.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OutputSettings:
    """What an output may be told; every default works."""

    kustomize_version: str = "5"
    """Version of the kustomize that will build. Before 4 (kubectl 1.20 has 2.0.3) it knows only the older fields."""
    kustomize_base: str = "../base"
    """Where the manifests to patch are, as seen from the kustomization."""
    width: int = 100
    """Columns that the words below the table are wrapped to."""
    why: bool = True
    """Whether the table tells the reasons below its numbers."""
    vpa_cpu: bool = False
    """Whether a VPA object takes CPU, too. By default CPU is left to `-o hpa`: both on one would chase each other."""


DEFAULTS = OutputSettings()
