"""One run in a data folder at a time: a file lock, which the kernel releases however a run ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mora.errors import MoraError
from mora.harness.ledger import locked

_HOLDER = """
import sys, time
from pathlib import Path
from mora.harness.ledger import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""


def test_a_second_run_in_a_folder_is_refused_with_the_process_of_the_first(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(MoraError, match=rf"process {holder.pid}\)(.|\n)*--data"), locked(tmp_path):
            pytest.fail("locked twice")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with locked(tmp_path):  # the kernel released it
            assert (tmp_path / ".runs/lock").read_text() == f"{os.getpid()}\n"


def test_the_lock_is_released_when_a_run_ends_or_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(tmp_path):
        raise KeyError
    with locked(tmp_path):
        pass


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MoraError, match="Cannot write"), locked(tmp_path / "file"):
        pytest.fail("locked")


@pytest.mark.parametrize("planted", [".runs/lock", ".runs"])
def test_a_planted_link_is_refused_and_its_target_stays(planted: str, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    if planted == ".runs":
        victim.mkdir()
    else:
        victim.write_text("mine")
    link = tmp_path / "data" / planted
    link.parent.mkdir(parents=True)
    link.symlink_to(victim)
    with pytest.raises(MoraError, match=r"a link or a device\.\nDelete it"), locked(tmp_path / "data"):
        pytest.fail("locked through a link")
    assert list(victim.iterdir()) == [] if victim.is_dir() else victim.read_text() == "mine"
