"""The suite against whatever $KUBECONFIG points at: KUBECONFIG=... pytest -m cluster. It changes a cluster, so it is
never run by chance: it has to be asked for by the marker, whatever $KUBECONFIG says.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.live import suite

pytestmark = pytest.mark.cluster


@pytest.fixture
def kubeconfig(request: pytest.FixtureRequest) -> str:
    chosen = str(request.config.getoption("markexpr", default=""))
    is_asked_for = "cluster" in chosen and "not cluster" not in chosen
    found = os.environ.get("KUBECONFIG")
    if not is_asked_for or not found:
        pytest.skip("needs a cluster that may be changed: KUBECONFIG=... pytest -m cluster")
    return found


@pytest.mark.parametrize("name", suite.CHECKS)
def test_on_the_cluster(name: str, kubeconfig: str, tmp_path: Path) -> None:
    suite.run(name, kubeconfig, tmp_path)
