"""mora train, as a user runs it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.running import interrupt, is_closed, start, when_read


def test_ctrl_c_stops_training_in_parallel(tmp_path: Path) -> None:
    pipes = [tmp_path / "data" / name / f"{name}_browsing_replicas_1_users_10.csv" for name in ("cart", "frontend")]
    for pipe in pipes:
        pipe.parent.mkdir(parents=True)
        os.mkfifo(pipe)
    running = start("train", "--all", "--jobs", "2", cwd=tmp_path)
    writing = [when_read(pipe) for pipe in pipes]
    interrupt(running)
    _, said = running.communicate(timeout=120)
    assert running.returncode == 130
    assert "Interrupted" in said
    for descriptor in writing:
        assert is_closed(descriptor)
        os.close(descriptor)


def test_ctrl_c_while_training_leaves_the_old_model(home: Path) -> None:
    card = home / "models" / "frontend" / "card.json"
    before = card.read_bytes()
    running = start("train", "frontend", "--seed", "5", cwd=home)
    assert running.stderr is not None
    assert running.stderr.readline()  # it trains: its first words are of that
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=120)
    assert running.returncode == 130
    assert "Interrupted" in said
    assert "Traceback" not in said
    assert card.read_bytes() == before
    assert sorted(path.name for path in (home / "models").iterdir()) == ["frontend"]
