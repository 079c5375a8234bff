"""The doctor says what is here and what is missing, and one broken thing hides no other."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mora import doctor, tools
from mora.config import Settings, load_settings
from mora.doctor import Check, State, examine
from mora.errors import SourceUnavailable
from tests.sources import rig


def found(checks: list[Check], name: str) -> list[Check]:
    return [check for check in checks if check.name == name]


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A folder with nothing in it, a user with no cluster and no sandbox."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("MORA_SANDBOX_HOME", str(tmp_path / "sandboxes"))
    return load_settings({"data_dir": tmp_path / "data", "models_dir": tmp_path / "models"}, {}, tmp_path)


def test_an_empty_folder_lacks_data_and_models_and_nothing_else(empty: Settings) -> None:
    checks = examine(empty)
    assert {check.name for check in checks if check.state is not State.OK} <= {"data", "models", "limits", "disk"}
    assert found(checks, "data")[0].remedy.endswith("mora collect --plan quick")
    assert found(checks, "models")[0].remedy.endswith("mora train frontend")
    assert "no cluster configured" in found(checks, "cluster")[0].words
    assert found(checks, "sandboxes") == [Check("sandboxes", State.OK, "none running")]


def test_whatever_is_amiss_comes_with_what_to_do(empty: Settings) -> None:
    assert all(check.remedy for check in examine(empty) if check.state is not State.OK)


def test_packages_and_programs_are_named_with_their_versions(empty: Settings) -> None:
    checks = examine(empty)
    assert "requirements.lock" in found(checks, "packages")[0].words
    for program in ("prometheus", "promtool", "kubectl"):
        assert found(checks, program)[0].words[0].isdigit()


def test_a_missing_program_is_named_with_its_package(empty: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(tools, "_FETCHED", empty.data_dir)
    checks = examine(empty)
    assert found(checks, "prometheus")[0].state is State.MISSING
    assert "kubernetes-client" in found(checks, "kubectl")[0].remedy


def test_a_program_that_does_not_run_is_said(empty: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "kubectl"
    broken.write_text("#!/bin/sh\necho no such thing >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (check,) = found(examine(empty), "kubectl")
    assert (check.state, "no such thing" in check.words) == (State.WARNING, True)


def test_a_package_that_is_not_as_locked_is_named(
    empty: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("typer==0.0.1\nno-such-package==1\nother-system==2 ; sys_platform == 'win32'\n")
    monkeypatch.setattr(doctor, "_LOCK", lock)
    missing, other = found(examine(empty), "packages")
    assert missing == Check("packages", State.MISSING, "not installed: no-such-package", "Run: make install")
    assert other.state is State.WARNING
    assert other.words.endswith("locked 0.0.1")


def test_without_a_lock_file_the_requirements_of_the_package_are_looked_for(
    empty: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_LOCK", tmp_path / "none")
    assert found(examine(empty), "packages")[0].state is State.OK


def test_a_url_where_no_prometheus_is_does_not_hide_the_rest(empty: Settings, tmp_path: Path) -> None:
    settings = load_settings({"prometheus_url": "http://127.0.0.1:9", "data_dir": empty.data_dir}, {}, tmp_path)
    checks = examine(settings)
    (check,) = found(checks, "metrics")
    assert (check.state, "cannot be reached" in check.words) == (State.MISSING, True)
    assert found(checks, "data")


def test_a_torn_data_file_is_named(empty: Settings) -> None:
    folder = empty.data_dir / "frontend"
    folder.mkdir(parents=True)
    (folder / "frontend_browsing_replicas_1_users_5.csv").write_text("experiment_id,service\n")
    (folder / "frontend_browsing_replicas_1_users_5.json").write_text("{}")
    (check,) = found(examine(empty), "data")
    assert check.state is State.MISSING
    assert "frontend_browsing_replicas_1_users_5" in check.words


def test_a_half_written_model_is_named(empty: Settings) -> None:
    folder = empty.models_dir / "frontend"
    folder.mkdir(parents=True)
    (folder / "card.json").write_text("{")
    (check,) = found(examine(empty), "models")
    assert check.state is State.MISSING


# --- metrics, from a real Prometheus ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One service's metrics of the last ten minutes, without node-exporter's memory."""
    now = float(int(time.time()))
    series = rig.cluster({"frontend": ("server",)}, start=now - 600, end=now, every=15)
    kept = [one for one in series if not one.metric.startswith("node_memory")]
    tsdb = rig.backfill(kept, tmp_path_factory.mktemp("doctor"))
    with rig.serve(tsdb) as url:
        yield url


