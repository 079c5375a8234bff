"""How a Prometheus is reached: its address, credentials and TLS, and what an error of it means.

No credential is printed or logged: they are left out of repr, and addresses are shown without user and password.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import requests
from requests.auth import AuthBase

from mora.deadline import Retries, TakesTooLong
from mora.documents import Misfit
from mora.errors import BadInput, SourceUnavailable
from mora.quantities import format_duration
from mora.values import address_parts, shown

# Overloaded, restarting, or a proxy whose backend is: worth another try. Any other 4xx than 429 stays what it is.
RETRIED_STATUS = (429, 500, 502, 503, 504)
_LONGEST_RETRY_AFTER_SECONDS = 30
# An answer may take as long again as the server may take for it, for its transfer.
PATIENCE = 2
_ERROR = re.compile(rb'\s*\{\s*"status"\s*:\s*"error"')


@dataclass(frozen=True, slots=True)
class Access:
    """Headers, credentials and TLS settings for one Prometheus.

    headers: sent with each request, such as X-Scope-OrgID for Mimir. token_file is read again for each request, since
    Kubernetes rotates the tokens that it mounts. ca_file: certificates to trust in place of the system's.
    client_certificate: a certificate and its key, as PEM files. verify_tls False accepts any certificate. signer: of a
    managed Prometheus, gives each request its credentials (mora/sources/doors).
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    client_certificate: tuple[Path, Path] | None = None
    verify_tls: bool = True
    signer: AuthBase | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        ways = [self.token is not None, self.token_file is not None, self.username is not None]
        ways.append(self.signer is not None)
        if sum(ways) > 1:
            raise BadInput(
                "Several kinds of credentials are given for Prometheus.",
                hint="Give one of: a bearer token, a token file, a user name with its password, prometheus.auth.",
            )
        for name, value in self.headers.items():
            if not (_fits_in_a_header(name) and _fits_in_a_header(value)):
                raise BadInput(
                    f"The value of the header {name!r} contains a line break or another character that HTTP forbids."
                )
        if self.ca_file is not None and not self.ca_file.is_file():
            raise BadInput(f"There is no CA file {self.ca_file}.")
        for file in self.client_certificate or ():
            if not file.is_file():
                raise BadInput(f"There is no client certificate or key {file}.")

    def bearer_token(self) -> str | None:
        """The token to send now, without surrounding white space; None where there is none.

        BadInput where the token file cannot be read, or the token cannot be sent; the message never shows the token.
        """
        token, where = self.token, "The bearer token"
        if self.token_file is not None:
            where = f"The token file {self.token_file}"
            try:
                token = self.token_file.read_text(encoding="utf-8")
            except OSError as error:
                raise BadInput(f"{where} cannot be read: {error.strerror}.") from error
            except UnicodeDecodeError:  # its words would quote the file
                raise BadInput(f"{where} is not UTF-8 text, so it is no token.") from None
        if token is None:
            return None
        token = token.strip()  # files usually end in a newline, which no header may contain
        if not _fits_in_a_header(token):
            raise BadInput(f"{where} contains a line break or another character that HTTP forbids in a token.")
        return token


def _fits_in_a_header(text: str) -> bool:
    return text.isprintable() and all(ord(character) < 256 for character in text)


