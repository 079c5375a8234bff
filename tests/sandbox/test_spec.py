"""The services of the shop: what they ship with."""

from __future__ import annotations

import pytest

from mora.quantities import MIB
from mora.sandbox.pods import check_resources
from mora.sandbox.spec import ENTRY_SERVICE, SERVICES, ServiceSpec


@pytest.mark.parametrize("spec", SERVICES, ids=lambda spec: spec.name)
def test_a_service_ships_with_valid_requests_and_limits(spec: ServiceSpec) -> None:
    check_resources(spec.resources)
    assert None not in (spec.resources.cpu_request_millicores, spec.resources.memory_limit_bytes)
    assert spec.image.startswith(f"mora-sandbox/{spec.name}:")


def test_the_shop_leaves_a_part_of_two_cores_to_the_load_and_to_prometheus() -> None:
    limits = sum(spec.resources.cpu_limit_millicores or 0 for spec in SERVICES)
    assert limits < 0.75 * 2000
    assert sum(spec.resources.memory_limit_bytes or 0 for spec in SERVICES) < 2048 * MIB


def test_the_entry_service_is_one_of_them() -> None:
    assert ENTRY_SERVICE in {spec.name for spec in SERVICES}
