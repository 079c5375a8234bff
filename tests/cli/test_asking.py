"""The options that recommend and explain share, and the settings of the outputs from flags, mora.toml, annotations."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from mora.cli import app
from mora.cli.asking import Asked, output_settings
from mora.config import load_settings
from mora.errors import BadConfig, BadInput
from mora.savings import Prices
from tests.fleet.making import state


def test_without_a_price_there_is_no_money_and_with_one_the_other_is_opencost_s(tmp_path: Path) -> None:
    assert output_settings(load_settings({}, {}, tmp_path), []).prices is None
    shown = output_settings(load_settings({"prices_cpu": 0.05}, {}, tmp_path), [])
    assert shown.prices == Prices(cpu_per_core_hour=0.05)
    (tmp_path / "mora.toml").write_text('[prices]\ncpu = 0\nmemory = 0.01\ncurrency = "EUR"\n', encoding="utf-8")
    assert output_settings(load_settings({}, {}, tmp_path), []).prices == Prices(0.0, 0.01, "EUR")


def test_a_negative_price_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="must be a price of 0 or more, not -1"):
        load_settings({"prices_cpu": -1}, {}, tmp_path)


def test_a_helm_path_is_taken_from_the_flag_before_mora_toml_before_the_annotation(tmp_path: Path) -> None:
    (tmp_path / "mora.toml").write_text(
        '[helm_paths]\n"shop/frontend/server" = "b"\n"shop/cart/server" = "c"\n', encoding="utf-8"
    )
    here = state(
        annotations={"mora.dev/helm-path.server": "a", "mora.dev/helm-path.cache": "cache.resources"},
    )
    shown = output_settings(load_settings({}, {}, tmp_path), [here], helm_paths=["shop/cart/server=d.resources"])
    assert shown.helm_paths == {
        "shop/frontend/server": "b",
        "shop/frontend/cache": "cache.resources",
        "shop/cart/server": "d.resources",
    }


def test_helm_paths_must_be_a_table(tmp_path: Path) -> None:
    (tmp_path / "mora.toml").write_text("helm_paths = 3\n", encoding="utf-8")
    with pytest.raises(BadConfig, match="must be a table of containers"):
        load_settings({}, {}, tmp_path)


def parameters(name: str) -> dict[str, Any]:
    command: Any = get_command(app)
    return {parameter.name: parameter for parameter in command.commands[name].params}


def test_explain_takes_every_option_that_asks_recommend() -> None:
    shared = {one.name for one in fields(Asked)}
    assert shared <= set(parameters("recommend"))
    assert shared <= set(parameters("explain"))
    for name in shared:
        assert parameters("recommend")[name].opts == parameters("explain")[name].opts


@pytest.mark.parametrize("name", ["recommend", "explain"])
def test_every_option_of_the_help_page_is_in_a_panel(name: str) -> None:
    shown = [one for one in parameters(name).values() if one.param_type_name == "option" and not one.hidden]
    panels = {str(one.name): getattr(one, "rich_help_panel", None) for one in shown if one.name != "help"}
    assert {key for key, panel in panels.items() if panel is None} == set()
    assert set(panels.values()) <= {"What", "Load and SLO", "Policy", "Sources", "Output", "Into a Git checkout"}


@pytest.mark.parametrize("name", ["hold", "why"])
def test_a_former_name_is_taken_and_not_shown(name: str) -> None:
    old = parameters("recommend")[name]
    assert old.hidden


def test_a_prometheus_that_is_named_as_a_source_is_that_of_the_settings() -> None:
    asked = Asked(everything=True, source="prometheus:https://metrics.example/x")
    settings = asked.settings()
    assert settings.prometheus.url == "https://metrics.example/x"
    assert asked.request(settings).source == "prometheus"
    secret = "prometheus:https://ada:hush@metrics.example"
    for one in (replace(asked, prometheus="http://127.0.0.1:9", source=secret), replace(asked, source=secret)):
        with pytest.raises(BadInput, match="Give") as refused:
            one.settings()
        assert "hush" not in str(refused.value)
