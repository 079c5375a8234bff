"""Which door a managed Prometheus has, as the settings name it."""

from __future__ import annotations

import pytest

from mora.config import load_settings
from mora.errors import BadConfig, BadInput
from mora.pipeline import access_of, open_prometheus
from mora.sources.doors.door import DOORS, door


@pytest.mark.parametrize("name", DOORS)
def test_the_settings_name_a_door(name: str) -> None:
    settings = load_settings({"prometheus_url": "https://metrics.example.com"}, {"MORA_PROMETHEUS_AUTH": name})
    access = access_of(settings)
    assert access.signer is not None
    assert repr(access.signer).startswith(DOORS[name].partition(":")[2])
    assert "PrometheusSource" in repr(open_prometheus(settings))


def test_a_door_and_a_password_are_one_too_many() -> None:
    environ = {"MORA_PROMETHEUS_AUTH": "gcp", "MORA_PROMETHEUS_USERNAME": "ada", "MORA_PROMETHEUS_PASSWORD": "x"}
    with pytest.raises(BadInput, match="Several kinds of credentials"):
        access_of(load_settings({"prometheus_url": "https://metrics.example.com"}, environ))


def test_a_door_that_is_none_is_refused() -> None:
    with pytest.raises(BadConfig, match="MORA_PROMETHEUS_AUTH"):
        load_settings({}, {"MORA_PROMETHEUS_AUTH": "kerberos"})


def test_no_token_goes_over_a_line_that_all_can_read() -> None:
    with pytest.raises(BadInput, match="for all to read"):
        door("gcp", "http://metrics.example.com")


def test_without_an_address_there_is_nothing_to_open() -> None:
    assert access_of(load_settings({}, {"MORA_PROMETHEUS_AUTH": "gcp"})).signer is None
