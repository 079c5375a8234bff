"""How much load one pod of a service carries: the knee between the loads that keep an SLO and those that break it."""

from mora.capacity.knee import (
    Bracket,
    Capacity,
    Full,
    Trial,
    Use,
    bracket,
    capacity,
    capacity_of,
    describe,
    first_full,
    predicted_knee,
    rate_at,
    trials,
)
from mora.capacity.usl import Usl, describe_usl, fit_usl

__all__ = [
    "Bracket",
    "Capacity",
    "Full",
    "Trial",
    "Use",
    "Usl",
    "bracket",
    "capacity",
    "capacity_of",
    "describe",
    "describe_usl",
    "first_full",
    "fit_usl",
    "predicted_knee",
    "rate_at",
    "trials",
]
