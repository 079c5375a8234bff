"""Rendering: recommendations as text or as files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mora import registry
from mora.domain import Recommendation
from mora.errors import BadInput

if TYPE_CHECKING:
    from mora.outputs import OutputSettings
    from mora.outputs.folder import Written


def render(
    recommendations: Recommendation | Sequence[Recommendation],
    output: str = "table",
    settings: OutputSettings | None = None,
) -> str:
    """Recommendations as text: table, json, yaml, patch, kustomize, vpa, hpa or commands."""
    from mora.outputs import OutputSettings, is_applied

    found = _many(recommendations)
    if is_applied(output) and len(by_cluster(found)) > 1:
        raise BadInput(
            f"-o {output} is applied to one cluster, and these are {', '.join(by_cluster(found))}.",
            hint="Write a folder for each cluster: --out DIR. Or name one: --context NAME",
        )
    text: str = registry.load("outputs", output)(found, settings or OutputSettings())
    return text


def by_cluster(recommendations: Sequence[Recommendation]) -> dict[str, list[Recommendation]]:
    """The recommendations of each cluster, in the order in which they come."""
    found: dict[str, list[Recommendation]] = {}
    for one in recommendations:
        found.setdefault(one.cluster, []).append(one)
    return found


def write_output(
    recommendations: Recommendation | Sequence[Recommendation],
    output: str,
    folder: Path,
    settings: OutputSettings | None = None,
    *,
    overwrite: bool = False,
) -> Written:
    """Any output as files in `folder`, all of them or none; see mora/outputs/folder.py for what it does not touch.

    Of several clusters, what is applied goes into a folder for each, all of its files or none.
    """
    from mora.outputs import OutputSettings, is_applied
    from mora.outputs.folder import Written, write

    settings, clusters = settings or OutputSettings(), by_cluster(_many(recommendations))
    if not is_applied(output) or len(clusters) < 2:
        return write(output, _many(recommendations), folder, settings, overwrite=overwrite)
    done = [
        write(output, those, folder / _folder_name(name), settings, overwrite=overwrite)
        for name, those in clusters.items()
    ]
    return Written(
        tuple(path for one in done for path in one.written), tuple(path for one in done for path in one.removed)
    )


def _folder_name(cluster: str) -> str:
    """A cluster's name as that of a folder; contexts may have slashes and colons.

    >>> _folder_name("prod"), _folder_name("arn:aws:eks:eu-west-1:1:cluster/prod")
    ('prod', 'arn_aws_eks_eu-west-1_1_cluster_prod-70141f')
    """
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", cluster)
    # Two names that differ in such characters alone do not share a folder.
    return plain if plain == cluster else f"{plain}-{hashlib.sha256(cluster.encode()).hexdigest()[:6]}"


def _many(recommendations: Recommendation | Sequence[Recommendation]) -> list[Recommendation]:
    return [recommendations] if isinstance(recommendations, Recommendation) else list(recommendations)
