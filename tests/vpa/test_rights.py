"""The accounts of the manifests can do their work and nothing else: real kubectl, real commands, an API that asks RBAC.

The API is the strict one of tests/clusters; with `-m cluster` it is whatever KUBECONFIG points at, which must have the
VPA's CRD and let its user ask for tokens of service accounts. The namespace team-000 is made there, and taken away.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from mora.clusters.kubernetes import KubernetesCluster
from mora.clusters.lease import KubernetesLease
from mora.clusters.preflight import Finding, examine
from mora.domain import Workload
from mora.errors import ClusterError
from mora.serving.lease import Terms, taken
from mora.tools import find_tool
from tests.clusters.fake_api import FakeApi, FakeCluster, serving
from tests.clusters.kinds import VPA
from tests.clusters.tls import make_certificate
from tests.outputs.kubectl import Kubectl, found
from tests.running import clean_environment, command, mora, until
from tests.vpa.conftest import Fleet, deployment
from tests.vpa.making import manifest
from tests.vpa.schema import VPA_STATUS

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "team-000"
FIRST_WITH_OPENAPI_V3 = 27
RBAC = ("ServiceAccount", "Role", "RoleBinding", "ConfigMap")


def newest_kubectl() -> Kubectl:
    return max(found(), key=lambda kubectl: kubectl.minor)


@dataclass
class Place:
    """An API server: a folder for kubeconfigs, its administrator's as plain data, and the token of an account."""

    folder: Path
    config: dict[str, Any]
    token: Callable[[Place, str], str]

    def kubeconfig(self, account: str | None = None) -> Path:
        """A kubeconfig of the administrator, or of a service account."""
        config = json.loads(json.dumps(self.config))
        if account is not None:
            # Not by impersonation: kubectl knows it, the client library that mora uses does not.
            config["users"][0]["user"] = {"token": self.token(self, account)}
        path = self.folder / f"{(account or 'admin').replace(':', '.')}.kubeconfig"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        return path

    def environment(self, account: str | None = None) -> dict[str, str]:
        own = {"KUBECONFIG": str(self.kubeconfig(account)), "HOME": str(self.folder), "OMP_NUM_THREADS": "1"}
        return {**clean_environment(), **own}

    def kubectl(
        self,
        *arguments: str,
        account: str | None = None,
        stdin: str | None = None,
        namespace: str | None = NAMESPACE,
    ) -> subprocess.CompletedProcess[str]:
        within = [] if namespace is None else ["-n", namespace]
        return subprocess.run(
            [str(newest_kubectl().path), *within, *arguments],
            env=self.environment(account),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=180,  # --wait waits for ever where no controller-manager runs
            check=False,
        )

    def apply(self, *documents: dict[str, Any]) -> None:
        done = self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(documents))
        assert done.returncode == 0, done.stderr

    def get(self, *arguments: str) -> dict[str, Any]:
        done = self.kubectl("get", *arguments, "-o", "json")
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    def mora(self, *arguments: str, account: str) -> subprocess.CompletedProcess[str]:
        return mora(*arguments, cwd=self.folder, **self.environment(account))


def _name_as_token(place: Place, account: str) -> str:
    return f"system:serviceaccount:{account}" if ":" in account else f"system:serviceaccount:{NAMESPACE}:{account}"


def _knows_accounts(handler: Any) -> Any:
    """The strict server's handler, to which a service account shows its name as its token."""

    class ByName(handler):  # type: ignore[misc]  # a class that is only known at run time
        def parse_request(self) -> bool:
            is_understood: bool = super().parse_request()
            shown = self.headers.get("Authorization", "") if is_understood else ""
            if shown.startswith("Bearer system:serviceaccount:"):
                self.headers.replace_header("Authorization", f"Bearer {FakeApi.TOKEN}")
                self.headers["Impersonate-User"] = shown.removeprefix("Bearer ")
            return is_understood

    return ByName


def _asked_token(place: Place, account: str) -> str:
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{account}/token"
    done = place.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(request))
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["status"]["token"])


