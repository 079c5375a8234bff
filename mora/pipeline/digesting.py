"""A digest: from the record to text, and to a webhook, whose address is a secret.

The address of a Slack webhook is all that is needed to write into a channel. No message, error or log line has more of
it than the host.
"""

from __future__ import annotations

import re
import time
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from mora.errors import BadInput, SourceUnavailable
from mora.outputs.digest import CONTENT_TYPES, FORMS
from mora.record.digest import digest_of
from mora.record.reading import Reading, reading
from mora.savings import Prices
from mora.values import known_names

_CONNECT_SECONDS, _READ_SECONDS = 10.0, 30.0
# Slack answers by a word: ok, invalid_payload, no_service, channel_is_archived.
_WORD = re.compile(rb"[a-z_]{2,40}")


def make_digest(
    record: Path,
    *,
    since: timedelta,
    form: str = "text",
    cluster: str | None = None,
    namespace: str | None = None,
    prices: Prices | None = None,
    now: float | None = None,
) -> str:
    """The digest of a record as text, markdown, slack or json.

    MoraError where there is no record, BadInput where it knows no such cluster or namespace.
    """
    until = time.time() if now is None else now
    with reading(record) as read:
        _check_known(read, record, cluster, namespace)
        found = digest_of(read, since=until - since.total_seconds(), until=until, cluster=cluster, namespace=namespace)
    return FORMS[form](found, prices)


def _check_known(read: Reading, record: Path, cluster: str | None, namespace: str | None) -> None:
    """Refuse a name that the record does not know: its figures would all be zero, as if nothing had happened."""
    there = [name for name in read.clusters() if name]
    if cluster is not None and cluster not in read.clusters():
        hint = known_names(cluster, there) if there else "It was written for one cluster: leave out --cluster."
        raise BadInput(f"{record} knows no cluster {cluster!r}.", hint=hint)
    known = read.namespaces(cluster)
    if namespace is not None and namespace not in known:
        of = f" of cluster {cluster}" if cluster else ""
        hint = known_names(namespace, known) if known else "It holds no answer yet: mora serve --once writes one."
        raise BadInput(f"{record} knows no namespace {namespace!r}{of}.", hint=hint)


def check_webhook(url: str) -> str:
    """The host of a webhook's address; BadInput, without the address, where it is none."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = None, None, None
    if parts is None or parts.scheme not in ("https", "http") or not host:
        raise BadInput(
            "The webhook is not an address that begins with https:// and names a host.",
            hint="Copy it again from Slack. MORA_DIGEST_WEBHOOK keeps it out of the command line.",
        )
    return host if port is None else f"{host}:{port}"


def send(url: str, body: str, form: str) -> str:
    """Post a digest to a webhook; the host that took it. SourceUnavailable where it does not, without the address."""
    import requests

    host = check_webhook(url)
    try:
        with requests.post(
            url,
            data=body.encode(),
            headers={"Content-Type": CONTENT_TYPES[form], "User-Agent": "mora"},
            timeout=(_CONNECT_SECONDS, _READ_SECONDS),
            allow_redirects=False,  # an answer must not send the digest elsewhere
            stream=True,
        ) as answer:
            status = answer.status_code
            said = answer.raw.read(64) if not 200 <= status < 300 else b""
        problem = None
    except requests.Timeout:
        problem = "does not answer in time"
    except requests.exceptions.SSLError:
        problem = "has a certificate that is not trusted"
    except (requests.RequestException, OSError):
        problem = "cannot be reached"
    # The libraries' own words have the address in them, so they are not chained.
    if problem is not None:
        raise SourceUnavailable(f"The webhook at {host} {problem}. The digest was not sent.", hint=_LOOK) from None
    if not 200 <= status < 300:
        word = f" ({said.decode()})" if _WORD.fullmatch(said) else ""
        raise SourceUnavailable(f"The webhook at {host} answered {status}{word}. The digest was not sent.", hint=_LOOK)
    return host


_LOOK = (
    "Is the address current, and does it take this form (-o slack for Slack)? Without --webhook the digest is printed."
)
