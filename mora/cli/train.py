"""mora train: models of services from their CSVs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mora.cli.common import (
    Backend,
    DataDir,
    IncludeFlagged,
    ModelsDir,
    Namespace,
    Scheduler,
    on_one_line,
    progress,
    say,
    settings_of,
    show,
)
from mora.errors import BadInput, MoraError

if TYPE_CHECKING:
    from mora.settings import Settings


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
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="Forecast a history by this model, whatever others are worth: a forecaster, blend or mixture.",
            show_default="the best",
        ),
    ] = None,
    candidates: Annotated[
        str | None,
        typer.Option(
            "--candidates",
            help="Forecasters that take the blend's place where they are clearly better, e.g. xgboost,lightgbm.",
            show_default="xgboost",
        ),
    ] = None,
    tune: Annotated[
        str | None,
        typer.Option(
            "--tune",
            help="Search better settings of the forecasters first, so long for each service, e.g. 10m.",
            show_default=False,
        ),
    ] = None,
    track: Annotated[
        bool, typer.Option("--track", help="Log it in MLflow, too: ./mlruns, or where MLFLOW_TRACKING_URI leads.")
    ] = False,
    if_drifted: Annotated[
        bool, typer.Option("--if-drifted", help="Only services that have drifted from their model, or have none.")
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
    day ahead, for mora recommend --horizon; a candidate that forecasts CPU or
    memory better than the blend by more than one standard error takes its
    place there. --tune searches the settings of the forecasters first, and
    keeps what is clearly better (docs/training.md). Each training is a version
    of plain files in models/SERVICE (mora models), and answers from then on;
    with --challenger it has to prove itself first.

    \b
    mora train frontend cartservice
    mora train --all                                   every service in data/
    mora train frontend --tune 10m                     search settings first
    mora train frontend --model xgboost                whatever is better
    mora train --all --if-drifted                      nightly, after mora collect
    mora train --all --backend dask --scheduler tcp://10.0.0.7:8786
    """
    from mora import dataset, pipeline
    from mora.files import own_temporary_folder
    from mora.pipeline.tracking import open_tracker
    from mora.pipeline.tracking import track as track_it
    from mora.quantities import parse_duration

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
        train_candidates=candidates,
        train_model=model,
        train_track=track or None,
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
    budget = None if tune is None else parse_duration(tune)
    training = pipeline.train_settings(settings)
    searched: dict[str, list[str]] = {}
    if if_drifted:
        names = _drifted(names, settings, include_flagged)
        if not names:
            say("No service has drifted: nothing is trained.")
            return
    # Before the training, which takes its time: an error names what is not installed.
    tracker = open_tracker() if settings.train.track else None
    with own_temporary_folder("train"), progress() as reporter:
        if budget is not None:
            searched = pipeline.tune(
                names,
                budget_seconds=budget.total_seconds(),
                data_dir=settings.data_dir,
                models_dir=settings.models_dir,
                namespace=settings.namespace,
                include_flagged=include_flagged,
                settings=training,
                jobs=settings.train.jobs,
                scheduler=settings.train.scheduler,
                reporter=reporter,
            )
        outcomes = pipeline.train_all(
            names,
            data_dir=settings.data_dir,
            models_dir=settings.models_dir,
            namespace=settings.namespace,
            include_flagged=include_flagged,
            settings=training,
            as_challenger=challenger,
            jobs=settings.train.jobs,
            scheduler=settings.train.scheduler,
            reporter=reporter,
        )
    for service, sentences in searched.items():
        show(f"{service}: searched for {tune}\n" + "".join(f"  - {text}\n" for text in sentences))
    where: dict[str, Any] = {"models_dir": settings.models_dir, "namespace": settings.namespace}
    for outcome in outcomes:
        if outcome.error is not None and len(outcomes) == 1:
            raise outcome.error
        show(pipeline.describe_training(outcome))
        if tracker is not None and outcome.model is not None:
            say(f"{outcome.service}: {on_one_line(track_it(outcome, tracker, **where))}")
    failed = [outcome.service for outcome in outcomes if outcome.error is not None]
    if failed:
        raise MoraError(f"{len(failed)} of {len(outcomes)} services have no new model: {', '.join(failed)}.")


def _drifted(names: list[str], settings: Settings, include_flagged: bool) -> list[str]:
    """Those of the services that are due; a note for each says why, or why not."""
    from mora.extras import require
    from mora.pipeline.drifting import drifted

    require("drift", by="mora train --if-drifted")
    with progress() as reporter:
        due, told = drifted(
            names,
            data_dir=settings.data_dir,
            models_dir=settings.models_dir,
            namespace=settings.namespace,
            include_flagged=include_flagged,
            reporter=reporter,
        )
    for words in told:
        say(words)
    return due
