"""mora train, as a user runs it."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.running import interrupt, is_gone, reader_of, standing_still, start, until


def test_ctrl_c_stops_training_in_parallel(tmp_path: Path) -> None:
    files = [tmp_path / "data" / name / f"{name}_browsing_replicas_1_users_10.csv" for name in ("cart", "frontend")]
    for file in files:
        file.parent.mkdir(parents=True)
        file.touch()
    running = start("train", "--all", "--jobs", "2", cwd=tmp_path, **standing_still(tmp_path / "still"))
    readers = [reader_of(file) for file in files]
    interrupt(running)
    _, said = running.communicate(timeout=120)
    assert running.returncode == 130
    assert "Interrupted" in said
    until(lambda: all(is_gone(reader) for reader in readers), "the end of the workers")


def test_ctrl_c_while_training_leaves_the_old_model(home: Path) -> None:
    pointer = home / "models" / "frontend" / "versions.json"
    before = pointer.read_bytes()
    running = start("train", "frontend", "--seed", "5", cwd=home)
    assert running.stderr is not None
    assert running.stderr.readline()  # it trains: its first words are of that
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=120)
    assert running.returncode == 130
    assert "Interrupted" in said
    assert "Traceback" not in said
    assert pointer.read_bytes() == before
    assert sorted(path.name for path in (home / "models").iterdir()) == ["frontend"]
