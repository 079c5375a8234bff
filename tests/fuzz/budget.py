"""How many examples a fuzz test draws: a few seeded ones, or with MORA_FUZZ=100 a hundred times as many at random."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

VARIABLE = "MORA_FUZZ"


def budget(examples: int) -> settings:
    """Settings for a test that draws `examples` in an ordinary run."""
    times = int(os.environ.get(VARIABLE) or 1)
    return settings(
        max_examples=examples * times,
        derandomize=times == 1,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