class _Authorization(AuthBase):
    """Sets the Authorization header of each request. It is set on the session always, so that ~/.netrc is not read."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._access.signer is not None:
            return self._access.signer(request)
        token = self._access.bearer_token()
        if token is not None:
            request.headers["Authorization"] = f"Bearer {token}"
        elif self._access.username is not None:
            pair = f"{self._access.username}:{self._access.password or ''}".encode()
            request.headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        return request


def prepare(session: requests.Session, access: Access) -> None:
    """Give a session the headers, credentials and trusted certificates of an access."""
    session.headers.update(access.headers)
    session.auth = _Authorization(access)
    if access.client_certificate is not None:
        session.cert = (str(access.client_certificate[0]), str(access.client_certificate[1]))
    session.verify = str(access.ca_file) if access.ca_file and access.verify_tls else access.verify_tls


def retry_policy(retries: int, backoff: timedelta) -> Retries:
    """Tries again after 0, 2, 4, ... times `backoff`, each with up to one `backoff` of jitter.

    Without the jitter, many clients that failed together would also come back together. GET and POST alike: a query
    changes nothing on the server.
    """
    return Retries(
        total=retries,
        status_forcelist=RETRIED_STATUS,
        allowed_methods=None,
        backoff_factor=backoff.total_seconds(),
        backoff_jitter=backoff.total_seconds(),
        retry_after_max=_LONGEST_RETRY_AFTER_SECONDS,
        raise_on_status=False,  # the last answer is returned, and `check_answer` explains it
    )


def split_url(url: str, access: Access) -> tuple[str, Access]:
    """The base address, and the access with the user and password that the address contained.

    BadInput where it is no http or https address.
    """
    parts = address_parts(url)
    if parts is None:
        raise BadInput(
            f"{url.rpartition('@')[2]!r} is not the address of a Prometheus.",
            hint="Write it like http://localhost:9090.",
        )
    if parts.username is not None:
        access = replace(access, username=unquote(parts.username), password=unquote(parts.password or ""))
    return shown(url).rstrip("/"), access


class TooLarge(SourceUnavailable):
    """An answer is larger than what is read at once: it has no end, or is of a very large cluster."""

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="Ask for fewer workloads (-n NAMESPACE), or for a shorter history.")


class TooMuch(SourceUnavailable):
    """The store does not answer a query for its size. of_series: it allows fewer series; else fewer samples."""

    def __init__(self, message: str, *, of_series: bool) -> None:
        self.of_series = of_series
        super().__init__(
            message,
            hint="Raise the limit that it names, or ask for less: a shorter history (--history 7d), or one namespace.",
        )


# How Prometheus, VictoriaMetrics, Mimir, Cortex and Thanos say that a query has too many series, or too much else.
_TOO_MANY_SERIES = re.compile(
    r"number of (matching |unique )?(time ?)?series|too many (time ?)?series|exceeded series limit|max-series"
    r"|max(unique)?(time)?series\b|series limit",
    re.IGNORECASE,
)
_TOO_MUCH = re.compile(
    r"too many (samples|points|chunks)|maximum resolution|err-mimir-max|search\.max(?!concurrent|queue)"
    r"|max(imum)? number of chunks|(chunks|data|bytes|samples) (size )?limit|(time range|length) exceeds"
    r"|resource ?exhausted|not enough memory|limit \d+ (violated|exceeded)",
    re.IGNORECASE,
)
# VictoriaMetrics repeats the query, which may have any of these words in it.
_REPEATED = re.compile(r'query="(?:[^"\\]|\\.)*"|\{[^{}]*\}')


def check_answer(response: requests.Response, url: str) -> None:
    """Raise SourceUnavailable where the answer is an error, or no answer of a Prometheus API."""
    status = response.status_code
    if status == 200 and not _ERROR.match(response.content):
        return
    details = _error_text(response)
    what = f"{url} answered {status} {response.reason or ''}".rstrip() + (f": {_abridged(details)}" if details else "")
    said = _REPEATED.sub("", details)
    if (of_series := _TOO_MANY_SERIES.search(said) is not None) or _TOO_MUCH.search(said):
        raise TooMuch(f"{what}.", of_series=of_series)
    if status == 401:
        raise SourceUnavailable(
            f"{what}.",
            hint="It asks for credentials: a bearer token, a user and password, or prometheus.auth of a managed one.",
        )
    if status == 403:
        raise SourceUnavailable(f"{what}.", hint="These credentials do not allow queries. Ask for read access.")
    if status == 404:
        raise SourceUnavailable(
            f"{what}.",
            hint="There is no Prometheus API at this address. Behind a proxy it often has a path: .../prometheus",
        )
    if status == 429:
        raise SourceUnavailable(
            f"{what}.", hint="It still limits our request rate after several tries. Try again later."
        )
    if status >= 500:
        raise SourceUnavailable(
            f"{what}.",
            hint="It did not recover over several tries. Is it starting, or overloaded? Try a shorter window.",
        )
    if status >= 400:
        raise SourceUnavailable(f"{what}.", hint="It rejects the query. Is it a Prometheus of version 2.24 or later?")
    raise SourceUnavailable(
        f"{url} does not answer like a Prometheus: {what.partition(' ')[2]}.",
        hint="Is it the address of the Prometheus itself, not of a Grafana or a login page?",
    )


def _abridged(details: str) -> str:
    """The begin and the end of an error's text: VictoriaMetrics puts the query first and the reason last."""
    return details if len(details) <= 500 else f"{details[:100]} ... {details[-380:]}"


def _error_text(response: requests.Response) -> str:
    try:
        answer = response.json()
    except (ValueError, RecursionError):
        return ""
    # A Kubernetes API server that proxies to a Prometheus puts its own text into `message`.
    error = (answer.get("error") or answer.get("message")) if isinstance(answer, dict) else None
    return (error if isinstance(error, str) else "").strip().rstrip(".")


@contextmanager
def explained(url: str, timeout: timedelta) -> Iterator[None]:
    """Turns what the HTTP client and the reading of an answer raise into SourceUnavailable with a cause and a hint."""
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
                f"{url} did not answer within {format_duration(timeout)}, at several tries.",
                hint="Ask for a shorter window, or give it a longer timeout.",
            ) from error
        raise SourceUnavailable(
            f"{url} cannot be reached: {cause}.",
            hint="Is Prometheus running there? In a cluster: kubectl port-forward svc/prometheus-operated 9090",
        ) from error
    except requests.exceptions.RequestException as error:  # broken off, too many redirects, not JSON
        raise SourceUnavailable(
            f"{url} does not answer like a Prometheus: {_cause(error)}.",
            hint="Is it the address of the Prometheus itself, not of a Grafana or a login page?",
        ) from error
    except TakesTooLong as error:
        raise SourceUnavailable(
            f"{url} did not finish an answer within {format_duration(PATIENCE * timeout)}.",
            hint="Is the line very slow? Raise prometheus.timeout, or ask for a shorter history.",
        ) from error
    except json.JSONDecodeError as error:
        raise SourceUnavailable(
            f"{url} does not answer like a Prometheus: its answer is not JSON, or is incomplete.",
            hint="Is it the address of the Prometheus itself, not of a Grafana or a login page?",
        ) from error
    except (Misfit, RecursionError) as error:
        what = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise SourceUnavailable(
            f"{url} does not answer like a Prometheus: in its JSON, {what}.",
            hint="Is it the address of the Prometheus itself?",
        ) from error
    except (KeyError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise SourceUnavailable(
            f"{url} does not answer like a Prometheus: its JSON has another shape ({error!r}).",
            hint="Is it the address of the Prometheus itself?",
        ) from error


def _cause(error: BaseException) -> str:
    """The innermost text: requests wraps urllib3, which wraps the system's error."""
    reason: Any = error
    while True:
        inner = getattr(reason, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((arg for arg in getattr(reason, "args", ()) if isinstance(arg, BaseException)), None)
        if inner is None:
            break
        reason = inner
    text = getattr(reason, "strerror", None) or str(reason)
    # urllib3 puts its connection object before the text: "<... at 0x7f..>: Failed ...: [Errno 111] Connection refused"
    return text.rpartition("] ")[2].rstrip(".") or type(reason).__name__
