"""One experiment on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dataset.making import make_frame, write


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return write(tmp_path, make_frame())
