"""From CloudWatch to numbers, as a user asks for them: mora recommend --all --source aws, mora collect --source aws."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from mora import dataset, pipeline
from mora.domain import Workload, WorkloadState
from mora.errors import BadInput
from mora.settings import Settings
from mora.sources.aws.source import AwsSource
from tests.running import mora
from tests.sources.aws.conftest import WEB_PODS, WINDOW, source
from tests.sources.aws.rig import Aws, Pod, cluster_point, last_steps, pod_points

EVERY = timedelta(minutes=25)


def test_numbers_of_every_workload_come_from_container_insights_alone(aws: Aws, tmp_path: Path) -> None:
    times = last_steps(115, step=EVERY)
    wave = [120 + 60 * math.sin(2 * math.pi * row / 58) for row in range(len(times))]
    pod = Pod(
        WEB_PODS[0],
        "web",
        {"web": wave},
        {"web": [200.0] * len(times)},
        requests={"web": (1000, 1024)},
        limits={"web": (2000, 2048)},
    )
    points = [*pod_points(pod, times, cluster="two-days")]
    needless = ("pod_network_rx_bytes", "pod_network_tx_bytes")
    aws.put("ContainerInsights", [cluster_point(times[-1], cluster="two-days")])
    aws.put("ContainerInsights", [one for one in points if one["MetricName"] not in needless])
    done = mora(
        *("recommend", "--all", "-n", "shop", "--source", "aws:two-days", "--history", "2d", "-o", "json"),
        cwd=tmp_path,
        **{**aws.environment(), "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    (one,) = json.loads(done.stdout)["recommendations"]
    assert (one["service"], one["kind"]) == ("web", "Deployment")
    (container,) = one["containers"]
    cpu, memory = container["cpu_request_millicores"], container["memory_request_bytes"]
    assert (cpu["now"], memory["now"]) == (1000, 2**30)
    assert 200 * 2**20 <= memory["goal"] <= 300 * 2**20
    assert 179 <= cpu["goal"] <= 300
    assert "workloads, requests and limits come from aws alone" in done.stderr
    assert aws.environment()["AWS_SECRET_ACCESS_KEY"] not in done.stdout + done.stderr


def test_a_history_is_collected_into_the_unified_csv(aws: Aws, tmp_path: Path) -> None:
    asked = ("collect", "--source", "aws:prod", "--history", "1h", "--step", "5m", "-n", "shop", "-s", "web")
    done = mora(*asked, cwd=tmp_path, **aws.environment())
    assert done.returncode == 0, done.stderr
    rows = dataset.read_dataset("web", tmp_path / "data", namespace="shop", include_flagged=True)
    assert rows["cpu_cores_value"].max() == pytest.approx(0.161, abs=0.002)
    assert rows["mem_limit_bytes"].max() == 512 * 2**20


def test_a_workload_of_a_kind_that_cloudwatch_does_not_know_is_found_by_its_name(aws: Aws) -> None:
    (state,) = (one for one in source().states("shop") if one.workload.name == "web")
    rollout = WorkloadState(Workload("shop", "web", "Rollout"), state.allocation)
    (history,) = source().histories([rollout], WINDOW)
    assert history.workload.kind == "Rollout"
    assert set(history.containers) == {"web", "istio-proxy"}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"use_history": False}, "--no-history leaves it out"),
        ({"selector": "app=web"}, "aws knows no labels of workloads"),
        ({"source": "csv:data"}, "does not know which workloads there are"),
        ({"source": "nonesuch"}, "There is no 'nonesuch' among the sources"),
    ],
)
def test_what_a_cloud_cannot_answer_is_refused(aws: Aws, more: dict[str, object], words: str) -> None:
    asked: dict[str, object] = {"everything": True, "use_kubernetes": False, "source": "aws:prod", **more}
    with pytest.raises(BadInput, match=words):
        pipeline.recommend_workloads(pipeline.Request(**asked), Settings(namespace="shop"))  # type: ignore[arg-type]  # each test names its own


def test_workers_of_the_settings_are_not_asked_since_they_read_a_prometheus(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    (state,) = (one for one in source().states("shop") if one.workload.name == "redis")
    elsewhere = replace(state, workload=replace(state.workload, namespace="bank"))
    monkeypatch.setattr(AwsSource, "states", lambda self, namespace=None: [state, elsewhere])
    said: list[str] = []
    request = pipeline.Request(all_namespaces=True, use_kubernetes=False, use_model=False, source="aws:prod")
    settings = replace(Settings(), train=replace(Settings().train, backend="dask", scheduler="tcp://127.0.0.1:9"))
    settings = replace(settings, history=timedelta(hours=1))
    advised = pipeline.recommend_workloads(request, settings, say=said.append)
    assert [one.workload.namespace for one in advised.recommendations] == ["bank", "shop"]
    assert "Workers read from a Prometheus, and the source is aws: this machine does it." in said


def test_several_clusters_are_not_read_from_one_cloud() -> None:
    request = pipeline.Request(everything=True, use_kubernetes=False, source="aws:prod")
    with pytest.raises(BadInput, match="is of one cluster, and 2 are named"):
        pipeline.recommend_in_clusters(request, Settings(), ["one", "two"])
