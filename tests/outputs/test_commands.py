"""The commands are a shell script, and its rollback restores what was set before."""

from __future__ import annotations

import shlex
import subprocess
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from mora.domain import Advice, Recommendation
from mora.errors import NotEnoughData
from mora.outputs import commands, hpa
from tests.clusters.fake_api import FakeApi
from tests.clusters.kinds import ROLLOUT
from tests.outputs import examples, kubectl
from tests.outputs.checks import assert_only_the_advice_changed, without_empty
from tests.outputs.conftest import NEWEST, run_script
from tests.outputs.golden import golden
from tests.outputs.kubectl import Kubectl


def lines(recommendation: Recommendation) -> tuple[str, str, str]:
    """Rehearsal, apply and roll back of one workload."""
    found = [
        line.removeprefix("# ") for line in commands.render([recommendation]).splitlines() if "kubectl patch" in line
    ]
    dry_run, apply, back = found
    return dry_run, apply, back


def run_locally(tool: Kubectl, line: str, manifest: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What a printed command does, on a file in the cluster's place."""
    kubectl_, patch, kind, name, flag, namespace, *rest = shlex.split(line)
    assert (kubectl_, patch, flag) == ("kubectl", "patch", "-n")
    assert (kind, name, namespace) == (
        {"Rollout": "rollouts.argoproj.io"}.get(manifest["kind"], manifest["kind"].lower()),
        manifest["metadata"]["name"],
        manifest["metadata"]["namespace"],
    )
    (folder / "workload.yaml").write_text(yaml.safe_dump(manifest))
    after = yaml.safe_load(tool.run("patch", "--local", "-f", str(folder / "workload.yaml"), *rest, "-o", "yaml"))
    assert isinstance(after, dict)
    return after


@pytest.mark.parametrize("tool", kubectl.each())
@pytest.mark.parametrize("example", ["frontend", "cart", "payment", "meshed", "nightly", "canary"])
def test_apply_sets_the_numbers_and_roll_back_restores_the_workload(
    tool: Kubectl, example: str, tmp_path: Path
) -> None:
    recommendation: Recommendation = getattr(examples, example)()
    if recommendation.workload.kind == "CronJob" and not tool.is_modern:
        pytest.skip("kubectl 1.20 has no batch/v1 CronJob to merge without a server")
    before = examples.manifest(recommendation)
    _, apply, back = lines(recommendation)
    after = run_locally(tool, apply, before, tmp_path)
    assert_only_the_advice_changed(before, after, recommendation)
    restored = run_locally(tool, back, after, tmp_path)
    assert without_empty(restored) == without_empty(before)


def test_bash_parses_the_script(tmp_path: Path) -> None:
    text = golden("fleet.commands.sh", commands.render(examples.fleet()))
    subprocess.run(["bash", "-n"], input=text, text=True, check=True, capture_output=True)


def test_the_script_makes_its_dry_runs_first_and_does_not_undo_itself(tmp_path: Path) -> None:
    output = tmp_path / "output"
    fake = tmp_path / "kubectl"
    fake.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> {output}\ncase "$*" in *paymentservice*) exit 1;; esac\n')
    fake.chmod(0o755)
    script = commands.render(examples.everything())
    done = subprocess.run(
        ["bash"], input=script, text=True, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True
    )
    assert done.returncode == 1  # the dry run of the payment service was refused, so nothing was applied
    heard = [("dry-run" in line, line.split()[2]) for line in output.read_text().splitlines()]
    assert heard == [(True, "frontend"), (True, "cartservice"), (True, "paymentservice")]
    output.unlink()
    fake.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> {output}\n')
    subprocess.run(["bash"], input=script, text=True, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=True)
    heard = [("dry-run" in line, line.split()[2]) for line in output.read_text().splitlines()]
    names = ["frontend", "cartservice", "paymentservice"]
    assert heard == [*((True, name) for name in names), *((False, name) for name in names)]


def test_the_dry_run_differs_from_the_change_only_in_its_flag() -> None:
    dry_run, apply, _ = lines(examples.frontend())
    assert dry_run.replace(" --dry-run=server", "") == apply
    assert dry_run != apply


def test_without_a_number_there_is_no_command() -> None:
    with pytest.raises(NotEnoughData, match="12 samples"):
        commands.render([examples.unknown()])


def test_a_right_sized_workload_is_named_and_not_touched() -> None:
    web = examples.meshed()
    same = examples.with_main(
        examples.with_others(web),
        cpu_request=settled(web.main.cpu_request),
        cpu_limit=settled(web.main.cpu_limit),
        memory_request=settled(web.main.memory_request),
        memory_limit=settled(web.main.memory_limit),
    )
    text = commands.render([same])
    assert "# already right-sized: nothing to change" in text
    assert "kubectl patch" not in text


def settled(advice: Advice) -> Advice:
    return replace(advice, now=advice.value)


def test_a_job_is_explained_and_the_others_go_on() -> None:
    text = commands.render([examples.frontend(), examples.migration()])
    assert "# the template of a Job cannot be changed" in text
    assert "kubectl patch job" not in text


