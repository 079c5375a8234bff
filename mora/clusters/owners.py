"""Whose an object is: the workload that a pod belongs to by its chain of controllers, whatever kind that is of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mora.clusters.objects import Manifest
from mora.domain.kinds import group_of_run, top_owner

_REVISION = "deployment.kubernetes.io/revision"
_ROLLOUT_REVISION = "rollout.argoproj.io/revision"

_LONGEST_REVISION = 20
_NOBODY = {"kind": "", "name": ""}

Owner = tuple[str, str, str]
"""Namespace, kind and name."""


def controller_of(item: Manifest, kind: str | None = None) -> dict[str, Any] | None:
    """The owner that manages an object; with `kind` only one of that kind."""
    for owner in item["metadata"].get("ownerReferences") or []:
        if owner.get("controller") and kind in (None, owner["kind"]):
            found: dict[str, Any] = owner
            return found
    return None


def owner_of(pod: Manifest, between: Mapping[Owner, Manifest]) -> tuple[Owner, int]:
    """The workload that a pod belongs to, and how new its template is."""
    owner = controller_of(pod) or _NOBODY
    meta, newness = pod["metadata"], 0
    namespace, labels = meta["namespace"], meta.get("labels") or {}
    middle = between.get((namespace, owner["kind"], owner["name"]))
    if middle is not None:
        annotations = middle["metadata"].get("annotations") or {}
        newness = _whole(annotations.get(_REVISION) or annotations.get(_ROLLOUT_REVISION))
        above = controller_of(middle)
        if above is None and owner["kind"] == "Job":
            labels_of_job = middle["metadata"].get("labels") or {}
            return (namespace, "Job", group_of_run(owner["name"], labels_of_job)), newness
        owner = above or owner
    elif owner["kind"] == "DaemonSet":
        newness = _whole(labels.get("pod-template-generation"))
    return (namespace, *top_owner(meta["name"], owner["kind"], owner["name"])), newness


def _whole(text: str | None) -> int:
    """A revision; 0 for what is none: "²" is a digit, too, and no number."""
    is_number = text is not None and text.isascii() and text.isdigit() and len(text) < _LONGEST_REVISION
    return int(text) if text is not None and is_number else 0
