"""The settings of the outputs of `mora recommend` and `mora explain`: prices, Helm paths, the width of the terminal."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mora.changes.rule import ChangeRule
    from mora.domain import WorkloadState
    from mora.outputs import OutputSettings
    from mora.settings import Settings


def output_settings(
    settings: Settings,
    states: Sequence[WorkloadState],
    *,
    asked: Sequence[tuple[str, str]] = (),
    helm_paths: Sequence[str] = (),
    verbose: bool | None = None,
    vpa_cpu: bool = False,
    kustomize_version: str | None = None,
    sort: str | None = None,
    change_rule: ChangeRule | None = None,
) -> OutputSettings:
    """The settings of the outputs: flag > mora.toml > annotation of the workload, for the places of Helm values."""
    from mora.fleet.overrides import helm_paths as annotated_paths
    from mora.outputs import OutputSettings
    from mora.outputs.helm import parse_path

    chosen = OutputSettings(
        asked=asked,
        verbose=verbose,
        vpa_cpu=vpa_cpu,
        prices=settings.prices.prices,
        helm_paths={
            **annotated_paths(states),
            **dict(parse_path(f"{name}={path}") for name, path in settings.helm_paths.items()),
            **dict(parse_path(text) for text in helm_paths),
        },
        min_change=settings.policy.min_change,
    )
    if sys.stdout.isatty():
        columns = shutil.get_terminal_size().columns
        chosen = replace(chosen, columns=columns, width=min(chosen.width, columns))
    chosen = chosen if sort is None else replace(chosen, sort=sort)
    chosen = chosen if change_rule is None else replace(chosen, change_rule=change_rule)
    return chosen if kustomize_version is None else replace(chosen, kustomize_version=kustomize_version)
