"""The connection to a Kubernetes API: credentials, requests as plain JSON, and errors with a cause and a remedy.

Answers stay as the server wrote them, with its field names: a client library's classes drop what they do not know.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from mora.errors import ClusterError, MoraError

JSON = "application/json"
STRATEGIC_MERGE = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
# Names, labels, owners and annotations without spec and status: a tenth of the bytes where no more is needed.
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"

# Who owns the fields that are written, in `kubectl get --show-managed-fields`.
FIELD_MANAGER = "mora"
# kubectl's own chunk; a page of pods is some 5 MB.
PAGE = 500
# 429: sent by priority and fairness before the server looks at a request. 503: the server, or its etcd, restarts.
_RETRIED_STATUS = (429, 503)
_LONGEST_RETRY_AFTER_SECONDS = 30
# deployments.apps "web" is forbidden: User "ada" cannot patch resource "deployments/scale" in API group "apps" in ...
_FORBIDDEN = re.compile(r'cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"')
_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class NotFound(ClusterError):
    """The object, or its kind, does not exist."""


class Forbidden(ClusterError):
    """The credentials are valid, but do not allow this."""


class Expired(ClusterError):
    """Reading a long list took so long that the server forgot where it began."""


@dataclass(frozen=True, slots=True)
class Context:
    """Where requests go and as which user, as in `kubectl config get-contexts`."""

    name: str
    cluster: str
    user: str
    namespace: str
    server: str

    def __str__(self) -> str:
        return f"context {self.name} (cluster {self.cluster} at {self.server}, user {self.user})"


class Api:
    """One Kubernetes API server, and one user's credentials for it.

    kubeconfig, context: as kubectl's flags; by default $KUBECONFIG or ~/.kube/config and its current context, else the
    service account of the pod. request_timeout: of each request. A 429 or 503 is tried again four times, after what
    the server asks for, else after 0, 1, 2, 4 times twice the `backoff`; with backoff None nothing is tried again.
    What is written carries the field manager `mora`.
    """

    def __init__(
        self,
        *,
        kubeconfig: Path | str | None = None,
        context: str | None = None,
        request_timeout: timedelta = timedelta(seconds=30),
        backoff: timedelta | None = timedelta(seconds=0.5),
    ) -> None:
        self.client = connect(kubeconfig, context, _retries(backoff))
        self.host: str = self.client.configuration.host
        self._kubeconfig, self._context = kubeconfig, context
        self._timeout_seconds = request_timeout.total_seconds()

    def get(self, path: str, query: Mapping[str, str | int] | None = None, *, accept: str = JSON) -> dict[str, Any]:
        """The answer to one GET. Raises NotFound, Forbidden, Expired, ClusterError."""
        return self._request("GET", path, query, None, {"Accept": accept})

    def send(
        self,
        method: str,
        path: str,
        body: Any,
        *,
        content_type: str = JSON,
        query: Mapping[str, str | int] | None = None,
    ) -> dict[str, Any]:
        """The answer to one request that carries a body: POST, PUT, PATCH, DELETE."""
        sent = dict(query or {}) if method == "DELETE" else {"fieldManager": FIELD_MANAGER, **(query or {})}
        return self._request(method, path, sent, body, {"Accept": JSON, "Content-Type": content_type})

    def pages(
        self, path: str, query: Mapping[str, str | int] | None = None, *, accept: str = JSON
    ) -> Iterator[dict[str, Any]]:
        """The items of a list, read page by page; in one piece where the server forgot the list meanwhile."""
        asked: dict[str, str | int] = {**(query or {}), "limit": PAGE}
        seen: set[tuple[str, str]] = set()
        while True:
            try:
                page = self.get(path, asked, accept=accept)
            except Expired:
                page = self.get(path, query, accept=accept)
            for item in page.get("items") or []:
                key = (item["metadata"].get("namespace", ""), item["metadata"]["name"])
                if key not in seen:
                    seen.add(key)
                    item["metadata"].pop("managedFields", None)  # often half of an object, and MOrA does not need it
                    yield item
            more = (page.get("metadata") or {}).get("continue")
            if not more:
                return
            asked["continue"] = more

    def context(self) -> Context:
        """Where requests go, in the kubeconfig's names; inside a pod, the service account's."""
        return read_context(self._kubeconfig, self._context, self.host)

    def _request(
        self, method: str, path: str, query: Mapping[str, str | int] | None, body: Any, headers: dict[str, str]
    ) -> dict[str, Any]:
        from kubernetes.client.exceptions import ApiException

        target = path + (f"?{urlencode(query)}" if query else "")
        with explained(self.host):
            method, url, headers, _, _ = self.client.param_serialize(
                method, target, header_params=headers, auth_settings=["BearerToken"]
            )
            headers = _sendable(headers)
            answer = self.client.call_api(method, url, headers, body, _request_timeout=self._timeout_seconds)
            content = answer.read()
            if not 200 <= answer.status < 300:
                raise ApiException(status=answer.status, reason=answer.reason, body=content)
        try:
            found = json.loads(content)
        except ValueError as error:
            raise ClusterError(
                f"{self.host} does not answer like a Kubernetes API server: the answer to {method} {path} is not JSON.",
                hint="Is it the address of the API server, not of a dashboard or a login page?",
            ) from error
        return dict(found)


def _sendable(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers without surrounding white space, as kubectl sends a token from a file that ends in a newline.

    ClusterError where a value cannot be sent; the message names the header and never shows its value.
    """
    stripped = {name: str(value).strip() for name, value in headers.items()}
    for name, value in stripped.items():
        if not value.isprintable() or any(ord(character) > 255 for character in value):
            raise ClusterError(
                f"The {name} header contains a line break or another character that HTTP forbids.",
                hint="Look at the token (or its file) and the user names in the kubeconfig.",
            )
    return stripped


