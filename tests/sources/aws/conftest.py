"""One AWS on loopback for all tests of the source; each cluster in it is of one kind of test."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from mora.domain import Window
from mora.sources.aws.client import AwsClient
from mora.sources.aws.source import AwsSource
from mora.sources.cloud.patience import Patience
from tests.sources.aws.rig import STEP, Aws, Pod, aws_server, cluster_point, last_steps, pod_points

ROWS = 12
WEB_PODS = ("web-7d4b9c8f6d-x2klp", "web-7d4b9c8f6d-zz9vb")
TIMES = last_steps(ROWS)
WINDOW = Window(TIMES[0] + STEP, TIMES[-1] + STEP, STEP)
"""A point is of the step that begins at its time, so that its row is the end of it."""


def web(name: str, hotter: float = 0.0) -> Pod:
    """A pod of web that was OOM-killed once, with a sidecar."""
    return Pod(
        name,
        "web",
        {"web": [100.0 + hotter + row for row in range(ROWS)], "istio-proxy": [10.0] * ROWS},
        {"web": [200.0 + row for row in range(ROWS)], "istio-proxy": [20.0] * ROWS},
        restarts=[0] * 8 + [1] + [0] * 3,
        oom_killed=[0] * 8 + [1] + [0] * 3,
        requests={"web": (250, 256), "istio-proxy": (10, 40)},
        limits={"web": (500, 512), "istio-proxy": (100, 128)},
    )


@pytest.fixture(scope="session")
def shop() -> Iterator[Aws]:
    """A cluster `prod` with web (two pods), redis (a StatefulSet) and agent (a DaemonSet)."""
    with aws_server() as aws:
        data = [cluster_point(TIMES[-1])]
        data += pod_points(web(WEB_PODS[0]), TIMES)
        data += pod_points(web(WEB_PODS[1], hotter=50.0), TIMES)
        data += pod_points(Pod("redis-0", "redis-0", {"redis": [50.0] * ROWS}, {"redis": [100.0] * ROWS}), TIMES)
        aws.put("ContainerInsights", data)
        yield aws


@pytest.fixture
def aws(shop: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    """The same, well-behaved, with its address and key in the environment of this process."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in shop.environment().items():
        monkeypatch.setenv(name, value)
    shop.asked.clear()
    yield shop
    shop.refuse, shop.page_size = (lambda operation: None), None


@pytest.fixture
def client(aws: Aws) -> AwsClient:
    """A client that waits no time between tries. One for all tests: boto3 takes its time to make one."""
    return _client()


@cache
def _client() -> AwsClient:
    return AwsClient(patience=patient())


@cache
def source(cluster: str = "prod") -> AwsSource:
    """A cluster as a source, one for all tests."""
    return AwsSource(cluster, patience=patient())


def patient() -> Patience:
    """Three tries without a wait."""
    return Patience(tries=3, sleep=lambda seconds: None)