@pytest.fixture(params=["strict", pytest.param("real", marks=pytest.mark.cluster)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "strict":
        if newest_kubectl().minor < FIRST_WITH_OPENAPI_V3:
            pytest.skip(f"kubectl {newest_kubectl().version} asks for an OpenAPI that the strict server does not speak")
        cluster = FakeCluster()
        schema = {
            "type": "object",
            "required": ["spec"],
            "properties": {"spec": {"type": "object"}, "status": VPA_STATUS},
        }
        cluster.resources.append(replace(VPA, schema=schema))
        # Without TLS kubectl sends no token.
        authority, context = make_certificate(tmp_path)
        with serving(cluster, tls=context) as server:
            server.RequestHandlerClass = _knows_accounts(server.RequestHandlerClass)
            trust = {"certificate-authority": str(authority)}
            config = yaml.safe_load(server.kubeconfig(tmp_path / "config", cluster=trust).read_text(encoding="utf-8"))
            yield with_namespace(Place(tmp_path, config, _name_as_token))
        return
    if "cluster" not in str(request.config.option.markexpr) or not os.environ.get("KUBECONFIG"):
        pytest.skip("changes a cluster: only with -m cluster and KUBECONFIG")
    command = [str(find_tool("kubectl")), "config", "view", "--raw", "--flatten", "--minify", "-o", "json"]
    config = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    real = Place(tmp_path, config, _asked_token)
    if real.kubectl("get", "crd", "verticalpodautoscalers.autoscaling.k8s.io").returncode:
        pytest.skip("this cluster has no VerticalPodAutoscaler")
    try:
        yield with_namespace(real)
    finally:
        real.kubectl("delete", "namespace", NAMESPACE, "--wait=true", "--timeout=120s")


def with_namespace(place: Place) -> Place:
    # Created, not applied: a namespace that is there already is somebody's.
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    made = place.kubectl("create", "-f", "-", stdin=yaml.safe_dump(namespace))
    assert made.returncode == 0, made.stderr
    return place


def built(*folders: str) -> list[dict[str, Any]]:
    documents: list[dict[str, Any]] = []
    for folder in folders:
        command = [str(find_tool("kubectl")), "kustomize", str(ROOT / "manifests" / folder)]
        documents += yaml.safe_load_all(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return documents


def rights(*folders: str) -> list[dict[str, Any]]:
    """The accounts of some folders, their roles and what they are given; without the pods that would run as them."""
    return [document for document in built(*folders) if document["kind"] in RBAC]


def refused(done: subprocess.CompletedProcess[str]) -> bool:
    return done.returncode != 0 and "forbidden" in (done.stderr + done.stdout).lower()


def test_the_recommenders_account_writes_statuses_and_its_lease(fleet: Fleet, place: Place) -> None:
    name = next(iter(fleet.truths))
    vpa = manifest(name, namespace=NAMESPACE)
    del vpa["metadata"]["resourceVersion"]
    place.apply(*rights("base", "recommender"), deployment(name), vpa)
    asked = ("vpa-recommender", "--prometheus", fleet.url, "--history", "3d", "-n", NAMESPACE)
    told = place.mora(*asked, "--once", account="mora-recommender")
    assert told.returncode == 0, told.stderr
    status = place.get("vpa", name)["status"]
    (container,) = status["recommendation"]["containerRecommendations"]
    assert set(container) == {"containerName", "lowerBound", "target", "uncappedTarget", "upperBound"}
    assert {one["type"]: one["status"] for one in status["conditions"]}["RecommendationProvided"] == "True"
    # Nothing moved since: a second pass writes nothing.
    again = place.mora(*asked, "--once", account="mora-recommender")
    assert "written=0 unchanged=1" in again.stderr

    serving_it = command(*asked, "--listen", "127.0.0.1:0", "--lease-namespace", NAMESPACE)
    process = subprocess.Popen(
        serving_it, cwd=place.folder, env=place.environment("mora-recommender"), stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: place.kubectl("get", "lease", "mora-recommender").returncode == 0, "its lease")
        assert place.get("lease", "mora-recommender")["spec"]["holderIdentity"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
    assert not place.get("lease", "mora-recommender")["spec"].get("holderIdentity")


def test_the_recommenders_account_can_change_nothing_else(fleet: Fleet, place: Place) -> None:
    name = next(iter(fleet.truths))
    vpa = manifest(name, namespace=NAMESPACE)
    del vpa["metadata"]["resourceVersion"]
    place.apply(*rights("base", "recommender"), deployment(name), vpa)
    scale, mode = '{"spec":{"replicas":0}}', '{"spec":{"updatePolicy":{"updateMode":"Recreate"}}}'
    for arguments in (
        ("patch", "deployment", name, "-p", scale),
        ("patch", "vpa", name, "--type=merge", "-p", mode),
        ("delete", "vpa", name),
        ("get", "configmaps"),
    ):
        assert refused(place.kubectl(*arguments, account="mora-recommender")), arguments
    assert place.kubectl("get", "deployments", account="mora-recommender").returncode == 0


def test_the_account_for_all_namespaces_writes_statuses_anywhere_and_its_lease_at_home(
    fleet: Fleet, place: Place
) -> None:
    if place.token is not _name_as_token:
        pytest.skip("makes a ClusterRole and a namespace mora-system: only on the strict server")
    name, account = next(iter(fleet.truths)), "mora-system:mora-recommender"
    vpa = manifest(name, namespace=NAMESPACE)
    del vpa["metadata"]["resourceVersion"]
    wide = [one for one in built("cluster-wide") if one["kind"] not in ("Deployment", "Service", "NetworkPolicy")]
    for documents in (wide, [deployment(name), vpa]):
        done = place.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(documents), namespace=None)
        assert done.returncode == 0, done.stderr
    told = place.mora("vpa-recommender", "--prometheus", fleet.url, "--history", "3d", "--once", account=account)
    assert told.returncode == 0, told.stderr
    assert place.get("vpa", name)["status"]["recommendation"]["containerRecommendations"]
    config, now = place.kubeconfig(account), datetime.now(UTC)
    lease = KubernetesLease("mora-system", "mora-recommender", kubeconfig=config)
    assert lease.read() is None
    made = lease.create(taken({}, "ada", now, Terms()))
    assert made is not None
    assert lease.replace(made, taken(made["spec"], "ada", now, Terms())) is not None
    # What was read before that is no longer what stands there.
    assert lease.replace(made, taken(made["spec"], "ada", now, Terms())) is None
    with pytest.raises(ClusterError, match='cannot get resource "leases"'):
        KubernetesLease("mora-system", "other", kubeconfig=config).read()
    scale = ("patch", "deployment", name, "-p", '{"spec":{"replicas":0}}')
    assert refused(place.kubectl(*scale, account=account))


def test_the_account_for_experiments_may_do_what_a_run_asks_for_and_without_collect_it_may_not(
    fleet: Fleet, place: Place
) -> None:
    name = next(iter(fleet.truths))
    workload = Workload(NAMESPACE, name)
    place.apply(*rights("base"), deployment(name))

    def findings() -> list[Finding]:
        cluster = KubernetesCluster(kubeconfig=place.kubeconfig("mora"))
        return examine(cluster, targets=[workload], measured=[workload], most_replicas=3)

    assert [finding.words for finding in findings() if "you are not allowed" in finding.words] == [
        f"you are not allowed to patch deployments.apps {name} in namespace {NAMESPACE}",
        f"you are not allowed to patch deployments.apps/scale {name} in namespace {NAMESPACE}",
    ]
    place.apply(*rights("collect"))
    assert "you are allowed to read, restart and scale what the run touches" in [
        finding.words for finding in findings()
    ]
    assert refused(place.kubectl("delete", "deployment", name, account="mora"))


def test_the_nightly_account_recommends_and_publishes_into_its_config_map_alone(fleet: Fleet, place: Place) -> None:
    name = next(iter(fleet.truths))
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other", "namespace": NAMESPACE}}
    place.apply(*rights("base", "cronjob"), deployment(name), other)
    asked = ("recommend", "--all", "-n", NAMESPACE, "--history", "3d", "--prometheus", fleet.url, "-o", "json")
    told = place.mora(*asked, account="mora-nightly")
    assert told.returncode == 0, told.stderr
    (place.folder / "recommendations.json").write_text(told.stdout, encoding="utf-8")
    publish = ("publish", "recommendations.json", "-n", NAMESPACE, "--configmap")
    done = place.mora(*publish, "mora-recommendations", account="mora-nightly")
    assert done.returncode == 0, done.stderr
    published = place.get("configmap", "mora-recommendations")["data"]["recommendations.json"]
    assert [one["service"] for one in json.loads(published)["recommendations"]] == [name]
    assert refused(place.mora(*publish, "other", account="mora-nightly"))
    for arguments in (("get", "configmap", "mora-recommendations"), ("delete", "deployment", name)):
        assert refused(place.kubectl(*arguments, account="mora-nightly")), arguments


def test_the_server_takes_every_object_in_a_dry_run(place: Place) -> None:
    documents = built("base", "collect", "cronjob", "recommender", "load")
    done = place.kubectl("apply", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump_all(documents))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("server dry run") == len(documents)
