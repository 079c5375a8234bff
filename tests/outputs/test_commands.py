"""The commands are a shell script whose way back leads back."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from mora.domain import Recommendation
from mora.errors import NotEnoughData
from mora.outputs import commands
from tests.outputs import examples, kubectl
from tests.outputs.checks import assert_only_the_advice_changed
from tests.outputs.golden import golden
from tests.outputs.kubectl import Kubectl


def lines(recommendation: Recommendation) -> tuple[str, str, str]:
    """Rehearsal, apply and roll back of one workload."""
    found = [
        line.removeprefix("# ") for line in commands.render([recommendation]).splitlines() if "kubectl patch" in line
    ]
    rehearse, apply, back = found
    return rehearse, apply, back


def run_locally(tool: Kubectl, line: str, manifest: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What a printed command does, on a file in the cluster's place."""
    kubectl_, patch, kind, name, flag, namespace, *rest = shlex.split(line)
    assert (kubectl_, patch, flag) == ("kubectl", "patch", "-n")
    assert (kind, name, namespace) == (
        manifest["kind"].lower(),
        manifest["metadata"]["name"],
        manifest["metadata"]["namespace"],
    )
    (folder / "workload.yaml").write_text(yaml.safe_dump(manifest))
    after = yaml.safe_load(tool.run("patch", "--local", "-f", str(folder / "workload.yaml"), *rest, "-o", "yaml"))
    assert isinstance(after, dict)
    return after


@pytest.mark.parametrize("tool", kubectl.each())
@pytest.mark.parametrize("example", ["frontend", "cart", "payment"])
def test_apply_sets_the_numbers_and_roll_back_restores_the_workload(
    tool: Kubectl, example: str, tmp_path: Path
) -> None:
    recommendation: Recommendation = getattr(examples, example)()
    before = examples.manifest(recommendation)
    _, apply, back = lines(recommendation)
    after = run_locally(tool, apply, before, tmp_path)
    assert_only_the_advice_changed(before, after, recommendation)
    restored = run_locally(tool, back, after, tmp_path)
    assert without_empty(restored) == without_empty(before)


def without_empty(value: Any) -> Any:
    """A tree without empty mappings: a container whose resources are `{}` has none."""
    if isinstance(value, dict):
        kept = {key: without_empty(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in ({}, None)}
    if isinstance(value, list):
        return sorted((without_empty(item) for item in value), key=repr)
    return value


def test_bash_parses_the_script(tmp_path: Path) -> None:
    text = golden("everything.commands.sh", commands.render(examples.everything()))
    subprocess.run(["bash", "-n"], input=text, text=True, check=True, capture_output=True)


def test_run_as_a_whole_it_rehearses_before_it_applies_and_does_not_undo_itself(tmp_path: Path) -> None:
    said = tmp_path / "said"
    fake = tmp_path / "kubectl"
    fake.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> {said}\ncase "$*" in *paymentservice*) exit 1;; esac\n')
    fake.chmod(0o755)
    script = commands.render(examples.everything())
    done = subprocess.run(
        ["bash"], input=script, text=True, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True
    )
    assert done.returncode == 1  # the rehearsal of the payment service was refused, so nothing of it was applied
    heard = [("dry-run" in line, line.split()[2]) for line in said.read_text().splitlines()]
    assert heard == [
        (True, "frontend"),
        (False, "frontend"),
        (True, "cartservice"),
        (False, "cartservice"),
        (True, "paymentservice"),
    ]


def test_the_rehearsal_differs_from_the_change_only_in_its_flag() -> None:
    rehearse, apply, _ = lines(examples.frontend())
    assert rehearse.replace(" --dry-run=server", "") == apply
    assert rehearse != apply


def test_without_a_number_there_is_no_command() -> None:
    with pytest.raises(NotEnoughData, match="12 samples"):
        commands.render([examples.unknown()])
