"""Kubeconfigs of every form: what they name, whom they impersonate, and what is said of one that cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from mora.clusters.connection import Api, Forbidden
from mora.clusters.kubeconfig import is_configured
from mora.errors import BadInput, ClusterError
from tests.clusters.fake_api import FakeApi, FakeCluster
from tests.clusters.odd import with_a_change
from tests.clusters.test_connection import PATH, connect
from tests.clusters.test_kubernetes import deployment

SECRET = "s3cret-t0ken"  # looked for in messages
CONFIG: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "fake", "cluster": {"server": "http://127.0.0.1:9", "insecure-skip-tls-verify": False}}],
    "users": [{"name": "ada", "user": {"token": SECRET, "as": "eve"}}],
    "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "ada", "namespace": "shop"}}],
    "current-context": "fake",
}


@pytest.fixture
def fake() -> FakeCluster:
    cluster = FakeCluster()
    cluster.add(deployment("frontend"))
    return cluster


def test_no_kubeconfig_a_broken_one_and_an_unknown_context_are_reported(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ClusterError, match="no usable kubeconfig") as told:
        Api(kubeconfig=tmp_path / "absent")
    assert "kubectl config get-contexts" in str(told.value.hint)
    (tmp_path / "torn").write_text("clusters: [", encoding="utf-8")
    with pytest.raises(ClusterError, match="no usable kubeconfig"):
        Api(kubeconfig=tmp_path / "torn")
    (tmp_path / "list").write_text("- a\n", encoding="utf-8")
    with pytest.raises(ClusterError, match="no usable kubeconfig"):
        Api(kubeconfig=tmp_path / "list")
    with pytest.raises(
        BadInput, match=r"^The kubeconfig has no context 'fakr'\.\nDid you mean fake\? There are: fake\.$"
    ):
        Api(kubeconfig=api.kubeconfig(tmp_path / "config"), context="fakr")


def test_a_missing_kubeconfig_is_named_in_plain_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    with pytest.raises(ClusterError, match=r"no usable kubeconfig: .*/absent does not exist\."):
        Api()


def test_a_cluster_is_configured_by_a_variable_or_a_file_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    assert not is_configured()
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    assert is_configured(), "a file that is named and missing is a mistake, not the absence of a cluster"
    monkeypatch.delenv("KUBECONFIG")
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text("", encoding="utf-8")
    assert is_configured()


def test_a_context_has_the_names_of_the_kubeconfig(api: FakeApi, tmp_path: Path) -> None:
    context = connect(api, tmp_path, namespace="shop").context()
    assert (context.name, context.cluster, context.user, context.namespace) == ("fake", "fake", "ada", "shop")
    assert context.server == f"http://127.0.0.1:{api.server_port}"


def test_whom_a_kubeconfig_impersonates_is_who_asks(api: FakeApi, fake: FakeCluster, tmp_path: Path) -> None:
    with pytest.raises(Forbidden, match='User "eve" cannot get'):
        connect(api, tmp_path, impersonate="eve").get(PATH)
    assert fake.sent[-1].user == "eve"
    config = tmp_path / "config"
    config.write_text(config.read_text().replace("as: eve", "as: eve\n    as-groups: [staff]"), encoding="utf-8")
    with pytest.raises(ClusterError, match="impersonates with as-groups"):
        Api(kubeconfig=config)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(config=with_a_change(CONFIG))
def test_a_kubeconfig_of_any_form_makes_a_client_or_an_error_that_shows_no_credential(
    config: Any, tmp_path: Path
) -> None:
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    shown = outcome(path)
    assert SECRET not in shown
    assert shown


def outcome(path: Path) -> str:
    """All that a person sees: the context, or the message and what to do."""
    try:
        return str(Api(kubeconfig=path).context())
    except ClusterError as refused:
        return str(refused) if refused.hint else ""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"users:\n- {{name: ada, user: {{token: '{SECRET}}}}}\n", r"it is not valid YAML"),
        ("a" * 10 + ": [" * 3000, r"its content is not that of a kubeconfig \(RecursionError\)|it is not valid YAML"),
        ("- a\n", "its content is not that of a kubeconfig"),
        ("", "no usable kubeconfig"),
    ],
    ids=["a quote that never ends", "deep", "a list", "empty"],
)
def test_a_file_that_is_no_kubeconfig_is_reported_without_its_content(text: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(text, encoding="utf-8")
    with pytest.raises(ClusterError, match=problem) as refused:
        Api(kubeconfig=tmp_path / "config")
    assert SECRET not in str(refused.value)


def test_a_password_in_the_servers_address_is_never_shown(tmp_path: Path) -> None:
    config = yaml.safe_load(yaml.safe_dump(CONFIG))
    config["clusters"][0]["cluster"]["server"] = f"http://ada:{SECRET}@127.0.0.1:9"
    (tmp_path / "config").write_text(yaml.safe_dump(config), encoding="utf-8")
    with pytest.raises(ClusterError, match="holds a user name or a password") as refused:
        Api(kubeconfig=tmp_path / "config")
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ({"command": "no-such-plugin", "args": [SECRET]}, "No such file or directory: 'no-such-plugin'"),
        ({"command": "false"}, "exec: process returned 1"),
        (
            {"command": "echo", "args": [f'{{"token": "{SECRET}"}}']},
            "exec: malformed response. missing key 'apiVersion'",
        ),
        ({"command": "echo", "env": [{"odd": SECRET}]}, "Expected key name"),
    ],
    ids=["missing", "fails", "another answer", "odd variables"],
)
def test_a_program_that_gives_no_credentials_is_an_error_and_its_log_shows_none(
    command: dict[str, Any], problem: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The client library logs the failure, with the user's entry, and asks without credentials."""
    config = yaml.safe_load(yaml.safe_dump(CONFIG))
    config["users"][0]["user"] = {"note": SECRET, "exec": {"apiVersion": "client.authentication.k8s.io/v1", **command}}
    (tmp_path / "config").write_text(yaml.safe_dump(config), encoding="utf-8")
    with pytest.raises(ClusterError, match="has no credentials") as refused:
        Api(kubeconfig=tmp_path / "config")
    assert problem in refused.value.message
    assert SECRET not in str(refused.value)
    assert capfd.readouterr() == ("", "")