def _retries(backoff: timedelta | None) -> Any:
    from urllib3.util import Retry

    if backoff is None:
        return False
    return Retry(
        total=None,
        connect=1,
        read=1,
        status=4,
        other=0,
        allowed_methods=None,  # every request that is sent is safe to send twice
        status_forcelist=_RETRIED_STATUS,
        backoff_factor=backoff.total_seconds(),
        retry_after_max=_LONGEST_RETRY_AFTER_SECONDS,
        raise_on_status=False,  # the last answer is returned, and explained
    )


def connect(kubeconfig: Path | str | None, context: str | None, retries: Any) -> Any:
    """A kubernetes.client.ApiClient. ClusterError where there is no usable kubeconfig and no service account.

    retries: urllib3's Retry, or False.
    """
    from kubernetes import client, config
    from yaml import YAMLError

    settings = client.Configuration()
    settings.retries = retries
    try:
        file = _file(kubeconfig)
        made = config.new_client_from_config(  # type: ignore[no-untyped-call]  # the library's
            file, context, client_configuration=settings
        )
        return _impersonating(made, file, context)
    except config.ConfigException as error:
        problem = _missing(kubeconfig) or str(error).rstrip(".")
    except (OSError, ValueError, TypeError, AttributeError, YAMLError) as error:
        problem = f"it cannot be read ({' '.join(str(error).split())})"
    if kubeconfig is None and context is None:
        try:
            config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
        except config.ConfigException:
            pass  # not inside a pod either: report what is wrong with the kubeconfig
        else:
            return client.ApiClient(settings)
    raise ClusterError(
        f"There is no usable kubeconfig: {problem}.",
        hint="Set $KUBECONFIG to one, and list its contexts: kubectl config get-contexts",
    )


def _missing(kubeconfig: Path | str | None) -> str | None:
    """That no file is there, in plainer words than the library's; None where one is."""
    named = str(kubeconfig) if kubeconfig is not None else os.environ.get("KUBECONFIG", "")
    paths = [path for path in named.split(os.pathsep) if path]
    if any(Path(path).expanduser().exists() for path in paths or ["~/.kube/config"]):
        return None
    if not paths:
        return "$KUBECONFIG is not set, ~/.kube/config does not exist, and this is not a pod"
    return f"{', '.join(paths)} does not exist"


def is_configured() -> bool:
    """Whether $KUBECONFIG (even one whose file is missing), ~/.kube/config or a pod's account names a cluster."""
    if any(filter(None, os.environ.get("KUBECONFIG", "").split(os.pathsep))):
        return True
    return (Path.home() / ".kube" / "config").exists() or (_SERVICE_ACCOUNT / "token").is_file()


def _impersonating(made: Any, file: str | None, context: str | None) -> Any:
    """The client, impersonating the kubeconfig's `as`; the library ignores it, and the user himself may do more."""
    from kubernetes import config

    known, current = config.list_kube_config_contexts(file)  # type: ignore[no-untyped-call]  # the library's
    chosen = current if context is None else next(one for one in known if one["name"] == context)
    user = _user(file, (chosen or {}).get("context", {}).get("user"))
    unknown = [name for name in ("as-groups", "as-uid", "as-user-extra") if user.get(name)]
    if unknown:
        raise ClusterError(
            f"The kubeconfig's user impersonates with {', '.join(unknown)}, which MOrA does not support.",
            hint="Use a context whose user has only `as`, or credentials of its own.",
        )
    if user.get("as"):
        made.set_default_header("Impersonate-User", user["as"])
    return made


