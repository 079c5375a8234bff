"""mora collect --target kubernetes, as it is typed: against the strict API server and a real Prometheus behind it."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.clusters.fake_api import FakeApi, FakeCluster, serving
from tests.clusters.test_discovery import OPERATED
from tests.clusters.test_kubernetes import deployment, hpa, other, resource_metric
from tests.running import mora, start
from tests.sources.rig import backfill, cluster, serve

PLAN = 'scenarios = ["browsing"]\nreplicas = [1, 3]\nusers = [5]\nduration = "20s"\ntargets = ["frontend"]\n'
REMOTE = '[remote]\nabort_error_ratio = "50%"\nmax_duration = "1h"\n'
Mora = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    end = time.time() // 60 * 60
    series = cluster({"frontend": ("server",), "redis": ("redis",)}, start=end - 1200, end=end, every=15)
    with serve(backfill(series, tmp_path_factory.mktemp("prometheus"))) as url:
        yield url


@pytest.fixture
def fake(prometheus: str) -> FakeCluster:
    found = FakeCluster()
    found.add(deployment("frontend"))
    found.add(other("StatefulSet", "redis"))
    found.add(deployment("unscraped"))
    found.add(OPERATED)
    found.proxied["monitoring", "prometheus-operated:9090"] = prometheus
    return found


@pytest.fixture
def api(fake: FakeCluster) -> Iterator[FakeApi]:
    with serving(fake) as server:
        yield server


@pytest.fixture
def collect(api: FakeApi, tmp_path: Path) -> Mora:
    """`mora collect --target kubernetes -n shop --plan plan.toml ...` with a kubeconfig that points at the fake."""
    (tmp_path / "plan.toml").write_text(PLAN + REMOTE, encoding="utf-8")
    config = api.kubeconfig(tmp_path / "config")

    def run(*arguments: str) -> CompletedProcess[str]:
        asked = ("collect", "--target", "kubernetes", "-n", "shop", "--plan", "plan.toml", *arguments)
        return mora(*asked, cwd=tmp_path, KUBECONFIG=str(config))

    return run


def test_a_dry_run_shows_the_context_the_checks_and_the_queries_and_changes_nothing(
    fake: FakeCluster, collect: Mora, tmp_path: Path
) -> None:
    done = collect("--dry-run")
    assert done.returncode == 0, done.stderr
    assert "Prometheus: Service monitoring/prometheus-operated:9090, through the API server" in done.stderr
    assert "Skipped, because Prometheus has no data of them: unscraped." in done.stderr
    for words in (
        "Context fake (cluster fake at http://127.0.0.1",
        "you are allowed to read, restart and scale what the run touches",
        "Deployment frontend is ready, and no autoscaler scales it",
        "StatefulSet redis is ready; it is restarted and measured, not scaled",
        "namespace shop has no quota",
        "2 experiments, about",
        "Queries for redis",
        'owner_kind="StatefulSet"',
    ):
        assert words in done.stdout
    assert fake.changes == []
    assert not (tmp_path / "data").exists()


def test_a_dry_run_refuses_the_entry_that_the_run_would_refuse(fake: FakeCluster, collect: Mora) -> None:
    for more in (["--dry-run"], ["--url", "http://shop.example/", "--yes"]):
        done = collect("--entry", "shop", *more)
        assert done.returncode == 1, done.stdout
        assert "The load goes to 'shop', which is not one of the measured services" in done.stderr
        assert "--entry NAME" in done.stderr
    assert fake.changes == []


def test_a_dry_run_refuses_a_plan_that_no_load_on_another_machine_may_have(
    fake: FakeCluster, collect: Mora, tmp_path: Path
) -> None:
    (tmp_path / "plan.toml").write_text(PLAN, encoding="utf-8")
    done = collect("--dry-run", "--url", "http://shop.example/")
    assert done.returncode == 1
    assert "a load on another machine needs abort_error_ratio and max_duration" in done.stderr
    assert collect("--dry-run", "--url", "http://127.0.0.1:9/").returncode == 0


def test_a_run_asks_to_be_agreed_to_by_the_name_of_the_cluster(fake: FakeCluster, collect: Mora) -> None:
    done = collect("--url", "http://shop.example/")
    assert done.returncode == 1
    assert "This scales frontend in namespace 'shop' of context fake (cluster fake at http://127.0.0.1" in done.stderr
    assert "confirm with --yes" in done.stderr
    assert "Where should the load go?" in collect("--yes").stderr
    assert fake.changes == []


def test_everything_that_keeps_a_run_from_starting_is_listed_at_once(fake: FakeCluster, collect: Mora) -> None:
    fake.add(hpa([resource_metric("cpu", type="Utilization", averageUtilization=70)]))
    fake.forbidden = {("patch", "deployments/scale")}
    for more in (["--dry-run"], ["--url", "http://shop.example/", "--yes"]):
        done = collect(*more)
        assert done.returncode == 1
        assert "There are 2 problems, and nothing was changed" in done.stderr
        assert "scaled by the HPA frontend" in done.stderr
        assert '{apiGroups: ["apps"], resources: ["deployments/scale"], verbs: ["patch"]}' in done.stderr
        assert "manifests/collect" in done.stderr
    assert fake.changes == []


def test_a_service_is_found_with_the_kind_it_has(collect: Mora) -> None:
    done = collect("--dry-run", "-s", "frontend,redis")
    assert "StatefulSet redis" in done.stdout
    wrong = collect("--dry-run", "-s", "frontend,deployment/redis")
    assert wrong.returncode == 1
    assert "There is no service 'deployment/redis' here" in wrong.stderr
    assert "statefulset/redis" in wrong.stderr
    unknown = collect("--dry-run", "-s", "unscraped")
    assert "Prometheus has no data of unscraped" in unknown.stderr


def test_a_missing_kubeconfig_is_an_error_that_names_it(tmp_path: Path) -> None:
    done = mora(
        "collect", "--target", "kubernetes", cwd=tmp_path, KUBECONFIG=str(tmp_path / "absent"), HOME=str(tmp_path)
    )
    assert done.returncode == 1
    assert "There is no usable kubeconfig" in done.stderr


def test_restore_puts_back_what_a_killed_run_left(
    api: FakeApi, fake: FakeCluster, collect: Mora, tmp_path: Path
) -> None:
    nothing = collect("--restore")
    assert (nothing.returncode, nothing.stdout) == (0, "Nothing to restore: no run in data left a cluster changed.\n")
    target = {
        "workload": {"namespace": "shop", "name": "frontend", "kind": "Deployment"},
        "replicas": 7,
        "resources": {},
    }
    point = {
        "schema_version": 1,
        "run_id": "standard-1",
        "written": "2026-11-21T00:00:00Z",
        "place": {"server": f"http://127.0.0.1:{api.server_port}", "words": "context fake"},
        "targets": [target],
        "restored": None,
    }
    path = tmp_path / "data/.runs/standard-1/restore.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(point), encoding="utf-8")
    refused = collect("--url", "http://shop.example/", "--yes")
    assert refused.returncode == 1
    assert "Run standard-1 was killed and has not restored the replicas of frontend" in refused.stderr
    assert "mora collect --restore" in refused.stderr
    preview = collect("--restore", "--dry-run")
    assert preview.stdout == "standard-1: deployment/frontend in shop would be scaled from 2 back to 7 replicas\n"
    assert fake.changes == []
    done = collect("--restore")
    assert done.stdout == "standard-1: deployment/frontend in shop is scaled from 2 back to 7 replicas\n"
    assert fake.get("Deployment", "frontend")["spec"]["replicas"] == 7
    assert "Nothing to restore" in collect("--restore").stdout


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_real_run_that_is_stopped_puts_the_replicas_back_or_leaves_the_means_to(
    api: FakeApi, fake: FakeCluster, prometheus: str, tmp_path: Path, number: signal.Signals
) -> None:
    """As typed, with a real Prometheus and the API server; SIGTERM is what kubectl, systemd and CI send."""
    fake.remove("Deployment", "unscraped")
    (tmp_path / "plan.toml").write_text(PLAN, encoding="utf-8")
    kubeconfig = str(api.kubeconfig(tmp_path / "config"))
    asked = ("collect", "--target", "kubernetes", "-n", "shop", "--plan", "plan.toml", "--yes", "--url", prometheus)
    with start(*asked, cwd=tmp_path, KUBECONFIG=kubeconfig) as running:
        while fake.get("Deployment", "frontend")["spec"]["replicas"] == 2:
            assert running.poll() is None, running.communicate()[1]
            time.sleep(0.05)
        running.send_signal(number)
        _, said = running.communicate(timeout=60)
    (path,) = (tmp_path / "data/.runs").glob("*/restore.json")
    restored = json.loads(path.read_text(encoding="utf-8"))["restored"]
    if number == signal.SIGTERM:
        assert running.returncode == 130, said
        assert fake.get("Deployment", "frontend")["spec"]["replicas"] == 2
        assert restored is not None
    else:
        assert restored is None
        back = mora("collect", "--restore", cwd=tmp_path, KUBECONFIG=kubeconfig)
        assert back.returncode == 0, back.stderr
        assert "back to 2 replicas" in back.stdout
        assert fake.get("Deployment", "frontend")["spec"]["replicas"] == 2
