"""Training: a service's CSVs in, a saved model out; one service or many, here or on a Dask cluster."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mora.domain import Reason, Workload
from mora.errors import MoraError
from mora.extras import require
from mora.model.catalogue import DEFAULT_NAMESPACE, model_folder
from mora.seams import Reporter, Silent

if TYPE_CHECKING:
    from mora.model import ServiceModel, TrainSettings


@dataclass(frozen=True, slots=True)
class Trained:
    """The outcome of one service in `train_all`: a model, or the error."""

    service: str
    model: ServiceModel | None
    error: MoraError | None
    seconds: float


def train(
    service: str,
    *,
    data_dir: Path | str = "data",
    models_dir: Path | str = "models",
    namespace: str = DEFAULT_NAMESPACE,
    include_flagged: bool = False,
    settings: TrainSettings | None = None,
    reporter: Reporter | None = None,
) -> ServiceModel:
    """Train Prophet, LSTM and the load response of one service on its CSVs and save the model folder.

    Raises NotEnoughData (how much is needed, how to get it) and BadDataset (file and line).
    """
    require("train", by="Training")
    trained = learn(read_lesson(service, data_dir, namespace, include_flagged), settings, reporter)
    trained.save(model_folder(models_dir, service, namespace))
    return trained


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a service is trained on: its samples, a card for each experiment, and what was left out of them."""

    workload: Workload
    frame: Any
    cards: Mapping[str, Any]
    reasons: tuple[Reason, ...]


def read_lesson(service: str, data_dir: Path | str, namespace: str, include_flagged: bool) -> Lesson:
    """The CSVs and JSONs of a service; raises BadDataset, NotEnoughData."""
    from mora import dataset

    samples = dataset.read_samples(service, data_dir, namespace=namespace, include_flagged=include_flagged)
    cards = dataset.read_cards(service, data_dir, namespace=namespace)
    kinds = {str(card["kind"]) for card in cards.values() if card.get("kind")}
    workload = Workload(namespace, service, kinds.pop() if len(kinds) == 1 else "Deployment")
    return Lesson(workload, samples.frame, cards, samples.reasons)


def learn(lesson: Lesson, settings: TrainSettings | None = None, reporter: Reporter | None = None) -> ServiceModel:
    """A service's model, not yet saved."""
    from mora import model as learning

    chosen = settings if settings is not None else learning.TrainSettings()
    return learning.train(
        lesson.frame,
        lesson.cards,
        lesson.workload,
        settings=chosen,
        remarks=lesson.reasons,
        reporter=reporter or Silent(),
    )


def train_all(
    services: Sequence[str],
    *,
    data_dir: Path | str = "data",
    models_dir: Path | str = "models",
    namespace: str = DEFAULT_NAMESPACE,
    include_flagged: bool = False,
    settings: TrainSettings | None = None,
    jobs: int = 2,
    scheduler: str | None = None,
    reporter: Reporter | None = None,
) -> list[Trained]:
    """Train many services, `jobs` at a time in processes of their own; one that fails does not stop the others.

    scheduler: address of a Dask scheduler, whose workers then train in place of this machine's processes. They need no
    folder: the data is read here, and the models are written here.
    """
    require("train", *(() if scheduler is None else ("dask",)), by="mora train")
    reporter = reporter or Silent()
    where = {"data_dir": data_dir, "models_dir": models_dir, "namespace": namespace}
    options = {**where, "include_flagged": include_flagged, "settings": settings}
    at_once = min(jobs, len(services))
    outcomes: Iterable[Trained]
    if scheduler is not None:
        outcomes = _train_on_cluster(
            services,
            scheduler,
            data_dir=data_dir,
            models_dir=models_dir,
            namespace=namespace,
            include_flagged=include_flagged,
            settings=settings,
        )
    elif at_once < 2:
        # In this process, so that the reporter can tell of epochs; others' processes are silent until they end.
        return [_train_one(service, {**options, "reporter": reporter}) for service in services]
    else:
        outcomes = _train_in_processes(services, options, at_once)
    done: list[Trained] = []
    reporter.advance("train", 0, len(services))
    for outcome in outcomes:
        done.append(outcome)
        reporter.advance("train", len(done), len(services), outcome.service)
    return sorted(done, key=lambda trained: services.index(trained.service))


def _train_in_processes(services: Sequence[str], options: Mapping[str, Any], at_once: int) -> Iterator[Trained]:
    from mora import workers
    from mora.files import scratch_folder

    with scratch_folder("train") as folder:
        yield from workers.run(_train_one, [(service, options) for service in services], jobs=at_once, folder=folder)


def _train_one(service: str, options: Mapping[str, Any]) -> Trained:
    started = time.monotonic()
    try:
        return Trained(service, train(service, **options), None, time.monotonic() - started)
    except MoraError as failure:
        return Trained(service, None, failure, time.monotonic() - started)


def _train_on_cluster(
    services: Sequence[str],
    scheduler: str,
    *,
    data_dir: Path | str,
    models_dir: Path | str,
    namespace: str,
    include_flagged: bool,
    settings: TrainSettings | None,
) -> Iterator[Trained]:
    """Trainings as they end; each model is written before the next is waited for, so a lost cluster loses no more."""
    from mora import scaleout

    unread: list[Trained] = []

    def tasks() -> Iterator[tuple[str, Lesson, TrainSettings | None]]:
        for service in services:
            try:
                yield service, read_lesson(service, data_dir, namespace, include_flagged), settings
            except MoraError as failure:
                unread.append(Trained(service, None, failure, 0.0))

    with scaleout.connect(scheduler) as cluster:
        for service, outcome in cluster.run(_learn_on_worker, tasks()):
            if isinstance(outcome, MoraError):
                yield Trained(service, None, outcome, 0.0)
                continue
            if outcome.model is not None:
                outcome.model.save(model_folder(models_dir, service, namespace))
            yield outcome
    yield from unread


# Seeds and TensorFlow's threads are a process's own: a worker with several threads trains one service at a time.
_TRAINING = threading.Lock()


def _learn_on_worker(service: str, lesson: Lesson, settings: TrainSettings | None) -> Trained:
    with _TRAINING:
        started = time.monotonic()
        try:
            return Trained(service, learn(lesson, settings), None, time.monotonic() - started)
        except MoraError as failure:
            return Trained(service, None, failure, time.monotonic() - started)


def describe_training(trained: Trained) -> str:
    """The outcome of a training as text: the errors of the model, or why there is none."""
    from mora.outputs.training import render as render_training

    if trained.model is None:
        return f"{trained.service}: no model. {trained.error}\n"
    return render_training(trained.service, trained.model.card, seconds=trained.seconds)
