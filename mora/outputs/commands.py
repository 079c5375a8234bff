"""The kubectl commands that apply a recommendation, after a dry run and with their rollback.

The text is a valid shell script. All dry runs come first: if the server refuses one, the script stops and nothing has
changed. The rollback is in comments, so that running the script does not undo itself.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from mora.domain import KEDA_PREFIX, Autoscaler, Recommendation, Workload, is_name, is_written
from mora.outputs import DEFAULTS, OutputSettings
from mora.outputs.changes import is_due
from mora.outputs.documents import json_argument
from mora.outputs.patch import Body, caveats, patch_of, target
from mora.outputs.patches import takes_strategic
from mora.outputs.wording import comment, header, nothing_to_write, remark, title, why_no_patch


def render(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> str:
    """A script for all workloads that change; NotEnoughData where none has a number."""
    due = _due(recommendations)
    lines = ["set -e", *_remarks(recommendations, due)]
    if due:
        lines += ["", "# 1. Dry run: the server checks each patch and changes nothing"]
        lines += [line for r in due for line in apply_lines(r, is_dry_run=True)]
        lines += ["", "# 2. Apply"]
        lines += [line for r in due for line in apply_lines(r)]
        lines += ["", "# 3. Roll back to the previous values"]
        lines += [f"# {line}" for r in due for line in rollback_lines(r)]
    return "\n".join(lines) + "\n"


def files(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> dict[str, str]:
    """apply.sh, which begins with a dry run, and rollback.sh."""
    due = _due(recommendations)
    back = [line for r in due for line in rollback_lines(r)]
    return {
        "apply.sh": render(recommendations, settings),
        "rollback.sh": "\n".join(["set -e", *_remarks(recommendations, due), "", *back]) + "\n",
    }


def _due(recommendations: Sequence[Recommendation]) -> list[Recommendation]:
    if not any(patch_of(recommendation) for recommendation in recommendations):
        why = {r.workload.name: why_no_patch(r) for r in recommendations}
        raise nothing_to_write("commands", recommendations, why)
    return [r for r in recommendations if patch_of(r) and is_due(r)]


def _remarks(recommendations: Sequence[Recommendation], due: Sequence[Recommendation]) -> list[str]:
    """Comments: what each workload gets, and which are not changed and why."""
    lines: list[str] = []
    for recommendation in recommendations:
        lines += ["", *header(recommendation)]
        if recommendation in due:
            lines += [*caveats(recommendation), *_of_keda(recommendation), *_without_command(recommendation)]
        elif not is_written(recommendation.workload.kind):
            lines.append(remark(why_no_patch(recommendation)))
        elif patch_of(recommendation):
            lines.append("# already right-sized: nothing to change")
    return lines


def _of_keda(recommendation: Recommendation) -> list[str]:
    """Comments: what has to change in a ScaledObject together with the requests."""
    return [
        line
        for scaler in recommendation.retargets
        if scaler.name.startswith(KEDA_PREFIX)
        for line in comment(
            f"also set the {scaler.resource} trigger of the ScaledObject {scaler.name.removeprefix(KEDA_PREFIX)} "
            f"to {scaler.target}"
        )
    ]


def apply_lines(recommendation: Recommendation, *, is_dry_run: bool = False) -> list[str]:
    """The commands of one workload and its autoscaler, under its name."""
    workload = recommendation.workload
    context = recommendation.context
    patched = command(recommendation.manifest, patch_of(recommendation), is_dry_run=is_dry_run, context=context)
    lines = [remark(title(workload)), patched]
    for scaler in _ours(recommendation):
        lines.append(_retarget(recommendation, scaler, is_dry_run=is_dry_run))
    return lines


def rollback_lines(recommendation: Recommendation) -> list[str]:
    """The commands that undo apply_lines()."""
    back = patch_of(recommendation, is_back=True)
    lines = [command(recommendation.manifest, back, context=recommendation.context)]
    for scaler in _ours(recommendation):
        before = next((a for a in recommendation.autoscalers if _is_same(a, scaler)), None)
        if before is not None:
            lines.append(_retarget(recommendation, before))
    return lines


def _is_same(one: Autoscaler, other: Autoscaler) -> bool:
    return (one.name, one.resource, one.container) == (other.name, other.resource, other.container)


def _ours(recommendation: Recommendation) -> list[Autoscaler]:
    """The retargets that a command can make: KEDA would overwrite its own HPAs from their ScaledObjects.

    An HPA whose name Kubernetes does not allow gets none, since its name could be read as a flag of kubectl.
    """
    return [s for s in recommendation.retargets if not s.name.startswith(KEDA_PREFIX) and is_name(s.name)]


def _without_command(recommendation: Recommendation) -> list[str]:
    """Comments: HPAs that get no command, since Kubernetes allows no such name."""
    return [
        line
        for scaler in recommendation.retargets
        if not is_name(scaler.name)
        for line in comment(f"no command for the HPA {scaler.name!r}: it is not a valid name of an HPA")
    ]


def _retarget(recommendation: Recommendation, scaler: Autoscaler, *, is_dry_run: bool = False) -> str:
    """Set one metric's target of an HPA, after a test that it is of that resource."""
    of_name = [a for a in recommendation.autoscalers if a.name == scaler.name]
    place = next((n for n, a in enumerate(of_name) if _is_same(a, scaler)), 0)
    path = f"/spec/metrics/{place}/{'resource' if scaler.container is None else 'containerResource'}"
    operations = [
        {"op": "test", "path": f"{path}/name", "value": str(scaler.resource)},
        *([{"op": "test", "path": f"{path}/container", "value": scaler.container}] if scaler.container else []),
        {"op": "replace", "path": f"{path}/target/averageUtilization", "value": scaler.target},
    ]
    what = ["hpa", scaler.name, "-n", recommendation.workload.namespace]
    return _kubectl(what, "json", operations, is_dry_run, recommendation.context)


def command(workload: Workload, patch: Body, *, is_dry_run: bool = False, context: str = "") -> str:
    """One shell-quoted `kubectl patch`. context: of the kubeconfig, where the current one is not meant.

    >>> command(Workload("shop", "cart"), {"spec": {"replicas": 2}}, is_dry_run=True)
    'kubectl patch deployment cart -n shop --type strategic --dry-run=server -p \\'{"spec":{"replicas":2}}\\''
    """
    patch_type = "strategic" if takes_strategic(workload.kind) else "json"
    return _kubectl(target(workload), patch_type, patch, is_dry_run, context)


def _kubectl(what: Sequence[str], patch_type: str, patch: object, is_dry_run: bool, context: str) -> str:
    where = [f"--context={context}"] if context else []
    dry_run = ["--dry-run=server"] if is_dry_run else []
    return shlex.join(["kubectl", *where, "patch", *what, "--type", patch_type, *dry_run, "-p", json_argument(patch)])
