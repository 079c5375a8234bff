"""What labels name: which rows of an answer are believed by them, and which of Kubernetes' own labels they stand for.

A Prometheus lets a label be any text. What is no name in Kubernetes is no container, pod, autoscaler or quota of it, so
its row is left out. Names of workloads and namespaces are checked where a Workload is made (ownership.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from mora.domain import is_name

# label -> what it names.
_NAMED: Mapping[str, str] = {
    "container": "container",
    "horizontalpodautoscaler": "HPA",
    "pod": "pod",
    "resourcequota": "ResourceQuota",
}
_WORKLOAD_LABELS = ("namespace", "deployment", "statefulset", "daemonset", "cronjob", "job_name", "replicaset")
# cAdvisor's name for a pod's own cgroup.
_PAUSE = "POD"
# More names than this are counted, not listed.
_MAX_LISTED = 5
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", re.ASCII)
_IMAGE = re.compile(r"[A-Za-z0-9][-A-Za-z0-9_.:/@+]{0,511}", re.ASCII)
# kube-state-metrics writes "_" for every character that a label name must not contain.
_ANNOTATION, _HELM_PATH = "annotation_mora_dev_", "helm_path_"
_LABEL_PREFIXES = {
    "label_app_kubernetes_io_": "app.kubernetes.io/",
    "label_helm_sh_": "helm.sh/",
    "label_helm_toolkit_fluxcd_io_": "helm.toolkit.fluxcd.io/",
    "label_kustomize_toolkit_fluxcd_io_": "kustomize.toolkit.fluxcd.io/",
    "label_argocd_argoproj_io_": "argocd.argoproj.io/",
    "label_mora_dev_": "mora.dev/",
}
Row = TypeVar("Row")


def is_label_value(text: object) -> bool:
    """Whether Kubernetes takes a text as the value of a label.

    >>> is_label_value("web_1.2"), is_label_value("web\\nkind: Pod")
    (True, False)
    """
    return isinstance(text, str) and _LABEL_VALUE.fullmatch(text) is not None


def is_image(text: object) -> bool:
    """Whether a text is written as the name of an image is.

    >>> is_image("registry.example:5000/shop/web:1.2@sha256:0f"), is_image("web; rm -rf /")
    (True, False)
    """
    return isinstance(text, str) and _IMAGE.fullmatch(text) is not None


@dataclass(slots=True)
class Names:
    """Sorts out rows with impossible names, and keeps what to tell of them."""

    _odd: dict[tuple[str, str], None] = field(default_factory=dict)

    def believed(self, rows: Iterable[Row], labels: Callable[[Row], Mapping[str, Any]]) -> list[Row]:
        """The rows whose names are names in Kubernetes; empty ones pass."""
        return [row for row in rows if self._all_are_names(labels(row))]

    def values(self, label: str, found: Iterable[str]) -> list[str]:
        """The values of a label; of one that holds a name, those that are names."""
        if label in _WORKLOAD_LABELS:
            return [value for value in found if is_name(value)]
        return [value for value in found if label not in _NAMED or self._is_good(label, value)]

    def note(self, what: str, name: object) -> None:
        """Keep that a name was left out."""
        self._odd[what, ascii(name)] = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was left out, a sentence each name; of many, the first and how many more there are."""
        listed = [
            f"{name} is not a valid name of {'an' if what[0] in 'Hi' else 'a'} {what}: what Prometheus has of it is "
            "left out."
            for what, name in list(self._odd)[:_MAX_LISTED]
        ]
        more = len(self._odd) - len(listed)
        return (*listed, *([f"{more} more invalid names are left out."] if more else ()))

    def _all_are_names(self, labels: Mapping[str, Any]) -> bool:
        return all(self._is_good(label, labels[label]) for label in _NAMED if label in labels)

    def _is_good(self, label: str, value: object) -> bool:
        if value in ("", _PAUSE) or (isinstance(value, str) and is_name(value)):
            return True
        self.note(_NAMED[label], value)
        return False


def label_named(name: str) -> str | None:
    """A Kubernetes label, by the name that kube-state-metrics gives it; None where it is none."""
    for prefix, meant in _LABEL_PREFIXES.items():
        if name.startswith(prefix):
            return meant + name.removeprefix(prefix).replace("_", "-")
    return name.removeprefix("label_") if name.startswith("label_") else None


def annotation_named(name: str) -> str | None:
    """mora.dev/cpu-buffer of annotation_mora_dev_cpu_buffer: MOrA's own annotations have no other characters."""
    if not name.startswith(_ANNOTATION):
        return None
    rest = name.removeprefix(_ANNOTATION)
    if rest.startswith(_HELM_PATH):
        return "mora.dev/helm-path." + rest.removeprefix(_HELM_PATH).replace("_", "-")
    return "mora.dev/" + rest.replace("_", "-")
