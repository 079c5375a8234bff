"""Kept answers: a contest goes on where it stopped, and believes no file that is not whole or not of this."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mora.contest import evaluate
from mora.contest import kept as room
from mora.contest.entrants import entrant
from mora.contest.kept import Kept
from mora.contest.run import Answered, Task, run_task
from mora.errors import BadInput
from tests.contest.making import Constant, wave

TASK = Task(entrant("naive"), wave(8.0), 3600.0, 0)


def test_a_contest_that_was_stopped_goes_on(tmp_path: Path) -> None:
    kept, asked = Kept(tmp_path / "kept"), 0

    def stopping(tasks: Sequence[Task]) -> Iterator[tuple[Task, Answered]]:
        nonlocal asked
        for number, task in enumerate(tasks):
            if number == 1:
                raise KeyboardInterrupt
            asked += 1
            yield run_task(task)

    def counting(tasks: Sequence[Task]) -> Iterator[tuple[Task, Answered]]:
        nonlocal asked
        asked += len(tasks)
        return map(run_task, tasks)

    with pytest.raises(KeyboardInterrupt):
        evaluate(wave(8.0), ["naive"], [3600.0], workers=stopping, kept=kept)
    whole = evaluate(wave(8.0), ["naive"], [3600.0], workers=counting, kept=kept)
    assert asked == 2
    fresh = evaluate(wave(8.0), ["naive"], [3600.0])
    np.testing.assert_array_equal(whole[0].answers["naive"].mean, fresh[0].answers["naive"].mean)


def test_only_what_was_asked_in_the_same_way_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(tmp_path)
    kept.save(TASK, run_task(TASK)[1])
    assert kept.load(TASK) is not None
    other = wave(8.0, seed=1)
    for task in (
        replace(TASK, fold=1),
        replace(TASK, folds=3),
        replace(TASK, horizon_seconds=7200.0),
        replace(TASK, window_seconds=86_400.0),
        replace(TASK, seed=1),
        replace(TASK, history=other),
    ):
        assert kept.load(task) is None
    monkeypatch.setattr(room, "_code_of", lambda seam, name: "changed")
    assert kept.load(TASK) is None


def test_an_object_is_known_by_no_name_and_never_kept(tmp_path: Path) -> None:
    kept, task = Kept(tmp_path), replace(TASK, entrant=replace(TASK.entrant, made=Constant(1.0)))
    kept.save(task, run_task(task)[1])
    assert kept.load(task) is None
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_cut_or_forged_is_asked_anew(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    answered = run_task(TASK)[1]
    kept.save(TASK, answered)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"no archive"):
        path.write_bytes(content)
        assert kept.load(TASK) is None
    wrong = {target.value: levels[:-1] for target, levels in answered.levels.items()}
    for arrays in ({**wrong, "took": np.zeros(3)}, {"took": np.zeros(3)}, {**wrong}):
        np.savez_compressed(path, **arrays)
        assert kept.load(TASK) is None
    path.write_bytes(whole)
    assert kept.load(TASK) is not None


def test_the_oldest_files_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(tmp_path)
    answered = run_task(TASK)[1]
    for fold in range(3):
        kept.save(replace(TASK, fold=fold), answered)
    monkeypatch.setattr(room, "_MOST_FILES", 2)
    kept.make_room()
    assert len(list(tmp_path.glob("*.npz"))) == 2


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="--cache"):
        Kept(tmp_path / "file" / "kept")
