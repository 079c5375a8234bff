"""Patches of pod templates: what `kubectl patch deployment NAME --patch-file p.yaml` takes, one document a workload.

Strategic merge, merged by container name. `--type merge` would replace the container list, so it is never
offered. An API server refuses a strategic merge of a custom resource: an Argo Rollout gets a JSON patch that tests the
name of each container before it changes it. A Job gets none: its template cannot be changed.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from mora.domain import Recommendation, Workload
from mora.outputs import DEFAULTS, OutputSettings
from mora.outputs.changes import in_template
from mora.outputs.documents import dump
from mora.outputs.parts import THIS_FILE, Parts, checked
from mora.outputs.patches import json_patch, rollback_patch, strategic_patch, takes_strategic
from mora.outputs.wording import comment, header, remark, why_no_patch

Body = Mapping[str, Any] | Sequence[Mapping[str, Any]]


def render(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> str:
    """One document a workload, `null` for a limit to remove; NotEnoughData without a single number.

    kubectl takes one patch at a time: of several, files() has each in a file of its own.
    """
    return _parts(recommendations).stream()


def files(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> dict[str, str]:
    """File name -> patch, for each workload that has one."""
    return _parts(recommendations).files(".patch.yaml")


def _parts(recommendations: Sequence[Recommendation]) -> Parts:
    texts: dict[Workload, str] = {}
    missing: dict[Workload, str] = {}
    for recommendation in recommendations:
        if (text := text_of(recommendation)) is None:
            missing[recommendation.workload] = why_no_patch(recommendation)
        else:
            texts[recommendation.workload] = text
    return checked(Parts(texts, missing), "a patch", recommendations)


def text_of(recommendation: Recommendation) -> str | None:
    """The patch with the comments before it, THIS_FILE where its own name stands; None where there is none."""
    body, changed = patch_of(recommendation), recommendation.manifest
    if not body:
        return None
    command = remark(f"kubectl patch {shlex.join(target(changed))}{_type(changed)} --patch-file {THIS_FILE}")
    return "\n".join([*header(recommendation), *caveats(recommendation), command]) + "\n" + dump(body)


def patch_of(recommendation: Recommendation, *, is_back: bool = False) -> Body:
    """The patch in the form that the API server takes for this kind; empty where there is nothing to write."""
    if not takes_strategic(recommendation.manifest.kind):
        return json_patch(recommendation, is_back=is_back)
    return rollback_patch(recommendation) if is_back else strategic_patch(recommendation)


def target(workload: Workload) -> list[str]:
    """The workload as arguments of kubectl.

    >>> target(Workload("shop", "web", "Rollout"))
    ['rollouts.argoproj.io', 'web', '-n', 'shop']
    """
    kind = "rollouts.argoproj.io" if workload.kind == "Rollout" else workload.kind.lower()
    return [kind, workload.name, "-n", workload.namespace]


def _type(workload: Workload) -> str:
    return "" if takes_strategic(workload.kind) else " --type json"


def caveats(recommendation: Recommendation) -> list[str]:
    """Comment lines on a JSON patch; none for a strategic merge."""
    if takes_strategic(recommendation.manifest.kind):
        return []
    is_known = all(container.sections is not None for container in in_template(recommendation))
    return comment(
        "a JSON patch, since an API server cannot merge lists of a custom resource: the server refuses it if the order "
        f"of the containers changed{'' if is_known else ', or if the template has `resources: {}`'}"
    )
