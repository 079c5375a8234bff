"""What is asked of a model: a load, an SLO, bounds on the replicas, a horizon."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from mora.domain.observations import Slo


@dataclass(frozen=True, slots=True)
class Question:
    """What a workload is to be sized for; made once, and handed on whole.

    users, scenario: the load, for models of load experiments alone. Half a load is a question, too: users without a
    scenario mean whichever scenario needs most, a scenario without users its highest load that met `slo`.
    requests_per_second: the load in place of users; it is that of as many users as sent so much in the runs.
    slo, target_utilisation: what the replica count must keep. min_replicas, max_replicas: bounds on it; a maximum of
    None is what the measurements know. replicas: size the pod at this count and choose none.
    horizon: how far ahead the answer must be right, for models of observed data alone; None means as in training.

    >>> Question(users=35, scenario="checkout").slo.p95_seconds
    0.3
    """

    users: int | None = None
    scenario: str | None = None
    slo: Slo = field(default_factory=Slo)
    min_replicas: int = 1
    max_replicas: int | None = None
    target_utilisation: float = 0.7
    replicas: int | None = None
    horizon: timedelta | None = None
    requests_per_second: float | None = None

    @property
    def has_load(self) -> bool:
        """Whether a load is asked for, in whole or in part."""
        return self.users is not None or self.scenario is not None or self.requests_per_second is not None
