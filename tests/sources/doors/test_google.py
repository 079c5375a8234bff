"""Google's managed Prometheus: the token of a service account, by the real google-auth."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from requests.structures import CaseInsensitiveDict as Headers

from mora.errors import SourceUnavailable
from mora.sources.doors.google import GoogleAuth
from mora.sources.prometheus.access import Access
from mora.sources.prometheus.observe import PrometheusSource
from tests.sources.doors.conftest import Guarded, giving_tokens, guarded
from tests.sources.gcp.monitoring import service_account


def source(server: Guarded) -> PrometheusSource:
    access = Access(signer=GoogleAuth(url=server.url))
    assert "token" not in repr(access).replace("token_file", "")
    return PrometheusSource(server.url, access=access, retries=0, backoff=timedelta(0))


def test_each_request_has_the_token_and_a_short_lived_one_is_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # google-auth renews what ends within minutes: so each of these is used once.
    with giving_tokens(expires_in=1) as tokens, guarded(lambda *_: True) as server:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(service_account(tmp_path, f"{tokens.url}/token")))
        prometheus = source(server)
        assert prometheus.check() == "3.1.0"
        prometheus.check()
    given = [Headers(headers)["Authorization"] for _, _, headers, _ in server.asked]
    assert given == ["Bearer token-1", "Bearer token-2"]


def test_a_token_is_used_until_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with giving_tokens(expires_in=3600) as tokens, guarded(lambda *_: True) as server:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(service_account(tmp_path, f"{tokens.url}/token")))
        prometheus = source(server)
        for _ in range(3):
            prometheus.check()
    assert len(tokens.asked) == 1


def test_a_refusal_says_what_to_do_and_not_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with giving_tokens(expires_in=3600) as tokens, guarded(lambda *_: False) as server:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(service_account(tmp_path, f"{tokens.url}/token")))
        with pytest.raises(SourceUnavailable, match="answered 401") as refused:
            source(server).check()
    assert "token-1" not in str(refused.value)


def test_without_credentials_it_says_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nothing.json"))
    with guarded(lambda *_: True) as server:
        with pytest.raises(SourceUnavailable, match="There is no Google token") as refused:
            source(server).check()
        assert server.asked == []
    assert "gcloud auth application-default login" in str(refused.value)


def test_a_managed_server_that_does_not_tell_its_version_is_a_prometheus_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Google's and Amazon's have the API of queries, and none of those below /api/v1/status."""
    with giving_tokens(expires_in=3600) as tokens, guarded(lambda _, path, *__: "/status/" not in path) as server:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(service_account(tmp_path, f"{tokens.url}/token")))
        server.refusal = 404
        server.body = b'{"status":"success","data":{"resultType":"vector","result":[]}}'
        assert source(server).check() == "unknown"
        server.admits = lambda *_: False
        with pytest.raises(SourceUnavailable, match="answered 404"):
            source(server).check()
