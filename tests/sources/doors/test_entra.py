"""Azure's managed Prometheus: the token of a managed identity, by the real azure-identity."""

from __future__ import annotations

import time

import pytest

from mora.errors import SourceUnavailable
from mora.sources.doors.entra import EntraAuth
from mora.sources.prometheus.access import Access
from mora.sources.prometheus.observe import PrometheusSource
from tests.sources.doors.conftest import giving_tokens, guarded


def test_each_request_has_the_token_for_prometheus(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        giving_tokens(expires_on=str(int(time.time()) + 86400), resource="x") as identity,
        guarded(lambda *request: request[2].get("Authorization") == "Bearer token-1") as server,
    ):
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{identity.url}/token")
        monkeypatch.setenv("IDENTITY_HEADER", "header")
        source = PrometheusSource(server.url, access=Access(signer=EntraAuth(url=server.url)), retries=0)
        assert source.check() == "3.1.0"
        assert source.check() == "3.1.0"
    assert len(identity.asked) == 1  # it is kept until it ends
    assert "prometheus.monitor.azure.com" in identity.asked[0][1]
    assert repr(EntraAuth(url=server.url)) == "EntraAuth()"


def test_without_credentials_it_says_how_to_log_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    with pytest.raises(SourceUnavailable, match="There is no Entra token") as refused:
        PrometheusSource("http://127.0.0.1:9", access=Access(signer=EntraAuth(url="http://127.0.0.1:9"))).check()
    assert "az login" in str(refused.value)
