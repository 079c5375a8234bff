"""The suite that a real cluster has to pass (tests/live), against the strict fake, asked by the real kubectl."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from tests.clusters.fake_api import FakeApi, FakeCluster
from tests.live import suite


@pytest.mark.parametrize("name", suite.CHECKS)
def test_on_the_fake(
    name: str,
    modern_kubectl: None,
    tls_api: FakeApi,
    tls_cluster: FakeCluster,
    certificate: tuple[Path, ssl.SSLContext],
    tmp_path: Path,
) -> None:
    trust = {"certificate-authority": str(certificate[0])}
    kubeconfig = tls_api.kubeconfig(tmp_path / "kubeconfig", cluster=trust)
    suite.run(name, str(kubeconfig), tmp_path)
    left = [key for key in tls_cluster.objects if "mora-test" in f"{key[1]}{key[2]}" or key[0].startswith("custom")]
    assert left == [], "the suite leaves nothing behind"
