"""A study is a SQLite file: what is wrong with it is said in words, and an interrupted one goes on."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from mora.domain.learning import Knob
from mora.errors import MoraError
from mora.tuning import study as room
from mora.tuning.study import opened

KNOBS = {"depth": Knob(1, 6, is_whole=True), "rate": Knob(0.01, 1.0, is_log=True)}
USUAL = {"depth": 3, "rate": 0.1}


def test_the_default_comes_first_then_what_is_asked_for_then_draws(tmp_path: Path) -> None:
    earlier = {"depth": 5, "rate": 0.2}
    with opened(tmp_path / "a b?c%20" / "study.db", "trees", KNOBS, USUAL, seed=3) as study:
        assert study.begin([earlier]) == 0
        asked = [study.ask() for _ in range(6)]
        assert [options for _, options in asked[:2]] == [USUAL, earlier]
        assert all(knob.holds(options[name]) for _, options in asked for name, knob in KNOBS.items())
        for number, options in asked:
            study.tell(number, float(options["depth"]), [float(options["depth"])])
        assert study.tried()[0].value == min(options["depth"] for _, options in asked)
        assert study.default() == room.Tried(USUAL, 3.0, [3.0])
        assert study.counts == {"complete": 6, "pruned": 0, "failed": 0, "running": 0}
    assert [path.name for path in tmp_path.iterdir()] == ["a b?c%20"]


def test_a_default_whose_trial_was_killed_is_tried_again_first(tmp_path: Path) -> None:
    """An earlier find that was waiting behind it does not come in its place."""
    earlier = {"depth": 5, "rate": 0.2}
    with opened(tmp_path / "study.db", "trees", KNOBS, USUAL, seed=0) as study:
        study.begin([earlier])
        study.ask()  # and the process is killed
    with opened(tmp_path / "study.db", "trees", KNOBS, USUAL, seed=0) as study:
        assert study.begin([earlier]) == 1
        asked = [study.ask() for _ in range(2)]
        assert [options for _, options in asked] == [USUAL, earlier]
        study.tell(asked[0][0], 1.0, [1.0])
        assert study.default() == room.Tried(USUAL, 1.0, [1.0])


def test_a_study_that_another_process_holds_is_an_error_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_WAIT_SECONDS", 0.05)
    path = tmp_path / "study.db"
    with opened(path, "trees", KNOBS, USUAL, seed=0) as study:
        study.begin()
        number, _ = study.ask()
        study.tell(number, 1.0, [1.0])
    other = sqlite3.connect(path)
    try:
        other.execute("BEGIN EXCLUSIVE")
        with (
            pytest.raises(MoraError, match=r"study\.db is locked by another process") as raised,
            opened(path, "trees", KNOBS, USUAL, seed=0) as study,
        ):
            study.ask()
        assert "mora train --tune of this service" in str(raised.value.hint)
    finally:
        other.close()
    with opened(path, "trees", KNOBS, USUAL, seed=0) as study:
        assert study.default() == room.Tried(USUAL, 1.0, [1.0])


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    path.write_bytes(b"no database at all, but long enough to be looked at" * 40)
    with (
        pytest.raises(MoraError, match="is no SQLite database") as raised,
        opened(path, "trees", KNOBS, USUAL, seed=0),
    ):
        pass
    assert "Move it away" in str(raised.value.hint)
    assert path.read_bytes().startswith(b"no database")
