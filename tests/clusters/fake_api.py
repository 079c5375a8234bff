"""A small and strict Kubernetes API server on loopback: the edge that no real cluster stands at in these tests.

It stores the kinds of RESOURCES and answers as a real one: patches of three kinds, each where it is allowed (a
strategic merge of a custom resource is a 415), schemas and quantities (tests/clusters/checking.py), dry runs, pages,
resourceVersions, RBAC, the discovery that kubectl asks for. What it does not know is an error. It plays the
controller that rolls a change out, and keeps what it was sent. Another kind is one more
Resource in `cluster.resources`.
"""

from __future__ import annotations

import json
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import yaml

from tests.clusters import patching
from tests.clusters.checking import check_rules, checked_schema
from tests.clusters.discovery import discover
from tests.clusters.kinds import RESOURCES, Resource, defined
from tests.clusters.rbac import allows
from tests.clusters.refusal import Refusal
from tests.clusters.resizing import resized
from tests.running import answering

__all__ = ["FakeApi", "FakeCluster", "Refusal", "Sent", "serving"]

Manifest = dict[str, Any]
Key = tuple[str, str, str]
"""Plural, namespace (empty where there is none) and name."""

_KNOWN_QUERY = {
    "allowWatchBookmarks",
    "continue",
    "dryRun",
    "fieldManager",
    "fieldSelector",
    "fieldValidation",
    "force",
    "labelSelector",
    "limit",
    "pretty",
    "propagationPolicy",
    "resourceVersion",
    "timeout",
}
_ADMIN = "ada"
_STARTED = "2026-11-21T00:00:00Z"


@dataclass
class Sent:
    """What was asked, and by whom."""

    method: str
    path: str
    content_type: str | None
    body: Any
    query: dict[str, str] = field(default_factory=dict)
    user: str = _ADMIN


