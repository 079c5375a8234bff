"""docs/cluster.md is true: its flags, keys and codes are those that there are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from mora.cli import app
from mora.config import load_settings
from mora.fleet.overrides import helm_paths, keys
from mora.fleet.settings import FleetSettings, sizing_of
from mora.quantities import GIB, MIB
from mora.savings import HOURS_PER_MONTH, Prices
from tests.fleet.making import state

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
_CODES = re.compile(r'(?:Reason|because|remarked)\(\s*"([a-z-]+)"')


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found.group(1)


# What is not about the history: models, experiments and the sandbox have pages of their own.
_ELSEWHERE = {"--data", "--models", "--sandbox", "--target", "--stale-ok", "--include-flagged"}
_ELSEWHERE |= {"--backend", "--scheduler", "--namespace"}


def fleet_flags(name: str) -> set[str]:
    """The long flags of a command that say what is read, and of which workloads."""
    command: Any = get_command(app).commands[name]  # type: ignore[attr-defined]  # a typer app is a click Group
    panels = ("What", "Sources")
    options = [option for option in command.params if getattr(option, "rich_help_panel", None) in panels]
    shown = [option for option in options if not option.hidden]
    return {flag for option in shown for flag in option.opts if flag.startswith("--")} - _ELSEWHERE


@pytest.mark.parametrize("name", ["recommend", "explain"])
def test_every_flag_of_the_cluster_s_history_is_on_the_page(name: str) -> None:
    flags = fleet_flags(name)
    assert len(flags) >= 10
    short = {"--all-namespaces": "-A", "--selector": "-l"}
    assert {flag for flag in flags if short.get(flag, flag) not in PAGE} == set()


def test_every_flag_on_the_page_exists() -> None:
    known = {
        flag
        for command in get_command(app).commands.values()  # type: ignore[attr-defined]  # as above
        for option in command.params
        for flag in (*option.opts, *option.secondary_opts)
    }
    told = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE))
    of_kube_state_metrics = {"--metric-labels-allowlist", "--metric-annotations-allowlist"}
    assert told - known == of_kube_state_metrics


def test_every_reason_code_is_on_the_page_and_no_other() -> None:
    sources = [
        *(ROOT / "mora" / "fleet").glob("*.py"),
        *(ROOT / "mora" / "policies").glob("*.py"),
        ROOT / "mora" / "saturation.py",
    ]
    given = {code for path in sources for code in _CODES.findall(path.read_text(encoding="utf-8"))} - {"part"}
    given |= {"model-not-used", "no-kubeconfig", "experiments-left-out"}  # mora/pipeline, mora/dataset
    table = PAGE[PAGE.index("| code | meaning |") : PAGE.index("## Overrides by a team")]
    assert set(re.findall(r"`([a-z-]+)`", table)) == given


def test_every_override_is_on_the_page() -> None:
    table = PAGE[PAGE.index("| key | value | meaning |") :]
    told = set(re.findall(r"`([a-z-]+)`", table))
    assert set(keys()) <= told


def test_the_examples_mean_what_they_say(tmp_path: Path) -> None:
    annotations = yaml.safe_load(block("yaml"))["metadata"]["annotations"]
    here = state(annotations=annotations)
    (tmp_path / "mora.toml").write_text(block("toml"), encoding="utf-8")
    settings = load_settings({}, {}, tmp_path)
    fleet = FleetSettings(namespaces=settings.fleet.namespaces, workloads=settings.fleet.workloads)
    sizing = sizing_of(here, fleet)
    assert (sizing.policy.memory_floor_bytes, sizing.memory_factor) == (256 * MIB, 1.3)
    assert sizing.excluded_containers == {"debug", "agent"}
    assert (sizing.policy.cpu_floor_millicores, sizing.cpu_quantile, sizing.include_sidecars) == (20, 0.99, True)
    assert sizing.policy.memory_cap_bytes == 2 * GIB
    assert helm_paths([here]) == {"shop/frontend/server": "frontend.resources"}


def test_the_prices_are_those_that_are_used() -> None:
    assert f"{Prices().cpu_per_core_hour} and {Prices().memory_per_gib_hour} {Prices().currency}" in PAGE
    assert f"{HOURS_PER_MONTH} hours" in PAGE


def test_every_page_that_is_linked_is_there() -> None:
    linked = [link for link in re.findall(r"\]\(([^)#]+)\)", PAGE) if not link.startswith("http")]
    assert [link for link in linked if not (ROOT / "docs" / link).exists()] == []
