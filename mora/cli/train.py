"""mora train: models of services from their CSVs."""

from __future__ import annotations

from typing import Annotated

import typer

from mora.cli.common import (
    Backend,
    DataDir,
    IncludeFlagged,
    ModelsDir,
    Namespace,
    Scheduler,
    progress,
    settings_of,
    show,
)
from mora.errors import BadInput, MoraError


def train(
    services: Annotated[
        list[str] | None, typer.Argument(help="Services to train, e.g. frontend cartservice.", show_default=False)
    ] = None,
    all_services: Annotated[bool, typer.Option("--all", help="Every service that has data.")] = False,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", help="Services trained at a time, about 1 GB each.", show_default="cores"),
    ] = None,
    backend: Backend = None,
    scheduler: Scheduler = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="The same seed and data give the same model.", show_default="0")
    ] = None,
    forecasters: Annotated[
        str | None,
        typer.Option(
            "--forecasters",
            help="Forecasters to train, e.g. prophet,lstm,mine; NAME=0.3 sets a weight.",
            show_default="prophet,lstm",
        ),
    ] = None,
    prophet_weight: Annotated[
        str | None,
        typer.Option("--prophet-weight", help="Share of Prophet in the blend; LSTM has the rest.", show_default="0.4"),
    ] = None,
    learn_weights: Annotated[
        bool, typer.Option("--learn-weights", help="Take the weights with the smallest validation error.")
    ] = False,
    challenger: Annotated[
        bool,
        typer.Option("--challenger", help="Try the new model beside the one that answers (mora ab), which stays."),
    ] = False,
    include_flagged: IncludeFlagged = False,
    namespace: Namespace = None,
    data: DataDir = None,
    models: ModelsDir = None,
) -> None:
    """Train Prophet, LSTM and the load response of services on their collected data.

    Prints, per target, the validation errors of Prophet, LSTM and their blend
    beside the naive forecast's. The blend is 0.4 Prophet + 0.6 LSTM; a
    forecaster that does worse than the naive forecast loses its weight to the
    others. From a history (mora collect --history) it learns an hour and a
    day ahead, for mora recommend --horizon. Each training is a version of plain
    files in models/SERVICE (mora models), and answers from then on; with
    --challenger it has to prove itself first.

    \b
    mora train frontend cartservice
    mora train --all                                   every service in data/
    mora train --all --backend dask --scheduler tcp://10.0.0.7:8786
    """
    from mora import dataset, pipeline
    from mora.files import own_temporary_folder

    settings = settings_of(
        data_dir=data,
        models_dir=models,
        namespace=namespace,
        jobs=jobs,
        train_backend=backend,
        train_scheduler=scheduler,
        seed=seed,
        train_forecasters=forecasters,
        train_prophet_weight=prophet_weight,
        train_learn_weights=learn_weights or None,
    )
    known = dataset.list_services(settings.data_dir, namespace=settings.namespace)
    names = known if all_services else list(dict.fromkeys(services or []))
    if not names:
        raise BadInput(
            f"There is no data in {settings.data_dir}."
            if all_services
            else "Which service? Name one or more, or give --all.",
            hint=f"There is data of {', '.join(known)}." if known else "Collect some: mora collect --plan quick",
        )
    with own_temporary_folder("train"), progress() as reporter:
        outcomes = pipeline.train_all(
            names,
            data_dir=settings.data_dir,
            models_dir=settings.models_dir,
            namespace=settings.namespace,
            include_flagged=include_flagged,
            settings=pipeline.train_settings(settings),
            as_challenger=challenger,
            jobs=settings.train.jobs,
            scheduler=settings.train.scheduler,
            reporter=reporter,
        )
    for outcome in outcomes:
        if outcome.error is not None and len(outcomes) == 1:
            raise outcome.error
        show(pipeline.describe_training(outcome))
    failed = [outcome.service for outcome in outcomes if outcome.error is not None]
    if failed:
        raise MoraError(f"{len(failed)} of {len(outcomes)} services have no new model: {', '.join(failed)}.")
