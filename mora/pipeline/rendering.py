"""Rendering: recommendations as text or as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mora import registry
from mora.domain import Recommendation

if TYPE_CHECKING:
    from mora.outputs import OutputSettings
    from mora.outputs.folder import Written


def render(
    recommendations: Recommendation | Sequence[Recommendation],
    output: str = "table",
    settings: OutputSettings | None = None,
) -> str:
    """Recommendations as text: table, json, yaml, patch, kustomize, vpa, hpa or commands."""
    from mora.outputs import OutputSettings

    text: str = registry.load("outputs", output)(_many(recommendations), settings or OutputSettings())
    return text


def write_output(
    recommendations: Recommendation | Sequence[Recommendation],
    output: str,
    folder: Path,
    settings: OutputSettings | None = None,
    *,
    overwrite: bool = False,
) -> Written:
    """Any output as files in `folder`, all of them or none; see mora/outputs/folder.py for what it does not touch."""
    from mora.outputs import OutputSettings
    from mora.outputs.folder import write

    return write(output, _many(recommendations), folder, settings or OutputSettings(), overwrite=overwrite)


def _many(recommendations: Recommendation | Sequence[Recommendation]) -> list[Recommendation]:
    return [recommendations] if isinstance(recommendations, Recommendation) else list(recommendations)
