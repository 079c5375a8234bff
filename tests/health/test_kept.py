"""Kept scores: a comparison goes on where it stopped, and believes no file that is not whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mora.errors import BadInput
from mora.health import kept as kept_module
from mora.health.contest import Scores, Task, entrant, run, run_task
from mora.health.kept import Kept
from tests.health.making import labelled_series

DETECTOR = entrant("robust-z", "detectors")
THRESHOLDS = [entrant("quantile", "thresholds")]


def test_what_was_scored_is_not_scored_again_and_gives_the_same(tmp_path: Path) -> None:
    series, kept = labelled_series(tmp_path), Kept(tmp_path / "kept")
    asked: list[int] = []

    def counting(tasks: Sequence[Task]) -> Iterable[tuple[Task, Scores]]:
        asked.append(len(tasks))
        return map(run_task, tasks)

    first = run(series[:1], [DETECTOR], THRESHOLDS, workers=counting, kept=kept)
    again = run(series, [DETECTOR], THRESHOLDS, workers=counting, kept=kept)
    assert asked == [1, 1]
    assert again[0] == first[0]


def test_a_failure_is_tried_again(tmp_path: Path) -> None:
    (one, _), kept = labelled_series(tmp_path), Kept(tmp_path / "kept")
    unknown = replace(one, frame=one.frame.assign(cpu=np.nan, latency=np.nan))
    (result,) = run([unknown], [DETECTOR], THRESHOLDS, kept=kept)
    assert result.failure
    assert list((tmp_path / "kept").iterdir()) == []


def test_other_samples_options_or_code_are_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (one, other), kept = labelled_series(tmp_path), Kept(tmp_path / "kept")
    task, scores = run_task(Task(DETECTOR, one))
    kept.save(task, scores)
    assert kept.load(Task(DETECTOR, other)) is None
    assert kept.load(Task(replace(DETECTOR, text="robust-z:a=1"), one)) is None
    odd = one.frame.copy()
    odd.loc[3, "cpu"] = 1.5
    assert kept.load(Task(DETECTOR, replace(one, frame=odd))) is None
    # Labels are no part of it: a detector never sees them.
    assert kept.load(Task(DETECTOR, replace(one, labels=~one.labels))) is not None
    monkeypatch.setattr(kept_module, "code_of", lambda seam, name: "changed")
    assert kept.load(task) is None


def test_a_file_that_is_cut_or_forged_is_scored_anew(tmp_path: Path) -> None:
    (one, _), folder = labelled_series(tmp_path), tmp_path / "kept"
    kept = Kept(folder)
    task, scores = run_task(Task(DETECTOR, one))
    kept.save(task, scores)
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"\x80\x04N."):
        path.write_bytes(content)
        assert kept.load(task) is None
    np.savez(path, judge=np.zeros(3), calibrate=np.zeros(3), seconds=np.zeros(2), failure=np.array(""))
    assert kept.load(task) is None
    path.write_bytes(whole)
    found = kept.load(task)
    assert found is not None
    np.testing.assert_array_equal(found.judge, scores.judge)


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="--cache"):
        Kept(tmp_path / "file" / "kept")
