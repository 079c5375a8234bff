"""The one HTTP session to a Prometheus: every request of every client goes through it.

It sends long queries by POST, retries answers that break off, refuses errors and redirects to other servers, collects
the warnings of partial answers, and asks a slow line to compress.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from mora.deadline import Deadline
from mora.documents import Misfit
from mora.errors import SourceUnavailable
from mora.quantities import readable_bytes
from mora.sources.prometheus import promql
from mora.sources.prometheus.access import PATIENCE, Access, TooLarge, check_answer, prepare
from mora.sources.prometheus.answers import MOST_BYTES, check_size, texts
from mora.values import is_loopback, shown

# Longer texts go by POST: servers and proxies cut addresses at 8 KiB. Shorter ones by GET, which is all that read-only
# rights on the Kubernetes API's proxy allow.
_LONGEST_ADDRESS_CHARACTERS = 6000
# A server that compresses spends more on that than on the query. Over a slow line it is worth it.
_SLOW_LINE_BYTES_PER_SECOND = 4e6
_TELLING_BYTES = 1_000_000
_CHUNK_BYTES = 1 << 20
_LONGEST_WARNING = 500


class QuerySession(requests.Session):
    """A requests session for queries. Each answer that it returns has status 200 and is complete.

    url: the base address, for messages. Texts of partial answers gather in `warnings`, what was asked for in `asked`:
    (the API's path, the query or selector).
    """

    def __init__(self, url: str, access: Access, timeout: timedelta, retries: int, backoff: timedelta) -> None:
        super().__init__()
        prepare(self, access)
        self.warnings: dict[str, None] = {}
        self.asked: dict[tuple[str, str], None] = {}
        self.is_compressed = False
        self._url = url
        self._retries = retries
        self._backoff = backoff
        self._seconds = timeout.total_seconds()
        # dedup: Thanos then merges the series of replicated Prometheus servers.
        self._always = {"timeout": promql.duration(timeout), "dedup": "true"}

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **options: Any) -> requests.Response:
        """Send one query and return its complete answer; an answer that breaks off is requested again.

        SourceUnavailable where the server answers with an error. Other failures are those of `requests`.
        """
        params = {**(options.pop("params", None) or {}), **self._always}
        self._note(url, params)
        is_short = _length(params) < _LONGEST_ADDRESS_CHARACTERS
        options |= {"params": params} if is_short else {"data": params}
        for tries in range(self._retries + 1):
            try:
                return self._answer("GET" if is_short else "POST", url, options)
            except requests.exceptions.ChunkedEncodingError:
                if tries == self._retries:
                    raise
                time.sleep(self._backoff.total_seconds() * 2**tries)
        raise AssertionError("unreachable")  # pragma: no cover

    def _note(self, url: str | bytes, params: Mapping[str, Any]) -> None:
        path = (url.decode() if isinstance(url, bytes) else url).partition("/api/v1/")[2]
        texts_ = params.get("query", params.get("match[]"))
        for text in (texts_,) if isinstance(texts_, str) else texts_ or ():
            self.asked[path, text] = None

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Where a redirect leads; SourceUnavailable where that is another server: it must not get the credentials."""
        target = super().get_redirect_target(resp)
        if target is not None:
            address = urljoin(resp.url, target)
            if not _is_same_server(resp.url, address):
                resp.close()
                raise SourceUnavailable(
                    f"{self._url} redirects to another server, {shown(address)}. MOrA does not follow it: the headers "
                    "and credentials that were given would go there, too.",
                    hint="If that is the Prometheus, give its address. If it is a login page, give credentials.",
                )
        return target

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Keep the credentials on a redirect within the server, and never take others from ~/.netrc."""

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """What requests takes from the environment; no proxy for this machine, as with kubectl and Prometheus."""
        settings: Any = super().merge_environment_settings(url, proxies, stream, verify, cert)
        if is_loopback(url):
            settings["proxies"] = {}
        return settings

    def rebuild_proxies(self, prepared_request: requests.PreparedRequest, proxies: Any) -> Any:
        """The proxies after a redirect; none for this machine."""
        if is_loopback(prepared_request.url or ""):
            return {}
        return super().rebuild_proxies(prepared_request, proxies)  # type: ignore[no-untyped-call]  # requests'

    def _answer(self, method: str, url: str | bytes, options: dict[str, Any]) -> requests.Response:
        sent = {
            **options,
            "headers": {"Accept-Encoding": "gzip" if self.is_compressed else "identity"},
            "verify": self.verify,  # left out, $REQUESTS_CA_BUNDLE would override a CA file that was given
            "stream": True,
        }
        with Deadline(PATIENCE * self._seconds) as deadline:
            try:
                with super().request(method, url, **sent) as response:
                    started = time.monotonic()
                    body = self._whole(response)
                    seconds = time.monotonic() - started
                    response._content = body  # `response.content` would read it in pieces of 10 KiB
            except requests.exceptions.RequestException:
                deadline.check()  # this may be why it broke off
                raise
            deadline.check()
        check_answer(response, self._url)
        if not response.url.partition("?")[0].endswith("/query_range"):  # whose samples are read without an object each
            try:
                check_size(body)
            except Misfit as error:
                raise TooLarge(f"An answer of {self._url} is too large: {error}.") from error
        if len(body) > _TELLING_BYTES and len(body) < _SLOW_LINE_BYTES_PER_SECOND * seconds:
            self.is_compressed = True
        self.warnings.update(dict.fromkeys(_warnings(body)))
        return response

    def _whole(self, response: requests.Response) -> bytes:
        """The body of an answer, read in large chunks; TooLarge where no end is in sight."""
        parts: list[bytes] = []
        length = 0
        for part in response.iter_content(_CHUNK_BYTES):
            parts.append(part)
            length += len(part)
            if length > MOST_BYTES:
                raise TooLarge(f"An answer of {self._url} is larger than {readable_bytes(MOST_BYTES)}.")
        return b"".join(parts)


def _length(params: Mapping[str, Any]) -> int:
    return sum(len(name) + len(str(value)) for name, value in params.items())


def _is_same_server(before: str, after: str) -> bool:
    """The same scheme, host and port; from http to https on the same host is an upgrade."""
    old, new = urlsplit(before), urlsplit(after)
    if old.hostname != new.hostname:
        return False
    return (old.scheme, old.port) == (new.scheme, new.port) or (old.scheme, new.scheme) == ("http", "https")


def _warnings(body: bytes) -> list[str]:
    """What a server says of a partial answer: at its end, or (VictoriaMetrics) at its start."""
    found = []
    if b'"isPartial":true' in body[:200]:
        found.append("Prometheus warns: the answer is partial, because a storage node did not answer")
    if b'"warnings"' in body[-4000:]:
        try:
            answer = json.loads(b"{" + body[body.rfind(b'"warnings"') :])
            found += [f"Prometheus warns: {text[:_LONGEST_WARNING]}" for text in texts(answer["warnings"])]
        except (ValueError, KeyError, RecursionError):
            pass  # not at the top level: something else by that name
    return found
