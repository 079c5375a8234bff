"""How a Prometheus is reached: credentials, TLS, retries, and what is said when it does not answer.

Nothing here prints or logs a credential: they are left out of repr, and addresses are shown without user and password.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import requests
from requests.auth import AuthBase
from urllib3.util import Retry

from mora.errors import BadInput, SourceUnavailable
from mora.quantities import format_duration

# Overloaded, restarting, or a proxy whose backend is: worth asking again. A 4xx other than 429 stays what it is.
RETRIED_STATUS = (429, 500, 502, 503, 504)
_LONGEST_RETRY_AFTER_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Access:
    """What is shown to a Prometheus that does not let everybody in.

    headers: sent along, such as X-Scope-OrgID for Mimir. token_file is read anew for each request, since Kubernetes
    rotates the tokens that it mounts. ca_file: certificates to trust in place of the system's. client_certificate: a
    certificate and its key, as PEM files. verify_tls False takes any certificate.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    client_certificate: tuple[Path, Path] | None = None
    verify_tls: bool = True

    def __post_init__(self) -> None:
        ways = [self.token is not None, self.token_file is not None, self.username is not None]
        if sum(ways) > 1:
            raise BadInput("Give one of: a bearer token, a token file, a user name with its password.")
        if self.ca_file is not None and not self.ca_file.is_file():
            raise BadInput(f"There is no CA file {self.ca_file}.")
        for file in self.client_certificate or ():
            if not file.is_file():
                raise BadInput(f"There is no client certificate or key {file}.")


class _Authorization(AuthBase):
    """Puts the Authorization header on each request; present even if empty, so that no ~/.netrc steps in."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        access = self._access
        if access.token_file is not None:
            try:
                token = access.token_file.read_text(encoding="utf-8").strip()
            except OSError as error:
                raise BadInput(f"The token file {access.token_file} cannot be read: {error.strerror}.") from error
            request.headers["Authorization"] = f"Bearer {token}"
        elif access.token is not None:
            request.headers["Authorization"] = f"Bearer {access.token}"
        elif access.username is not None:
            pair = f"{access.username}:{access.password or ''}".encode()
            request.headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        return request


def open_session(access: Access) -> requests.Session:
    """A session that carries the access's headers, credentials and trust."""
    session = requests.Session()
    session.headers.update(access.headers)
    session.auth = _Authorization(access)
    if access.client_certificate is not None:
        session.cert = (str(access.client_certificate[0]), str(access.client_certificate[1]))
    session.verify = str(access.ca_file) if access.ca_file and access.verify_tls else access.verify_tls
    return session


def retry_policy(retries: int, backoff: timedelta) -> Retry:
    """Asks again after 0, 2, 4, ... times `backoff`, each with up to one `backoff` of jitter.

    Without the jitter, many readers that one hiccup threw back would all come again at the same moment.
    """
    return Retry(
        total=retries,
        status_forcelist=RETRIED_STATUS,
        backoff_factor=backoff.total_seconds(),
        backoff_jitter=backoff.total_seconds(),
        retry_after_max=_LONGEST_RETRY_AFTER_SECONDS,
        raise_on_status=False,  # the last answer is handed on, and told in words
    )


