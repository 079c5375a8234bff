"""A namespace on the strict API server with a kubelet, and the loop that resizes its pods, by a clock set by hand."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mora.clusters.pods import KubernetesPods
from mora.domain import Advice, Allocation, Container, ContainerAdvice, Evidence, Recommendation, Resources, Workload
from mora.errors import SourceUnavailable
from mora.inplace.journal import Journal, read_log
from mora.inplace.loop import Loop, LoopSettings, PassReport
from mora.inplace.telemetry import Telemetry
from mora.quantities import MIB
from tests.clusters.fake_api import FakeApi, FakeCluster
from tests.clusters.resizing import Kubelet

START = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
WEB = Workload("shop", "web")
DEFAULT = Resources(400, None, 512 * MIB, 512 * MIB)
LONG_AGO = "2026-11-20T00:00:00Z"


def resources(cpu: str = "400m", memory: str = "512Mi", **limits: str) -> dict[str, Any]:
    """As a manifest has it: requests, and limits of memory (and what is named)."""
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory, **limits}}


def add_workload(
    cluster: FakeCluster, name: str = "web", pods: int = 3, given: dict[str, Any] | None = None, **pod: Any
) -> None:
    """A Deployment with its ReplicaSet and running pods; nothing of it rolls out."""
    labels = {"app": name}
    container = {"name": "server", "image": "shop/server:1", "resources": given or resources(), **pod}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": pods, "selector": {"matchLabels": labels}, "template": template}
    meta = {"name": name, "namespace": "shop"}
    cluster.add({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec})
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": "1", "controller": True}
    own = {"name": f"{name}-abc", "namespace": "shop", "ownerReferences": [owner]}
    cluster.add({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": own, "spec": spec})
    for number in range(pods):
        add_pod(cluster, f"{name}-abc-{number}", container)


def add_pod(cluster: FakeCluster, name: str, container: dict[str, Any], started: str = LONG_AGO) -> None:
    """One pod that runs, of the ReplicaSet that its name begins with."""
    owner_name = name.rpartition("-")[0]
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner_name, "uid": "2", "controller": True}
    labels = {"pod-template-hash": owner_name.rpartition("-")[2]}
    cluster.add(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "shop", "labels": labels, "ownerReferences": [owner]},
            "spec": {"containers": [container]},
            "status": {
                "phase": "Running",
                "startTime": started,
                "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": started}],
                "containerStatuses": [
                    {
                        "name": container["name"],
                        "restartCount": 0,
                        "ready": True,
                        "image": container["image"],
                        "imageID": "",
                        "resources": container["resources"],
                    }
                ],
            },
        }
    )


def recommendation(
    workload: Workload = WEB, cpu: int | None = 200, memory: int | None = 350, **about: Any
) -> Recommendation:
    """Of millicores and MiB for the container `server`, for all of three pods."""
    sure: dict[str, Any] = {"confidence": 1.0, "summary": "upper bound"}
    memory_bytes = None if memory is None else memory * MIB
    advice = ContainerAdvice(
        "server",
        Advice(400, cpu, **sure) if cpu else Advice(400, None),
        Advice(None, None, is_unset=True),
        Advice(512 * MIB, memory_bytes, **sure),
        Advice(512 * MIB, memory_bytes, **sure),
        is_main=True,
        evidence=Evidence(START, START, timedelta(minutes=1), 1, 1, 3, cpu_peak_cores=0.1),
    )
    given = {"replicas": 3, **about}
    current = Allocation(given.pop("replicas"), (Container("server", DEFAULT, is_main=True),))
    return Recommendation(
        workload=workload,
        current=current,
        load=None,
        as_of=START,
        containers=(advice,),
        replicas=Advice(3, None),
        basis="history",
        **given,
    )


@dataclass
class Known:
    """The signals, as a test sets them. is_away: Prometheus does not answer."""

    shares: dict[tuple[str, str], float] = field(default_factory=dict)
    broken: str | None = None
    is_away: bool = False

    def throttled(self) -> Mapping[tuple[str, str], float]:
        if self.is_away:
            raise SourceUnavailable("Prometheus does not answer.")
        return self.shares

    def breach(self, workload: Workload) -> str | None:
        if self.is_away:
            raise SourceUnavailable("Prometheus does not answer.")
        return self.broken


class Leads:
    """A lease that this instance holds, until a test takes it."""

    is_ours = True

    def leads(self) -> bool:
        return self.is_ours

    def wait(self, timeout: float) -> bool:
        return self.is_ours


class Rig:
    """The loop on a server. advice: what is recommended at the next renewal. now: the clock, moved by pass_time()."""

    def __init__(self, api: FakeApi, folder: Path, **settings: Any) -> None:
        self.api, self.cluster, self.folder = api, api.cluster, folder
        self.kubelet = Kubelet(api.cluster.objects)
        self.signals, self.lease = Known(), Leads()
        self.advice: list[Recommendation] = [recommendation()]
        self.now = START
        self.settings = LoopSettings(**{"look": timedelta(seconds=30), **settings})
        self.lines: list[tuple[str, str, dict[str, object]]] = []
        self._stack = ExitStack()
        self.start()

    def start(self) -> None:
        """A loop that knows the audit log and nothing else, as after kill -9."""
        self._stack.close()
        self.telemetry = Telemetry()
        journal = Journal(self.folder / "state", "shop")
        kubeconfig = self.api.kubeconfig(self.folder / "kubeconfig")
        self.loop = Loop(
            KubernetesPods("shop", kubeconfig=kubeconfig, patience=timedelta(seconds=0.01)),
            lambda: self.advice,
            self.signals,
            journal,
            settings=self.settings,
            log=lambda level, message, **about: self.lines.append((level, message, about)),
            observer=self.telemetry,
            leadership=self.lease,
            now=lambda: self.now,
            steady=lambda: self.now.timestamp(),
        )
        self.loop.open_log(self._stack.enter_context(journal.opened()))

    def close(self) -> None:
        self._stack.close()

    def renew(self) -> PassReport:
        return self.loop.run_pass(renew=True)

    def pass_time(self, minutes: float, *, every: float = 30.0) -> list[PassReport]:
        """Let time go by, with the kubelet at work and a look every so many seconds."""
        until, reports = self.now + timedelta(minutes=minutes), []
        while self.now < until:
            self.now += timedelta(seconds=every)
            with self.api.lock:
                self.kubelet.step()
            reports.append(self.loop.run_pass(renew=False))
        return reports

    def change_pod(self, name: str, **status: Any) -> None:
        """Let something happen to a pod: fields of its container's status."""
        with self.api.lock:
            self.cluster.get("Pod", name)["status"]["containerStatuses"][0].update(status)

    def ready(self, name: str, is_ready: bool) -> None:
        with self.api.lock:
            conditions = self.cluster.get("Pod", name)["status"]["conditions"]
            mine = next(one for one in conditions if one["type"] == "Ready")
            mine |= {"status": str(is_ready), "lastTransitionTime": self.now.isoformat().replace("+00:00", "Z")}

    def spec(self, name: str) -> dict[str, Any]:
        return dict(self.cluster.get("Pod", name)["spec"]["containers"][0]["resources"])

    def cpu(self, name: str = "web-abc-0") -> str:
        return str(self.spec(name)["requests"]["cpu"])

    def cpus(self, workload: str = "web", pods: int = 3) -> list[str]:
        return [self.cpu(f"{workload}-abc-{number}") for number in range(pods)]

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        found = [dict(one) for one in read_log(self.folder / "state" / "shop")]
        return [one for one in found if not kinds or one["event"] in kinds]

    def outcome(self) -> str:
        (*_, last) = self.events("ended")
        return str(last["outcome"])

    def said(self) -> str:
        return " ".join(f"{message} {about}" for _, message, about in self.lines)


def resizes(rig: Rig) -> list[str]:
    return [one.path.split("/")[-2] for one in rig.cluster.patches if one.path.endswith("/resize")]
