"""The programs of faults, alone: they take what they are told, and end by themselves."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path

from mora.sandbox.launch import package_root, python_command
from mora.sandbox.stress import FILLING, burn, fill
from tests.running import until


def test_a_burner_takes_about_its_share_and_ends_at_its_time() -> None:
    shares = []
    for share in (0.2, 0.6):
        began, cpu = time.monotonic(), time.thread_time()
        burn(began + 0.5, share)
        assert time.monotonic() >= began + 0.5
        shares.append((time.thread_time() - cpu) / (time.monotonic() - began))
    assert 0 < shares[0] < 0.3, "no more than it was told, however busy the machine is"
    assert 0 < shares[1] < 0.7


def test_a_filler_fills_what_is_left_and_deletes_it_at_its_end(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(bytes(1000))
    filler = threading.Thread(target=fill, args=(time.monotonic() + 1.0, tmp_path, 600_000))
    filler.start()
    until(lambda: (tmp_path / FILLING).exists() and (tmp_path / FILLING).stat().st_size == 599_000, "a full volume")
    filler.join()
    assert [path.name for path in tmp_path.iterdir()] == ["journal"]


def test_as_a_program_it_ends_at_a_time_that_has_passed(tmp_path: Path) -> None:
    for words in (["burn", "0", "1"], ["fill", "0", str(tmp_path), "10"]):
        done = subprocess.run([*python_command("mora.sandbox.stress"), *words], cwd=package_root(), check=False)
        assert done.returncode == 0
    assert list(tmp_path.iterdir()) == []
