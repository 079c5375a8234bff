"""Every setting has its key, its variable, its words and its place, and the documented default."""

from __future__ import annotations

import re
from dataclasses import fields
from operator import attrgetter

import pytest

from mora.savings import Prices
from mora.settings import (
    BY_NAME,
    SETTINGS,
    FleetOptions,
    PriceOptions,
    PrometheusSettings,
    Setting,
    Settings,
    TrainOptions,
)


def test_the_defaults_are_those_that_the_documentation_names() -> None:
    settings = Settings()
    policy = settings.policy
    assert (policy.cpu_buffer, policy.memory_buffer, policy.min_change) == (1.2, 1.15, 0.1)
    assert (policy.max_cpu_cut, policy.max_memory_cut, policy.allow_any_step) == (0.5, 0.3, False)
    assert (settings.slo.p95_seconds, settings.slo.error_ratio, policy.target_utilisation) == (0.3, 0.01, 0.7)
    assert (str(settings.data_dir), str(settings.models_dir), settings.namespace) == ("data", "models", "default")
    assert (settings.target, policy.min_replicas, policy.max_replicas) == ("sandbox", 1, None)
    assert settings.prometheus.url is None


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_has_a_variable_a_key_words_and_a_place(setting: Setting) -> None:
    assert re.fullmatch(r"MORA_[A-Z0-9_]+", setting.variable)
    assert re.fullmatch(r"([a-z]+\.)?[a-z0-9_]+", setting.key)
    assert re.match(r"[A-Z0-9].*\.$", setting.about)
    attrgetter(setting.field)(Settings())


def test_variables_and_keys_are_unique_and_every_field_has_one() -> None:
    assert len(BY_NAME) == len(SETTINGS)
    assert len({setting.field for setting in SETTINGS}) == len(SETTINGS)
    groups = (PrometheusSettings, TrainOptions, FleetOptions, PriceOptions)
    fields_of_groups = sum(len(fields(group)) for group in groups)
    assert fields_of_groups == sum(
        s.field.split(".")[0] in ("prometheus", "train", "fleet", "prices") for s in SETTINGS
    )


def test_prices_are_none_until_one_is_set_and_the_other_takes_its_default() -> None:
    assert PriceOptions().prices is None
    set_by_team = PriceOptions(cpu=0.05, currency="EUR").prices
    assert set_by_team is not None
    assert (set_by_team.cpu_per_core_hour, set_by_team.currency) == (0.05, "EUR")
    assert set_by_team.memory_per_gib_hour == Prices().memory_per_gib_hour


@pytest.mark.parametrize(
    ("place", "is_flag"), [("--namespace", True), ("MORA_NAMESPACE", False), ("mora.toml line 3", False)]
)
def test_a_setting_knows_where_it_came_from(place: str, is_flag: bool) -> None:
    settings = Settings(origins={"namespace": place})
    assert (settings.origin("namespace"), settings.is_flag("namespace")) == (place, is_flag)
    assert settings.origin("plan") == "default"
    with pytest.raises(KeyError):
        settings.origin("nonesuch")
