"""A kustomize overlay: a kustomization and one patch file a workload.

`files()` gives {file name: text} to write into a folder; `render()` gives the same as one text, each file after a
line `# file: NAME`, separated by `---`. Kinds that kustomize knows are merged by container name. Of others (an Argo
Rollout; a CronJob, before kustomize 5) it would replace the container list, so they get a JSON patch that tests
the name of each container first.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from mora.domain import Recommendation, Workload, is_written
from mora.errors import BadInput
from mora.outputs import DEFAULTS, OutputSettings
from mora.outputs.documents import documents, dump, file_names
from mora.outputs.patch import Body
from mora.outputs.patches import json_patch, strategic_patch, takes_strategic
from mora.outputs.wording import comment, header, nothing_to_write, title, why_no_patch

# kustomize 4 reads `patches` and `resources` in today's form; kubectl 1.20 carries 2.0.3, which wants `bases`.
_MODERN_MAJOR = 4
# The schemas that kustomize 4 carries begin before batch/v1 CronJob: without a schema a list is replaced.
_KNOWS_CRONJOB_MAJOR = 5


def render(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> str:
    """All files as one text; split at the lines `# file: NAME`, or let files() do it."""
    return documents([f"# file: {name}\n{text}" for name, text in files(recommendations, settings).items()])


def files(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> dict[str, str]:
    """File name -> text, kustomization.yaml first; NotEnoughData where no workload has a number."""
    major = _major(settings.kustomize_version)
    bodies: dict[Workload, Body] = {r.manifest: body for r in recommendations if (body := _body(r, major))}
    patched = [r for r in recommendations if _body(r, major)]
    if not patched:
        why = {r.workload.name: why_no_patch(r) for r in recommendations}
        raise nothing_to_write("a kustomization", recommendations, why)
    names = file_names([r.manifest for r in patched], "-resources.yaml", prefix="mora-")
    skipped = [line for r in recommendations if r not in patched for line in _skipped_lines(r)]
    kustomization = "".join(f"{line}\n" for line in skipped) + dump(_kustomization(names, bodies, settings))
    return {"kustomization.yaml": kustomization} | {
        names[r.manifest]: "\n".join(header(r)) + "\n" + dump(_patch_file(r.manifest, bodies[r.manifest], names))
        for r in patched
    }


def _body(recommendation: Recommendation, major: int) -> Body:
    return json_patch(recommendation) if _is_json(recommendation.manifest, major) else strategic_patch(recommendation)


def _is_json(workload: Workload, major: int) -> bool:
    return not takes_strategic(workload.kind) or (workload.kind == "CronJob" and major < _KNOWS_CRONJOB_MAJOR)


def _skipped_lines(recommendation: Recommendation) -> list[str]:
    if not is_written(recommendation.workload.kind):
        return comment(f"{title(recommendation.workload)}: {why_no_patch(recommendation)}")
    return header(recommendation)


def _kustomization(
    names: Mapping[Workload, str], bodies: Mapping[Workload, Body], settings: OutputSettings
) -> dict[str, Any]:
    kind = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    if _major(settings.kustomize_version) >= _MODERN_MAJOR:
        patches = [_targeted(workload, names) for workload in names]
        return {**kind, "resources": [settings.kustomize_base], "patches": patches}
    merged = [name for workload, name in names.items() if isinstance(bodies[workload], Mapping)]
    indexed = [_targeted(workload, names) for workload in names if not isinstance(bodies[workload], Mapping)]
    lists = {"patchesStrategicMerge": merged, "patchesJson6902": indexed}
    return {**kind, "bases": [settings.kustomize_base]} | {key: value for key, value in lists.items() if value}


def _targeted(workload: Workload, names: Mapping[Workload, str]) -> dict[str, Any]:
    group, _, version = workload.api_version.partition("/")
    target = {"group": group, "version": version, "kind": workload.kind, **_identity(workload, names)}
    return {"path": names[workload], "target": target}


def _patch_file(workload: Workload, body: Body, names: Mapping[Workload, str]) -> Body:
    if not isinstance(body, Mapping):
        return body
    identity = _identity(workload, names)
    return {"apiVersion": workload.api_version, "kind": workload.kind, "metadata": identity, **body}


def _identity(workload: Workload, names: Mapping[Workload, str]) -> dict[str, str]:
    """The name, and the namespace only where names clash: in many bases the overlay sets it."""
    if Counter((other.kind, other.name) for other in names)[workload.kind, workload.name] > 1:
        return {"name": workload.name, "namespace": workload.namespace}
    return {"name": workload.name}


def _major(version: str) -> int:
    match = re.fullmatch(r"v?(\d+)(\.\d+)*", version.strip(), re.ASCII)
    if match is None:
        raise BadInput(f"{version!r} is not a version of kustomize.", hint="Write it like 5.5 or 2.0.3.")
    return int(match[1])