def test_metrics_that_a_prometheus_does_not_have_are_named_with_their_exporter(prometheus: str) -> None:
    checks = doctor.metrics_at(prometheus, Settings())
    assert checks[0].words.startswith(f"{prometheus} answers, version 2.")
    amiss = {check.words.split()[0]: check for check in checks if check.state is not State.OK}
    assert set(amiss) == {
        "node_memory_MemAvailable_bytes",
        "node_memory_MemTotal_bytes",
        "kube_pod_container_status_last_terminated_reason",
    }
    assert "node-exporter" in amiss["node_memory_MemTotal_bytes"].remedy
    assert checks[-1].words == "15 of the 18 metrics that MOrA reads are there"


def test_the_metrics_that_are_asked_for_are_those_that_the_queries_read() -> None:
    from mora.domain import Workload
    from mora.sources.prometheus import promql

    texts = " ".join(promql.queries(Workload("shop", "frontend")).values())
    assert [signal.name for signal in doctor._SIGNALS if signal.name not in texts] == []


def test_an_empty_prometheus_is_missing_everything(tmp_path: Path) -> None:
    (tmp_path / "tsdb").mkdir()
    with rig.serve(tmp_path / "tsdb") as url:
        checks = doctor.metrics_at(url, Settings())
    assert checks[-1] == Check("metrics", State.MISSING, "0 of the 18 metrics that MOrA reads are there")


# --- cluster rights, asked by the real kubectl of a server that stands in for a cluster's API ------------------------


class ApiServer(BaseHTTPRequestHandler):
    """SelfSubjectAccessReview, and nothing else."""

    may: Callable[[dict[str, str]], bool]

    def do_POST(self) -> None:
        review = json.loads(self._body())
        assert self.path.startswith("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
        review["status"] = {"allowed": type(self).may(review["spec"]["resourceAttributes"])}
        body = json.dumps(review).encode()
        self.send_response(201)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> bytes:
        """kubectl streams what it reads from stdin in chunks: size in hex, bytes, an empty line; 0 ends it."""
        if "Content-Length" in self.headers:
            return self.rfile.read(int(self.headers["Content-Length"]))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def log_message(self, format: str, *args: object) -> None:
        return None


@contextmanager
def cluster_that_allows(may: Callable[[dict[str, str]], bool]) -> Iterator[str]:
    handler = type("Handler", (ApiServer,), {"may": staticmethod(may)})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def kubeconfig(path: Path, url: str) -> None:
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": {"server": url}}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "users": [{"name": "u", "user": {}}],
                "current-context": "c",
            }
        )
    )


def test_rights_that_the_cluster_refuses_are_named(
    empty: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    with cluster_that_allows(lambda asked: asked["verb"] == "list" and asked["namespace"] == "default") as url:
        kubeconfig(tmp_path / "kubeconfig", url)
        reading, scaling = found(examine(empty), "cluster")
    assert reading == Check("cluster", State.OK, "in namespace default: may read workloads")
    assert scaling.state is State.WARNING
    assert scaling.words.endswith("patch deployments.apps, patch deployments.apps/scale")
    assert "manifests" in scaling.remedy


def test_a_cluster_that_does_not_answer_is_said(
    empty: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    kubeconfig(tmp_path / "kubeconfig", "http://127.0.0.1:9")
    (check,) = found(examine(empty), "cluster")
    assert check.state is State.MISSING
    assert "kubectl cluster-info" in check.remedy


def test_a_prometheus_that_is_no_prometheus_is_said() -> None:
    with cluster_that_allows(lambda asked: False) as url, pytest.raises(SourceUnavailable):
        doctor.metrics_at(url, Settings())
