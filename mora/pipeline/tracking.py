"""Trainings in a tracker, beside the card: logged after each training, the alias moved with the champion."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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
        place = tracker.log(run_of(model.card, model.digest, model.files, alias=alias, report=report))
    except MoraError as failure:
        return f"not tracked: {failure.message} {failure.hint or ''}".rstrip()
    return f"tracked: {place}"


def follow_champion(service: str, settings: Settings) -> str:
    """track_champion() after a rollback or a takeover, where trainings are tracked; says why where it does not."""
    if not settings.train.track:
        return ""
    try:
        tracker = open_tracker()
    except MoraError as failure:
        return f"{service}: the alias champion is not moved. {failure.message} {failure.hint or ''}".rstrip()
    return track_champion(service, tracker, models_dir=settings.models_dir, namespace=settings.namespace)


def track_champion(
    service: str, tracker: Tracker, *, models_dir: Path | str, namespace: str = DEFAULT_NAMESPACE
) -> str:
    """Let the tracker's alias follow the champion, after a rollback or a takeover; says why where it does not."""
    known = store.known_versions(model_folder(models_dir, service, namespace))
    try:
        tracker.mark(f"{namespace}.{service}", known.champion, "champion")
    except MoraError as failure:
        return f"{service}: the alias champion is not moved. {failure.message} {failure.hint or ''}".rstrip()
    return ""
