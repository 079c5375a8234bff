"""The kubectl commands that apply the advice, each with its rehearsal before it and its way back beside it.

The text is a valid shell script: the rehearsals run first and stop it where the server refuses; the way back stands in
comments, so that running the whole does not undo itself.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from mora.domain import Recommendation, Workload
from mora.outputs import DEFAULTS, OutputSettings
from mora.outputs.manifests import header, nothing_to_write, numbers, one_line, rollback_patch, strategic_patch


def render(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> str:
    """A script for all workloads that have a number; NotEnoughData where none has."""
    changed = [r for r in recommendations if strategic_patch(r)]
    if not changed:
        why = {
            r.workload.name: one_line(a for _, advice in numbers(r) for a in advice.reasons) for r in recommendations
        }
        raise nothing_to_write("commands", recommendations, why)
    lines = ["set -e"]
    for recommendation in recommendations:
        lines += ["", *header(recommendation)]
        if recommendation in changed:
            lines += _commands(recommendation)
    return "\n".join(lines) + "\n"


def _commands(recommendation: Recommendation) -> list[str]:
    workload = recommendation.workload
    patch = strategic_patch(recommendation)
    return [
        "# rehearse: the server checks it and changes nothing",
        command(workload, patch, dry_run=True),
        "# apply",
        command(workload, patch),
        "# roll back to what was set before",
        f"# {command(workload, rollback_patch(recommendation))}",
    ]


def command(workload: Workload, patch: Mapping[str, Any], *, dry_run: bool = False) -> str:
    """One shell-quoted `kubectl patch`.

    >>> command(Workload("shop", "cart"), {"spec": {"replicas": 2}}, dry_run=True)
    'kubectl patch deployment cart -n shop --type strategic --dry-run=server -p \\'{"spec":{"replicas":2}}\\''
    """
    rehearsal = ["--dry-run=server"] if dry_run else []
    text = json.dumps(patch, separators=(",", ":"))
    kind = workload.kind.lower()
    return shlex.join(
        [
            "kubectl",
            "patch",
            kind,
            workload.name,
            "-n",
            workload.namespace,
            "--type",
            "strategic",
            *rehearsal,
            "-p",
            text,
        ]
    )
