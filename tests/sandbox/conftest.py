"""One running sandbox for the tests of this folder; every test gets it as it ships."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import mora.sandbox
from mora.sandbox import SandboxHandle
from mora.sandbox.spec import SERVICES


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxHandle]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MORA_SANDBOX_HOME", str(tmp_path_factory.mktemp("sandboxes")))
        handle = mora.sandbox.start("test")
        yield handle
        handle.down()


@pytest.fixture
def sandbox(running: SandboxHandle) -> Iterator[SandboxHandle]:
    """The running sandbox; a test may scale and resize it."""
    yield running
    for spec in SERVICES:
        running.set_resources(spec.name, spec.resources)
    running.scale({spec.name: 1 for spec in SERVICES})
    running.wait_ready()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for sandboxes that a test starts itself."""
    folder = tmp_path / "home"
    monkeypatch.setenv("MORA_SANDBOX_HOME", str(folder))
    return folder
