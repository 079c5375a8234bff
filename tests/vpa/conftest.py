"""A real Prometheus with days of history of a few Deployments, and an API server that has them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.clusters.fake_api import FakeCluster
from tests.fleet.many import Truth, write_fleet
from tests.running import clean_environment
from tests.sources.rig import serve
from tests.vpa.fake_vpa import FakeVpaApi, serving

DAYS = 3.0


@dataclass
class Fleet:
    """What each workload of team-000 really used, and the Prometheus that knows."""

    truths: dict[str, Truth]
    url: str


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    start = datetime.now(UTC).timestamp() - DAYS * 86_400
    truths = write_fleet(3, start, DAYS, folder / "tsdb", seed=3)
    with serve(folder / "tsdb") as url:
        yield Fleet({truth.name: truth for truth in truths}, url)


def deployment(name: str) -> dict[str, Any]:
    labels = {"app": name}
    container = {"name": "server", "image": "shop/server:1", "resources": {"requests": {"cpu": "4", "memory": "8Gi"}}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "team-000"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


@pytest.fixture
def cluster(fleet: Fleet) -> Iterator[FakeVpaApi]:
    workloads = FakeCluster()
    for name in fleet.truths:
        workloads.add(deployment(name))
    with serving(workloads) as server:
        yield server


def environment(cluster: FakeVpaApi, folder: Path, **variables: str) -> dict[str, str]:
    """A process's environment: the cluster, and none of the settings of the user who runs the tests."""
    kubeconfig = str(cluster.kubeconfig(folder / "kubeconfig"))
    return {**clean_environment(), "KUBECONFIG": kubeconfig, "OMP_NUM_THREADS": "1", **variables}
