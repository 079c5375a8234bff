"""Searching the settings of a service's forecasters before they are trained: mora train --tune."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mora.errors import MoraError, NotEnoughData
from mora.extras import require
from mora.model.catalogue import DEFAULT_NAMESPACE
from mora.seams import Reporter, Silent

if TYPE_CHECKING:
    from mora.contest.run import Answered, Task
    from mora.model import TrainSettings
    from mora.tuning.trial import Workers


def tune(
    services: Sequence[str],
    *,
    budget_seconds: float,
    data_dir: Path | str = "data",
    models_dir: Path | str = "models",
    namespace: str = DEFAULT_NAMESPACE,
    include_flagged: bool = False,
    settings: TrainSettings | None = None,
    jobs: int = 2,
    scheduler: str | None = None,
    reporter: Reporter | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, list[str]]:
    """Search the settings of each service's forecasters on its history, service after service; what came of it.

    budget_seconds: for each service. jobs: trials at a time, in processes of their own. scheduler: of a Dask cluster,
    whose workers then run them. clock: seconds, of any start. What is found is kept beside the models, where train()
    finds it. Service -> sentences; one that has no history, or too little, is passed over, and its sentence says so. So
    is, of several, one that another process searches or whose files are damaged; of one alone that is the MoraError.
    """
    require("tune", *(() if scheduler is None else ("dask",)), by="mora train --tune")
    from mora.pipeline.settings import default_train_settings

    chosen = settings if settings is not None else default_train_settings()
    found: dict[str, list[str]] = {}
    with _workers(jobs, scheduler) as (workers, at_once):
        for service in services:
            try:
                found[service] = _tune_one(
                    service,
                    chosen,
                    (data_dir, namespace, include_flagged),
                    models_dir,
                    budget_seconds,
                    at_once,
                    workers,
                    reporter or Silent(),
                    clock,
                )
            except MoraError as failure:
                if len(services) == 1 and not isinstance(failure, NotEnoughData):
                    raise
                found[service] = [f"no settings were searched: {failure.message}"]
    return found


def _tune_one(
    service: str,
    settings: TrainSettings,
    read: tuple[Path | str, str, bool],
    models_dir: Path | str,
    budget_seconds: float,
    jobs: int,
    workers: Workers,
    reporter: Reporter,
    clock: Callable[[], float],
) -> list[str]:
    from mora.backtest.history import history_of
    from mora.features import is_driven
    from mora.model.observed import HORIZONS_SECONDS
    from mora.pipeline.training import read_lesson
    from mora.tuning.kept import alone, keep, kept, study_file
    from mora.tuning.search import search

    lesson = read_lesson(service, *read)
    if is_driven(lesson.frame):
        raise NotEnoughData(
            f"{service} has load experiments, and the search validates over the time of a history (mora collect "
            "--history 14d)"
        )
    namespace = read[1]
    with alone(models_dir, service, namespace):
        found = search(
            history_of(lesson.frame, service),
            settings.trained,
            horizons=sorted({*HORIZONS_SECONDS, settings.horizon.total_seconds()}),
            file=study_file(models_dir, service, namespace),
            budget_seconds=budget_seconds,
            seed=settings.seed,
            jobs=jobs,
            workers=workers,
            earlier=kept(models_dir, service, namespace).options,
            reporter=reporter,
            clock=clock,
        )
        keep(models_dir, service, namespace, found)
    return [sentence for one in found for sentence in (one.text, *one.notes)]


@contextmanager
def _workers(jobs: int, scheduler: str | None) -> Iterator[tuple[Workers, int]]:
    """What runs trials, and how many at a time."""
    from mora.contest.run import one_by_one

    if scheduler is not None:
        from mora import scaleout

        with scaleout.connect(scheduler) as cluster:

            def remote(tasks: Sequence[Task]) -> Iterator[tuple[Task, Answered]]:
                by_name = {task.entrant.text: task for task in tasks}
                for name, outcome in cluster.run(_answer, list(by_name.items())):
                    yield by_name[name], outcome if not isinstance(outcome, MoraError) else _failed(outcome)

            yield remote, max(cluster.workers, 1)
    elif jobs < 2:
        yield one_by_one, 1
    else:
        from mora import workers
        from mora.contest.run import run_task
        from mora.files import scratch_folder

        with scratch_folder("tune") as folder:

            def local(tasks: Sequence[Task]) -> Iterable[tuple[Task, Answered]]:
                if len(tasks) < 2:
                    return one_by_one(tasks)
                return workers.run(run_task, [(task,) for task in tasks], jobs=jobs, folder=folder)

            yield local, jobs


# Seeds and TensorFlow's threads are a process's own, as in training.
_TRYING = threading.Lock()


def _answer(name: str, task: Task) -> Answered:
    from mora.contest.run import run_task

    with _TRYING:
        return run_task(task)[1]


def _failed(failure: MoraError) -> Answered:
    from mora.contest.run import Answered

    return Answered({}, failure=failure.message)
