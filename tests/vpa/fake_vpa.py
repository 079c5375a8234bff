"""A small and strict API server on loopback for VPA objects, Leases and ConfigMaps: the edge without a real cluster.

What it knows it does as a real one: merge patches that touch the status alone through the subresource, refused where
the object changed since, checked against the CRD's schema; lists in pages; Leases whose writes need the version that
was read. What it does not know is an error. Everything else (workloads, pods) is answered by the FakeCluster of
tests/clusters, where one is given.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jsonschema
import yaml

from tests.clusters.fake_api import FakeCluster, Refusal
from tests.clusters.patching import json_merge
from tests.running import answering
from tests.vpa.schema import VPA_STATUS

Manifest = dict[str, Any]
_GROUP = "/apis/autoscaling.k8s.io/v1"
_VPAS = re.compile(
    _GROUP + r"(/namespaces/(?P<namespace>[^/]+))?/verticalpodautoscalers(/(?P<name>[^/]+)(?P<status>/status)?)?"
)
_LEASES = re.compile(r"/apis/coordination.k8s.io/v1/namespaces/(?P<namespace>[^/]+)/leases(/(?P<name>[^/]+))?")
_CONFIG_MAPS = re.compile(r"/api/v1/namespaces/(?P<namespace>[^/]+)/configmaps/(?P<name>[^/]+)")
_MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_LEASE_FIELDS = {"holderIdentity": str, "leaseDurationSeconds": int, "leaseTransitions": int}


@dataclass
class Request:
    """What was sent, and by whom."""

    user: str
    method: str
    path: str
    content_type: str | None
    body: Any


class _Failure(Exception):
    """An answer that is no object: a status, and a Status object or plain text."""

    def __init__(self, status: int, body: str | Manifest) -> None:
        self.status, self.body = status, body
        super().__init__(str(body))


def _status(code: int, reason: str, message: str, **details: str) -> _Failure:
    body = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}
    return _Failure(code, {**body, "details": details})


def _not_found(plural: str, name: str) -> _Failure:
    return _status(404, "NotFound", f'{plural} "{name}" not found', name=name, kind=plural)


class FakeVpaApi(ThreadingHTTPServer):
    """has_subresource: whether the CRD has status as one. page: the most that a list answers at once.

    forbidden: (verb, resource) that get a 403. failing: statuses that the next requests with `failing_path` in their
    path get instead of an answer; 0 closes the connection.
    """

    daemon_threads = True

    def __init__(self, cluster: FakeCluster | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.cluster = cluster
        self.lock = threading.Lock()
        self.vpas: dict[tuple[str, str], Manifest] = {}
        self.leases: dict[tuple[str, str], Manifest] = {}
        self.config_maps: dict[tuple[str, str], Manifest] = {}
        self.requests: list[Request] = []
        self.has_crd = True
        self.has_subresource = True
        self.page = 500
        self.forbidden: set[tuple[str, str]] = set()
        self.failing: list[int] = []
        self.failing_path = "/"
        self._version = 100

    # --- what tests do -----------------------------------------------------------------------------------------------

    def add(self, manifest: Manifest) -> None:
        made = deepcopy(manifest)
        made["metadata"]["resourceVersion"] = self.next_version()
        self.vpas[made["metadata"]["namespace"], made["metadata"]["name"]] = made

    def status(self, name: str, namespace: str = "shop") -> Manifest:
        with self.lock:
            return deepcopy(self.vpas[namespace, name].get("status") or {})

    def patches(self, *, user: str | None = None) -> list[Request]:
        with self.lock:
            return [r for r in self.requests if r.method == "PATCH" and user in (None, r.user)]

    def holder(self, name: str = "mora-recommender", namespace: str = "mora") -> str | None:
        with self.lock:
            lease = self.leases.get((namespace, name))
            return None if lease is None else lease["spec"].get("holderIdentity")

    def kubeconfig(self, path: Path, *, user: str = "ada") -> Path:
        """A kubeconfig that points here; each user has a token of the same name."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "fake", "cluster": {"server": f"http://127.0.0.1:{self.server_port}"}}],
            "users": [{"name": user, "user": {"token": user}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": user}}],
            "current-context": "fake",
        }
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        return path

    # --- what a server does ------------------------------------------------------------------------------------------

    def next_version(self) -> str:
        self._version += 1
        return str(self._version)

    def answer(self, request: Request, query: dict[str, str]) -> Manifest:
        if request.method != "GET" and query.get("fieldManager") != "mora":
            raise _status(400, "BadRequest", f"a write must carry the field manager mora, not {query}")
        if match := _VPAS.fullmatch(request.path):
            if not self.has_crd:
                raise _Failure(404, "404 page not found\n")
            return self._vpa(request, query, match["namespace"], match["name"], is_status=bool(match["status"]))
        if match := _LEASES.fullmatch(request.path):
            return self._lease(request, query, match["namespace"], match["name"])
        if match := _CONFIG_MAPS.fullmatch(request.path):
            return self._config_map(request, match["namespace"], match["name"])
        if self.cluster is not None:
            try:
                return self.cluster.answer(request.method, request.path, query, request.content_type, request.body)
            except Refusal as refusal:
                raise _status(refusal.status, "", refusal.message) from refusal
        raise _Failure(404, "404 page not found\n")

    def _allow(self, verb: str, resource: str, group: str) -> None:
        if (verb, resource) in self.forbidden:
            words = f'{resource}.{group} is forbidden: User "ada" cannot {verb} resource "{resource}" in API group '
            raise _status(403, "Forbidden", f'{words}"{group}" in the namespace "shop"')

    def _vpa(
        self, request: Request, query: dict[str, str], namespace: str | None, name: str | None, *, is_status: bool
    ) -> Manifest:
        group = "autoscaling.k8s.io"
        resource = "verticalpodautoscalers" + ("/status" if is_status else "")
        if request.method == "GET" and name is None:
            self._allow("list", resource, group)
            return self._list(query, namespace)
        if request.method != "PATCH" or namespace is None or name is None:
            raise _status(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
        if is_status and not self.has_subresource:
            raise _Failure(404, "404 page not found\n")
        self._allow("patch", resource, group)
        if (namespace, name) not in self.vpas:
            raise _not_found(f"verticalpodautoscalers.{group}", name)
        if request.content_type != "application/merge-patch+json":
            raise _status(415, "UnsupportedMediaType", f"{request.content_type} is not for custom resources")
        return self._patch(self.vpas[namespace, name], request.body, is_status=is_status)

    def _list(self, query: dict[str, str], namespace: str | None) -> Manifest:
        if unknown := set(query) - {"limit", "continue"}:
            raise _status(400, "BadRequest", f"unknown query parameters {unknown}")
        items = [value for key, value in sorted(self.vpas.items()) if namespace in (None, key[0])]
        first, size = int(query.get("continue", 0)), min(int(query.get("limit", self.page)), self.page)
        more = {"continue": str(first + size)} if first + size < len(items) else {}
        kind = {"apiVersion": "autoscaling.k8s.io/v1", "kind": "VerticalPodAutoscalerList"}
        return {**kind, "metadata": more, "items": items[first : first + size]}

    def _patch(self, manifest: Manifest, body: Manifest, *, is_status: bool) -> Manifest:
        if unknown := set(body) - {"metadata", "status"}:
            raise _status(400, "BadRequest", f"a status patch says {unknown}")
        wanted = (body.get("metadata") or {}).get("resourceVersion")
        if wanted is not None and wanted != manifest["metadata"]["resourceVersion"]:
            name = manifest["metadata"]["name"]
            raise _status(409, "Conflict", f'Operation cannot be fulfilled on vpa "{name}": modified', name=name)
        # With a subresource, a patch of the object itself leaves its status, without an error.
        if is_status == self.has_subresource:
            status = json_merge(manifest.get("status") or {}, body["status"])
            try:
                jsonschema.validate(status, VPA_STATUS, format_checker=jsonschema.FormatChecker())
            except jsonschema.ValidationError as error:
                raise _status(422, "Invalid", f"status is invalid: {error.message}") from error
            manifest["status"] = status
        manifest["metadata"]["resourceVersion"] = self.next_version()
        return manifest

    def _lease(self, request: Request, query: dict[str, str], namespace: str, name: str | None) -> Manifest:
        verb = {"GET": "get", "POST": "create", "PUT": "update"}.get(request.method)
        if verb is None or set(query) - {"fieldManager"} or (verb == "create") != (name is None):
            raise _status(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
        self._allow(verb, "leases", "coordination.k8s.io")
        if name is None:
            name = request.body["metadata"]["name"]
            if (namespace, name) in self.leases:
                raise _status(409, "AlreadyExists", f'leases.coordination.k8s.io "{name}" already exists', name=name)
            return self._store(namespace, name, request.body)
        known = self.leases.get((namespace, name))
        if known is None:
            raise _not_found("leases.coordination.k8s.io", name)
        if verb == "get":
            return known
        if request.body["metadata"]["resourceVersion"] != known["metadata"]["resourceVersion"]:
            raise _status(409, "Conflict", f'Operation cannot be fulfilled on lease "{name}": modified', name=name)
        return self._store(namespace, name, request.body)

    def _config_map(self, request: Request, namespace: str, name: str) -> Manifest:
        self._allow("patch", "configmaps", "")
        if (request.method, request.content_type) != ("PATCH", "application/json-patch+json"):
            raise _status(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
        if (namespace, name) not in self.config_maps:
            raise _not_found("configmaps", name)
        changed = deepcopy(self.config_maps[namespace, name])
        for step in request.body:
            if set(step) != {"op", "path", "value"} or step["op"] != "add" or step["path"].count("/") != 1:
                raise _status(422, "Invalid", f"not a patch that is known here: {step}")
            changed[step["path"][1:]] = step["value"]
        if sum(len(value) for part in ("data", "binaryData") for value in changed[part].values()) > 2**20:
            raise _status(422, "Invalid", "ConfigMap is invalid: Too long: must have at most 1048576 bytes")
        self.config_maps[namespace, name] = changed
        return changed

    def _store(self, namespace: str, name: str, lease: Manifest) -> Manifest:
        spec = lease["spec"]
        for field_name, value in spec.items():
            kind = _LEASE_FIELDS.get(field_name)
            is_time = field_name in ("acquireTime", "renewTime") and _MICRO_TIME.fullmatch(str(value))
            if not is_time and not (kind is not None and isinstance(value, kind)):
                raise _status(422, "Invalid", f"spec.{field_name}: Invalid value: {value!r}")
        if spec["leaseDurationSeconds"] < 1:
            raise _status(422, "Invalid", "spec.leaseDurationSeconds: must be greater than 0")
        stored = deepcopy(lease)
        stored["metadata"]["resourceVersion"] = self.next_version()
        self.leases[namespace, name] = stored
        return stored


@contextmanager
def serving(cluster: FakeCluster | None = None) -> Iterator[FakeVpaApi]:
    """The server, while it answers."""
    server = FakeVpaApi(cluster)
    with answering(server):
        yield server


class _Handler(BaseHTTPRequestHandler):
    server: FakeVpaApi
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes; a client would wait 40 ms for the second

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        user = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        request = Request(user, self.command, parts.path, self.headers.get("Content-Type"), body)
        status, text = 200, ""
        with self.server.lock:
            self.server.requests.append(request)
            if self.server.failing and self.server.failing_path in parts.path:
                status = self.server.failing.pop(0)
                text = json.dumps({"kind": "Status", "status": "Failure", "message": "out of order", "code": status})
            else:
                try:
                    text = json.dumps(self.server.answer(request, dict(parse_qsl(parts.query))))
                except _Failure as failure:
                    status = failure.status
                    text = failure.body if isinstance(failure.body, str) else json.dumps(failure.body)
        if status == 0:
            self.close_connection = True
            return
        raw = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if raw.startswith(b"{") else "text/plain")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    do_GET = do_PATCH = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815  # the library's names

    def log_message(self, format: str, *args: Any) -> None:
        pass
