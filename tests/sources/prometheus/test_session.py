"""QuerySession: redirects, tokens and headers that must not leave, and answers that are no answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mora.errors import BadInput, SourceUnavailable
from mora.sources.prometheus.access import Access
from mora.sources.prometheus.observe import PrometheusSource
from mora.sources.prometheus.wire import Wire
from tests.sources.prometheus.scripted import GOOD, PATIENT, QUICK, Answer, Scripted

Start = Callable[..., Scripted]
NOW = datetime(2026, 11, 1, tzinfo=UTC)
SECRET = Access(token="s3cret", headers={"X-Api-Key": "k3y"})


def pods(server: Scripted, access: Access = SECRET) -> list[str]:
    with Wire(server.url, access, PATIENT, 0, QUICK) as wire:
        return wire.label_values("pod", "up", NOW, NOW)


def redirect(to: str) -> Answer:
    return 302, {"Location": to}, b""


def test_a_redirect_to_another_server_is_refused_and_that_server_sees_no_credentials(scripted: Start) -> None:
    other = scripted(GOOD)
    server = scripted(redirect(f"{other.url}/login?user=ada"))
    with pytest.raises(SourceUnavailable) as refused:
        pods(server)
    assert f"redirects to another server, {other.url}/login." in refused.value.message
    assert "credentials" in refused.value.message
    assert other.asked == []


@pytest.mark.parametrize("absolute", [False, True])
def test_a_redirect_within_the_server_is_followed_with_the_same_credentials(scripted: Start, absolute: bool) -> None:
    server = scripted(GOOD)
    path = "/prometheus/api/v1/label/pod/values"
    server.answers.insert(0, redirect(f"{server.url}{path}" if absolute else path))
    assert pods(server) == ["frontend"]
    assert server.asked[1][0].startswith(f"GET {path}")
    assert server.asked[1][1]["Authorization"] == "Bearer s3cret"


def test_a_redirect_does_not_bring_in_the_credentials_of_netrc(
    scripted: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ada password pr1vate\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(netrc))
    server = scripted(redirect("/elsewhere"), GOOD)
    assert pods(server, Access()) == ["frontend"]
    assert [headers.get("Authorization") for _, headers in server.asked] == [None, None]


@pytest.mark.parametrize("newline", ["\n", "\r\n", " \n\n"])
def test_a_token_that_ends_in_a_newline_is_sent_without_it(scripted: Start, newline: str) -> None:
    server = scripted(GOOD)
    pods(server, Access(token=f"s3cret{newline}"))
    assert server.asked[0][1]["Authorization"] == "Bearer s3cret"


@pytest.mark.parametrize("token", ["s3cret\nHost: x", "s3cret\x00", "s3cret€"])
def test_a_token_that_no_header_can_carry_is_refused_and_never_shown(
    scripted: Start, token: str, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(token, encoding="utf-8")
    server = scripted(GOOD)
    for access in (Access(token=token), Access(token_file=file)):
        with pytest.raises(BadInput) as refused:
            PrometheusSource(server.url, access=access).services("shop")
        assert "another character that HTTP forbids" in refused.value.message
        assert "s3cret" not in f"{refused.value!r} {refused.value.__cause__!r} {refused.value.__context__!r}"
    assert server.asked == []


def test_a_token_file_that_is_no_text_is_refused_and_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(b"s3cret\xff")
    with pytest.raises(BadInput, match="not UTF-8 text") as refused:
        Access(token_file=file).bearer_token()
    assert "s3cret" not in f"{refused.value!r}"


def test_a_header_with_a_line_break_is_refused_by_its_name_alone() -> None:
    with pytest.raises(BadInput, match="X-Api-Key") as refused:
        Access(headers={"X-Api-Key": "s3cret\nHost: x"})
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("redirected", [False, True])
def test_no_proxy_of_the_environment_stands_before_this_machine(
    scripted: Start, monkeypatch: pytest.MonkeyPatch, redirected: bool
) -> None:
    """Clusters' proxies do not know the port-forward or the sandbox; kubectl and Prometheus go past them, too."""
    proxy, server = (
        scripted((502, {}, b"no such host")),
        scripted(*([redirect("/elsewhere")] if redirected else []), GOOD),
    )
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, proxy.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert pods(server) == ["frontend"]
    assert proxy.asked == []


def test_another_machine_is_asked_through_the_proxy_of_the_environment(
    scripted: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = scripted(GOOD)
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("no_proxy", "")
    with Wire("http://prometheus.example", SECRET, PATIENT, 0, QUICK) as wire:
        assert wire.label_values("pod", "up", NOW, NOW) == ["frontend"]
    assert proxy.asked[0][0].startswith("GET http://prometheus.example/api/v1/label/pod/values?")
