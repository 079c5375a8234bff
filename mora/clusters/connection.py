"""The connection to a Kubernetes API: credentials, requests as plain JSON, and errors with a cause and a remedy.

Answers stay as the server wrote them, with its field names: a client library's classes drop what they do not know.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from mora.clusters.grants import folder_of, rule
from mora.clusters.kubeconfig import Context, connect, read_context, reported
from mora.clusters.shapes import Shape, Unreadable, identity, read
from mora.errors import ClusterError, MoraError
from mora.quantities import format_duration, readable_bytes

JSON = "application/json"
STRATEGIC_MERGE = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
# Names, labels, owners and annotations without spec and status: a tenth of the bytes where no more is needed.
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"

# Who owns the fields that are written, in `kubectl get --show-managed-fields`.
FIELD_MANAGER = "mora"
# kubectl's own chunk; a page of pods is some 5 MB.
PAGE = 500
# A page of 500 pods is some 5 MB. JSON takes up to ten times its bytes in memory.
_LARGEST_ANSWER_BYTES = 64 * 2**20
# A page of 500 large pods has a million. A few bytes of JSON make an object of some hundred.
_MOST_OBJECTS, _MOST_VALUES = 3_000_000, 8_000_000
# A large page over a slow line takes seconds. A request_timeout bounds each wait for bytes, and this the whole answer.
_LONGEST_ANSWER_SECONDS = 120.0
_CHUNK_BYTES = 2**16
# A million objects; no cluster holds so many of one kind, so a longer list never ends.
_MOST_PAGES = 2000
_LONGEST_MESSAGE = 500
# 429: sent by priority and fairness before the server looks at a request. 503: the server, or its etcd, restarts.
_RETRIED_STATUS = (429, 503)
_LONGEST_RETRY_AFTER_SECONDS = 30
# deployments.apps "web" is forbidden: User "ada" cannot patch resource "deployments/scale" in API group "apps" in ...
_FORBIDDEN = re.compile(r'cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"')


class NotFound(ClusterError):
    """The object, or its kind, does not exist."""


class Forbidden(ClusterError):
    """The credentials are valid, but do not allow this."""


class Expired(ClusterError):
    """Reading a long list took so long that the server forgot where it began."""


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
        self,
        path: str,
        query: Mapping[str, str | int] | None = None,
        *,
        shape: Shape,
        odd: Callable[[Unreadable], None],
        accept: str = JSON,
    ) -> Iterator[dict[str, Any]]:
        """The items of a list that have the shape, read page by page; `odd` gets an error for each that has not.

        In one piece where the server forgot the list meanwhile. ClusterError for an answer that is no list.
        """
        asked: dict[str, str | int] = {**(query or {}), "limit": PAGE}
        seen: set[tuple[str | None, str | None]] = set()
        for _ in range(_MOST_PAGES):
            try:
                page = self.get(path, asked, accept=accept)
            except Expired:
                page = self.get(path, query, accept=accept)
            for item in self._items(path, page):
                key = identity(item)
                if key in seen:
                    continue
                if key[1] is not None:
                    seen.add(key)
                try:
                    yield read(shape, item)
                except Unreadable as error:
                    odd(error)
            more = self._next(path, page)
            if not more:
                return
            if more == asked.get("continue"):
                break
            asked["continue"] = more
        raise self._not_kubernetes(f"the list {path} never ends")

    def _items(self, path: str, page: Mapping[str, Any]) -> list[Any]:
        items = page.get("items")
        # Kubernetes writes null for an empty list; an answer without the field is no list.
        if not isinstance(items, list | None) or "items" not in page:
            raise self._not_kubernetes(f"the answer to GET {path} has no list of items")
        return items or []

    def _next(self, path: str, page: Mapping[str, Any]) -> str:
        meta = page.get("metadata") or {}
        more = meta.get("continue") or "" if isinstance(meta, dict) else None
        if not isinstance(more, str):
            raise self._not_kubernetes(f"the answer to GET {path} does not say where it goes on")
        return more

    def _not_kubernetes(self, why: str) -> ClusterError:
        return ClusterError(
            f"{self.host} does not answer like a Kubernetes API server: {why}.",
            hint="Is it the address of the API server, not of a dashboard or a login page?",
        )

    def context(self) -> Context:
        """Where requests go, in the kubeconfig's names; inside a pod, the service account's."""
        return read_context(self._kubeconfig, self._context, self.host)

    def _request(
        self, method: str, path: str, query: Mapping[str, str | int] | None, body: Any, headers: dict[str, str]
    ) -> dict[str, Any]:
        from kubernetes.client.exceptions import ApiException

        target = path + (f"?{urlencode(query)}" if query else "")
        with explained(self.host), self._in_time():
            with reported() as failures:
                method, url, headers, _, _ = self.client.param_serialize(
                    method, target, header_params=headers, auth_settings=["BearerToken"], _host=self.host
                )
            if failures:
                raise _not_renewed(self.host, "; ".join(failures))
            headers = _sendable(headers)
            answer = self.client.call_api(method, url, headers, body, _request_timeout=self._timeout_seconds)
            content = self._content(answer.response)
            if not 200 <= answer.status < 300:
                raise ApiException(status=answer.status, reason=answer.reason, body=content.decode(errors="replace"))
        if content.count(b"{") + content.count(b"[") > _MOST_OBJECTS or content.count(b",") > _MOST_VALUES:
            raise self._not_kubernetes(f"the answer to {method} {path} has more than {_MOST_OBJECTS:,} parts")
        try:
            found = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise self._not_kubernetes(f"the answer to {method} {path} is not JSON") from error
        if not isinstance(found, dict):
            raise self._not_kubernetes(f"the answer to {method} {path} is not a JSON object")
        return found

    def _content(self, response: Any) -> bytes:
        """The body of an answer, of bounded size."""
        content = bytearray()
        while len(content) <= _LARGEST_ANSWER_BYTES:
            chunk = response.read1(_CHUNK_BYTES)
            if not chunk:
                response.release_conn()
                return bytes(content)
            content += chunk
        response.close()  # the rest must not become the next answer
        raise self._not_kubernetes(f"an answer is larger than {readable_bytes(_LARGEST_ANSWER_BYTES)}")

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        """Turns an answer that does not come to its end into a ClusterError."""
        from urllib3.exceptions import HTTPError

        from mora.deadline import Deadline, TakesTooLong

        slow = ClusterError(
            f"{self.host} does not finish its answer within {format_duration(_LONGEST_ANSWER_SECONDS)}.",
            hint="Is the line very slow? Ask for one namespace with -n.",
        )
        deadline = Deadline(_LONGEST_ANSWER_SECONDS)
        try:
            with deadline:
                yield
                deadline.check()
        except TakesTooLong as error:
            raise slow from error
        except HTTPError as error:
            if deadline.has_passed:  # this is why it broke off
                raise slow from error
            raise


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
    from mora.deadline import Retries

    if backoff is None:
        return False
    return Retries(
        total=None,
        connect=1,
        read=1,
        status=4,
        other=0,
        allowed_methods=None,  # every request that is sent is safe to send twice
        status_forcelist=_RETRIED_STATUS,
        backoff_factor=backoff.total_seconds(),
        redirect=0,  # an API server does not redirect; following one would take the credentials elsewhere
        raise_on_redirect=False,
        retry_after_max=_LONGEST_RETRY_AFTER_SECONDS,
        raise_on_status=False,  # the last answer is returned, and explained
    )


@contextmanager
def explained(host: str) -> Iterator[None]:
    """Turns what the client raises into a ClusterError that says what happened and what to do."""
    from kubernetes.client.exceptions import ApiException
    from kubernetes.config import ConfigException
    from urllib3.exceptions import HTTPError, SSLError

    try:
        yield
    except ConfigException as error:  # a token that is read anew, or asked of a plug-in, every few minutes
        raise _not_renewed(host, str(error).partition("{")[0]) from error
    except ApiException as error:
        raise _refusal(host, error.status, error.reason, error.body) from error
    except HTTPError as error:
        cause: BaseException = getattr(error, "reason", None) or error
        words = str(cause)
        words = words if len(words) <= _LONGEST_MESSAGE else f"{words[:_LONGEST_MESSAGE]}..."
        if isinstance(cause, SSLError):
            raise _untrusted(host, words) from error
        why = words.rpartition("] ")[2].rstrip(".\"')")
        raise ClusterError(
            f"The API server {host} cannot be reached: {why}.",
            hint="Is the cluster up? Is the VPN connected? Try: kubectl cluster-info",
        ) from error


def _not_renewed(host: str, why: str) -> ClusterError:
    return ClusterError(
        f"The credentials for {host} cannot be renewed: {why[:_LONGEST_MESSAGE].rstrip(' .')}.",
        hint="Log in again, and check: kubectl auth whoami",
    )


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
    if 300 <= status < 400:
        return ClusterError(
            f"The API server {host} redirects elsewhere ({status}), which MOrA does not follow with your credentials.",
            hint="Correct the server's address in the kubeconfig: https:// and the right port?",
        )
    if status in _RETRIED_STATUS:
        return ClusterError(
            f"The API server {host} answered {status} at every try: {text}.",
            hint="It is overloaded or restarting. Try again later.",
        )
    return ClusterError(f"The API server {host} answered {status}: {text}.")


def _grant(text: str) -> str:
    match = _FORBIDDEN.search(text)
    if match is None:
        return "manifests/README.md lists the roles that MOrA needs for each command."
    is_of_cluster = "at the cluster scope" in text
    right = match["verb"], match["group"], match["resource"]
    folder = folder_of(*right, is_of_cluster=is_of_cluster)
    kind, see = "ClusterRole" if is_of_cluster else "Role", f" (see {folder})" if folder is not None else ""
    words = f"A {kind} with this rule allows it: {rule(*right)}{see}."
    return f"{words} Or give one namespace with -n." if is_of_cluster else words


def _message(body: str | bytes | None) -> str:
    try:
        answer = json.loads(body or "")
    except (ValueError, RecursionError):
        return ""
    message = answer.get("message") if isinstance(answer, dict) else None
    return message[:_LONGEST_MESSAGE].rstrip(".") if isinstance(message, str) else ""
