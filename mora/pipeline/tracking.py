"""Trainings in a tracker, beside the card: logged after each training, the alias moved with the champion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mora.errors import MoraError
from mora.model import versions as store
from mora.model.catalogue import DEFAULT_NAMESPACE, model_folder

if TYPE_CHECKING:
    from mora.pipeline.training import Trained
    from mora.settings import Settings
    from mora.tracking import Tracker


def open_tracker() -> Tracker:
    """MLflow, as the environment names it; ToolMissing where it is not installed."""
    from mora.tracking.mlflow_store import MlflowTracker

    return MlflowTracker()


def track(trained: Trained, tracker: Tracker, *, models_dir: Path | str, namespace: str = DEFAULT_NAMESPACE) -> str:
    """Log a training that has a model; says where it is, or why it is not there: the training itself stands."""
    from mora.outputs.training import render
    from mora.tracking import run_of

    model = trained.model
    if model is None:
        return ""
    report = render(trained.service, model.card, seconds=trained.seconds)
    try:
        known = store.known_versions(model_folder(models_dir, trained.service, namespace))
        alias = {known.champion: "champion", known.challenger: "challenger"}.get(model.digest, "")
        run = run_of(model.card, model.digest, model.files, alias=alias, report=report)
        place = tracker.log(run)
        if known.challenger is None:
            tracker.unmark(run.name, "challenger")
    except MoraError as failure:
        return f"not tracked: {failure.message} {failure.hint or ''}".rstrip()
    return f"tracked: {place}"


def follow_roles(services: Sequence[str], settings: Settings) -> list[str]:
    """track_roles() of services whose champion or challenger changed, where trainings are tracked; why where not."""
    if not (settings.train.track and services):
        return []
    try:
        tracker = open_tracker()
    except MoraError as failure:
        return [_not_moved(service, failure) for service in services]
    where: dict[str, Any] = {"models_dir": settings.models_dir, "namespace": settings.namespace}
    return [problem for service in services if (problem := track_roles(service, tracker, **where))]


def track_roles(service: str, tracker: Tracker, *, models_dir: Path | str, namespace: str = DEFAULT_NAMESPACE) -> str:
    """Let the tracker's aliases follow the champion and the challenger of a service; says why where they do not.

    Where there is no challenger, no version has the alias any more.
    """
    known = store.known_versions(model_folder(models_dir, service, namespace))
    name = f"{namespace}.{service}"
    try:
        tracker.mark(name, known.champion, "champion")
        if known.challenger is None:
            tracker.unmark(name, "challenger")
        else:
            tracker.mark(name, known.challenger, "challenger")
    except MoraError as failure:
        return _not_moved(service, failure)
    return ""


def _not_moved(service: str, failure: MoraError) -> str:
    what = "the aliases champion and challenger are not moved"
    return f"{service}: {what}. {failure.message} {failure.hint or ''}".rstrip()
