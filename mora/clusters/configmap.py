"""Texts into one existing ConfigMap, in one request: what a CronJob publishes for people and programs.

Its whole content is replaced, so nothing of an earlier run remains. It is never created: a right to create cannot be
limited to one name, a right to patch can.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mora.clusters.connection import Api, NotFound
from mora.domain import check_name
from mora.errors import BadInput, ClusterError

JSON_PATCH = "application/json-patch+json"
# Kubernetes takes 1 MiB in all, with keys and metadata; what is larger is stored compressed.
_MOST_BYTES = 1_000_000


def content_of(texts: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The data and binaryData of a ConfigMap; a text that does not fit becomes NAME.gz.

    BadInput where even that is too large.

    >>> content_of({"a.json": "{}"})
    {'data': {'a.json': '{}'}, 'binaryData': {}}
    """
    for name in texts:
        check_name(name.lower().replace("_", "-"), "key of a ConfigMap")
    plain, room = dict(texts), _MOST_BYTES
    packed: dict[str, str] = {}
    # The largest first: compressing it alone may be enough.
    for name in sorted(texts, key=lambda one: len(texts[one].encode()), reverse=True):
        if _size(plain) + _size(packed) <= room:
            break
        # Without a time stamp, so that the same text gives the same bytes.
        packed[f"{name}.gz"] = base64.b64encode(gzip.compress(plain.pop(name).encode(), mtime=0)).decode("ascii")
    total = _size(plain) + _size(packed)
    if total > room:
        raise BadInput(
            f"{', '.join(texts)}: {total:,} bytes when compressed, and a ConfigMap takes at most {room:,}.",
            hint="Publish fewer workloads at a time (by namespace or label), or write to a volume.",
        )
    return {"data": plain, "binaryData": packed}


def _size(texts: Mapping[str, str]) -> int:
    return sum(len(name) + len(text.encode()) for name, text in texts.items())


class ConfigMaps:
    """The ConfigMaps of a cluster."""

    def __init__(self, *, kubeconfig: Path | str | None = None, context: str | None = None) -> None:
        self._api = Api(kubeconfig=kubeconfig, context=context)

    def replace(self, namespace: str, name: str, texts: Mapping[str, str]) -> None:
        """Replace the content of a ConfigMap. ClusterError with the command that creates it where it does not exist."""
        path = f"/api/v1/namespaces/{namespace}/configmaps/{name}"
        patch: list[dict[str, Any]] = [
            {"op": "add", "path": f"/{part}", "value": value} for part, value in content_of(texts).items()
        ]
        try:
            self._api.send("PATCH", path, patch, content_type=JSON_PATCH)
        except NotFound as error:
            raise ClusterError(
                f"There is no ConfigMap {name!r} in namespace {namespace!r}.",
                hint=f"Create it once, empty: kubectl create configmap {name} -n {namespace}",
            ) from error
