"""Processes on this machine that work for one run, and end with the process that started them, however it ends.

A worker of joblib waits for work from a parent that may have been killed: for ever, with all that it has imported, and
what it was at it finishes first, models included. So the kernel kills each when its parent ends (Linux), and each
looks for its parent itself.
"""

from __future__ import annotations

import ctypes
import os
import signal
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
_PR_SET_PDEATHSIG = 1
_LOOK_SECONDS = 0.5


def run(function: Callable[..., T], tasks: Iterable[Sequence[Any]], *, jobs: int, folder: Path) -> Iterator[T]:
    """function(*task) for each task in `jobs` processes, as they end.

    folder: where the workers, and what is handed to them, have their temporary files (files.scratch_folder).
    """
    from joblib import Parallel, delayed

    # joblib replaces a worker that has grown by 300 MB, as TensorFlow makes it, and warns of that; no task is lost.
    warnings.filterwarnings("ignore", message="A worker stopped while some jobs", category=UserWarning)
    parallel = Parallel(
        n_jobs=jobs,
        return_as="generator_unordered",
        temp_folder=str(folder),
        initializer=begin,
        initargs=(os.getpid(), str(folder)),
    )
    found: Iterator[T] = parallel(delayed(function)(*task) for task in tasks)
    return found


def begin(parent: int, folder: str) -> None:
    """What a worker does first: end with its parent, and keep temporary files in the run's folder."""
    end_with(parent)
    os.environ["TMPDIR"] = folder
    tempfile.tempdir = folder


def end_with(parent: int) -> None:
    """From now on, this process is killed when its parent ends."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The signal is lost where the parent ended before, and there is none without prctl.
    threading.Thread(target=_watch, args=(parent,), name="parent-watch", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
