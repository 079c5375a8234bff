"""A policy of another package: it keeps the contract, and sizes a service and a fleet when settings name it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mora import registry
from mora.config import load_settings
from mora.errors import BadConfig, BadInput
from mora.fleet.settings import FleetSettings
from mora.policies import PolicySettings
from mora.seams import Policy
from mora.testing import PolicyContract
from tests import plugins
from tests.fleet.making import advised

SOURCE = """
from dataclasses import replace
from mora.policies import PolicySettings, recommend

def generous(demand, current, settings=PolicySettings()):
    advice = recommend(demand, current, settings)
    main = advice.main
    if main.cpu_request.value is None:
        return advice
    cpu = replace(main.cpu_request, value=2 * main.cpu_request.value)
    return replace(advice, containers=(replace(main, cpu_request=cpu), *advice.others))
"""


@pytest.fixture
def generous(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Policy]:
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins.install(tmp_path, "mora-generous", {"policies.generous": "mora_generous:generous"}, SOURCE)
    found: Policy = registry.load("policies", "generous")
    yield found
    plugins.forget(tmp_path)


class TestGenerous(PolicyContract):
    @pytest.fixture
    def policy(self, generous: Policy) -> Policy:
        return generous


def test_a_fleet_is_sized_by_the_policy_that_settings_name(generous: Policy) -> None:
    usual = advised(settings=FleetSettings()).main.cpu_request.value
    named = FleetSettings(policy=PolicySettings(name="generous"))
    assert usual is not None
    assert advised(settings=named).main.cpu_request.value == 2 * usual


def test_settings_name_a_policy_that_is_there_and_no_other(generous: Policy) -> None:
    assert load_settings({}, {"MORA_POLICY_NAME": "generous"}).policy.name == "generous"
    with pytest.raises((BadConfig, BadInput), match="default, generous"):
        load_settings({}, {"MORA_POLICY_NAME": "nonesuch"})
