"""Answers of earlier contests, in a folder: one file of plain arrays for each entrant, history, horizon and fold.

A file's name holds a digest of everything that the answers depend on: the samples, how they are cut, the entrant's
options, its code and that of all forecasters (some are made of others), and the libraries that fit.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from mora import registry
from mora.code_digest import code_of
from mora.contest.entrants import CONTESTANTS
from mora.contest.run import Answered, Keeps, Task
from mora.contest.windows import plan
from mora.domain import Target
from mora.files import made_folder

# Answers of no task need more.
_MOST_BYTES = 16 * 2**20
# Files that are kept; the oldest make room.
_MOST_FILES = 50_000
_LIBRARIES = (
    "numpy",
    "pandas",
    "prophet",
    "tensorflow",
    "keras",
    "scikit-learn",
    "xgboost-cpu",
    "lightgbm",
    "statsforecast",
)


class Kept(Keeps):
    """The folder is made; BadInput where it cannot be."""

    def __init__(self, folder: Path) -> None:
        self._folder = made_folder(folder, "Answers")

    def load(self, task: Task) -> Answered | None:
        """None where there is no whole file of this task."""
        if task.entrant.made is not None:
            return None
        path = self._path(task)
        try:
            if path.stat().st_size > _MOST_BYTES:
                return None
            # np.load itself leaves a file open that it cannot read.
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        # np.load raises what zipfile and its own header reader do.
        except Exception:
            return None
        took = arrays.pop("took", np.empty(0))
        cut = plan(task.history, task.horizon_seconds, folds=task.folds, window_seconds=task.window_seconds)
        shape = (len(cut.origins[task.fold]), 2)
        targets = {target.value: target for target in Target}
        is_whole = set(arrays) == {target.value for target in task.history.targets} and all(
            levels.shape == shape and levels.dtype == np.float64 for levels in arrays.values()
        )
        if not is_whole or took.shape != (3,) or not np.isfinite(took).all():
            return None
        levels = {targets[name]: values for name, values in arrays.items()}
        return Answered(levels, float(took[0]), float(took[1]), float(took[2]))

    def save(self, task: Task, answered: Answered) -> None:
        """Completely or not at all."""
        if task.entrant.made is not None:
            return
        path = self._path(task)
        handle, name = tempfile.mkstemp(dir=self._folder, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                arrays: dict[str, Any] = {target.value: values for target, values in answered.levels.items()}
                arrays["took"] = np.array([answered.fit_seconds, answered.ask_seconds, answered.bytes])
                np.savez_compressed(file, **arrays)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def make_room(self) -> None:
        """Delete the oldest files where there are more than can be needed again."""
        found = sorted(self._folder.glob("*.npz"), key=lambda path: path.stat().st_mtime)
        for path in found[: max(len(found) - _MOST_FILES, 0)]:
            path.unlink(missing_ok=True)

    def _path(self, task: Task) -> Path:
        entrant = task.entrant
        seam = CONTESTANTS if entrant.is_contestant else "forecasters"
        cut = f"{task.horizon_seconds} {task.fold} {task.folds} {task.window_seconds} {task.seed}"
        made = hashlib.sha256(f"{entrant.text}\n{_code_of(seam, entrant.name)}\n{cut}\n".encode())
        made.update(_digest(task).encode())
        what = f"{entrant.text}-{task.history.series.id}-{task.horizon_seconds:.0f}s-{task.fold}"
        return self._folder / f"{re.sub(r'[^A-Za-z0-9.-]+', '_', what)[:120]}-{made.hexdigest()[:24]}.npz"


def _digest(task: Task) -> str:
    """Of all that an entrant may see of a history."""
    series = task.history.series
    made = hashlib.sha256(f"{series.id} {series.step_seconds} {series.start}".encode())
    for name, values in sorted(task.history.columns.items()):
        made.update(name.encode())
        made.update(np.ascontiguousarray(values).tobytes())
    return made.hexdigest()


@cache
def _code_of(seam: str, name: str) -> str:
    """Of an entrant, of every forecaster of this installation, and of the libraries."""
    own = tuple(value.partition(":")[0] for value in registry.REGISTRY["forecasters"].values())
    return f"{code_of(seam, name, also=own)} {[_version(library) for library in _LIBRARIES]}"


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None
