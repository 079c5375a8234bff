"""What the commands are tried on: the cluster and the history that the VPA recommender's tests use."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.vpa.conftest import cluster, fleet

__all__ = ["cluster", "fleet"]


@pytest.fixture(scope="session")
def home(trained_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the driven data of one service, and its model."""
    return shutil.copytree(trained_home, tmp_path_factory.mktemp("home"), dirs_exist_ok=True)
