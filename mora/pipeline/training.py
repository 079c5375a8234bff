"""Training: a service's CSVs in, a saved model out; one service or many, here or on a Dask cluster."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
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
    """The outcome of one service in `train_all`: a model, or the error. kept: as which version."""

    service: str
    model: ServiceModel | None
    error: MoraError | None
    seconds: float
    kept: str = ""


def train(
    service: str,
    *,
    data_dir: Path | str = "data",
    models_dir: Path | str = "models",
    namespace: str = DEFAULT_NAMESPACE,
    include_flagged: bool = False,
    settings: TrainSettings | None = None,
    as_challenger: bool = False,
    reporter: Reporter | None = None,
) -> ServiceModel:
    """Train Prophet, LSTM and the load response of one service on its CSVs and keep the model as a version.

    settings: None for those of `mora train` without flags, its candidates included. The model becomes the champion,
    which answers from now on. as_challenger: it is tried beside the champion (mora ab). Raises NotEnoughData (how much
    is needed, how to get it) and BadDataset (file and line).
    """
    require("train", by="Training")
    trained = learn(read_lesson(service, data_dir, namespace, include_flagged, models_dir), settings, reporter)
    _keep(trained, service, models_dir=models_dir, namespace=namespace, as_challenger=as_challenger)
    return trained


def _keep(trained: ServiceModel, service: str, *, models_dir: Path | str, namespace: str, as_challenger: bool) -> str:
    """Keep a model as a version of its service, and say which one answers now."""
    from mora.model import versions
    from mora.model.layout import short

    folder = model_folder(models_dir, service, namespace)
    now = versions.keep(folder, trained, at=datetime.now(UTC), as_challenger=as_challenger)
    own, previous = short(trained.digest), now.previous
    if now.champion == trained.digest:
        back = f"; before it was {short(previous)} (mora models rollback {service})" if previous else ""
        return f"version {own} is the champion{back}"
    champion = short(now.champion)
    if now.challenger == trained.digest:
        return f"version {own} challenges the champion {champion}: mora ab status {service}"
    other = short(now.challenger or "")
    return f"version {own} is kept; {other} still challenges the champion {champion}: mora ab status {service}"


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a service is trained on: its samples, a card for each experiment, and what was left out of them.

    tuned: forecaster -> settings that a search found on its history (mora train --tune), and in a sentence how.
    """

    workload: Workload
    frame: Any
    cards: Mapping[str, Any]
    reasons: tuple[Reason, ...]
    tuned: Mapping[str, tuple[Mapping[str, float], str]] = field(default_factory=dict)


def read_lesson(
    service: str, data_dir: Path | str, namespace: str, include_flagged: bool, models_dir: Path | str | None = None
) -> Lesson:
    """The CSVs and JSONs of a service; raises BadDataset, NotEnoughData.

    models_dir: where the settings lie that searches found; without it, the default ones are trained.
    """
    from mora import dataset

    samples = dataset.read_samples(service, data_dir, namespace=namespace, include_flagged=include_flagged)
    cards = dataset.read_cards(service, data_dir, namespace=namespace)
    kinds = {str(card["kind"]) for card in cards.values() if card.get("kind")}
    workload = Workload(namespace, service, kinds.pop() if len(kinds) == 1 else "Deployment")
    tuned = {} if models_dir is None else _tuned(models_dir, service, namespace)
    return Lesson(workload, samples.frame, cards, samples.reasons, tuned)


def _tuned(models_dir: Path | str, service: str, namespace: str) -> dict[str, tuple[Mapping[str, float], str]]:
    from mora.tuning.kept import kept

    found = kept(models_dir, service, namespace)
    return {name: (options, found.texts[name]) for name, options in found.options.items()}


def learn(lesson: Lesson, settings: TrainSettings | None = None, reporter: Reporter | None = None) -> ServiceModel:
    """A service's model, not yet saved. settings: None for those of `mora train` without flags."""
    from mora import model as learning
    from mora.features import is_driven
    from mora.pipeline.settings import default_train_settings

    chosen = settings if settings is not None else default_train_settings()
    remarks = lesson.reasons
    if lesson.tuned and not is_driven(lesson.frame):
        chosen = _tuned_settings(chosen, {name: options for name, (options, _) in lesson.tuned.items()})
        told = (Reason("tuned", text) for name, (_, text) in lesson.tuned.items() if name in chosen.trained)
        remarks = (*remarks, *told)
    return learning.train(
        lesson.frame,
        lesson.cards,
        lesson.workload,
        settings=chosen,
        remarks=remarks,
        reporter=reporter or Silent(),
    )


def _tuned_settings(settings: TrainSettings, options: Mapping[str, Mapping[str, Any]]) -> TrainSettings:
    """The settings of a training with what searches found, for the forecasters that it trains."""
    from mora.tuning.kept import settings_with

    own = {name: settings_with(name, found) for name, found in options.items() if name in settings.trained}
    return replace(settings, options={**own, **settings.options})


def train_all(
    services: Sequence[str],
    *,
    data_dir: Path | str = "data",
    models_dir: Path | str = "models",
    namespace: str = DEFAULT_NAMESPACE,
    include_flagged: bool = False,
    settings: TrainSettings | None = None,
    as_challenger: bool = False,
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
    options = {**where, "include_flagged": include_flagged, "settings": settings, "as_challenger": as_challenger}
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
            as_challenger=as_challenger,
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
    where = {name: options[name] for name in ("models_dir", "namespace", "as_challenger")}
    read = options["data_dir"], options["namespace"], options["include_flagged"], options["models_dir"]
    try:
        model = learn(read_lesson(service, *read), options["settings"], options.get("reporter"))
        return Trained(service, model, None, time.monotonic() - started, _keep(model, service, **where))
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
    as_challenger: bool,
) -> Iterator[Trained]:
    """Trainings as they end; each model is written before the next is waited for, so a lost cluster loses no more."""
    from mora import scaleout

    unread: list[Trained] = []

    def tasks() -> Iterator[tuple[str, Lesson, TrainSettings | None]]:
        for service in services:
            try:
                yield service, read_lesson(service, data_dir, namespace, include_flagged, models_dir), settings
            except MoraError as failure:
                unread.append(Trained(service, None, failure, 0.0))

    with scaleout.connect(scheduler) as cluster:
        for service, outcome in cluster.run(_learn_on_worker, tasks()):
            if isinstance(outcome, MoraError):
                yield Trained(service, None, outcome, 0.0)
                continue
            where: dict[str, Any] = {"models_dir": models_dir, "namespace": namespace, "as_challenger": as_challenger}
            try:
                kept = "" if outcome.model is None else _keep(outcome.model, service, **where)
            except MoraError as failure:
                yield replace(outcome, model=None, error=failure)
                continue
            yield replace(outcome, kept=kept)
    yield from unread


# Seeds and TensorFlow's threads are a process's own: a worker with several threads trains one service at a time.
ON_WORKER = threading.Lock()


def _learn_on_worker(service: str, lesson: Lesson, settings: TrainSettings | None) -> Trained:
    with ON_WORKER:
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
    found = render_training(trained.service, trained.model.card, seconds=trained.seconds)
    return f"{found}  {trained.kept}\n" if trained.kept else found