@dataclass
class FakeCluster:
    """objects: (plural, namespace, name) -> manifest. forbidden: (verb, resource or resource/sub) that get a 403.

    failures: answers for the next requests in the place of the real ones: (status, Retry-After or None).
    stuck: names of workloads whose rollout never ends. expires: how many lists are forgotten after their first page.
    reads_until_ready: how often a changed workload is read before its rollout is done. version: of the server.
    proxied: (namespace, name:port) of a Service -> URL that stands behind it. on_patch: called with the key before a
    change is made; may change or take away objects.
    """

    objects: dict[Key, Manifest] = field(default_factory=dict)
    resources: list[Resource] = field(default_factory=lambda: list(RESOURCES))
    forbidden: set[tuple[str, str]] = field(default_factory=set)
    failures: list[tuple[int, int | None]] = field(default_factory=list)
    stuck: set[str] = field(default_factory=set)
    expires: int = 0
    reads_until_ready: int = 2
    version: str = "1.34.0"
    proxied: dict[tuple[str, str], str] = field(default_factory=dict)
    on_patch: Callable[[Key], None] | None = None
    sent: list[Sent] = field(default_factory=list)
    _reads: dict[Key, int] = field(default_factory=dict)
    _revision: int = 0

    @property
    def patches(self) -> list[Sent]:
        return [one for one in self.sent if one.method == "PATCH"]

    @property
    def changes(self) -> list[Sent]:
        """What was sent to change something, dry runs aside, questions about rights as well."""
        harmless = ("selfsubjectaccessreviews", "selfsubjectreviews")
        return [
            one
            for one in self.sent
            if one.method != "GET" and "dryRun" not in one.query and not one.path.endswith(harmless)
        ]

    def add(self, manifest: Manifest) -> Manifest:
        """Put an object there, namespace included, as it is but for what the server adds itself; what is stored."""
        resource = self._resource_of(manifest)
        namespace = manifest["metadata"].get("namespace", "default") if resource.is_namespaced else ""
        if namespace and ("namespaces", "", namespace) not in self.objects:
            self.add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        return self._store(resource, (resource.plural, namespace, manifest["metadata"]["name"]), manifest)

    def get(self, kind: str, name: str, namespace: str = "shop") -> Manifest:
        """A stored object itself, to look at or to change behind the server's back."""
        resource = next(one for one in self.resources if one.kind == kind)
        return self.objects[resource.plural, namespace if resource.is_namespaced else "", name]

    def remove(self, kind: str, name: str, namespace: str = "shop") -> None:
        resource = next(one for one in self.resources if one.kind == kind)
        del self.objects[resource.plural, namespace if resource.is_namespaced else "", name]

    # --- one request -------------------------------------------------------------------------------------------------

    def answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        content_type: str | None,
        body: Any,
        *,
        user: str = _ADMIN,
        accept: str = "application/json",
    ) -> Manifest:
        """What the server says; Refusal where it refuses."""
        unknown = set(query) - _KNOWN_QUERY
        if unknown and "/proxy/" not in path:
            raise Refusal(400, f"unknown query parameters {sorted(unknown)}")
        if method == "GET" and (found := discover(path, self.resources, self.version)) is not None:
            return found
        resource, namespace, name, sub = self._find(path)
        if resource.plural in ("selfsubjectaccessreviews", "selfsubjectreviews"):
            return self._review(resource, body, user)
        self._allow(_verb(method, name), resource, sub.partition("/")[0], namespace, name, user)
        is_dry = query.get("dryRun") == "All"
        if sub.startswith("proxy"):
            return self._proxy(method, namespace, name, sub.removeprefix("proxy"), query, body)
        if method == "GET":
            return self._read(resource, namespace, name, sub, query, accept)
        if method == "POST":
            return self._create(resource, namespace, body, query, is_dry=is_dry)
        key = (resource.plural, namespace, name)
        if self.on_patch is not None and not is_dry:
            self.on_patch(key)
        self._existing(resource, key)
        if method == "DELETE":
            return self._delete(resource, key, is_dry=is_dry)
        if method == "PUT":
            return self._update(resource, key, sub, body, query, is_dry=is_dry)
        if method == "PATCH":
            return self._update(
                resource, key, sub, self._patched(resource, key, sub, content_type, body), query, is_dry=is_dry
            )
        raise Refusal(405, "method not allowed")

    def _find(self, path: str) -> tuple[Resource, str, str, str]:
        parts = path.strip("/").split("/")
        if len(parts) < (4 if parts[0] == "apis" else 3):
            raise Refusal(404, "the server could not find the requested resource")
        group_version, rest = ("/".join(parts[1:3]), parts[3:]) if parts[0] == "apis" else (parts[1], parts[2:])
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        for resource in self.resources:
            if resource.api_version == group_version and resource.plural == rest[0]:
                name = rest[1] if len(rest) > 1 else ""
                sub = "/".join(rest[2:])
                if sub.partition("/")[0] not in ("", *resource.subresources):
                    break
                return resource, namespace, name, sub
        raise Refusal(404, "the server could not find the requested resource")

    def _allow(self, verb: str, resource: Resource, sub: str, namespace: str, name: str, user: str) -> None:
        what = resource.plural + (f"/{sub}" if sub else "")
        if not self._may(verb, resource.group, what, namespace, name, user):
            where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
            kind = f"{resource.plural}.{resource.group}" if resource.group else resource.plural
            subject = f'{kind} "{name}"' if name else kind
            raise Refusal(
                403,
                f'{subject} is forbidden: User "{user}" cannot {verb} resource "{what}" in API group '
                f'"{resource.group}" {where}',
            )

    def _may(self, verb: str, group: str, what: str, namespace: str, name: str, user: str) -> bool:
        if (verb, what) in self.forbidden:
            return False
        return user == _ADMIN or allows(self.objects, user, verb, group, what, namespace, name)

    def _review(self, resource: Resource, body: Manifest, user: str) -> Manifest:
        if resource.plural == "selfsubjectreviews":
            return {**body, "status": {"userInfo": {"username": user, "groups": ["system:authenticated"]}}}
        checked_schema(body, is_strict=True)
        asked = body["spec"]["resourceAttributes"]
        what = asked["resource"] + (f"/{asked['subresource']}" if asked.get("subresource") else "")
        allowed = self._may(
            asked["verb"], asked.get("group", ""), what, asked.get("namespace", ""), asked.get("name", ""), user
        )
        return {**body, "status": {"allowed": allowed}}

    # --- reading -----------------------------------------------------------------------------------------------------

    def _read(
        self, resource: Resource, namespace: str, name: str, sub: str, query: Mapping[str, str], accept: str
    ) -> Manifest:
        key = (resource.plural, namespace, name)
        if name:
            self._existing(resource, key)
            self._reads[key] = self._reads.get(key, 0) + 1
            if self._reads[key] > self.reads_until_ready:
                self._roll_out(key)
            found = self.objects[key]
            return _scale_of(found) if sub == "scale" else found
        items = [
            value
            for (plural, its_namespace, _), value in sorted(self.objects.items())
            if plural == resource.plural and (not namespace or its_namespace == namespace)
        ]
        items = [one for one in items if _selected(one, query.get("labelSelector"), query.get("fieldSelector"))]
        return self._page(resource, items, query, accept)

    def _page(self, resource: Resource, items: list[Manifest], query: Mapping[str, str], accept: str) -> Manifest:
        start, size = int(query.get("continue") or 0), int(query.get("limit") or 0) or len(items)
        if start and self.expires:
            self.expires -= 1
            raise Refusal(410, "The provided continue parameter is too old to display a consistent list result.")
        meta: dict[str, Any] = {"resourceVersion": str(self._revision)}
        if start + size < len(items):
            meta |= {"continue": str(start + size), "remainingItemCount": len(items) - start - size}
        kind, version = f"{resource.kind}List", resource.api_version
        page = [{name: value for name, value in one.items() if name not in ("kind", "apiVersion")} for one in items]
        if "as=PartialObjectMetadataList" in accept:
            page = [{"metadata": one["metadata"]} for one in page]
            kind, version = "PartialObjectMetadataList", "meta.k8s.io/v1"
        elif resource.is_custom:  # a CRD's items carry their kind, those of built-in kinds do not
            page = items
        return {"kind": kind, "apiVersion": version, "metadata": meta, "items": page[start : start + size]}

    def _existing(self, resource: Resource, key: Key) -> Manifest:
        if key not in self.objects:
            kind = f"{resource.plural}.{resource.group}" if resource.group else resource.plural
            raise Refusal(404, f'{kind} "{key[2]}" not found', name=key[2], kind=resource.plural)
        return self.objects[key]

    def _proxy(
        self, method: str, namespace: str, name: str, path: str, query: Mapping[str, str], body: Any
    ) -> Manifest:
        """What the process behind a Service answers; its name in the path is scheme:name:port."""
        base = self.proxied.get((namespace, name.partition(":")[2]))
        if base is None:
            raise Refusal(503, f'no endpoints available for service "{name}"')
        url = f"{base}{path}" + (f"?{urlencode(query)}" if query else "")
        request = urllib.request.Request(url, data=body, method=method)  # noqa: S310  # loopback
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                found: Manifest = json.load(answer)
        except urllib.error.HTTPError as error:
            raise Refusal(error.code, error.reason) from error
        return found

    # --- writing -----------------------------------------------------------------------------------------------------

    def _create(
        self, resource: Resource, namespace: str, body: Manifest, query: Mapping[str, str], *, is_dry: bool
    ) -> Manifest:
        if namespace and ("namespaces", "", namespace) not in self.objects:
            raise Refusal(404, f'namespaces "{namespace}" not found')
        found = self._check(resource, {**body, "metadata": {**body["metadata"], "namespace": namespace}}, None, query)
        if not namespace:
            found["metadata"].pop("namespace", None)
        key = (resource.plural, namespace, found["metadata"]["name"])
        if key in self.objects:
            raise Refusal(409, f'{resource.plural} "{key[2]}" already exists', "AlreadyExists")
        return found if is_dry else self._store(resource, key, found)

    def _delete(self, resource: Resource, key: Key, *, is_dry: bool) -> Manifest:
        if not is_dry:
            gone = self.objects.pop(key)
            if resource.kind == "CustomResourceDefinition":
                self.resources = [one for one in self.resources if f"{one.plural}.{one.group}" != key[2]]
            if resource.plural == "namespaces":
                for other in [other for other in self.objects if other[1] == key[2]]:
                    del self.objects[other]
            return gone
        return self.objects[key]

    def _patched(self, resource: Resource, key: Key, sub: str, content_type: str | None, body: Any) -> Manifest:
        now = _scale_of(self.objects[key]) if sub == "scale" else self.objects[key]
        kinds: dict[str, Callable[[Any, Any], Any]] = {
            patching.JSON_PATCH: patching.json_patch,
            patching.MERGE: patching.json_merge,
        }
        if not resource.is_custom:
            kinds[patching.STRATEGIC] = patching.strategic_merge
        if content_type not in kinds:
            accepted = ", ".join([*kinds, "application/apply-patch+yaml"])
            raise Refusal(
                415, f"the body of the request was in an unknown format - accepted media types include: {accepted}"
            )
        found: Manifest = kinds[content_type](now, body)
        return found

    def _update(
        self, resource: Resource, key: Key, sub: str, wanted: Manifest, query: Mapping[str, str], *, is_dry: bool
    ) -> Manifest:
        before = self.objects[key]
        version = (wanted.get("metadata") or {}).get("resourceVersion")
        if version is not None and version != before["metadata"]["resourceVersion"]:
            raise Refusal(
                409,
                f'Operation cannot be fulfilled on {resource.plural} "{key[2]}": the object has been modified; please '
                "apply your changes to the latest version and try again",
            )
        changed = deepcopy(before)
        if sub == "scale":
            changed["spec"]["replicas"] = wanted["spec"]["replicas"]
        elif sub == "status":
            changed["status"] = wanted.get("status")
        elif sub == "resize":
            changed["spec"] = resized(before, wanted, version=self.version, objects=self.objects)
        else:
            changed = {**wanted, **({"status": before["status"]} if "status" in before and resource.has_status else {})}
        changed = self._check(resource, changed, None if sub == "resize" else before, query)
        stored = changed if is_dry else self._store(resource, key, changed)
        return _scale_of(stored) if sub == "scale" else stored

    def _check(
        self, resource: Resource, manifest: Manifest, before: Manifest | None, query: Mapping[str, str]
    ) -> Manifest:
        if (manifest.get("apiVersion"), manifest.get("kind")) != (resource.api_version, resource.kind):
            raise Refusal(
                400, f"the object provided is unrecognized: {manifest.get('apiVersion')}/{manifest.get('kind')}"
            )
        is_strict = query.get("fieldValidation") == "Strict"
        if resource.is_custom and resource.schema is None:
            found = deepcopy(manifest)
        else:
            found = checked_schema(manifest, is_strict=is_strict, schema=resource.schema)
        check_rules(found, before)
        return found

    def _store(self, resource: Resource, key: Key, manifest: Manifest) -> Manifest:
        self._revision += 1
        before = self.objects.get(key)
        meta = manifest["metadata"]
        if before is None:
            meta |= {"uid": f"00000000-0000-4000-8000-{self._revision:012d}", "creationTimestamp": _STARTED}
            if resource.is_namespaced:
                meta.setdefault("namespace", key[1])
        if "spec" in manifest:
            is_changed = before is None or before.get("spec") != manifest["spec"]
            meta["generation"] = ((before or {}).get("metadata") or {}).get("generation", 0) + is_changed
        meta["resourceVersion"] = str(self._revision)
        self.objects[key] = manifest
        self._reads[key] = 0
        if before is None:
            self._roll_out(key)
        if resource.kind == "CustomResourceDefinition":
            self.resources = [
                *(one for one in self.resources if f"{one.plural}.{one.group}" != key[2]),
                defined(manifest),
            ]
        return manifest

    def _roll_out(self, key: Key) -> None:
        """What the controllers would have done by now."""
        if key[0] not in ("deployments", "statefulsets", "daemonsets"):
            return
        manifest = self.objects[key]
        status = manifest.setdefault("status", {})
        if key[2] in self.stuck:
            return
        replicas = manifest["spec"].get("replicas", 1)
        status["observedGeneration"] = manifest["metadata"]["generation"]
        if manifest["kind"] == "DaemonSet":
            nodes = status.setdefault("desiredNumberScheduled", 1)
            status |= {"currentNumberScheduled": nodes, "numberMisscheduled": 0, "numberReady": nodes}
            status |= {"updatedNumberScheduled": nodes, "numberAvailable": nodes}
        else:
            status |= {"replicas": replicas, "updatedReplicas": replicas, "availableReplicas": replicas}

    def _resource_of(self, manifest: Manifest) -> Resource:
        wanted = (manifest["apiVersion"], manifest["kind"])
        return next(one for one in self.resources if (one.api_version, one.kind) == wanted)


