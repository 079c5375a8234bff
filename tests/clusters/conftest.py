"""A fake API server behind TLS, and the real kubectl that talks to it."""

from __future__ import annotations

import os
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clusters.fake_api import FakeApi, FakeCluster, serving
from tests.clusters.tls import make_certificate
from tests.outputs.kubectl import newest

# Since then kubectl leaves validation to the server, and looks for that in OpenAPI v3.
_SERVER_SIDE_VALIDATION_MINOR = 27


class Kubectl:
    """The real kubectl with a kubeconfig of its own; its caches stay in `home`."""

    def __init__(self, kubeconfig: Path, home: Path) -> None:
        self._environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "HOME": str(home)}

    def __call__(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(newest().path), *arguments],
            env=self._environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def modern_kubectl() -> None:
    """Skips where every kubectl validates and rehearses by an OpenAPI v2 in protobuf, which the fake has not."""
    if newest().minor < _SERVER_SIDE_VALIDATION_MINOR:
        pytest.skip(f"kubectl {newest().version} asks for OpenAPI v2; the fake API server speaks with 1.27 and later")


@pytest.fixture
def api(fake: FakeCluster) -> Iterator[FakeApi]:
    """A server of the cluster that a test module names `fake`."""
    with serving(fake) as server:
        yield server


@pytest.fixture
def tls_cluster() -> FakeCluster:
    return FakeCluster(version="1.35.0")  # the first that lowers memory in place


@pytest.fixture
def tls_api(tls_cluster: FakeCluster, certificate: tuple[Path, ssl.SSLContext]) -> Iterator[FakeApi]:
    with serving(tls_cluster, tls=certificate[1]) as server:
        yield server


@pytest.fixture
def kubectl(
    modern_kubectl: None, tls_api: FakeApi, certificate: tuple[Path, ssl.SSLContext], tmp_path: Path
) -> Kubectl:
    trust = {"certificate-authority": str(certificate[0])}
    return Kubectl(tls_api.kubeconfig(tmp_path / "kubeconfig", cluster=trust), tmp_path)
