"""What holds for every test: examples that hypothesis draws are the same on every run and machine; none is timed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("mora", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("mora")

# A shell lets what it starts in the background ignore Ctrl-C, and so would all that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_queries_left() -> Iterator[None]:
    """Queries that nobody waits for any more end before the next test: their retries draw from Python's `random`.

    Hypothesis takes that for a strategy that does, and fails whichever test runs then.
    """
    yield
    for thread in threading.enumerate():
        if thread.name.startswith(("mora-prometheus", "mora-ahead")):
            thread.join(timeout=60)


@pytest.fixture(scope="session")
def trained_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The load experiments of one service (data/) and its model (models/), to be copied: trained once for all rooms."""
    from mora import dataset, pipeline
    from mora.forecasters.keras_fit import LstmSettings
    from mora.model import TrainSettings
    from tests.fakes_learning import driven

    folder = tmp_path_factory.mktemp("trained-home")
    frame, cards = driven()
    for name, rows in frame.groupby("experiment_id"):
        dataset.write_experiment(folder / "data", rows.reset_index(drop=True), cards[str(name)])
    quick = TrainSettings(options={"lstm": LstmSettings(max_epochs=4)})
    pipeline.train("frontend", data_dir=folder / "data", models_dir=folder / "models", settings=quick)
    return folder


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB, to be filled; skipped where none can be mounted."""
    with _disk(tmp_path, "64k") as folder:
        yield folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB, for what needs some space before it is filled; skipped where none can be mounted."""
    with _disk(tmp_path, "512k") as folder:
        yield folder


@contextmanager
def _disk(tmp_path: Path, size: str) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = os.geteuid() == 0 and shutil.which("mount") is not None
    if mounted:
        mounted = not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=False, capture_output=True
        ).returncode
    if not mounted:
        pytest.skip("a tmpfs cannot be mounted here: not root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def leave_free(disk: Path, count: int) -> None:
    """Fill a small disk up to `count` bytes, rounded down to its pages."""
    page = os.statvfs(disk).f_bsize
    with (disk / "fill").open("wb") as file:
        file.write(bytes(os.statvfs(disk).f_bavail * page - count // page * page))


# Files that mostly wait, for real sandboxes and loads, the longest first. The workers of `make test` get files in order
# (--no-loadscope-reorder): one of these now and then, early, so that the other workers compute meanwhile and none of
# them is still waited for when everything else is done.
_MOSTLY_WAITING = (
    "tests/demo/test_run.py",
    "tests/pipeline/test_chaos.py",
    "tests/sandbox/test_health_alert.py",
    "tests/harness/test_experiment_on_sandbox.py",
    "tests/cli/test_collect_kubernetes.py",
    "tests/optimize/test_on_sandbox.py",
    "tests/scaleout/test_backend.py",
    "tests/sandbox/test_supervisor.py",
    "tests/sandbox/test_enforcement.py",
    "tests/cli/test_serve.py",
)
_FILES_BETWEEN = 25


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A doctest that trains a model is as slow as any other test that does; what mostly waits is begun early."""
    by_file: dict[str, list[pytest.Item]] = {}
    for item in items:
        if isinstance(item, pytest.DoctestItem) and item.name == "mora.pipeline":
            item.add_marker("slow")
        by_file.setdefault(item.nodeid.partition("::")[0], []).append(item)
    files = [name for name in by_file if name not in _MOSTLY_WAITING]
    for number, name in enumerate(name for name in _MOSTLY_WAITING if name in by_file):
        files.insert(number * (_FILES_BETWEEN + 1), name)
    items[:] = [item for name in files for item in by_file[name]]
