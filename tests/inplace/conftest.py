"""A namespace `shop` with a Deployment `web` of three pods on a strict API server, and the loop that resizes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clusters.fake_api import FakeApi, FakeCluster, serving
from tests.inplace.rig import Rig, add_workload


@pytest.fixture
def api() -> Iterator[FakeApi]:
    cluster = FakeCluster(version="1.35.0")
    add_workload(cluster)
    with serving(cluster) as server:
        yield server


@pytest.fixture
def rig(api: FakeApi, tmp_path: Path) -> Iterator[Rig]:
    made = Rig(api, tmp_path)
    yield made
    made.close()