def split_url(url: str, access: Access) -> tuple[str, Access]:
    """The base address, and the access with the user and password that stood in it; BadInput where it is none."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadInput(
            f"{shown(url)!r} is not the address of a Prometheus.", hint="Write it like http://localhost:9090."
        )
    if parts.username is not None:
        access = replace(access, username=unquote(parts.username), password=unquote(parts.password or ""))
    return shown(url).rstrip("/"), access


def shown(url: str) -> str:
    """An address that can be printed: user, password and query are cut.

    >>> shown("https://ada:secret@metrics.example/prometheus?token=1")
    'https://metrics.example/prometheus'
    """
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


class TooManySamples(SourceUnavailable):
    """The Prometheus would have to hold more samples in memory than it is allowed to."""


def refuse(response: requests.Response, url: str) -> None:
    """Raise in words where the answer is an error; nothing else is done."""
    status = response.status_code
    if status < 400:
        return
    said = _said(response)
    told = f"{url} answered {status} {response.reason or ''}".rstrip() + (f": {said}" if said else "")
    if status == 401:
        raise SourceUnavailable(f"{told}.", hint="It wants credentials: a bearer token, or a user and password.")
    if status == 403:
        raise SourceUnavailable(f"{told}.", hint="The credentials given may not query it; ask for read access.")
    if status == 404:
        raise SourceUnavailable(
            f"{told}.",
            hint="No Prometheus API is there. Behind a proxy the address often ends in a path: .../prometheus",
        )
    if status == 429:
        raise SourceUnavailable(f"{told}.", hint="It still limits our rate after several tries; try again later.")
    if status == 422 and "too many samples" in said:
        raise TooManySamples(
            f"{told}.", hint="Ask for a shorter window or a longer step, or raise its --query.max-samples."
        )
    if status >= 500:
        raise SourceUnavailable(
            f"{told}.",
            hint="It did not recover over several tries. Is it starting, or overloaded? A shorter window asks less.",
        )
    raise SourceUnavailable(f"{told}.", hint="It does not take the query; is it a Prometheus of version 2.24 or later?")


def _said(response: requests.Response) -> str:
    try:
        answer = response.json()
    except ValueError:
        return ""
    # A Kubernetes API server that proxies to a Prometheus has its own words, in `message`.
    error = (answer.get("error") or answer.get("message")) if isinstance(answer, dict) else None
    return str(error or "").strip().rstrip(".")[:500]


@contextmanager
def in_words(
    url: str, timeout: timedelta, *, passing: type[requests.exceptions.RequestException] | None = None
) -> Iterator[None]:
    """What the HTTP client raises, as SourceUnavailable that says what happened and what to try.

    passing: what is left as it is, for a caller that has another answer to it.
    """
    try:
        yield
    except requests.exceptions.SSLError as error:
        raise SourceUnavailable(
            f"{url} cannot be trusted: {_cause(error)}.", hint="Give the CA file that signed its certificate."
        ) from error
    except (requests.exceptions.ConnectionError, requests.exceptions.Timeout) as error:
        cause = _cause(error)
        if isinstance(error, requests.exceptions.Timeout) or "timed out" in cause.lower():
            raise SourceUnavailable(
                f"{url} did not answer within {format_duration(timeout)}, several times over.",
                hint="A shorter window asks less of it; a longer timeout waits for it.",
            ) from error
        raise SourceUnavailable(
            f"{url} cannot be reached: {cause}.",
            hint="Is Prometheus running there? In a cluster: kubectl port-forward svc/prometheus-operated 9090",
        ) from error
    except requests.exceptions.RequestException as error:  # broken off, too many redirects, not JSON
        if passing is not None and isinstance(error, passing):
            raise
        raise SourceUnavailable(
            f"{url} does not answer like a Prometheus: {_cause(error)}.",
            hint="Is it the address of the Prometheus itself, not of a Grafana or a login page?",
        ) from error
    except json.JSONDecodeError as error:
        raise SourceUnavailable(
            f"{url} does not answer like a Prometheus: it answers with something that is no JSON, or breaks off.",
            hint="Is it the address of the Prometheus itself, not of a Grafana or a login page?",
        ) from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise SourceUnavailable(
            f"{url} does not answer like a Prometheus: its JSON has another shape ({error!r}).",
            hint="Is it the address of the Prometheus itself?",
        ) from error


def _cause(error: BaseException) -> str:
    """The innermost words: requests wraps urllib3, which wraps the system's error."""
    reason: Any = error
    while True:
        inner = getattr(reason, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((arg for arg in getattr(reason, "args", ()) if isinstance(arg, BaseException)), None)
        if inner is None:
            break
        reason = inner
    text = getattr(reason, "strerror", None) or str(reason)
    # urllib3 puts its connection object before the words: "<... at 0x7f..>: Failed ...: [Errno 111] Connection refused"
    return text.rpartition("] ")[2].rstrip(".") or type(reason).__name__
