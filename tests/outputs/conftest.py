"""A strict API server that printed scripts are run against, with a real kubectl."""

from __future__ import annotations

import os
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clusters.fake_api import FakeApi, FakeCluster, serving
from tests.clusters.tls import make_certificate
from tests.outputs import kubectl

NEWEST = kubectl.newest()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def api(certificate: tuple[Path, ssl.SSLContext], tmp_path: Path) -> Iterator[FakeApi]:
    with serving(FakeCluster(version="1.35.0"), tls=certificate[1]) as server:
        # kubectl sends its token to a server behind TLS alone.
        server.kubeconfig(tmp_path / "kubeconfig", cluster={"certificate-authority": str(certificate[0])})
        yield server


def run_script(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A shell script with the newest real kubectl, against the API server of `folder`."""
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    if not (tools / "kubectl").exists():
        (tools / "kubectl").symlink_to(NEWEST.path)
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(folder)}
    environment["KUBECONFIG"] = str(folder / "kubeconfig")
    return subprocess.run(
        ["sh"], input=script, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
