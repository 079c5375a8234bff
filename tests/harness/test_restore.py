"""The replicas that a run changes on a cluster are on disk before, and restored however it ends, kill -9 included."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mora.clusters.kubernetes import KubernetesCluster
from mora.domain import Allocation, Workload
from mora.errors import ClusterError, MoraError, SourceUnavailable
from mora.harness.experiment import RunReport, run_plan
from mora.harness.plan import Plan
from mora.harness.restore import Place, read_originals, restore, unrestored
from tests.clusters.fake_api import FakeApi, FakeCluster, serving
from tests.clusters.test_kubernetes import deployment
from tests.fakes import FakeClock, FakeLoad, FakeSource

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SHOP = (Workload("shop", "cartservice"), Workload("shop", "frontend"))
HERE = Place("http://here", "context lab (cluster lab at http://here, user ada)")
PLAN = """
scenarios = ["quiet.py"]
replicas = [1, 3]
users = [5]
duration = "20s"
"""

# A run in a process of its own, against the API server of a kubeconfig; it never comes to the end of its first wait.
RUN = """
import sys, time
from datetime import timedelta
from pathlib import Path
from mora.clusters.kubernetes import KubernetesCluster
from mora.harness.experiment import run_plan
from mora.harness.plan import Plan
from tests.fakes import FakeClock, FakeLoad, FakeSource
from tests.harness.test_restore import HERE, SHOP

class Stopped(FakeClock):
    def sleep(self, seconds):
        while True:
            time.sleep(0.05)

clock = Stopped()
cluster = KubernetesCluster(kubeconfig=sys.argv[3], poll=timedelta(milliseconds=5))
run_plan(Plan.load(sys.argv[1]), cluster, FakeSource(), workloads=SHOP, entry_service="frontend",
         load_url="http://127.0.0.1:1", data_dir=Path(sys.argv[2]), clock=clock, start_load=FakeLoad(clock).start,
         place=HERE)
"""


@pytest.fixture
def fake() -> FakeCluster:
    cluster = FakeCluster()
    for name, replicas in (("cartservice", 1), ("frontend", 2)):
        manifest = deployment(name)
        manifest["spec"]["replicas"] = replicas
        cluster.add(manifest)
    return cluster


@pytest.fixture
def api(fake: FakeCluster) -> Iterator[FakeApi]:
    with serving(fake) as server:
        yield server


@pytest.fixture
def cluster(api: FakeApi, tmp_path: Path) -> KubernetesCluster:
    moment = timedelta(milliseconds=5)
    return KubernetesCluster(kubeconfig=api.kubeconfig(tmp_path / "config"), poll=moment, backoff=moment)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    (tmp_path / "quiet.py").write_text("# a locustfile\n")
    (tmp_path / "plan.toml").write_text(PLAN)
    return Plan.load(tmp_path / "plan.toml")


def run(plan: Plan, cluster: Any, data: Path, **changes: Any) -> RunReport:
    clock = FakeClock()
    options: dict[str, Any] = {
        "workloads": SHOP,
        "entry_service": "frontend",
        "load_url": "http://127.0.0.1:1",
        "data_dir": data,
        "clock": clock,
        "start_load": FakeLoad(clock).start,
        "place": HERE,
    }
    return run_plan(plan, cluster, changes.pop("source", None) or FakeSource(), **(options | changes))


def replicas(fake: FakeCluster) -> dict[str, int]:
    return {name: fake.get("Deployment", name)["spec"]["replicas"] for name in ("cartservice", "frontend")}


class Stops(FakeSource):
    """Ends a run in its middle."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def observe(self, workload: Workload, window: Any) -> Any:
        raise self.error


def test_the_state_before_a_run_is_on_disk_before_the_first_change(
    plan: Plan, fake: FakeCluster, cluster: Any, tmp_path: Path
) -> None:
    seen: list[Any] = []

    def look(key: Any) -> None:
        files = list((tmp_path / "data/.runs").glob("*/restore.json"))
        seen.append(json.loads(files[0].read_text()) if files else None)

    fake.on_patch = look
    run(plan, cluster, tmp_path / "data")
    first = seen[0]
    assert first is not None, "changed before it was written down"
    assert first["place"]["server"] == "http://here"
    assert [(one["workload"]["name"], one["replicas"]) for one in first["targets"]] == [
        ("cartservice", 1),
        ("frontend", 2),
    ]
    assert first["targets"][1]["resources"]["server"]["cpu_request_millicores"] == 250
    assert replicas(fake) == {"cartservice": 1, "frontend": 2}
    assert unrestored(tmp_path / "data") == []


@pytest.mark.parametrize("error", [SourceUnavailable("gone"), KeyboardInterrupt(), RuntimeError("a bug")])
def test_replicas_are_restored_however_a_run_ends(
    plan: Plan, fake: FakeCluster, cluster: Any, tmp_path: Path, error: BaseException
) -> None:
    with pytest.raises(type(error)):
        run(plan, cluster, tmp_path / "data", source=Stops(error))
    assert replicas(fake) == {"cartservice": 1, "frontend": 2}
    assert unrestored(tmp_path / "data") == []


