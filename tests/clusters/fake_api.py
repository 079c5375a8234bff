"""A small and strict Kubernetes API server on loopback: the edge that no real cluster stands at in these tests.

It knows just what KubernetesCluster asks for, answers everything else with an error, applies patches as a real one
does (strategic merge by container name, null deletes), plays the controller that rolls a change out, and keeps what it
was sent.
"""

from __future__ import annotations

import json
import re
import threading
from copy import deepcopy
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import yaml

from mora.quantities import parse_quantity

Manifest = dict[str, Any]
_WORKLOAD = re.compile(
    r"/apis/apps/v1/namespaces/(?P<namespace>[^/]+)/(?P<plural>deployments|statefulsets|daemonsets)"
    r"(/(?P<name>[^/]+)(?P<scale>/scale)?)?"
)
_KINDS = {"deployments": "Deployment", "statefulsets": "StatefulSet", "daemonsets": "DaemonSet"}


class Refusal(Exception):
    def __init__(self, status: int, message: str) -> None:
        self.status = status
        self.message = message
        super().__init__(message)


@dataclass
class Sent:
    method: str
    path: str
    content_type: str | None
    body: Any


@dataclass
class FakeCluster:
    """workloads: (plural, namespace, name) -> manifest. forbidden: (verb, plural) that get a 403.

    reads_until_ready: how often a changed workload is read before its rollout is done.
    """

    workloads: dict[tuple[str, str, str], Manifest] = field(default_factory=dict)
    hpas: list[Manifest] = field(default_factory=list)
    pods: list[Manifest] = field(default_factory=list)
    forbidden: set[tuple[str, str]] = field(default_factory=set)
    reads_until_ready: int = 2
    sent: list[Sent] = field(default_factory=list)
    _reads: dict[tuple[str, str, str], int] = field(default_factory=dict)

    @property
    def patches(self) -> list[Sent]:
        return [one for one in self.sent if one.method == "PATCH"]

    def add(self, manifest: Manifest) -> None:
        plural = next(plural for plural, kind in _KINDS.items() if kind == manifest["kind"])
        meta = manifest["metadata"]
        key = (plural, meta["namespace"], meta["name"])
        self.workloads[key] = manifest
        meta["generation"] = 1
        self._roll_out(key)

    def answer(self, method: str, path: str, query: dict[str, str], content_type: str | None, body: Any) -> Manifest:
        unknown = set(query) - {"labelSelector", "limit", "fieldManager", "fieldValidation"}
        if unknown:
            raise Refusal(400, f"unknown query parameters {unknown}")
        if method == "GET" and path == "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers":
            self._allow("list", "horizontalpodautoscalers", "autoscaling")
            return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscalerList", "items": self.hpas}
        if method == "GET" and path == "/api/v1/namespaces/shop/pods":
            self._allow("list", "pods", "")
            wanted = dict(pair.split("=") for pair in query["labelSelector"].split(","))
            items = [pod for pod in self.pods if wanted.items() <= pod["metadata"]["labels"].items()]
            return {"apiVersion": "v1", "kind": "PodList", "items": items}
        match = _WORKLOAD.fullmatch(path)
        if match is None:
            raise Refusal(404, f"the server could not find the requested resource {path}")
        key = (match["plural"], match["namespace"], match["name"])
        if match["name"] is None:
            self._allow("list", match["plural"], "apps")
            items = [value for found, value in self.workloads.items() if found[:2] == key[:2]]
            return {"apiVersion": "apps/v1", "kind": f"{_KINDS[match['plural']]}List", "items": items}
        verb = {"GET": "get", "PATCH": "patch"}.get(method)
        if verb is None:
            raise Refusal(405, "method not allowed")
        self._allow(verb, match["plural"] + (match["scale"] or ""), "apps")
        if key not in self.workloads:
            raise Refusal(404, f'{match["plural"]}.apps "{match["name"]}" not found')
        if method == "GET":
            self._reads[key] = self._reads.get(key, 0) + 1
            if self._reads[key] > self.reads_until_ready:
                self._roll_out(key)
            return self.workloads[key]
        return self._scale(key, content_type, body) if match["scale"] else self._patch(key, content_type, body)

    def _allow(self, verb: str, resource: str, group: str) -> None:
        if (verb, resource) in self.forbidden:
            raise Refusal(
                403,
                f'{resource}.{group} is forbidden: User "ada" cannot {verb} resource "{resource}" '
                f'in API group "{group}" in the namespace "shop"',
            )

    def _patch(self, key: tuple[str, str, str], content_type: str | None, body: Any) -> Manifest:
        if content_type != "application/strategic-merge-patch+json":
            raise Refusal(415, f"a list of containers is not to be replaced by {content_type}")
        changed: Manifest = merged(self.workloads[key], body)
        pod_spec = changed["spec"]["template"]["spec"]
        for container in pod_spec["containers"]:
            if "image" not in container:
                raise Refusal(422, f'Deployment.apps "{key[2]}" is invalid: {container["name"]}.image: Required value')
            resources = container.get("resources") or {}
            for name, request in (resources.get("requests") or {}).items():
                limit = (resources.get("limits") or {}).get(name)
                if limit is not None and parse_quantity(request) > parse_quantity(limit):
                    raise Refusal(
                        422,
                        f'Deployment.apps "{key[2]}" is invalid: spec.template.spec.containers[0].resources.requests: '
                        f'Invalid value: "{request}": must be less than or equal to {name} limit of {limit}',
                    )
        self._change(key, changed)
        return changed

    def _scale(self, key: tuple[str, str, str], content_type: str | None, body: Any) -> Manifest:
        if content_type != "application/merge-patch+json" or set(body) != {"spec"} or set(body["spec"]) != {"replicas"}:
            raise Refusal(400, f"not a scale: {content_type} {body}")
        if key[0] == "daemonsets":
            raise Refusal(404, "the server could not find the requested resource")
        changed = deepcopy(self.workloads[key])
        changed["spec"]["replicas"] = body["spec"]["replicas"]
        self._change(key, changed)
        return {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": changed["metadata"], "spec": body["spec"]}

    def _change(self, key: tuple[str, str, str], manifest: Manifest) -> None:
        manifest["metadata"]["generation"] += 1
        self.workloads[key] = manifest
        self._reads[key] = 0

    def _roll_out(self, key: tuple[str, str, str]) -> None:
        manifest = self.workloads[key]
        status = manifest.setdefault("status", {})
        if status.get("stuck"):
            return
        replicas = manifest["spec"].get("replicas", 1)
        status["observedGeneration"] = manifest["metadata"]["generation"]
        if manifest["kind"] == "DaemonSet":
            nodes = status["desiredNumberScheduled"]
            status.update(updatedNumberScheduled=nodes, numberAvailable=nodes)
        else:
            status.update(replicas=replicas, updatedReplicas=replicas, availableReplicas=replicas)


def merged(value: Any, patch: Any) -> Any:
    """A strategic merge: maps by key, null deletes, lists of containers by name, other lists replaced."""
    if isinstance(value, list) and isinstance(patch, list) and all("name" in one for one in patch):
        listed: list[Any] = deepcopy(value)
        for one in patch:
            at = next((index for index, old in enumerate(listed) if old["name"] == one["name"]), None)
            if at is None:
                listed.append(one)
            else:
                listed[at] = merged(listed[at], one)
        return listed
    if not isinstance(value, dict) or not isinstance(patch, dict):
        return deepcopy(patch)
    result: dict[str, Any] = deepcopy(value)
    for name, change in patch.items():
        if change is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name, {} if isinstance(change, dict) else None), change)
    return result


