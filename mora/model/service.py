"""ServiceModel: what was learned of one service, and what the service needs by it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mora import __version__
from mora.backtest.history import history_of
from mora.domain import Demand, Question, Reason, Target, Workload
from mora.errors import BadInput, BadModel, NotEnoughData
from mora.features import is_driven
from mora.fusion import NAIVE
from mora.metrics import OBSERVED_SCENARIO
from mora.model import facts, learners
from mora.model import folder as store
from mora.model.calibration import Calibration
from mora.model.driven_demand import DrivenAnswer
from mora.model.layout import service_of
from mora.model.learners import Fitted
from mora.model.observed import HorizonModel
from mora.model.observed_demand import ObservedAnswer
from mora.model.settings import TrainSettings
from mora.model.versions import champion_folder
from mora.response import LoadResponse
from mora.seams import Reporter, Silent

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class ServiceModel:
    """A trained service. Made by train() or load(); answers demand().

    card: plain JSON about everything that was learned and on what. digest: sha256 over the card, files included.
    forecasters: by their registered names; on observed data those that serve every horizon. response: of driven data.
    horizons: of observed data, seconds -> what was learned of such a horizon. source: the folder it was loaded from.
    """

    workload: Workload
    card: dict[str, Any]
    digest: str
    forecasters: Fitted
    response: LoadResponse | None
    calibrations: Mapping[str, Mapping[str, Calibration]]
    files: Mapping[str, bytes]
    horizons: Mapping[int, HorizonModel] = field(default_factory=dict)
    source: Path | None = None

    @property
    def is_driven(self) -> bool:
        """Whether it was learned from load experiments, not from a history."""
        return bool(self.card["driven"])

    @property
    def report(self) -> dict[str, Any]:
        """Validation errors per target, weights, bounds, confidence, and what was replaced and why."""
        report: dict[str, Any] = self.card["report"]
        return report

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """What was left out or replaced in training, and why."""
        return tuple(Reason(code, text) for code, text in self.report["reasons"])

    def demand(
        self, recent: pd.DataFrame, question: Question | None = None, *, current_replicas: int | None = None
    ) -> Demand:
        """What the service needs; pure: the same model, rows and question give the same answer everywhere.

        recent: rows of the dataset; driven, those of the experiments (the LSTM looks at the last window of the nearest
        ones); observed, the history up to now (at least one horizon of it).
        current_replicas: those that run now, and stay where no count can be recommended.
        Raises BadInput where the question does not fit the model: a load of observed data, a horizon of driven;
        BadModel where a model that was loaded breaks down on it or gives what is no amount: no training made that one.
        """
        question = question if question is not None else Question()
        if self.source is None:
            return self._demand(recent, question, current_replicas)
        try:
            with np.errstate(over="raise", divide="raise", invalid="raise"):
                found = self._demand(recent, question, current_replicas)
        except store.UNREADABLE as failure:
            raise _broken(self.source, store.in_words(failure)) from failure
        for target in (found.cpu, found.memory, found.replicas):
            figures = () if target is None else (target.point_forecast, target.bound, target.peak, target.confidence)
            if not all(math.isfinite(figure) and figure >= 0 for figure in figures):
                raise _broken(self.source, "it gives what is no amount")
        return found

    def _demand(self, recent: pd.DataFrame, question: Question, current_replicas: int | None) -> Demand:
        if self.is_driven:
            if question.horizon is not None:
                raise BadInput(
                    f"The model of {self.workload.name!r} was trained on load experiments. They show what a load "
                    "needs, not what the next hours bring, so --horizon does not apply.",
                    hint="Ask for a load (--users 50), or size it from its history: --no-model --prometheus URL.",
                )
            assert self.response is not None  # noqa: S101  # driven models always have one; load() checks it
            answer = DrivenAnswer(self.workload, self.card, self.forecasters, self.response, self.calibrations)
            return answer.demand(recent, question, current_replicas=current_replicas)
        observed = recent[recent["scenario"] == OBSERVED_SCENARIO]
        if observed.empty:
            raise NotEnoughData(
                f"The model of {self.workload.name!r} was trained on observed data, and there is none of it.",
                hint=f"Collect some (mora collect --history 14d), or train again: mora train {self.workload.name}",
            )
        return ObservedAnswer(self.workload, self.card, self.forecasters, self.horizons).demand(observed, question)

    def save(self, folder: Path | str) -> None:
        """Write a folder with this model alone, whole or not at all; a model that was there is replaced.

        A service's own folder keeps versions: mora/model/versions.keep writes there.
        """
        store.write(Path(folder), self.files)

    @classmethod
    def load(cls, folder: Path | str, *, digest: str | None = None) -> ServiceModel:
        """Read and verify a model folder, of a service with versions that of the champion's.

        digest: what it must have. Imports neither TensorFlow, prophet nor scikit-learn.
        Raises BadModel where it is half-written, edited, another one, or from a newer MOrA.
        """
        path, champion = champion_folder(Path(folder))
        digest = digest or champion
        contents = store.read(path)
        if digest is not None and contents.digest != digest:
            raise BadModel(
                f"{path} has another model than the version {digest[:12]} that it is named for.",
                hint=f"Train it again: mora train {service_of(path)}",
            )
        try:
            return replace(_assemble(contents), source=path)
        except store.UNREADABLE as failure:
            raise BadModel(
                f"{path} lacks what a model of schema {store.SCHEMA_VERSION} must have ({store.in_words(failure)}).",
                hint=f"Train it again: mora train {service_of(path)}",
            ) from failure


def _broken(folder: Path, why: str) -> BadModel:
    again = f"Train it again: mora train {service_of(folder)}"
    return BadModel(f"The model in {folder} cannot be used: {why}.", hint=again)


def _assemble(contents: store.Contents) -> ServiceModel:
    card = contents.card
    response = contents.documents.get("response.json")
    if card["driven"] and response is None:
        raise KeyError("response.json")
    calibrations = {
        question: {target: Calibration.from_dict(plain) for target, plain in targets.items()}
        for question, targets in card["report"]["calibrations"].items()
    }
    packages = card.get("packages", {})
    forecasters = learners.restore_all(card["forecasters"], contents.documents, contents.arrays, packages=packages)
    return ServiceModel(
        workload=Workload(card["namespace"], card["service"], card["kind"]),
        card=card,
        digest=contents.digest,
        forecasters={**forecasters, **learners.restore_all([NAIVE], {}, {})},
        response=None if response is None else LoadResponse.from_dict(response),
        calibrations=calibrations,
        files=contents.files,
        horizons={
            int(seconds): _horizon_of(contents, found, int(seconds), calibrations[seconds])
            for seconds, found in card["report"].get("horizons", {}).items()
        },
    )


def _horizon_of(
    contents: store.Contents, found: Mapping[str, Any], seconds: int, calibrations: Mapping[str, Calibration]
) -> HorizonModel:
    return HorizonModel(
        horizon_seconds=float(seconds),
        forecasters=learners.restore_all(
            found["forecasters"],
            contents.documents,
            contents.arrays,
            seconds,
            packages=contents.card.get("packages", {}),
        ),
        calibrations={Target(name): calibration for name, calibration in calibrations.items()},
        errors=found["errors"],
        learned_shares={Target(name): shares for name, shares in found["learned_weights"].items()},
        bound_costs=found["bound_costs"],
        selections=found.get("selections", {}),
    )


def train(
    frame: pd.DataFrame,
    cards: Mapping[str, Mapping[str, Any]],
    workload: Workload,
    *,
    settings: TrainSettings | None = None,
    remarks: Sequence[Reason] = (),
    reporter: Reporter | None = None,
) -> ServiceModel:
    """Train on one service's rows (dataset.read_dataset) and cards (dataset.read_cards).

    remarks: what was left out of the rows, for the report.

    Driven and observed rows are never mixed in one fit: where a service has both, the experiments are used and the
    history is left out, with a reason. Raises NotEnoughData, saying how much is needed and how to get it.
    """
    settings, reporter = settings or TrainSettings(), reporter or Silent()
    if frame.empty:
        raise NotEnoughData(
            f"There are no rows of {workload.name!r} to train on.", hint="Collect some: mora collect --plan quick"
        )
    chosen, reasons = _one_kind(frame)
    reasons = [*remarks, *reasons]
    reasons += _without_cards(chosen, cards)
    driven = is_driven(chosen)
    if driven:
        chosen, unknown = _with_known_load(chosen)
        reasons += unknown
    learned = (
        _learn_driven(chosen, cards, settings, reporter)
        if driven
        else _learn_observed(chosen, workload, settings, reporter)
    )
    report = {
        **learned.report,
        "calibrations": {
            question: {target.value: calibration.to_dict() for target, calibration in targets.items()}
            for question, targets in learned.calibrations.items()
        },
        "reasons": [[reason.code, reason.text] for reason in (*reasons, *learned.reasons)],
    }
    card = {
        "mora_version": __version__,
        "service": workload.name,
        "namespace": workload.namespace,
        "kind": workload.kind,
        "driven": driven,
        "experiments": sorted(str(name) for name in chosen["experiment_id"].unique()),
        "scenarios": sorted(str(name) for name in chosen["scenario"].unique()),
        "rows": len(chosen),
        "samples_filled": learned.samples_filled,
        "windowed": list(learned.windowed),
        "data_sha256": facts.fingerprint(chosen),
        "last_sample": facts.last_sample(chosen).isoformat(),
        "measured": facts.current_state(chosen, cards),
        "runs": facts.startups(chosen, cards),
        "settings": {
            "seed": settings.seed,
            "weights": dict(settings.weights),
            "learn_weights": settings.learn_weights,
            "candidates": list(settings.candidates),
            "model": settings.model,
            "options": {name: asdict(one) for name, one in settings.options.items()},
            "horizon_seconds": settings.horizon.total_seconds(),
            "slo_p95_seconds": settings.slo.p95_seconds,
            "slo_error_ratio": settings.slo.error_ratio,
        },
        "forecasters": [name for name in learned.forecasters if name != NAIVE],
        "inputs": learners.inputs_of(learned.arrays),
        "packages": learners.packages_of(settings.trained),
        "report": report,
    }
    return _assemble(store.seal(card, learned.documents, learned.arrays))


@dataclass(frozen=True, slots=True)
class _Learned:
    """The result of training, driven or observed, as it goes into the card and the files beside it."""

    forecasters: Fitted
    documents: Mapping[str, Any]
    arrays: Mapping[str, Mapping[str, Any]]
    calibrations: Mapping[str, Mapping[Target, Calibration]]
    report: Mapping[str, Any]
    reasons: tuple[Reason, ...]
    samples_filled: int
    windowed: tuple[str, ...] = ()


def _learn_driven(
    frame: pd.DataFrame, cards: Mapping[str, Mapping[str, Any]], settings: TrainSettings, reporter: Reporter
) -> _Learned:
    from mora.model import driven

    found = driven.learn(frame, cards, settings, reporter)
    documents, arrays = learners.save_all(found.forecasters)
    return _Learned(
        found.forecasters,
        {**documents, "response.json": found.response.to_dict()},
        arrays,
        found.calibrations,
        {"next_steps": found.errors},
        found.reasons,
        found.samples_filled,
        found.windowed,
    )


def _learn_observed(frame: pd.DataFrame, workload: Workload, settings: TrainSettings, reporter: Reporter) -> _Learned:
    from mora.model import observed

    found = observed.learn(history_of(frame, workload.name), settings, reporter)
    documents, arrays = learners.save_all(found.forecasters)
    for seconds, horizon in found.horizons.items():
        more = learners.save_all(horizon.forecasters, seconds)
        documents, arrays = {**documents, **more[0]}, {**arrays, **more[1]}
    main = found.horizons.get(round(settings.horizon.total_seconds())) or found.horizons[max(found.horizons)]
    horizons = {
        str(seconds): {
            "forecasters": list(horizon.forecasters),
            "errors": horizon.errors,
            "learned_weights": {target.value: dict(shares) for target, shares in horizon.learned_shares.items()},
            "bound_costs": dict(horizon.bound_costs),
            "selections": dict(horizon.selections),
        }
        for seconds, horizon in found.horizons.items()
    }
    return _Learned(
        found.forecasters,
        documents,
        arrays,
        {str(seconds): horizon.calibrations for seconds, horizon in found.horizons.items()},
        {"next_steps": main.errors, "horizons": horizons},
        found.reasons,
        found.samples_filled,
    )


def _one_kind(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[Reason]]:
    observed = frame["scenario"] == OBSERVED_SCENARIO
    if bool(observed.any()) and not bool(observed.all()):
        text = (
            f"{int(observed.sum())} observed rows are left out: they are never mixed with the "
            f"{int((~observed).sum())} rows of load experiments in one fit"
        )
        return frame[~observed], [Reason("observed-left-out", text)]
    return frame, []


def _with_known_load(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[Reason]]:
    """The experiments of which users and replicas are known: without them a run is of no known load."""
    known = frame["load_users"].gt(0) & frame["replica_count"].gt(0)
    names = sorted(str(name) for name in frame.loc[~known, "experiment_id"].unique())
    if not names:
        return frame, []
    text = f"{len(names)} experiments have no users or replicas and are left out: {', '.join(names[:3])}"
    text += ", ..." if len(names) > 3 else ""
    if not known.any():
        raise NotEnoughData(
            f"There is nothing to learn from: {text}.",
            hint="Fill load_users and replica_count; what no load was driven on has the scenario 'observed'.",
        )
    return frame[known], [Reason("load-unknown", text)]


def _without_cards(frame: pd.DataFrame, cards: Mapping[str, Mapping[str, Any]]) -> list[Reason]:
    bare = sorted({str(name) for name in frame["experiment_id"].unique()} - set(cards))
    if not bare:
        return []
    text = (
        f"{len(bare)} experiments have no JSON beside their CSV ({bare[0]}{', ...' if len(bare) > 1 else ''}): their "
        "quality was not checked when they were collected"
    )
    return [Reason("no-card", text)]