def _user(file: str | None, name: str | None) -> Mapping[str, Any]:
    """A user's entry in the kubeconfig files: the first one found, as with kubectl."""
    import yaml

    for part in (file or "~/.kube/config").split(os.pathsep):
        path = Path(part).expanduser()
        content = yaml.safe_load(path.read_text(encoding="utf-8")) if part and path.is_file() else None
        for entry in (content or {}).get("users") or []:
            if entry["name"] == name:
                return entry.get("user") or {}
    return {}


def _file(kubeconfig: Path | str | None) -> str | None:
    """The kubeconfig file or files to read; the library reads $KUBECONFIG only once, when it is imported."""
    return str(kubeconfig) if kubeconfig is not None else os.environ.get("KUBECONFIG")


def read_context(kubeconfig: Path | str | None, context: str | None, server: str) -> Context:
    """The names that a kubeconfig gives to `server`; inside a pod, those of its service account."""
    from kubernetes import config

    try:
        known, current = config.list_kube_config_contexts(  # type: ignore[no-untyped-call]  # the library's
            _file(kubeconfig)
        )
    except config.ConfigException:
        place = _SERVICE_ACCOUNT / "namespace"
        namespace = place.read_text(encoding="utf-8").strip() if place.is_file() else "default"
        return Context("in the cluster", "its own", "the pod's service account", namespace, server)
    chosen = current if context is None else next(one for one in known if one["name"] == context)
    names = chosen["context"]
    return Context(
        chosen["name"], names.get("cluster", ""), names.get("user", ""), names.get("namespace") or "default", server
    )


@contextmanager
def explained(host: str) -> Iterator[None]:
    """Turns what the client raises into a ClusterError that says what happened and what to do."""
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError, SSLError

    try:
        yield
    except ApiException as error:
        raise _refusal(host, error.status, error.reason, error.body) from error
    except HTTPError as error:
        cause: BaseException = getattr(error, "reason", None) or error
        words = str(cause)
        if isinstance(cause, SSLError):
            raise _untrusted(host, words) from error
        raise ClusterError(
            f"The API server {host} cannot be reached: {words.rpartition('] ')[2].rstrip('.')}.",
            hint="Is the cluster up? Is the VPN connected? Try: kubectl cluster-info",
        ) from error


def _untrusted(host: str, words: str) -> ClusterError:
    found = re.search(
        r"(certificate verify failed: [^(]+|[\w ]*hostname mismatch[^(]*|wrong version number)", words, re.I
    )
    text = (found[0] if found else words.rpartition("] ")[2]).strip().rstrip(".")
    return ClusterError(
        f"The TLS certificate of the API server {host} cannot be trusted: {text}.",
        hint="The kubeconfig's certificate-authority must be the one that signed it. If the cluster was renewed, get a "
        "new kubeconfig.",
    )


def _refusal(host: str, status: int | None, reason: str | None, body: str | bytes | None) -> MoraError:
    text = _message(body) or str(reason or "")
    if not status:  # the library reports a TLS failure this way
        return _untrusted(host, str(reason))
    if status == 404:
        return NotFound(f"{host} answered 404: {text}.")
    if status == 401:
        return ClusterError(
            f"The API server {host} rejects these credentials: {text}.",
            hint="The token may have expired. Log in again, and check: kubectl auth whoami",
        )
    if status == 403:
        return Forbidden(f"Kubernetes does not allow this: {text}.", hint=_grant(text))
    if status == 410:
        return Expired(f"{host} answered 410: {text}.")
    if status == 422:
        return ClusterError(f"Kubernetes rejects this as invalid: {text}.")
    if status in _RETRIED_STATUS:
        return ClusterError(
            f"The API server {host} answered {status} at every try: {text}.",
            hint="It is overloaded or restarting. Try again later.",
        )
    return ClusterError(f"The API server {host} answered {status}: {text}.")


def _grant(text: str) -> str:
    match = _FORBIDDEN.search(text)
    if match is None:
        return "See the roles in manifests/base and manifests/collect."
    kind = "ClusterRole" if "at the cluster scope" in text else "Role"
    folder = "manifests/base" if match["verb"] in ("get", "list", "watch") else "manifests/collect"
    words = (
        f"A {kind} with this rule allows it: {rule(match['verb'], match['group'], match['resource'])} (see {folder})."
    )
    return f"{words} Or give one namespace with -n." if kind == "ClusterRole" else words


def rule(verb: str, group: str, resource: str) -> str:
    """The RBAC rule that allows one verb on a resource.

    >>> rule("patch", "apps", "deployments/scale")
    '{apiGroups: ["apps"], resources: ["deployments/scale"], verbs: ["patch"]}'
    """
    return f'{{apiGroups: ["{group}"], resources: ["{resource}"], verbs: ["{verb}"]}}'


def _message(body: str | bytes | None) -> str:
    try:
        answer = json.loads(body or "")
    except ValueError:
        return ""
    return str(answer.get("message") or "").rstrip(".") if isinstance(answer, dict) else ""