def _verb(method: str, name: str) -> str:
    if method == "GET":
        return "get" if name else "list"
    return {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}[method]


def _scale_of(manifest: Manifest) -> Manifest:
    meta = {name: manifest["metadata"][name] for name in ("name", "namespace", "uid", "resourceVersion")}
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": meta,
        "spec": {"replicas": manifest["spec"].get("replicas", 1)},
        "status": {"replicas": (manifest.get("status") or {}).get("replicas", 0)},
    }


def _selected(manifest: Manifest, labels: str | None, fields: str | None) -> bool:
    own = manifest["metadata"].get("labels") or {}
    for term in (labels or "").split(",") if labels else ():
        name, is_equal, value = term.replace("==", "=").partition("=")
        if name.endswith("!"):
            if own.get(name[:-1]) == value:
                return False
        elif (is_equal and own.get(name) != value) or name not in own:
            return False
    for term in (fields or "").split(",") if fields else ():
        name, _, value = term.partition("=")
        if name != "metadata.name":
            raise Refusal(400, f"field label not supported: {name}")
        if manifest["metadata"]["name"] != value:
            return False
    return True


# --- on the wire -----------------------------------------------------------------------------------------------------


class FakeApi(ThreadingHTTPServer):
    """Serves a FakeCluster to clients with the token; Impersonate-User makes them another user."""

    daemon_threads = True
    TOKEN = "let-me-in"

    def __init__(self, cluster: FakeCluster, *, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.cluster = cluster
        self.lock = threading.RLock()
        self.is_secure = tls is not None
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)

    def kubeconfig(
        self,
        path: Path,
        *,
        token: str = TOKEN,
        port: int | None = None,
        namespace: str | None = None,
        impersonate: str | None = None,
        cluster: Mapping[str, Any] | None = None,
    ) -> Path:
        """A kubeconfig file that points here, with the context `fake`. cluster: more fields of its entry."""
        server = f"{'https' if self.is_secure else 'http'}://127.0.0.1:{port or self.server_port}"
        user = {"token": token} | ({"as": impersonate} if impersonate else {})
        context = {"cluster": "fake", "user": "ada"} | ({"namespace": namespace} if namespace else {})
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "fake", "cluster": {"server": server, **(cluster or {})}}],
                    "users": [{"name": "ada", "user": user}],
                    "contexts": [{"name": "fake", "context": context}],
                    "current-context": "fake",
                }
            ),
            encoding="utf-8",
        )
        return path


