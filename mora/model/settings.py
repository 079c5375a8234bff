"""What a training may be told, and the constants that it leans on where a service's own past is too short."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from mora.domain import Slo, Target
from mora.forecasters.lstm import LstmSettings
from mora.fusion import DEFAULT_WEIGHTS

# Measured by experiments/benchmarks/prior.py on other services' traces (its docstring says which and how): the share of
# holds in which the same rule kept its promise ...
PRIOR_RATE: Mapping[Target, float] = {Target.CPU: 0.9, Target.MEMORY: 0.9, Target.REPLICAS: 0.9}
# ... and how many times its centre nine holds of ten needed at most: of driven runs, and of a day of observed use.
PRIOR_MULTIPLIER_DRIVEN: Mapping[Target, float] = {Target.CPU: 1.3, Target.MEMORY: 1.1}
PRIOR_MULTIPLIER_OBSERVED: Mapping[Target, float] = {Target.CPU: 2.0, Target.MEMORY: 1.5}


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How a service is learnt.

    seed: of the split and of the network. weights: what each part counts before it is tested; they sum to 1.
    learn_weights: take the best on the holds that choose instead. hold: how long a recommendation stands on observed
    data. slo: the promise that the confidence in replicas is measured against.
    """

    seed: int = 0
    weights: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_WEIGHTS))
    learn_weights: bool = False
    hold: timedelta = timedelta(hours=24)
    slo: Slo = field(default_factory=Slo)
    lstm: LstmSettings = field(default_factory=LstmSettings)
