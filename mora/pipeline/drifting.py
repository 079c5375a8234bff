"""Drift: models beside what was collected since they were trained."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mora.domain import Reason, Workload
from mora.errors import BadDataset, BadModel, MoraError, NotEnoughData
from mora.model.catalogue import DEFAULT_NAMESPACE, list_models, load_model
from mora.seams import Reporter, Silent

if TYPE_CHECKING:
    from mora.drift.check import Drift
    from mora.model import ServiceModel
    from mora.settings import Settings

OUTPUTS = ("table", "json", "html")


def find_drift(
    services: Sequence[str],
    *,
    data_dir: Path | str = "data",
    models_dir: Path | str = "models",
    namespace: str = DEFAULT_NAMESPACE,
    include_flagged: bool = False,
    reporter: Reporter | None = None,
) -> list[Drift]:
    """The verdict on the model of each service, in their order. Raises BadModel, BadDataset, NotEnoughData.

    Of several services, one without data or without a model that can be read is not judged, and the others are.
    """
    reporter = reporter or Silent()
    found = []
    for number, service in enumerate(services):
        reporter.advance("drift", number, len(services), service)
        try:
            found.append(_drift_of(service, data_dir, models_dir, namespace, include_flagged))
        except (BadModel, BadDataset, NotEnoughData) as wrong:
            if len(services) == 1:
                raise
            found.append(_not_judged(service, models_dir, namespace, wrong))
    reporter.advance("drift", len(services), len(services))
    return found


def _not_judged(service: str, models_dir: Path | str, namespace: str, wrong: MoraError) -> Drift:
    from mora.drift.check import not_judged, without_model

    why = wrong.message.rstrip(".")
    if isinstance(wrong, BadModel):
        return without_model(Workload(namespace, service), Reason("no-model", why))
    return not_judged(load_model(service, models_dir=models_dir, namespace=namespace), Reason("no-data", why))


def _drift_of(
    service: str, data_dir: Path | str, models_dir: Path | str, namespace: str, include_flagged: bool
) -> Drift:
    from mora import dataset
    from mora.backtest.history import history_of
    from mora.drift.check import check, not_judged
    from mora.metrics import OBSERVED_SCENARIO

    model = load_model(service, models_dir=models_dir, namespace=namespace)
    if model.is_driven:
        text = "the model was trained on load experiments, which show no usual day to compare with"
        return not_judged(model, Reason("driven", text))
    frame = dataset.read_samples(service, data_dir, namespace=namespace, include_flagged=include_flagged).frame
    observed = frame[frame["scenario"] == OBSERVED_SCENARIO]
    if observed.empty:
        raise NotEnoughData(
            f"There is no history of {service!r} in {data_dir}, so its model cannot be compared with anything.",
            hint="Collect some: mora collect --history 14d",
        )
    return check(model, history_of(observed, service))


def drifted(
    services: Sequence[str],
    *,
    data_dir: Path | str = "data",
    models_dir: Path | str = "models",
    namespace: str = DEFAULT_NAMESPACE,
    include_flagged: bool = False,
    reporter: Reporter | None = None,
) -> tuple[list[str], list[str]]:
    """Those of the services that are to be trained again: they drifted, or have no model that can be read; and why.

    The second list has a sentence for every service, trained again or not.
    """
    reporter = reporter or Silent()
    due, told = [], []
    there = set(list_models(models_dir, namespace))
    for number, service in enumerate(services):
        reporter.advance("drift", number, len(services), service)
        if service not in there:
            due.append(service)
            told.append(f"{service}: it has no model yet.")
            continue
        try:
            found = _drift_of(service, data_dir, models_dir, namespace, include_flagged)
        except MoraError as wrong:
            due.append(service)
            told.append(f"{service}: {wrong.message}")
            continue
        if found.has_drifted:
            due.append(service)
            told.append(f"{service}: {'; '.join(finding.sentence() for finding in found.findings)}.")
        else:
            why = "no drift" if found.is_judged else found.unjudged[0].text if found.unjudged else "nothing to judge"
            told.append(f"{service}: not trained again, {why}.")
    return due, told


def drift_lines(settings: Settings, services: Collection[str], *, reporter: Reporter | None = None) -> list[str]:
    """A line for each of the services that has drifted from its model, after more of its data has come.

    Nothing of services without a model of observed data, and nothing where nothing drifted. What cannot be judged is
    no error here: the data that was collected stands, and a line says why.
    """
    reporter = reporter or Silent()
    names = [name for name in list_models(settings.models_dir, settings.namespace) if name in services]
    lines = []
    for number, name in enumerate(names):
        reporter.advance("drift", number, len(names), name)
        try:
            found = _drift_of(name, settings.data_dir, settings.models_dir, settings.namespace, False)
        except (MoraError, OSError, ValueError) as wrong:
            why = wrong.message if isinstance(wrong, MoraError) else f"{type(wrong).__name__}: {wrong}"
            lines.append(f"{name}: whether it has drifted is not known: {why}")
            continue
        if found.has_drifted:
            what = "; ".join(finding.sentence() for finding in found.findings)
            lines.append(f"{name} has drifted from its model: {what}. More: mora drift {name}")
    if names:
        reporter.advance("drift", len(names), len(names))
    return lines


def drift_remarks(model: ServiceModel, frame: Any) -> tuple[Reason, ...]:
    """That what a model looks at has drifted since its training, for the reasons of an answer; else nothing.

    By the inputs alone: it needs numpy, and takes some hundredths of a second.
    """
    from datetime import datetime

    from mora.backtest.history import history_of
    from mora.drift.check import check_inputs
    from mora.metrics import OBSERVED_SCENARIO

    if model.is_driven or frame.empty:
        return ()
    observed = frame[frame["scenario"] == OBSERVED_SCENARIO]
    if observed.empty:
        return ()
    try:
        history = history_of(observed, model.workload.name)
    except MoraError:
        # What cannot be laid on a grid has its own error where the answer is made of it.
        return ()
    trained = datetime.fromisoformat(model.card["last_sample"]).timestamp()
    name = model.workload.name
    return tuple(
        Reason(
            "drifted", f"{finding.sentence()}: the model of {name!r} is of before; train it again: mora train {name}"
        )
        for finding in check_inputs(history, trained).findings
    )


def render_drift(drifts: Sequence[Drift], output: str) -> str:
    """The verdicts in a form of OUTPUTS."""
    import json

    from mora.drift.text import render

    if output == "json":
        return json.dumps({"schema_version": 1, "services": [drift.to_dict() for drift in drifts]}, indent=2) + "\n"
    if output == "html":
        from mora.drift.page import render_page

        return render_page(drifts)
    return render(drifts)
