"""On a cluster: replicas, requests and limits are on disk before the first change, and restored, kill -9 included."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from mora.clusters.kubernetes import KubernetesCluster
from mora.domain import Slo, Workload
from mora.errors import MoraError
from mora.harness.drive import Site
from mora.harness.restore import Place as Lasting
from mora.harness.restore import RestorePoint, record_restore_point, refuse_unrestored, restore, unrestored
from mora.optimize.solve import LoadClass, Terms
from mora.pipeline import optimising
from mora.pipeline.collecting import Place
from mora.pipeline.optimising import Question, optimize
from tests.clusters.fake_api import FakeApi, FakeCluster, serving
from tests.clusters.test_kubernetes import deployment
from tests.fakes import FakeClock, FakeLoad, FakeSource
from tests.running import until

NOW = datetime(2026, 11, 26, tzinfo=UTC)
SHOP = (Workload("shop", "cartservice"), Workload("shop", "frontend"))
HERE = Lasting("http://here", "context lab")

# A run in a process of its own that stands still once it has changed the cluster.
RUN = """
import sys, time
from datetime import timedelta
from pathlib import Path
from mora.clusters.kubernetes import KubernetesCluster
from tests.fakes import FakeClock
from tests.optimize.test_restoring import run

class Stopped(FakeClock):
    def sleep(self, seconds):
        Path(sys.argv[1], "changed").touch()
        while True:
            time.sleep(0.05)

run(KubernetesCluster(kubeconfig=sys.argv[2], poll=timedelta(milliseconds=5)), Path(sys.argv[1]), Stopped())
"""


def run(cluster: KubernetesCluster, folder: Path, clock: FakeClock) -> None:
    scenario = folder / "quiet.py"
    scenario.write_text("# a locustfile\n")
    load = FakeLoad(clock)
    optimising._site_of = lambda place, question: Site(
        cluster, FakeSource(), SHOP, "http://127.0.0.1:1", clock=clock, start_load=load.start
    )
    question = Question((LoadClass("quiet", 30, Slo(0.2)),), {"quiet": scenario}, Terms(), folder / "data")
    optimize(question, Place(cluster, FakeSource(), SHOP, "frontend", "http://127.0.0.1:1", lasting=HERE))


@pytest.fixture(autouse=True)
def _site(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimising, "_site_of", optimising._site_of)


@pytest.fixture
def fake() -> FakeCluster:
    cluster = FakeCluster()
    for name, replicas in (("cartservice", 3), ("frontend", 2)):
        manifest = deployment(name)
        manifest["spec"]["replicas"] = replicas
        cluster.add(manifest)
    return cluster


@pytest.fixture
def api(fake: FakeCluster) -> Iterator[FakeApi]:
    with serving(fake) as server:
        yield server


def cluster_of(api: FakeApi, folder: Path) -> KubernetesCluster:
    moment = timedelta(milliseconds=5)
    return KubernetesCluster(kubeconfig=api.kubeconfig(folder / "config"), poll=moment, backoff=moment)


def state(fake: FakeCluster) -> dict[str, Any]:
    """Replicas, and the amounts of each container; an empty object is what an API server writes as none."""
    found = {}
    for name in ("cartservice", "frontend"):
        spec = fake.get("Deployment", name)["spec"]
        resources = [one.get("resources") or {} for one in spec["template"]["spec"]["containers"]]
        found[name] = (spec["replicas"], [{key: value for key, value in one.items() if value} for one in resources])
    return found


def test_an_error_in_the_middle_restores_replicas_requests_and_limits(
    fake: FakeCluster, api: FakeApi, tmp_path: Path
) -> None:
    before = state(fake)
    changed: list[dict[str, Any]] = []
    fake.on_patch = lambda key: changed.append(state(fake))

    class Dies(FakeClock):
        def sleep(self, seconds: float) -> None:
            raise MoraError("the load ended")

    with pytest.raises(MoraError, match="the load ended"):
        run(cluster_of(api, tmp_path), tmp_path, Dies())
    assert any(one != before for one in changed)
    assert state(fake) == before
    assert unrestored(tmp_path / "data") == []


def test_after_kill_9_restore_gives_everything_back_and_a_second_time_nothing(
    fake: FakeCluster, api: FakeApi, tmp_path: Path
) -> None:
    before = state(fake)
    config = api.kubeconfig(tmp_path / "config")
    with subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path), str(config)]) as running:
        until(lambda: (tmp_path / "changed").exists() or running.poll() is not None, "the run changes the cluster")
        running.send_signal(signal.SIGKILL)
    assert state(fake) != before
    assert len(unrestored(tmp_path / "data")) == 1
    cluster = cluster_of(api, tmp_path)
    planned = list(restore(tmp_path / "data", cluster, HERE, now=NOW, dry_run=True))
    assert all("would get back" in line for line in planned)
    assert state(fake) != before
    lines = list(restore(tmp_path / "data", cluster, HERE, now=NOW))
    assert len(lines) == 2
    assert "gets back 3 replicas, and the requests and limits of" in lines[0]
    assert state(fake) == before
    assert list(restore(tmp_path / "data", cluster, HERE, now=NOW)) == []


def test_a_run_that_was_killed_in_a_sandbox_is_restored_there(tmp_path: Path) -> None:
    """`mora collect --restore` looks at clusters alone."""
    command = "mora optimize --restore --sandbox lab"
    point = RestorePoint("optimize-1", "2026-11-26", Lasting("sandbox/lab", "sandbox lab"), (), with_resources=True)
    record_restore_point(tmp_path, point)
    with pytest.raises(MoraError) as refused:
        refuse_unrestored(tmp_path, run_id=None)
    assert command in (refused.value.hint or "")
    with pytest.raises(MoraError) as elsewhere:
        list(restore(tmp_path, cast("KubernetesCluster", None), HERE, now=NOW))
    assert command in (elsewhere.value.hint or "")


def test_a_second_run_of_the_question_restores_what_was_before_the_killed_one(
    fake: FakeCluster, api: FakeApi, tmp_path: Path
) -> None:
    before = state(fake)
    config = api.kubeconfig(tmp_path / "config")
    with subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path), str(config)]) as running:
        until(lambda: (tmp_path / "changed").exists() or running.poll() is not None, "the run changes the cluster")
        running.send_signal(signal.SIGKILL)
    assert state(fake) != before
    run(cluster_of(api, tmp_path), tmp_path, FakeClock())
    assert state(fake) == before
    assert unrestored(tmp_path / "data") == []
