"""The options that recommend and explain share, and the settings of the outputs from flags, mora.toml, annotations."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from typer.main import get_command

from mora.cli import app
from mora.cli.asking import Asked
from mora.errors import BadInput


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
