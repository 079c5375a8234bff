"""Workers of a run end with it, however it ends, and keep their temporary files in its folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mora import workers
from mora.files import scratch_folder
from tests.running import until

ROOT = Path(__file__).resolve().parents[1]


def doubled(number: int) -> tuple[int, int, str]:
    return 2 * number, os.getpid(), tempfile.gettempdir()


def test_tasks_run_in_processes_of_their_own_with_the_runs_temporary_folder() -> None:
    with scratch_folder("test") as folder:
        found = list(workers.run(doubled, [(1,), (2,), (3,)], jobs=2, folder=folder))
    assert sorted(value for value, _, _ in found) == [2, 4, 6]
    assert os.getpid() not in {pid for _, pid, _ in found}
    assert {where for _, _, where in found} == {str(folder)}
    assert not folder.exists()


_PARENT = """
import os, sys, time
from pathlib import Path
from mora import workers
from mora.files import scratch_folder

def stay(number):
    Path(os.environ["PIDS"], str(os.getpid())).touch()
    time.sleep(600)

os.environ["PIDS"] = sys.argv[1]
with scratch_folder("test-killed") as folder:
    list(workers.run(stay, [(1,), (2,)], jobs=2, folder=folder))
"""


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_workers_end_and_their_files_are_swept_after_the_run_was_killed(tmp_path: Path) -> None:
    pids, temporary = tmp_path / "pids", tmp_path / "tmp"
    pids.mkdir()
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen([sys.executable, "-c", _PARENT, str(pids)], env=environment)
    try:
        until(lambda: len(list(pids.iterdir())) == 2, "both workers run")
        found = [int(path.name) for path in pids.iterdir()]
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    until(lambda: not any(map(is_running, found)), "the workers have ended")
    assert [path.name.rpartition("-")[0] for path in temporary.iterdir()] == ["mora-test-killed"]
    sweeping = "from mora.files import scratch_folder\nwith scratch_folder('test-killed'): pass"
    subprocess.run([sys.executable, "-c", sweeping], env=environment, check=True)
    assert list(temporary.iterdir()) == []
