"""The k9s plug-in: every variable is one of k9s', and what it runs is a call that MOrA takes."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from mora.fleet.names import parse_name
from tests.running import clean_environment, command

ROOT = Path(__file__).parents[2]
PLUGINS: dict[str, dict[str, Any]] = yaml.safe_load(
    (ROOT / "integrations" / "k9s" / "plugins.yaml").read_text(encoding="utf-8")
)["plugins"]
# As k9s finds variables in arguments (internal/view/env.go): one that it does not know is an error there.
VARIABLE = re.compile(r"\$(!?[\w|\d|\-|]+)")
KNOWN = {"NAMESPACE": "shop", "NAME": "frontend", "CONTEXT": "prod (eu); touch /tmp/x", "RESOURCE_NAME": "deployments"}
KEYS = {"shortCut", "override", "description", "confirm", "dangerous", "scopes", "command", "background", "args"}


def expanded(argument: str, **others: str) -> str:
    """An argument as k9s fills it in; KeyError for a variable that k9s does not have."""
    return VARIABLE.sub(lambda found: {**KNOWN, **others}[found[1]], argument)


@pytest.mark.parametrize("name", PLUGINS)
def test_a_plug_in_has_what_k9s_asks_for(name: str) -> None:
    plugin = PLUGINS[name]
    assert {"shortCut", "description", "scopes", "command"} <= set(plugin) <= KEYS
    assert len({one["shortCut"] for one in PLUGINS.values()}) == len(PLUGINS)
    for argument in plugin["args"]:
        assert expanded(argument)


@pytest.mark.parametrize("name", PLUGINS)
@pytest.mark.parametrize("scope", ["deployments", "statefulsets", "daemonsets", "cronjobs", "rollouts"])
def test_it_calls_mora_with_the_workload_and_no_name_reaches_the_shell(name: str, scope: str, tmp_path: Path) -> None:
    assert scope in PLUGINS[name]["scopes"]
    program = tmp_path / "mora"
    # What mora gets is printed, a word a line, and whether it takes it is seen by --help after the options.
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@"\n{" ".join(command())} "$@" --help\n', encoding="utf-8")
    program.chmod(0o755)
    words = [expanded(argument, RESOURCE_NAME=scope) for argument in PLUGINS[name]["args"]]
    environment = {**clean_environment(), "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "PAGER": "cat"}
    done = subprocess.run(
        [PLUGINS[name]["command"], *words],
        env={**environment, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    given = [f"{scope}/frontend", "--namespace", "shop", "--context", KNOWN["CONTEXT"]]
    assert lines[0] == name.removeprefix("mora-")
    assert lines[1:6] == given
    assert "Usage: mora" in done.stdout
    assert parse_name(given[0]).name == "frontend"
