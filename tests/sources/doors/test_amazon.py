"""Amazon's managed Prometheus: signatures, checked by a second implementation of the published algorithm."""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
import requests

from mora.domain import Window
from mora.errors import BadInput, SourceUnavailable
from mora.sources.doors.amazon import SigV4Auth
from mora.sources.prometheus.access import Access
from mora.sources.prometheus.observe import PrometheusSource
from tests.sources.doors.conftest import guarded

KEY, SECRET, REGION = "AKIAEXAMPLE", "not-a-secret", "eu-west-1"
_HEADER = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d+)/([^/]+)/aps/aws4_request, SignedHeaders=([^,]+), Signature=(\w+)"
)


def is_signed(method: str, path: str, headers: dict[str, str], body: bytes) -> bool:
    """Whether a request has the signature of SECRET, by the steps of AWS's documentation."""
    lower = {name.lower(): value for name, value in headers.items()}
    match = _HEADER.fullmatch(lower.get("authorization", ""))
    if match is None:
        return False
    key, day, region, names, signature = match.groups()
    parts = urlsplit(path)
    query = "&".join(
        f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}"
        for name, value in sorted(parse_qsl(parts.query, keep_blank_values=True))
    )
    canonical = "\n".join(
        [
            method,
            quote(parts.path, safe="/-_.~"),
            query,
            *(f"{name}:{lower[name].strip()}" for name in names.split(";")),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        ]
    )
    scope = f"{day}/{region}/aps/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{lower['x-amz-date']}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    secret = f"AWS4{SECRET}".encode()
    for part in (day, region, "aps", "aws4_request"):
        secret = hmac.new(secret, part.encode(), hashlib.sha256).digest()
    assert (key, region) == (KEY, REGION)
    return hmac.compare_digest(hmac.new(secret, text.encode(), hashlib.sha256).hexdigest(), signature)


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


@pytest.mark.usefixtures("keys")
def test_every_request_is_signed_long_ones_by_post_too() -> None:
    with guarded(is_signed) as server:
        url = f"{server.url}/workspaces/ws-1"
        source = PrometheusSource(url, access=Access(signer=SigV4Auth(url=url, region=REGION)), retries=0)
        assert source.check() == "3.1.0"
        server.body = b'{"status":"success","data":{"resultType":"matrix","result":[]}}'
        now = datetime(2026, 11, 1, tzinfo=UTC)
        window = Window(now, now + timedelta(minutes=5), timedelta(minutes=1))
        with source.wire() as wire:
            short, long = 'sum(up{job="a b+c"})', 'sum(up{job=~"' + "x|" * 4000 + '"})'
            assert [name for name, _, _ in wire.ranges([("short", short, window), ("long", long, window)])]
    assert {method for method, *_ in server.asked} == {"GET", "POST"}


@pytest.mark.usefixtures("keys")
def test_a_session_token_goes_along_and_nothing_of_the_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session-token")
    with guarded(is_signed) as server:
        signer = SigV4Auth(url=server.url, region=REGION)
        assert requests.get(f"{server.url}/api/v1/query?query=up", auth=signer, timeout=30).status_code == 200
    assert server.asked[0][2]["X-Amz-Security-Token"] == "session-token"
    assert repr(signer) == "SigV4Auth('eu-west-1')"


@pytest.mark.usefixtures("keys")
def test_keys_that_change_in_the_middle_are_those_of_the_next_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """A role's credentials end after an hour; botocore's own refreshable ones stand behind the door."""
    from botocore.credentials import RefreshableCredentials

    given: list[int] = []

    def renewed() -> dict[str, str]:
        given.append(1)
        ends = datetime.now(UTC) + timedelta(hours=-1 if len(given) == 1 else 1)
        return {"access_key": KEY, "secret_key": SECRET, "token": f"t-{len(given)}", "expiry_time": ends.isoformat()}

    with guarded(is_signed) as server:
        signer = SigV4Auth(url=server.url, region=REGION)
        first = {**renewed(), "expiry_time": (datetime.now(UTC) + timedelta(seconds=1)).isoformat()}
        signer._credentials = RefreshableCredentials.create_from_metadata(first, renewed, "test")
        assert requests.get(server.url, auth=signer, timeout=30).status_code == 200
    assert server.asked[0][2]["X-Amz-Security-Token"] == "t-2"


def test_the_region_is_that_of_the_address_or_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    address = "https://aps-workspaces.us-east-2.amazonaws.com/workspaces/ws-1"
    assert repr(SigV4Auth(url=address)) == "SigV4Auth('us-east-2')"
    with pytest.raises(BadInput, match="Of which region"):
        requests.get("http://127.0.0.1:9", auth=SigV4Auth(url="http://127.0.0.1:9"), timeout=30)


def test_without_credentials_it_says_how_to_give_them() -> None:
    with pytest.raises(SourceUnavailable, match="There are no AWS credentials"):
        requests.get("http://127.0.0.1:9", auth=SigV4Auth(url="http://127.0.0.1:9", region=REGION), timeout=30)
