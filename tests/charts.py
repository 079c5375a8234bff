"""The chart, and the folders of manifests/ that are rendered from it.

What Helm alone needs is taken out: its labels, and the checksums that restart pods after an upgrade.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import helm

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "charts" / "mora"
OPERATOR_API = "monitoring.coreos.com/v1"  # of Prometheus' operator: Kubernetes has no schema of its kinds
_OFF = {part: {"enabled": False} for part in ("account", "serve", "nightly", "recommender", "experiments", "inPlace")}
_ON = {"enabled": True}


@dataclass(frozen=True)
class Folder:
    """A folder of manifests/: the values that it is rendered with, and which template becomes which file."""

    values: dict[str, Any]
    files: dict[str, tuple[str, ...]]
    namespace: str = "shop"
    by_hand: tuple[str, ...] = field(default=("kustomization.yaml",))

    def texts(self) -> dict[str, str]:
        """File -> the text that it has to have. Raises KeyError where a template renders to nothing."""
        rendered = helm.render(CHART, self.values, namespace=self.namespace)
        return {
            file: "---\n".join(without_helm(rendered[f"templates/{template}"]) for template in templates)
            for file, templates in self.files.items()
        }


def same(component: str, *names: str) -> dict[str, tuple[str, ...]]:
    return {f"{name}.yaml": (f"{component}/{name}.yaml",) for name in names}


_RECOMMENDER = ("deployment", "networkpolicy", "service", "settings")
FOLDERS = {
    "base": Folder({**_OFF, "account": _ON}, same("base", "serviceaccount", "reader")),
    "collect": Folder({**_OFF, "experiments": _ON}, same("experiments", "scaler")),
    "in-place": Folder({**_OFF, "inPlace": _ON}, same("inplace", "resizer")),
    "cronjob": Folder(
        {**_OFF, "nightly": _ON}, same("nightly", "rbac", "settings", "configmap", "cronjob", "networkpolicy")
    ),
    "recommender": Folder({**_OFF, "recommender": _ON}, same("recommender", *_RECOMMENDER, "rbac")),
    "serve": Folder(
        {**_OFF, "serve": _ON}, same("serve", "rbac", "settings", "volume", "deployment", "service", "networkpolicy")
    ),
    "monitoring": Folder(
        {
            **_OFF,
            "serve": {**_ON, "health": _ON},
            "monitoring": dict.fromkeys(("serviceMonitor", "rules", "dashboard"), _ON),
        },
        same("monitoring", "scrape", "rules", "dashboard"),
    ),
    "cluster-wide": Folder(
        {**_OFF, "recommender": _ON, "scope": "cluster"},
        {**same("recommender", *_RECOMMENDER), "rbac.yaml": ("base/reader.yaml", "recommender/rbac.yaml")},
        namespace="mora-system",
        by_hand=("kustomization.yaml", "namespace.yaml"),
    ),
}


def without_helm(text: str) -> str:
    """A rendered template as a manifest for kubectl."""
    names = r"helm\.sh/chart|app\.kubernetes\.io/(?:instance|managed-by|version)"
    text = re.sub(rf"^ +(?:{names}): .*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^ +annotations:\n +checksum/\w+: \w+\n", "", text, flags=re.MULTILINE)
    return text.strip().removeprefix("---\n") + "\n"