@contextmanager
def serving(cluster: FakeCluster, *, tls: ssl.SSLContext | None = None) -> Iterator[FakeApi]:
    """The cluster behind a running server."""
    server = FakeApi(cluster, tls=tls)
    with answering(server):
        yield server


def _decoded(text: bytes, content_type: str | None) -> Any:
    if not text:
        return None
    if content_type == "application/vnd.kubernetes.protobuf":
        raise Refusal(415, f"the body of the request was in an unknown format: {content_type}")
    if content_type == "application/x-www-form-urlencoded":  # a query that is proxied
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise Refusal(400, f"error decoding the body: {error}") from error


class _Handler(BaseHTTPRequestHandler):
    server: FakeApi
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else a body waits 40 ms for the header's acknowledgement

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        text = self.rfile.read(length) if length else b""
        content_type = self.headers.get("Content-Type")
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        user = self.headers.get("Impersonate-User") or _ADMIN
        retry_after = None
        with self.server.lock:
            cluster = self.server.cluster
            try:
                body = _decoded(text, content_type)
                cluster.sent.append(Sent(self.command, parts.path, content_type, body, query, user))
                self._fail()
                self._check_token()
                answer = cluster.answer(
                    self.command,
                    parts.path,
                    query,
                    content_type,
                    body,
                    user=user,
                    accept=self.headers.get("Accept") or "",
                )
                status = 201 if self.command == "POST" else 200
            except Refusal as refusal:
                status, answer = refusal.status, refusal.body()
                retry_after = refusal.details.get("retryAfterSeconds")
            written = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(written)))
        if retry_after is not None:
            self.send_header("Retry-After", str(retry_after))
        self.end_headers()
        self.wfile.write(written)

    def _fail(self) -> None:
        """Answer as a busy server where a test asked for it."""
        if self.server.cluster.failures:
            status, retry_after = self.server.cluster.failures.pop(0)
            raise Refusal(status, "the server is busy", retryAfterSeconds=retry_after)

    def _check_token(self) -> None:
        if self.headers.get("Authorization") != f"Bearer {FakeApi.TOKEN}":
            raise Refusal(401, "Unauthorized")

    do_GET = do_PATCH = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815  # the library's names

    def log_message(self, format: str, *args: Any) -> None:
        pass
