"""Settings of a user who has nothing yet: no data, no models, no cluster, no sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from mora.config import load_settings
from mora.settings import Settings


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An empty folder, which is the home as well."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("MORA_SANDBOX_HOME", str(tmp_path / "sandboxes"))
    return load_settings({"data_dir": tmp_path / "data", "models_dir": tmp_path / "models"}, {}, tmp_path)
