"""The CronJob's own commands, one after the other, against a real Prometheus and a strict API server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from mora.tools import find_tool
from tests.vpa.conftest import Fleet, environment
from tests.vpa.fake_vpa import FakeVpaApi

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]


def steps() -> list[dict[str, Any]]:
    command = [str(find_tool("kubectl")), "kustomize", str(ROOT / "manifests" / "cronjob")]
    documents = yaml.safe_load_all(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    (job,) = [document for document in documents if document["kind"] == "CronJob"]
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return [*pod["initContainers"], *pod["containers"]]


def test_the_nightly_run_leaves_a_recommendation_for_every_workload(
    fleet: Fleet, cluster: FakeVpaApi, tmp_path: Path
) -> None:
    cluster.config_maps["team-000", "mora-recommendations"] = {"metadata": {"name": "mora-recommendations"}}
    # What the pod is given by its manifest: paths below its volume, the namespace, the settings.
    given = {
        "MORA_PROMETHEUS_URL": fleet.url,
        "MORA_NAMESPACE": "team-000",
        "MORA_DATA_DIR": str(tmp_path / "data"),
        "MORA_MODELS_DIR": str(tmp_path / "models"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    names = []
    for step in steps():
        command = [word.replace("/mora/", f"{tmp_path}/") for word in step["command"]]
        told = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment(cluster, tmp_path, **given),
            capture_output=True,
            text=True,
            check=False,
        )
        assert told.returncode == 0, told.stderr
        names.append(step["name"])
    assert names == ["history", "train", "recommend", "publish"]
    text = cluster.config_maps["team-000", "mora-recommendations"]["data"]["recommendations.json"]
    found = {one["service"]: one for one in json.loads(text)["recommendations"]}
    assert set(found) == set(fleet.truths)
    for name, truth in fleet.truths.items():
        assert found[name]["memory_request_bytes"]["value"] >= truth.mem_peak_bytes