def test_an_address_without_a_scheme_is_http_as_with_kubectl(api: FakeApi, tmp_path: Path) -> None:
    path = api.kubeconfig(tmp_path / "config")
    path.write_text(path.read_text(encoding="utf-8").replace("server: http://", "server: "), encoding="utf-8")
    assert Api(kubeconfig=path).get(PATH)["metadata"]["name"] == "frontend"


@pytest.mark.parametrize("server", ["ftp://cluster.example", "http://:80", "", "file:///etc/passwd"])
def test_an_address_that_is_no_url_is_refused(server: str, tmp_path: Path) -> None:
    config = yaml.safe_load(yaml.safe_dump(CONFIG))
    config["clusters"][0]["cluster"]["server"] = server
    (tmp_path / "config").write_text(yaml.safe_dump(config), encoding="utf-8")
    with pytest.raises(ClusterError, match="is not an http or https URL"):
        Api(kubeconfig=tmp_path / "config")


def test_no_proxy_of_the_environment_stands_before_this_machine(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kind cluster and a tunnel listen on loopback; kubectl goes past the proxy, too."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert Api(kubeconfig=api.kubeconfig(tmp_path / "config"), backoff=None).get("/version")["major"] == "1"
    monkeypatch.setenv("no_proxy", "a.example")
    known = Api(kubeconfig=api.kubeconfig(tmp_path / "config"), backoff=None).client.configuration.no_proxy
    assert known == "a.example,localhost,127.0.0.1,::1"