def test_the_autoscaler_changes_with_the_requests_and_back(tmp_path: Path) -> None:
    search = examples.retargeted()
    tool = NEWEST
    if not tool.is_modern:
        pytest.skip("kubectl 1.20 does not know autoscaling/v2")
    before = yaml.safe_load(hpa.render([replace(search, retargets=search.autoscalers)]))
    (tmp_path / "hpa.yaml").write_text(yaml.safe_dump(before))
    found = [line for line in commands.render([search]).splitlines() if "kubectl patch hpa web -n shop" in line]
    assert [("--dry-run" in line, line.startswith("#")) for line in found] == [
        *((True, False), (True, False), (False, False), (False, False), (False, True), (False, True)),
    ]

    def run(lines: list[str]) -> list[int]:
        for line in lines:
            rest = shlex.split(line.removeprefix("# "))[6:]
            output = tool.run("patch", "--local", "-f", str(tmp_path / "hpa.yaml"), *rest[-4:], "-o", "yaml")
            (tmp_path / "hpa.yaml").write_text(output)
        metrics = yaml.safe_load((tmp_path / "hpa.yaml").read_text())["spec"]["metrics"]
        return [metric["resource"]["target"]["averageUtilization"] for metric in metrics]

    assert run(found[2:4]) == [112, 97]
    assert run(found[4:]) == [70, 80]


def test_as_files_the_rollback_is_a_script_of_its_own() -> None:
    files = commands.files(examples.fleet())
    assert files["apply.sh"] == commands.render(examples.fleet())
    back = [line for line in files["rollback.sh"].splitlines() if line.startswith("kubectl patch")]
    commented = [line for line in files["apply.sh"].splitlines() if line.startswith("# kubectl patch")]
    assert [f"# {line}" for line in back] == commented


def test_an_hpa_of_keda_is_not_patched_but_its_scaledobject_is_named() -> None:
    search = examples.retargeted()
    owned = [replace(scaler, name="keda-hpa-search") for scaler in search.retargets[:1]]
    text = commands.render([replace(search, retargets=tuple(owned), autoscalers=search.autoscalers[:1])])
    assert "kubectl patch hpa" not in text
    assert "# also set the cpu trigger of the ScaledObject search to 112" in text


def test_a_metric_of_one_container_is_tested_to_be_that_containers() -> None:
    search = examples.retargeted()
    scalers = tuple(replace(scaler, container="server") for scaler in search.autoscalers[:1])
    retargets = tuple(replace(scaler, target=112) for scaler in scalers)
    own = replace(search, autoscalers=scalers, retargets=retargets)
    line = next(line for line in commands.render([own]).splitlines() if line.startswith("kubectl patch hpa"))
    assert '{"op":"test","path":"/spec/metrics/0/containerResource/container","value":"server"}' in line
    metric = yaml.safe_load(hpa.render([own]))["spec"]["metrics"][0]
    assert metric["containerResource"]["container"] == "server"
    assert metric["containerResource"]["target"]["averageUtilization"] == 112


SIZED = ("frontend", "meshed", "nightly", "canary", "retargeted")


@pytest.mark.skipif(not NEWEST.is_modern, reason="kubectl 1.20 does not know what a server of today serves")
def test_an_api_server_takes_the_script_and_its_rollback(api: FakeApi, tmp_path: Path) -> None:
    fleet = [getattr(examples, name)() for name in SIZED]
    api.cluster.resources.append(ROLLOUT)
    for recommendation in fleet:
        api.cluster.add(examples.manifest(recommendation))
    scaled = examples.retargeted()
    api.cluster.add(yaml.safe_load(hpa.render([replace(scaled, retargets=scaled.autoscalers)])))
    before = state(api, fleet)
    files = commands.files(fleet)
    done = run_script(files["apply.sh"], tmp_path)
    assert done.returncode == 0, done.stderr
    after = state(api, fleet)
    for recommendation in fleet:
        assert_only_the_advice_changed(
            before[recommendation.workload.name], after[recommendation.workload.name], recommendation
        )
    scaler = api.cluster.get("HorizontalPodAutoscaler", "web")
    assert [m["resource"]["target"]["averageUtilization"] for m in scaler["spec"]["metrics"]] == [112, 97]
    done = run_script(files["rollback.sh"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert without_empty(state(api, fleet)) == without_empty(before)
    assert [m["resource"]["target"]["averageUtilization"] for m in scaler_of(api)["spec"]["metrics"]] == [70, 80]


def scaler_of(api: FakeApi) -> dict[str, Any]:
    return api.cluster.get("HorizontalPodAutoscaler", "web")


def state(api: FakeApi, fleet: list[Recommendation]) -> dict[str, dict[str, Any]]:
    """The workloads as the server has them, without what the server adds."""
    found = {}
    for recommendation in fleet:
        workload = recommendation.workload
        item = deepcopy(api.cluster.get(workload.kind, workload.name))
        item["metadata"] = {"name": workload.name, "namespace": workload.namespace}
        item.pop("status", None)
        found[workload.name] = item
    return found


@pytest.mark.skipif(not NEWEST.is_modern, reason="kubectl 1.20 does not know what a server of today serves")
def test_one_refused_dry_run_leaves_all_as_they_were(api: FakeApi, tmp_path: Path) -> None:
    fleet = [examples.frontend(), examples.nightly()]
    api.cluster.add(examples.manifest(fleet[0]))
    before = deepcopy(api.cluster.objects)
    done = run_script(commands.render(fleet), tmp_path)
    assert done.returncode != 0
    assert "nightly" in done.stderr
    assert api.cluster.objects == before


@pytest.mark.skipif(not NEWEST.is_modern, reason="kubectl 1.20 does not know what a server of today serves")
def test_a_container_that_went_away_since_is_refused_and_nothing_is_changed(api: FakeApi, tmp_path: Path) -> None:
    frontend = examples.frontend()
    manifest = examples.manifest(frontend)
    manifest["spec"]["template"]["spec"]["containers"][0]["name"] = "renamed"
    api.cluster.add(manifest)
    before = deepcopy(api.cluster.objects)
    done = run_script(commands.render([frontend]), tmp_path)
    assert done.returncode != 0
    assert "image" in done.stderr
    assert api.cluster.objects == before
