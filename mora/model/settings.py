"""The settings of a training, and the constants that it rests on where a service's own past is too short."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from mora.domain import Slo, Target
from mora.fusion import DEFAULT_WEIGHTS

# All measured by experiments/benchmarks/prior.py on recorded traces; see there which and how.
# The share of windows that the same rule covered on other services. CPU: .941 of 2,127 days of 50 VMs, .929 of 28 Sock
# Shop runs; memory: .945 of the same days; replicas: .980 of 196 windows of 155 Sock Shop services.
PRIOR_RATE: Mapping[Target, float] = {Target.CPU: 0.93, Target.MEMORY: 0.95, Target.REPLICAS: 0.98}
# How many times its point forecast nine windows of ten needed at most. Driven: 28 Sock Shop runs under constant load.
PRIOR_MULTIPLIER_DRIVEN: Mapping[Target, float] = {Target.CPU: 1.19, Target.MEMORY: 1.02}
# Observed CPU: business VMs took 3.82, pods of Online Boutique 1.41; their geometric mean. Memory: the pods' 1.03,
# since the VMs' is active memory and swings as no working set does.
PRIOR_MULTIPLIER_OBSERVED: Mapping[Target, float] = {Target.CPU: 2.32, Target.MEMORY: 1.03}


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How a service is trained.

    seed: of the split and of the network. weights: forecaster -> its weight in the blend before it is tested; they sum
    to 1, and these are the forecasters that are trained. learn_weights: take the weights that err least on the windows
    that choose instead. horizon: how far ahead a recommendation must be right on observed data. slo: what the
    confidence in replicas is measured against. options: forecaster -> what it is made with, for those that take it.
    candidates: forecasters that are trained on a history beside the blend, and take its place for a target that they
    forecast clearly better (choice.py); without any, nothing is compared. model: the one that forecasts, whatever the
    others are worth: a forecaster, or "mixture"; None leaves the choice to the validation windows.
    """

    seed: int = 0
    weights: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_WEIGHTS))
    learn_weights: bool = False
    horizon: timedelta = timedelta(hours=24)
    slo: Slo = field(default_factory=Slo)
    options: Mapping[str, Any] = field(default_factory=dict)
    candidates: tuple[str, ...] = ()
    model: str | None = None

    @property
    def trained(self) -> tuple[str, ...]:
        """The forecasters that are trained, each once: those of the blend, then the candidates."""
        return tuple(dict.fromkeys((*self.weights, *self.candidates)))
