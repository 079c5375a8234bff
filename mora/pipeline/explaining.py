"""Explaining: what the inputs of a trained service's forecasts add to them, as SHAP values."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from mora.errors import BadInput, NotEnoughData
from mora.fleet.names import parse_name
from mora.model.catalogue import DEFAULT_NAMESPACE, load_model
from mora.seams import Reporter

if TYPE_CHECKING:
    from mora.model.contributions import ExplainedForecast


def explain_forecasts(
    named: str,
    *,
    data_dir: Path | str = "data",
    models_dir: Path | str = "models",
    namespace: str = DEFAULT_NAMESPACE,
    horizon: timedelta | None = None,
    include_flagged: bool = False,
    reporter: Reporter | None = None,
) -> list[ExplainedForecast]:
    """What adds up to the forecasts of a service's CPU and memory, by its trained model and its CSVs.

    named: NAME, KIND/NAME or NAMESPACE/NAME. horizon: that of the training by default. Raises BadModel where there is
    no model, NotEnoughData where there are no samples, and what model.contributions.explain_forecasts() raises.
    """
    from mora import dataset
    from mora.model import contributions

    who = parse_name(named)
    space = who.namespace or namespace
    model = load_model(who.name, models_dir=models_dir, namespace=space)
    if who.kind not in (None, model.workload.kind):
        raise BadInput(f"The model of {who.name!r} is of a {model.workload.kind}, not of a {who.kind}.")
    samples = dataset.read_samples(who.name, data_dir, namespace=space, include_flagged=include_flagged)
    if samples.frame.empty:
        raise NotEnoughData(
            f"There is no usable data of {who.name!r} in {data_dir}.", hint="Collect some: mora collect"
        )
    return contributions.explain_forecasts(
        model,
        samples.frame,
        horizon_seconds=None if horizon is None else horizon.total_seconds(),
        reporter=reporter,
    )


def describe_contributions(found: Sequence[ExplainedForecast]) -> str:
    """As text: sentences, then input by input."""
    from mora.model.contributions_page import contributions_text

    return contributions_text(found)


def write_contributions(found: Sequence[ExplainedForecast], path: Path) -> None:
    """As one HTML page, whole or not at all."""
    from mora.files import write_files
    from mora.model.contributions_page import contributions_page

    write_files([(path, contributions_page(found))])
