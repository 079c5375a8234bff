"""What is in the data and models folders, and whether it can be read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mora.doctor.finding import Check, State
from mora.errors import MoraError

if TYPE_CHECKING:
    from mora.settings import Settings


def check_data(settings: Settings) -> Iterator[Check]:
    """One check a service that data was collected of."""
    from mora import dataset

    services = dataset.list_services(settings.data_dir, namespace=settings.namespace)
    if not services:
        yield Check(
            "data", State.WARNING, f"none in {settings.data_dir} yet", "Collect some: mora collect --plan quick"
        )
    for service in services:
        try:
            frame = dataset.read_dataset(service, settings.data_dir, namespace=settings.namespace)
        except MoraError as error:
            yield Check("data", State.MISSING, error.message, error.hint or "")
            continue
        experiments = frame["experiment_id"].nunique()
        yield Check("data", State.OK, f"{service}: {experiments} experiments, {len(frame)} rows to train on")


def check_models(settings: Settings) -> Iterator[Check]:
    """One check a service that has a model."""
    from mora import pipeline

    services = pipeline.list_models(settings.models_dir, settings.namespace)
    if not services:
        yield Check("models", State.WARNING, f"none in {settings.models_dir} yet", "Train one: mora train frontend")
    for service in services:
        try:
            model = pipeline.load_model(service, models_dir=settings.models_dir, namespace=settings.namespace)
        except MoraError as error:
            yield Check("models", State.MISSING, error.message, error.hint or "")
            continue
        yield Check("models", State.OK, f"{service}: complete and readable, {model.digest[:12]}")
