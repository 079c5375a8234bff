"""The forecasters of a training: taken from the registry by name, fitted, saved and restored, all alike.

No module of mora.model knows a forecaster by its class: one more is a file and a registry line, or another package's
entry point.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from mora import registry
from mora.domain import Reason, Target
from mora.domain.learning import Experiments, Past, Saved
from mora.errors import BadInput, BadModel, MoraError, NotEnoughData
from mora.fusion import NAIVE
from mora.model.settings import TrainSettings
from mora.seams import FittedForecaster, Forecaster, Reporter

# How a person writes them; others go by their registered names.
TITLES = {
    "prophet": "Prophet",
    "lstm": "LSTM",
    NAIVE: "naive",
    "last": "last value",
    "yesterday": "yesterday",
    "slots": "week by time of day",
}
Fitted = Mapping[str, FittedForecaster]
"""forecaster -> what it has learned."""


def chosen(settings: TrainSettings) -> dict[str, Forecaster]:
    """The forecasters that the settings weigh, and the naive one as the yardstick; BadInput for an unknown name."""
    return _made((*settings.weights, NAIVE), settings)


def candidates(settings: TrainSettings) -> dict[str, Forecaster]:
    """The forecasters beside those, which may take the blend's place on a history; BadInput for an unknown name."""
    return _made([name for name in settings.candidates if name not in (*settings.weights, NAIVE)], settings)


def _made(names: Iterable[str], settings: TrainSettings) -> dict[str, Forecaster]:
    found: dict[str, Forecaster] = {}
    for name in dict.fromkeys(names):
        make = registry.load("forecasters", name)
        found[name] = make(settings.options[name]) if name in settings.options else make()
    return found


def fit_each(
    forecasters: Mapping[str, Forecaster],
    data: Experiments | Past,
    *,
    seed: int,
    reporter: Reporter,
    where: str = "",
    optional: Container[str] = (),
) -> tuple[dict[str, FittedForecaster], list[Reason]]:
    """Every forecaster fitted on the same data; those that cannot be are left out, with a reason.

    where: what is forecast, as the beginning of the reason. optional: those whose every failure ends their own part
    alone, that of a package which is not installed included: without them nothing is missing that was asked for.
    """
    found: dict[str, FittedForecaster] = {}
    reasons: list[Reason] = []
    for name, forecaster in forecasters.items():
        try:
            found[name] = forecaster.fit(data, seed=seed, reporter=reporter)
        except NotEnoughData as failure:
            reasons.append(Reason(f"{name}-failed", f"{where}{failure.message}"))
        except Exception as failure:
            if name not in optional:
                raise
            reasons.append(not_compared(name, failure))
    return found, reasons


def not_compared(name: str, failure: Exception) -> Reason:
    """Why a candidate is not compared with the others."""
    if isinstance(failure, MoraError):
        why = " ".join(part for part in (failure.message, failure.hint) if part)
    else:
        why = f"{type(failure).__name__}: {failure}"
    return Reason("not-compared", f"{name} is not compared: {why}")


def refitted(forecasters: Mapping[str, Forecaster]) -> dict[str, Forecaster]:
    """Those that are fitted again for each fold, or each week."""
    return {name: forecaster for name, forecaster in forecasters.items() if forecaster.is_refitted}


def fitted_once(forecasters: Mapping[str, Forecaster]) -> dict[str, Forecaster]:
    """Those that are fitted once, on data that neither chooses nor scores."""
    return {name: forecaster for name, forecaster in forecasters.items() if not forecaster.is_refitted}


def reasons_of(fitted: Fitted) -> list[Reason]:
    """What was left out or replaced in each fit, and why."""
    return [reason for forecaster in fitted.values() for reason in forecaster.reasons]


def selections_of(fitted: Fitted) -> dict[str, dict[str, Any]]:
    """forecaster -> target -> what was chosen of its inputs, of those that have `selections`."""
    found = {}
    for name, forecaster in fitted.items():
        selections: Mapping[Target, Any] = getattr(forecaster, "selections", {})
        if selections:
            found[name] = {target.value: one.to_dict() for target, one in selections.items()}
    return found


def save_all(fitted: Fitted, horizon_seconds: int | None = None) -> tuple[dict[str, Any], dict[str, Mapping[str, Any]]]:
    """Documents and arrays by the name of their file in the model's folder; `horizon_seconds` of one horizon's."""
    documents: dict[str, Any] = {}
    arrays: dict[str, Mapping[str, Any]] = {}
    for name, forecaster in fitted.items():
        saved, stem = forecaster.save(), _stem(name, horizon_seconds)
        if saved.document:
            documents[f"{stem}.json"] = saved.document
        if saved.arrays:
            arrays[f"{stem}.npz"] = saved.arrays
    return documents, arrays


def restore_all(
    names: Sequence[str],
    documents: Mapping[str, Mapping[str, Any]],
    arrays: Mapping[str, Mapping[str, Any]],
    horizon_seconds: int | None = None,
    packages: Mapping[str, str] | None = None,
) -> dict[str, FittedForecaster]:
    """The forecasters that save_all() wrote; BadModel where one of them is not installed here.

    packages: where those of other packages came from.
    """
    found: dict[str, FittedForecaster] = {}
    for name in names:
        stem = _stem(name, horizon_seconds)
        try:
            forecaster: Forecaster = registry.load("forecasters", name)()
        except BadInput as failure:
            package = (packages or {}).get(name, "another package")
            raise BadModel(
                f"The model was trained with the forecaster {name!r} of {package}, which is not installed here.",
                hint=f"Install it: pip install {package.split()[0]}. Or train again without it.",
            ) from failure
        found[name] = forecaster.restore(Saved(documents.get(f"{stem}.json", {}), arrays.get(f"{stem}.npz", {})))
    return found


def packages_of(names: Iterable[str]) -> dict[str, str]:
    """forecaster -> the package that it comes from, for those that are not MOrA's own."""
    found = {name: registry.package_of("forecasters", name) for name in names}
    return {name: package for name, package in found.items() if package is not None}


def inputs_of(arrays: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """The input columns of every network, by the stem of its file; of forecasters that save an array `columns`."""
    return {
        file.removesuffix(".npz"): [str(column) for column in own["columns"]]
        for file, own in arrays.items()
        if "columns" in own
    }


def _stem(name: str, horizon_seconds: int | None) -> str:
    return name if horizon_seconds is None else f"{name}-{horizon_seconds}s"
