"""Settings that contradict themselves are refused."""

from __future__ import annotations

from typing import Any

import pytest

from mora.domain import Autoscaler, Target
from mora.errors import BadInput
from mora.policies import PolicySettings, Surroundings


@pytest.mark.parametrize(
    "wrong",
    [
        {"cpu_buffer": 0.9},
        {"limit_bound_factor": float("nan")},
        {"memory_floor_bytes": -1},
        {"min_change": 1.1},
        {"max_cpu_cut": 0.0},
        {"cpu_cap_millicores": 5},
        {"max_replicas": 1, "min_replicas": 2},
    ],
)
def test_settings_that_cannot_be_meant_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        PolicySettings(**wrong)


SERVER_ONLY = Autoscaler(
    "hpa", Target.CPU, is_utilisation=True, target=70, min_replicas=1, max_replicas=9, container="server"
)
ON_MEMORY = Autoscaler("hpa", Target.MEMORY, True, 70, 1, 9)
ON_VALUE = Autoscaler("hpa", Target.CPU, False, 100, 1, 9)


@pytest.mark.parametrize(
    ("target", "container", "found"),
    [
        (Target.CPU, "server", SERVER_ONLY),
        (Target.CPU, "proxy", None),  # its metric looks at another container
        (Target.MEMORY, "proxy", ON_MEMORY),  # the whole pod counts
    ],
)
def test_only_a_utilisation_that_the_container_counts_in_moves_with_its_request(
    target: Target, container: str, found: Autoscaler | None
) -> None:
    assert Surroundings((ON_VALUE, SERVER_ONLY, ON_MEMORY)).scaling_on(target, container) is found
