"""Scores of earlier comparisons, in a folder: one file of plain arrays for each detector and series.

A file's name holds a digest of everything that its scores depend on: the samples, the detector's options, and the code
of the detector with all of MOrA's modules that it imports. A change of another detector leaves it valid.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path

import numpy as np

from mora.code_digest import code_of
from mora.files import made_folder
from mora.health.contest import Keeps, Scores, Task
from mora.health.labelled import LabelledSeries

# Scores of no series need more.
_MOST_BYTES = 256 * 2**20


class Kept(Keeps):
    """The folder is made; BadInput where it cannot be."""

    def __init__(self, folder: Path) -> None:
        self._folder = made_folder(folder, "Scores")

    def load(self, task: Task) -> Scores | None:
        """None where there is no whole file of this task."""
        path = self._path(task)
        judged, calibrated = (_length(part) for part in (task.series.judge, task.series.calibrate))
        try:
            if path.stat().st_size > _MOST_BYTES:
                return None
            # np.load itself leaves a file open that it cannot read.
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                judge, calibrate, seconds = file["judge"], file["calibrate"], file["seconds"]
                failure = str(file["failure"])
        # np.load raises what zipfile and its own header reader do.
        except Exception:
            return None
        is_whole = judge.shape == (judged,) and calibrate.shape == (calibrated,)
        if seconds.shape != (2,) or not (is_whole or failure):
            return None
        return Scores(calibrate, judge, float(seconds[0]), float(seconds[1]), failure)

    def save(self, task: Task, scores: Scores) -> None:
        """Completely or not at all."""
        path = self._path(task)
        handle, name = tempfile.mkstemp(dir=self._folder, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez_compressed(
                    file,
                    judge=scores.judge,
                    calibrate=scores.calibrate,
                    seconds=np.array([scores.fit_seconds, scores.score_seconds]),
                    failure=np.array(scores.failure),
                )
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _path(self, task: Task) -> Path:
        entrant, series = task.detector, task.series
        made = hashlib.sha256(f"{entrant.text}\n{code_of('detectors', entrant.name)}\n".encode())
        made.update(_digest(series).encode())
        name = re.sub(r"[^A-Za-z0-9.-]+", "_", f"{entrant.text}-{series.name}")[:120]
        return self._folder / f"{name}-{made.hexdigest()[:24]}.npz"


def _length(part: slice) -> int:
    return int(part.stop - part.start)


def _digest(series: LabelledSeries) -> str:
    """Of all that a detector sees, and of which rows are scored."""
    made = hashlib.sha256(f"{list(series.frame.columns)} {series.fit} {series.calibrate} {series.judge}".encode())
    made.update(series.seconds.tobytes())
    made.update(np.ascontiguousarray(series.frame.iloc[:, 1:].to_numpy(dtype=np.float64)).tobytes())
    return made.hexdigest()
