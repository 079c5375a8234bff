"""Errors of the connection to a Kubernetes API say what happened, why, and what to do."""

from __future__ import annotations

import ssl
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

from mora.clusters.connection import MERGE, Api, Forbidden, NotFound
from mora.errors import ClusterError
from tests.clusters.fake_api import FakeApi, FakeCluster, serving
from tests.clusters.test_kubernetes import deployment
from tests.running import answering

PATH = "/apis/apps/v1/namespaces/shop/deployments/frontend"
MOMENT = timedelta(milliseconds=1)


@pytest.fixture
def fake() -> FakeCluster:
    cluster = FakeCluster()
    cluster.add(deployment("frontend"))
    return cluster


def connect(api: FakeApi, folder: Path, **options: str) -> Api:
    return Api(kubeconfig=api.kubeconfig(folder / "config", **options), backoff=MOMENT)  # type: ignore[arg-type]  # texts


def test_an_expired_token_is_reported(api: FakeApi, fake: FakeCluster, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="rejects these credentials") as told:
        connect(api, tmp_path, token="old").get(PATH)
    assert "expired" in str(told.value.hint)
    assert len(fake.sent) == 1, "a refusal is not asked for again"


@pytest.mark.parametrize(("verb", "folder"), [("get", "manifests/base"), ("patch", "manifests/collect")])
def test_a_forbidden_verb_is_reported_with_the_rule_that_allows_it(
    api: FakeApi, fake: FakeCluster, tmp_path: Path, verb: str, folder: str
) -> None:
    fake.forbidden = {(verb, "deployments")}
    asked = connect(api, tmp_path)
    method = {"get": "GET", "patch": "PATCH"}[verb]
    with pytest.raises(Forbidden) as told:
        asked.send(method, PATH, {}, content_type="application/merge-patch+json")
    assert f'cannot {verb} resource "deployments" in API group "apps" in the namespace "shop"' in told.value.message
    assert f'{{apiGroups: ["apps"], resources: ["deployments"], verbs: ["{verb}"]}}' in str(told.value.hint)
    assert folder in str(told.value.hint)


def test_an_api_that_does_not_answer_is_reported_with_its_address(api: FakeApi, tmp_path: Path) -> None:
    down = Api(kubeconfig=api.kubeconfig(tmp_path / "config", port=9), backoff=MOMENT)
    with pytest.raises(ClusterError, match=r"http://127.0.0.1:9 cannot be reached: Connection refused"):
        down.get(PATH)


def test_a_certificate_of_an_unknown_authority_is_reported(
    fake: FakeCluster, certificate: tuple[Path, ssl.SSLContext], tmp_path: Path
) -> None:
    with serving(fake, tls=certificate[1]) as secure:
        with pytest.raises(
            ClusterError, match=r"TLS certificate of the API server .* cannot be trusted: certificate verify failed"
        ):
            Api(kubeconfig=secure.kubeconfig(tmp_path / "config"), backoff=MOMENT).get(PATH)
        trust = {"certificate-authority": str(certificate[0])}
        trusting = Api(kubeconfig=secure.kubeconfig(tmp_path / "trusting", cluster=trust), backoff=MOMENT)
        assert trusting.get(PATH)["metadata"]["name"] == "frontend"


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_tried_again_and_reported_if_it_stays_busy(
    api: FakeApi, fake: FakeCluster, tmp_path: Path, status: int
) -> None:
    asked = connect(api, tmp_path)
    fake.failures = [(status, 0), (status, None), (status, None)]
    assert asked.get(PATH)["metadata"]["name"] == "frontend"
    assert len(fake.sent) == 4
    fake.failures = [(status, None)] * 5
    with pytest.raises(ClusterError, match=f"answered {status} at every try"):
        asked.get(PATH)
    assert len(fake.sent) == 9
    fake.failures = [(status, None)]
    asked.send("PATCH", PATH, {"spec": {"replicas": 7}}, content_type="application/merge-patch+json")
    assert fake.get("Deployment", "frontend")["spec"]["replicas"] == 7


def test_another_server_at_that_address_is_reported(tmp_path: Path) -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the library's name
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>log in</html>")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with answering(HTTPServer(("127.0.0.1", 0), Page)) as server:
        fake = FakeApi(FakeCluster())
        kubeconfig = fake.kubeconfig(tmp_path / "config", port=server.server_port)
        fake.server_close()
        with pytest.raises(ClusterError, match="does not answer like a Kubernetes API server"):
            Api(kubeconfig=kubeconfig, backoff=MOMENT).get(PATH)


def test_an_object_that_does_not_exist_is_an_error_of_its_own(api: FakeApi, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="not found"):
        connect(api, tmp_path).get(PATH + "s")


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\n\n"])
@pytest.mark.parametrize("way", ["token", "tokenFile"])
def test_a_token_that_ends_in_a_newline_is_sent_without_it(
    api: FakeApi, tmp_path: Path, newline: str, way: str
) -> None:
    value = f"{FakeApi.TOKEN}{newline}"
    if way == "tokenFile":
        (tmp_path / "token").write_text(value, encoding="utf-8", newline="")
        value = str(tmp_path / "token")
    assert Api(kubeconfig=with_user(api, tmp_path, {way: value})).get(PATH)["metadata"]["name"] == "frontend"


@pytest.mark.parametrize("token", ["s3cret\nHost: x", "s3cret\x00", "s3cret€"])
@pytest.mark.parametrize("way", ["token", "tokenFile"])
def test_a_token_that_no_header_can_carry_is_refused_and_never_shown(
    api: FakeApi, fake: FakeCluster, tmp_path: Path, token: str, way: str
) -> None:
    if way == "tokenFile":
        (tmp_path / "token").write_text(token, encoding="utf-8")
    user = {way: str(tmp_path / "token") if way == "tokenFile" else token}
    with pytest.raises(ClusterError, match="authorization header contains a line break") as refused:
        Api(kubeconfig=with_user(api, tmp_path, user)).get(PATH)
    assert "s3cret" not in f"{refused.value!r} {refused.value.__cause__!r} {refused.value.__context__!r}"
    assert fake.sent == []


def with_user(api: FakeApi, folder: Path, user: dict[str, str]) -> Path:
    """A kubeconfig whose user has these credentials."""
    path = api.kubeconfig(folder / "config")
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["users"][0]["user"] = user
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def test_what_is_written_carries_the_field_manager_mora(api: FakeApi, fake: FakeCluster, tmp_path: Path) -> None:
    connect(api, tmp_path).send("PATCH", PATH, {"spec": {"replicas": 7}}, content_type=MERGE)
    assert fake.sent[-1].query["fieldManager"] == "mora"


def test_without_a_backoff_nothing_is_tried_again(api: FakeApi, fake: FakeCluster, tmp_path: Path) -> None:
    asked = Api(kubeconfig=api.kubeconfig(tmp_path / "config"), backoff=None)
    fake.failures = [(503, None)]
    with pytest.raises(ClusterError, match="answered 503"):
        asked.get(PATH)
    assert len(fake.sent) == 1