def test_a_workload_that_cannot_be_restored_does_not_stop_the_others(
    plan: Plan, fake: FakeCluster, cluster: Any, tmp_path: Path
) -> None:
    class Refuses(KubernetesCluster):
        def apply(self, workload: Workload, allocation: Allocation) -> None:
            if workload.name == "cartservice" and allocation.replicas == 1 and replicas(fake)["cartservice"] != 1:
                raise ClusterError("cartservice is stuck.")
            super().apply(workload, allocation)

    cluster.__class__ = Refuses
    with pytest.raises(ClusterError, match=r"were not restored\. cartservice: cartservice is stuck") as raised:
        run(plan, cluster, tmp_path / "data")
    assert "mora collect --restore" in str(raised.value.hint)
    assert replicas(fake)["frontend"] == 2
    assert len(unrestored(tmp_path / "data")) == 1


def test_a_workload_that_is_deleted_meanwhile_ends_the_run_with_an_error(
    plan: Plan, fake: FakeCluster, cluster: Any, tmp_path: Path
) -> None:
    def vanish(key: Any) -> None:
        fake.objects.pop(("deployments", "shop", "cartservice"), None)

    fake.on_patch = vanish
    with pytest.raises(ClusterError, match="There is no Deployment 'cartservice'"):
        run(plan, cluster, tmp_path / "data")
    assert fake.get("Deployment", "frontend")["spec"]["replicas"] == 2
    assert unrestored(tmp_path / "data") == [], "nothing remains to be restored"


def killed(plan: Plan, api: FakeApi, fake: FakeCluster, folder: Path) -> None:
    """A run that a kill -9 ended while it had changed replicas."""
    command = [sys.executable, "-c", RUN, str(plan.path), str(folder / "data"), str(folder / "config")]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2]) as process:
        while replicas(fake) == {"cartservice": 1, "frontend": 2}:
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()


def test_after_a_kill_restore_sets_the_replicas_once_with_a_line_about_each(
    plan: Plan, api: FakeApi, fake: FakeCluster, cluster: KubernetesCluster, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    killed(plan, api, fake, tmp_path)
    left = replicas(fake)
    assert left != {"cartservice": 1, "frontend": 2}

    before = len(fake.changes)
    with pytest.raises(
        MoraError, match="was killed and has not restored the replicas of cartservice, frontend"
    ) as raised:
        run(plan, cluster, data)
    assert "--restore" in str(raised.value.hint)
    preview = list(restore(data, cluster, HERE, now=NOW, dry_run=True))
    assert any("would be scaled from" in line for line in preview)
    assert (len(fake.changes), replicas(fake)) == (before, left)

    with pytest.raises(ClusterError, match=r"was in context lab .* and this is elsewhere"):
        list(restore(data, cluster, Place("http://there", "elsewhere"), now=NOW))

    server = fake.get("Deployment", "frontend")["spec"]["template"]["spec"]["containers"][1]
    server["resources"]["limits"]["cpu"] = "1500m"  # a change by somebody else
    lines = list(restore(data, cluster, HERE, now=NOW))
    assert replicas(fake) == {"cartservice": 1, "frontend": 2}
    assert [line.partition(": ")[2].partition(" in ")[0] for line in lines] == [
        "deployment/cartservice",
        "deployment/frontend",
    ]
    assert "(not changed: requests or limits of server, which others have set since)" in lines[1]
    assert server["resources"]["limits"]["cpu"] == "1500m"
    assert list(restore(data, cluster, HERE, now=NOW)) == []


def test_a_resumed_run_restores_the_state_before_the_killed_one(
    plan: Plan, api: FakeApi, fake: FakeCluster, cluster: Any, tmp_path: Path
) -> None:
    killed(plan, api, fake, tmp_path)
    run(plan, cluster, tmp_path / "data", resume=True)
    assert replicas(fake) == {"cartservice": 1, "frontend": 2}
    assert unrestored(tmp_path / "data") == []


def test_a_run_resumed_after_a_restore_keeps_what_was_set_since(
    plan: Plan, fake: FakeCluster, cluster: Any, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(plan, cluster, tmp_path / "data", source=Stops(KeyboardInterrupt()))
    fake.get("Deployment", "frontend")["spec"]["replicas"] = 5
    run(plan, cluster, tmp_path / "data", resume=True)
    assert replicas(fake) == {"cartservice": 1, "frontend": 5}


def test_a_workload_deleted_before_the_restore_gets_a_line_and_no_error(
    plan: Plan, api: FakeApi, fake: FakeCluster, cluster: KubernetesCluster, tmp_path: Path
) -> None:
    killed(plan, api, fake, tmp_path)
    fake.remove("Deployment", "cartservice")
    lines = list(restore(tmp_path / "data", cluster, HERE, now=NOW))
    assert "deployment/cartservice in shop no longer exists" in lines[0]
    assert fake.get("Deployment", "frontend")["spec"]["replicas"] == 2
    assert unrestored(tmp_path / "data") == []


def test_a_damaged_restore_point_is_an_error_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / ".runs/x/restore.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"schema_version": 1, "targets": [{}]}')
    with pytest.raises(MoraError, match=r"restore\.json is not a restore point"):
        unrestored(tmp_path)
    path.write_text('{"schema_version": 99}')
    with pytest.raises(MoraError, match="newer MOrA"):
        unrestored(tmp_path)


class Unscalable:
    """A cluster whose only workload has no number of replicas, as a CronJob has none."""

    def allocation(self, workload: Workload) -> Allocation:
        return Allocation(replicas=None)


def test_a_workload_without_replicas_is_refused_before_a_run() -> None:
    with pytest.raises(ClusterError, match="CronJob report has no number of replicas"):
        read_originals(Unscalable(), (Workload("shop", "report", "CronJob"),))  # type: ignore[arg-type]  # all that read_originals() asks
