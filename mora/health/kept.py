"""Scores of earlier comparisons, in a folder: one file of plain arrays for each detector and series.

A file's name holds a digest of everything that its scores depend on: the samples, the detector's options, and the code
of the detector with all of MOrA's modules that it imports. A change of another detector leaves it valid.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from mora import registry
from mora.errors import BadInput
from mora.health.contest import Keeps, Scores, Task
from mora.health.labelled import LabelledSeries

# Scores of no series need more.
_MOST_BYTES = 256 * 2**20


class Kept(Keeps):
    """The folder is made; BadInput where it cannot be."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as refused:
            raise BadInput(
                f"Scores cannot be kept in {folder}: {refused.strerror}.", hint="Name another folder with --cache DIR."
            ) from refused

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
        made = hashlib.sha256(f"{entrant.text}\n{_code_of(entrant.name)}\n".encode())
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


@cache
def _code_of(name: str) -> str:
    """Of a detector's module and of MOrA's modules that it imports, and theirs; the numpy that they run on."""
    package = registry.package_of("detectors", name)
    module = registry.load("detectors", name).__module__
    made = hashlib.sha256(f"{np.__version__} {package}".encode())
    for path in sorted(_modules(module)):
        made.update(path.read_bytes())
    return made.hexdigest()


def _modules(module: str) -> set[Path]:
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        spec = None if name in found else find_spec(name)
        if spec is None or spec.origin is None or not Path(spec.origin).is_file():
            continue
        found[name] = path = Path(spec.origin)
        waiting += [one for one in _imports(path) if one.split(".")[0] == "mora"]
    return set(found.values())


def _imports(path: Path) -> set[str]:
    """The modules that a file imports when it runs, anywhere in it; those for type checking alone are left out."""
    names: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_bytes())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            # `from mora.detectors import frames` names a module, too.
            names |= {f"{node.module}.{alias.name}" for alias in node.names if _is_module(node.module, alias.name)}
    return names


def _is_module(package: str, name: str) -> bool:
    spec = None if package.split(".")[0] != "mora" else find_spec(package)
    places = (spec.submodule_search_locations if spec else None) or []
    return any((Path(place) / f"{name}.py").is_file() or (Path(place) / name).is_dir() for place in places)
