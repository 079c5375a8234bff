"""One run a data folder at a time: held by the kernel, so let go however a run ends."""

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
    print("held", flush=True)
    time.sleep(60)
"""


def test_two_runs_on_one_folder_do_not_mix_and_the_second_is_told_whose_it_is(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(MoraError, match=rf"process {holder.pid}\)(.|\n)*--data"), locked(tmp_path):
            pytest.fail("held twice")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with locked(tmp_path):  # the kernel let go
            assert (tmp_path / ".runs/lock").read_text() == f"{os.getpid()}\n"


def test_the_lock_is_let_go_when_a_run_ends_or_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(tmp_path):
        raise KeyError
    with locked(tmp_path):
        pass


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MoraError, match="Cannot write"), locked(tmp_path / "file"):
        pytest.fail("locked")
