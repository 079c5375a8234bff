"""What a training may be told, and the constants that it leans on where a service's own past is too short."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from mora.domain import Slo, Target
from mora.forecasters.keras_fit import LstmSettings
from mora.fusion import DEFAULT_WEIGHTS

# All measured by experiments/benchmarks/prior.py on recorded traces; its docstring says which and how.
# The share of holds in which the same rule kept its promise on other services. CPU: .941 of 2,127 days of 50 VMs, .929
# of 28 Sock Shop runs; memory: .945 of the same days; replicas: .980 of 196 stretches of 155 Sock Shop services.
PRIOR_RATE: Mapping[Target, float] = {Target.CPU: 0.93, Target.MEMORY: 0.95, Target.REPLICAS: 0.98}
# How many times its centre nine holds of ten needed at most. Driven: 28 Sock Shop runs under constant load.
PRIOR_MULTIPLIER_DRIVEN: Mapping[Target, float] = {Target.CPU: 1.19, Target.MEMORY: 1.02}
# Observed CPU: business VMs took 3.82, pods of Online Boutique 1.41; their geometric mean. Memory: the pods' 1.03,
# since the VMs' is active memory and swings as no working set does.
PRIOR_MULTIPLIER_OBSERVED: Mapping[Target, float] = {Target.CPU: 2.32, Target.MEMORY: 1.03}


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
    horizon: timedelta = timedelta(hours=24)
    slo: Slo = field(default_factory=Slo)
    lstm: LstmSettings = field(default_factory=LstmSettings)
