"""The settings of a run as the rooms below take them: each is built here and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mora.errors import BadInput

if TYPE_CHECKING:
    from mora.fleet.settings import FleetSettings
    from mora.model import TrainSettings
    from mora.settings import Settings


def fleet_settings(
    settings: Settings,
    *,
    excluded: Sequence[str] = (),
    incidents: Sequence[str] = (),
    keeps_past: bool = False,
    marks_abnormal: bool = False,
) -> FleetSettings:
    """The settings of a run over many workloads. excluded: START/END of time ranges that are left out of histories.

    incidents: time ranges, and files that name incidents, which are left out with both numbers shown; "certain": those
    whose cause is certain, too.
    keeps_past: keep what charts show of each history. marks_abnormal: find every abnormal time in it.
    """
    from mora.fleet.incidents import CERTAIN, read_incidents
    from mora.fleet.settings import FleetSettings
    from mora.fleet.spans import parse_span

    return FleetSettings(
        policy=settings.policy,
        horizon=settings.horizon,
        excluded=tuple(parse_span(text) for text in excluded),
        incidents=read_incidents(incidents, now=datetime.now(UTC)),
        certain=CERTAIN in incidents,
        include_sidecars=settings.fleet.include_sidecars,
        allow_jvm_cut=settings.fleet.allow_jvm_cut,
        cut_while_abnormal=settings.fleet.cut_while_abnormal,
        keeps_past=keeps_past,
        marks_abnormal=marks_abnormal,
        namespaces=settings.fleet.namespaces,
        workloads=settings.fleet.workloads,
    )


def default_train_settings() -> TrainSettings:
    """The settings of a training that nothing was asked of: the one default, of `mora train` and of mora.train()."""
    from mora.settings import Settings

    return train_settings(Settings())


def train_settings(settings: Settings) -> TrainSettings:
    """The settings of a training. Raises BadInput for a model that there is not."""
    from mora import registry
    from mora.fusion import blend_of
    from mora.model import TrainSettings
    from mora.model.choice import BLEND, MIXTURE

    model, candidates = settings.train.model, settings.train.candidates
    weights = blend_of(settings.train.forecasters, settings.train.prophet_weight)
    if model is not None and model not in (BLEND, MIXTURE):
        known = registry.names("forecasters")
        if model not in known:
            raise BadInput(
                f"There is no model {model!r} to train.", hint=f"Name one of {', '.join((BLEND, MIXTURE, *known))}."
            )
        weights, candidates = {model: 1.0}, ()
    elif model == BLEND:
        model, candidates = None, ()
    return TrainSettings(
        seed=settings.train.seed,
        weights=weights,
        learn_weights=settings.train.learn_weights,
        horizon=settings.horizon,
        slo=settings.slo,
        candidates=tuple(candidates),
        model=model,
    )
