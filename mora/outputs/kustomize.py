"""A kustomize overlay: a kustomization and one patch file a workload.

`files()` gives {file name: text} to write into a folder; `render()` gives the same as one text, each file introduced
by a line `# file: NAME` and parted by `---`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from mora.domain import Recommendation, Workload
from mora.errors import BadInput
from mora.outputs import DEFAULTS, OutputSettings
from mora.outputs.manifests import (
    API_VERSION,
    documents,
    dump,
    header,
    nothing_to_write,
    numbers,
    one_line,
    strategic_patch,
)

# kustomize 4 reads `patches` and `resources` in today's form; kubectl 1.20 carries 2.0.3, which wants `bases`.
_MODERN_MAJOR = 4


def render(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> str:
    """All files as one text; split at the lines `# file: NAME`, or let files() do it."""
    return documents([f"# file: {name}\n{text}" for name, text in files(recommendations, settings).items()])


def files(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> dict[str, str]:
    """File name -> text, kustomization.yaml first; NotEnoughData where no workload has a number."""
    patches = {r.workload: strategic_patch(r) for r in recommendations}
    patched = [r for r in recommendations if patches[r.workload]]
    if not patched:
        why = {
            r.workload.name: one_line(a for _, advice in numbers(r) for a in advice.reasons) for r in recommendations
        }
        raise nothing_to_write("a kustomization", recommendations, why)
    names = _file_names([r.workload for r in patched])
    skipped = [line for r in recommendations if not patches[r.workload] for line in header(r)]
    kustomization = "".join(f"{line}\n" for line in skipped) + dump(_kustomization(names, settings))
    return {"kustomization.yaml": kustomization} | {
        names[r.workload]: "\n".join(header(r)) + "\n" + dump(_patch_file(r.workload, patches[r.workload], names))
        for r in patched
    }


def _kustomization(names: dict[Workload, str], settings: OutputSettings) -> dict[str, Any]:
    kind = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    if _major(settings.kustomize_version) < _MODERN_MAJOR:
        return {**kind, "bases": [settings.kustomize_base], "patchesStrategicMerge": list(names.values())}
    group, _, version = API_VERSION.partition("/")
    patches = [
        {
            "path": name,
            "target": {"group": group, "version": version, "kind": workload.kind, **_identity(workload, names)},
        }
        for workload, name in names.items()
    ]
    return {**kind, "resources": [settings.kustomize_base], "patches": patches}


def _patch_file(workload: Workload, patch: dict[str, Any], names: dict[Workload, str]) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": workload.kind, "metadata": _identity(workload, names), **patch}


def _identity(workload: Workload, names: dict[Workload, str]) -> dict[str, str]:
    """The name, and the namespace only where names clash: a base often leaves it to the overlay."""
    if Counter((other.kind, other.name) for other in names)[workload.kind, workload.name] > 1:
        return {"name": workload.name, "namespace": workload.namespace}
    return {"name": workload.name}


def _file_names(workloads: Sequence[Workload]) -> dict[Workload, str]:
    clashes = Counter(workload.name for workload in workloads)
    return {
        w: f"mora-{w.name}-resources.yaml"
        if clashes[w.name] == 1
        else f"mora-{w.namespace}-{w.kind.lower()}-{w.name}-resources.yaml"
        for w in workloads
    }


def _major(version: str) -> int:
    match = re.fullmatch(r"v?(\d+)(\.\d+)*", version.strip(), re.ASCII)
    if match is None:
        raise BadInput(f"{version!r} is not a version of kustomize.", hint="Write it like 5.5 or 2.0.3.")
    return int(match[1])