class FakeApi(ThreadingHTTPServer):
    """Serves a FakeCluster to whoever shows the token."""

    daemon_threads = True
    TOKEN = "let-me-in"

    def __init__(self, cluster: FakeCluster) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.cluster = cluster
        self.lock = threading.Lock()

    def kubeconfig(self, path: Path, *, token: str = TOKEN, port: int | None = None) -> Path:
        """A kubeconfig file that points here, with the context `fake`."""
        server = f"http://127.0.0.1:{port or self.server_port}"
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "fake", "cluster": {"server": server}}],
                    "users": [{"name": "ada", "user": {"token": token}}],
                    "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "ada"}}],
                    "current-context": "fake",
                }
            ),
            encoding="utf-8",
        )
        return path


class _Handler(BaseHTTPRequestHandler):
    server: FakeApi
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        content_type = self.headers.get("Content-Type")
        status = 200
        with self.server.lock:
            self.server.cluster.sent.append(Sent(self.command, parts.path, content_type, body))
            try:
                self._check_token()
                answer = self.server.cluster.answer(
                    self.command, parts.path, dict(parse_qsl(parts.query)), content_type, body
                )
            except Refusal as refusal:
                status = refusal.status
                answer = {"kind": "Status", "status": "Failure", "message": refusal.message, "code": status}
            text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _check_token(self) -> None:
        if self.headers.get("Authorization") != f"Bearer {FakeApi.TOKEN}":
            raise Refusal(401, "Unauthorized")

    do_GET = do_PATCH = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815  # the library's names

    def log_message(self, format: str, *args: Any) -> None:
        pass
