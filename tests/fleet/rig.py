"""A shop of every kind of workload in a real Prometheus, two weeks of it, with the traps of real clusters.

Each workload is written down once, as what its pods used; the series follow from it, and so does what a reader must
find. Everything is scraped every minute, by two cAdvisor jobs and two replicas of kube-state-metrics.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from mora.domain import Workload
from tests.fleet.tsdb import Group, write_block
from tests.sources.rig import serve

Floats = NDArray[np.float64]

SCRAPE_SECONDS = 60
DAY = 86_400 // SCRAPE_SECONDS
"""Scrapes of a day; times in this file are counted in scrapes from the beginning of the history."""
HOUR = 3_600 // SCRAPE_SECONDS
DAYS = 14
MIB = float(2**20)
STARTUP = 5
"""Scrapes in the first five minutes of a pod."""

NAMESPACE = "shop"
HOSTILE_NAME = 'evil"} or vector(1) #'


@dataclass(frozen=True)
class Box:
    """One container of a pod: what it used from scrape to scrape (NaN: not scraped), and what it was given."""

    name: str
    cpu_cores: Floats
    mem_bytes: Floats
    cpu_request: float | None = 0.5
    cpu_limit: float | None = None
    mem_request: float | None = 256 * MIB
    mem_limit: float | None = 512 * MIB
    image: str = "registry.local/shop/server:1"
    init: str | None = None
    """None: a container; "Always": a native sidecar; "": an init container."""
    throttled: float = 0.0
    restarts: Mapping[int, bool] = field(default_factory=dict)
    """Scrape (of the history) at which it restarted -> whether it was OOM-killed. Its counter begins anew each time."""
    restarts_before: int = 0
    was_oom_killed_before: bool = False


@dataclass(frozen=True)
class Pod:
    """A pod that ran from scrape `first` on, as long as its boxes' arrays are; `last` is the scrape after its end."""

    name: str
    first: int
    boxes: tuple[Box, ...]
    generation: int = 0

    @property
    def last(self) -> int:
        return self.first + len(self.boxes[0].cpu_cores)


@dataclass(frozen=True)
class Expected:
    """What a reader must find of a container: on its hottest pod at each moment, start-up apart where it runs on."""

    cpu_p95_cores: float
    mem_peak_bytes: float
    startup_cpu_cores: float | None
    startup_mem_bytes: float | None
    pods: int
    restarts: int
    oom_kills: int


@dataclass(frozen=True)
class Service:
    """A workload with its pods of two weeks."""

    workload: Workload
    pods: tuple[Pod, ...]
    replicas: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    autoscaler: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """(resource, target type) -> target of its HPA, with 2 to 6 replicas."""

    def expected(self, container: str, *, since: int = 0) -> Expected:
        """The truth of the scrapes from `since` on."""
        count = DAYS * DAY + 1
        cpu, memory = np.full(count, np.nan), np.full(count, np.nan)
        startups: list[tuple[float, float]] = []
        boxes = [(pod, box) for pod in self.pods for box in pod.boxes if box.name == container and pod.last > since]
        runs_on = self.workload.kind not in ("Job", "CronJob")
        for pod, box in boxes:
            young = STARTUP if runs_on and pod.first > since else 0
            if young:
                startups.append(
                    (float(np.nanmax(box.cpu_cores[1 : young + 1])), float(np.nanmax(box.mem_bytes[:young])))
                )
            here = slice(pod.first + young, pod.last)
            cpu[here] = np.fmax(cpu[here], box.cpu_cores[young:])
            memory[here] = np.fmax(memory[here], box.mem_bytes[young:])
        happened = [is_oom for _, box in boxes for at, is_oom in box.restarts.items() if at > since]
        return Expected(
            float(np.nanquantile(cpu[since:], 0.95)),
            float(np.nanmax(memory[since:])),
            max((cores for cores, _ in startups), default=None),
            max((used for _, used in startups), default=None),
            len({pod.name for pod, _ in boxes}),
            len(happened),
            sum(happened),
        )


@dataclass(frozen=True)
class Fleet:
    """Everything that is in the Prometheus. end: Unix seconds of the last scrape. since: the first scrape it kept."""

    services: tuple[Service, ...]
    end: float
    since: int = 0
    cluster: str | None = None

    @property
    def start(self) -> float:
        return self.end - DAYS * DAY * SCRAPE_SECONDS

    def service(self, name: str) -> Service:
        return next(one for one in self.services if one.workload.name == name)

    def groups(self) -> Iterator[Group]:
        """Every series, with those that lie on the same scrapes together."""
        return _grouped(self)


@contextmanager
def serving(
    folder: Path,
    *fleets: Fleet,
    keep: Callable[[str], bool] = lambda name: True,
    renamed: tuple[str, Mapping[str, str]] = ("", {}),
    flags: Sequence[str] = (),
) -> Iterator[str]:
    """The address of a Prometheus with the fleets.

    keep: which metrics it scrapes. renamed: of metrics with a prefix, labels as they are called there. flags: further
    ones of the server.
    """
    tsdb = folder / "tsdb"
    groups = (_odd(group, keep, *renamed) for fleet in fleets for group in fleet.groups())
    write_block(groups, tsdb)
    with serve(tsdb, "--storage.tsdb.max-block-duration=2h", "--storage.tsdb.min-block-duration=2h", *flags) as url:
        yield url


def _odd(group: Group, keep: Callable[[str], bool], prefix: str, names: Mapping[str, str]) -> Group:
    kept = [number for number, labels in enumerate(group.labels) if keep(labels["__name__"])]
    return replace(
        group,
        labels=[
            {names.get(name, name): value for name, value in labels.items()}
            if labels["__name__"].startswith(prefix)
            else labels
            for labels in (group.labels[number] for number in kept)
        ],
        values=group.values[kept],
    )


# --- the shop --------------------------------------------------------------------------------------------------------


def shop(end: float, *, since: int = 0, cluster: str | None = None) -> Fleet:
    """Every kind of workload and every trap; see each service's comment. end: a round minute, in Unix seconds."""
    end = end // 60 * 60
    last = DAYS * DAY + 1
    rng = np.random.default_rng(7)

    def cpu(first: int, until: int, level: float, *, starts_at: float | None = None) -> Floats:
        """A day's rhythm with some noise; the first three minutes at `starts_at`."""
        day = 1 + 0.5 * np.sin(2 * np.pi * np.arange(first, until) / DAY)
        cores: Floats = level * day * np.exp(0.1 * rng.standard_normal(until - first))
        if starts_at is not None and first:  # what ran before the history began started before it, too
            cores[:3] = starts_at
        return cores

    def memory(first: int, until: int, mib: float, *, starts_at: float | None = None) -> Floats:
        used: Floats = np.round(mib * MIB * (1 + 0.05 * rng.random(until - first)))
        if starts_at is not None and first:
            used[:3] = starts_at * MIB
        return used

    def flat(first: int, until: int, value: float) -> Floats:
        return np.full(until - first, value)

    # Three generations of two pods; the highest use was on pods that are gone. Start-up is far above what follows.
    frontend = [
        Pod(
            f"frontend-{generation}aa-{number}",
            first,
            (
                Box(
                    "server",
                    cpu(first, until, level * (1 + 0.2 * number), starts_at=1.5),
                    memory(first, until, mib + 20 * number, starts_at=500),
                    cpu_limit=2.0 - 0.5 * (generation == 2),
                ),
                Box("istio-proxy", cpu(first, until, 0.02), memory(first, until, 50), cpu_request=0.1),
            ),
            generation,
        )
        for generation, (first, until, level, mib) in enumerate(
            [(0, 5 * DAY, 0.4, 400.0), (5 * DAY, 9 * DAY + 17, 0.3, 300.0), (9 * DAY + 17, last, 0.2, 200.0)]
        )
        for number in range(2)
    ]
    # Begins with the name of another, and uses ten times as much.
    canary = [
        Pod(
            "frontend-canary-1bb-0",
            0,
            (Box("server", cpu(0, last, 4.0), memory(0, last, 3000.0), mem_limit=4096 * MIB),),
        )
    ]
    # Killed for memory twice in the window, restarted once for another reason; with a native sidecar and an init.
    kills = {6 * DAY + 30: True, 8 * DAY + 90: True, 10 * DAY + 7: False}
    cart = [
        Pod(
            "cart-1cc-0",
            0,
            (
                Box("cart", cpu(0, last, 0.1), memory(0, last, 480.0), restarts=kills),
                Box("log-shipper", cpu(0, last, 0.01), memory(0, last, 30.0), init="Always"),
                Box("migrate", flat(0, last, np.nan), flat(0, last, np.nan), init=""),
            ),
        )
    ]
    # Was killed long ago: the gauge has said so ever since.
    scarred = [
        Pod(
            "scarred-1dd-0",
            0,
            (Box("app", cpu(0, last, 0.1), memory(0, last, 90.0), restarts_before=4, was_oom_killed_before=True),),
        )
    ]
    payment = [
        Pod(f"payment-1ee-{number}", 0, (Box("payment", cpu(0, last, 0.2), memory(0, last, 150.0)),))
        for number in range(2)
    ]
    # Held at its limit of 200m, four of ten periods throttled.
    pinned = [
        Pod(
            "pinned-1ff-0",
            0,
            (Box("app", flat(0, last, 0.2), memory(0, last, 80.0), cpu_limit=0.2, throttled=0.4),),
        )
    ]
    # Its pods keep their names when they are replaced: counters fall back to nothing.
    database = [
        Pod("db-0", first, (Box("db", cpu(first, until, 0.5), memory(first, until, 900.0), mem_limit=2048 * MIB),))
        for first, until in ((0, 7 * DAY), (7 * DAY + 3, last))
    ]
    agent = [
        Pod(f"agent-{node}", 0, (Box("agent", cpu(0, last, 0.05 * (node + 1)), memory(0, last, 60.0 + node)),))
        for node in range(3)
    ]
    report = [
        Pod(
            f"report-2900{day:02}-x",
            day * DAY + 2 * HOUR,
            (
                Box(
                    "report",
                    cpu(day * DAY + 2 * HOUR, day * DAY + 2 * HOUR + 12, 0.9),
                    memory(day * DAY + 2 * HOUR, day * DAY + 2 * HOUR + 12, 700.0 + day),
                ),
            ),
            day,
        )
        for day in range(DAYS)
    ]
    rollout = [Pod("web-1gg-0", 0, (Box("web", cpu(0, last, 0.3), memory(0, last, 120.0)),))]
    bare = [
        Pod(
            "bare-1hh-0",
            0,
            (
                Box(
                    "bare",
                    cpu(0, last, 0.1),
                    memory(0, last, 70.0),
                    cpu_request=None,
                    mem_request=None,
                    mem_limit=None,
                ),
            ),
        )
    ]
    # Scaled to nothing two days ago.
    idle = [Pod("idle-1ii-0", 0, (Box("idle", cpu(0, 12 * DAY, 0.1), memory(0, 12 * DAY, 100.0)),))]
    # Not scraped for six hours.
    silence = cpu(0, last, 0.1)
    silence[3 * DAY : 3 * DAY + 6 * HOUR] = np.nan
    gappy = [Pod("gappy-1jj-0", 0, (Box("gappy", silence, memory(0, last, 100.0)),))]
    young = [
        Pod(
            "young-1kk-0",
            12 * DAY,
            (
                Box(
                    "young",
                    cpu(12 * DAY, last, 0.1),
                    memory(12 * DAY, last, 100.0),
                    image="docker.io/library/eclipse-temurin:21-jre",
                ),
            ),
        )
    ]

    def service(
        kind: str,
        name: str,
        pods: Sequence[Pod],
        replicas: int | None,
        labels: Mapping[str, str] = MappingProxyType({}),
        annotations: Mapping[str, str] = MappingProxyType({}),
    ) -> Service:
        return Service(Workload(NAMESPACE, name, kind), tuple(pods), replicas, labels, annotations)

    services = (
        service("DaemonSet", "agent", agent, 3),
        service("Deployment", "bare", bare, 1),
        service("Deployment", "cart", cart, 1),
        service("StatefulSet", "db", database, 1),
        service(
            "Deployment",
            "frontend",
            frontend,
            2,
            labels={"label_app_kubernetes_io_name": "frontend", "label_tier": "web"},
            annotations={"annotation_mora_dev_cpu_buffer": "1.3", "annotation_other_example": "x"},
        ),
        service("Deployment", "frontend-canary", canary, 1),
        service("Deployment", "gappy", gappy, 1),
        service("Deployment", "idle", idle, 0),
        Service(
            Workload(NAMESPACE, "payment"),
            tuple(payment),
            2,
            autoscaler={("cpu", "utilization"): 80, ("memory", "average"): 200 * MIB},
        ),
        service("Deployment", "pinned", pinned, 1),
        service("CronJob", "report", report, None),
        service("Deployment", "scarred", scarred, 1),
        service("Rollout", "web", rollout, 1),
        service("Deployment", "young", young, 1),
    )
    return Fleet(services, end, since, cluster)


# --- its series ------------------------------------------------------------------------------------------------------

Row = tuple[dict[str, str], int, Floats]
"""Labels (__name__ included), the first scrape, and a value for each scrape from there on; NaN: not scraped."""

_DECLARED = {
    "Deployment": ("kube_deployment_spec_replicas", "deployment"),
    "StatefulSet": ("kube_statefulset_replicas", "statefulset"),
    "DaemonSet": ("kube_daemonset_status_desired_number_scheduled", "daemonset"),
}


def _series(fleet: Fleet) -> list[Row]:
    rows = [*_of_namespace()]
    for service in fleet.services:
        rows += _of_service(service)
        for pod in service.pods:
            rows += _of_pod(service, pod, fleet.start)
            for box in pod.boxes:
                rows += _given(pod, box)
                rows += _counted(pod, box)
                rows += _used(pod, box)
    return [row for labels, first, values in rows for row in _doubled(labels, first, values)]


def _doubled(labels: dict[str, str], first: int, values: Floats) -> Iterator[Row]:
    """cAdvisor is scraped by two jobs, kube-state-metrics runs twice."""
    if labels["__name__"].startswith("container_"):
        for job in ("kubelet", "cadvisor"):
            yield {**labels, "job": job, "metrics_path": "/metrics/cadvisor"}, first, values
    else:
        for instance in ("10.0.0.8:8080", "10.0.0.9:8080"):
            yield {**labels, "job": "kube-state-metrics", "instance": instance}, first, values


def _always(name: str, value: float, **labels: str) -> Row:
    return {"__name__": name, "namespace": NAMESPACE, **labels}, 0, np.full(DAYS * DAY + 1, value)


def _of_namespace() -> Iterator[Row]:
    for constraint, cores, mib in (("min", 0.02, 16), ("max", 2.0, 4096), ("default", 1.0, 512)):
        for resource, amount in (("cpu", cores), ("memory", mib * MIB)):
            of = {"limitrange": "bounds", "type": "Container", "resource": resource, "constraint": constraint}
            yield _always("kube_limitrange", amount, **of)
    for resource, hard, used in (("requests.cpu", 20, 9.5), ("limits.memory", 2**35, 2**33)):
        yield _always("kube_resourcequota", hard, resourcequota="team", resource=resource, type="hard")
        yield _always("kube_resourcequota", used, resourcequota="team", resource=resource, type="used")
    yield _always("kube_deployment_spec_replicas", 1, deployment=HOSTILE_NAME)


def _of_service(service: Service) -> Iterator[Row]:
    name, kind = service.workload.name, service.workload.kind
    if kind in _DECLARED:
        metric, label = _DECLARED[kind]
        yield _always(metric, float(service.replicas or 0), **{label: name})
        if service.labels:
            yield _always(f"kube_{label}_labels", 1, **{label: name}, **service.labels)
        if service.annotations:
            yield _always(f"kube_{label}_annotations", 1, **{label: name}, **service.annotations)
    if kind == "CronJob":
        yield _always("kube_cronjob_info", 1, cronjob=name, schedule="0 2 * * *")
    if service.autoscaler:
        hpa = {"horizontalpodautoscaler": f"{name}-hpa"}
        target = {"scaletargetref_kind": kind, "scaletargetref_name": name}
        yield _always("kube_horizontalpodautoscaler_info", 1, **hpa, **target)
        yield _always("kube_horizontalpodautoscaler_spec_min_replicas", 2, **hpa)
        yield _always("kube_horizontalpodautoscaler_spec_max_replicas", 6, **hpa)
        for (resource, target_type), value in service.autoscaler.items():
            of = {"metric_name": resource, "metric_target_type": target_type}
            yield _always("kube_horizontalpodautoscaler_spec_target_metric", value, **hpa, **of)
    for between in sorted({_between(service, pod) for pod in service.pods} - {None}, key=str):
        own = [pod for pod in service.pods if _between(service, pod) == between]
        first, last = min(pod.first for pod in own), max(pod.last for pod in own)
        above = {"namespace": NAMESPACE, "owner_kind": kind, "owner_name": name}
        if kind == "CronJob":
            yield {"__name__": "kube_job_owner", "job_name": str(between), **above}, first, np.ones(last - first)
        else:
            labels = {"namespace": NAMESPACE, "replicaset": str(between)}
            yield {"__name__": "kube_replicaset_owner", **above, **labels}, first, np.ones(last - first)
            size = float(len(own)) if last > DAYS * DAY else 0.0
            yield {"__name__": "kube_replicaset_spec_replicas", **labels}, first, np.full(last - first, size)


def _between(service: Service, pod: Pod) -> str | None:
    """The ReplicaSet or Job between a workload and its pod."""
    if service.workload.kind in ("StatefulSet", "DaemonSet"):
        return None
    return pod.name.rpartition("-")[0]


def _of_pod(service: Service, pod: Pod, start: float) -> Iterator[Row]:
    between = _between(service, pod)
    kind, name = service.workload.kind, service.workload.name
    owner_kind = kind if between is None else "Job" if kind == "CronJob" else "ReplicaSet"
    labels = {"namespace": NAMESPACE, "pod": pod.name}
    ones = np.ones(pod.last - pod.first)
    yield (
        {"__name__": "kube_pod_owner", **labels, "owner_kind": owner_kind, "owner_name": between or name},
        pod.first,
        ones,
    )
    # A pod of the first scrape was started long before it.
    born = start + pod.first * SCRAPE_SECONDS - (30 * 86_400 if pod.first == 0 else 0)
    for metric in ("kube_pod_created", "kube_pod_start_time"):
        yield {"__name__": metric, **labels}, pod.first, np.full(pod.last - pod.first, born)


def _given(pod: Pod, box: Box) -> Iterator[Row]:
    """What kube-state-metrics says of a container's image, requests and limits."""
    labels = {"namespace": NAMESPACE, "pod": pod.name, "container": box.name}
    count = pod.last - pod.first
    part = "container" if box.init is None else "init_container"
    policy = {"restart_policy": box.init} if box.init else {}
    yield {"__name__": f"kube_pod_{part}_info", **labels, "image": box.image, **policy}, pod.first, np.ones(count)
    for side, cores, used in (
        ("requests", box.cpu_request, box.mem_request),
        ("limits", box.cpu_limit, box.mem_limit),
    ):
        for resource, unit, amount in (("cpu", "core", cores), ("memory", "byte", used)):
            if amount is not None:
                sized = {**labels, "resource": resource, "unit": unit}
                yield {"__name__": f"kube_pod_{part}_resource_{side}", **sized}, pod.first, np.full(count, amount)


def _counted(pod: Pod, box: Box) -> Iterator[Row]:
    """Restarts, and the reason of the last one: a gauge that stays."""
    labels = {"namespace": NAMESPACE, "pod": pod.name, "container": box.name}
    part = "container" if box.init is None else "init_container"
    total = np.full(pod.last - pod.first, float(box.restarts_before))
    reason = np.full(pod.last - pod.first, 1.0 if box.was_oom_killed_before else np.nan)
    for at, is_oom in sorted(box.restarts.items()):
        total[at - pod.first :] += 1
        reason[at - pod.first :] = 1.0 if is_oom else np.nan
    yield {"__name__": f"kube_pod_{part}_status_restarts_total", **labels}, pod.first, total
    oom = {"__name__": f"kube_pod_{part}_status_last_terminated_reason", **labels, "reason": "OOMKilled"}
    yield oom, pod.first, reason


def _used(pod: Pod, box: Box) -> Iterator[Row]:
    """What cAdvisor says: a new cgroup, and counters that begin anew, with each restart; and the pod as a whole."""
    labels = {"namespace": NAMESPACE, "pod": pod.name, "container": box.name, "image": box.image}
    if np.isnan(box.cpu_cores).all():
        return
    cuts = [0, *(at - pod.first for at in sorted(box.restarts)), pod.last - pod.first]
    seconds = SCRAPE_SECONDS * np.nan_to_num(box.cpu_cores)
    for life, (since, until) in enumerate(pairwise(cuts)):
        total = np.cumsum(seconds[since:until])
        total[np.isnan(box.cpu_cores[since:until])] = np.nan
        cgroup = {"id": f"/kubepods/{pod.name}-{pod.first}/{box.name}-{life}"}
        yield {"__name__": "container_cpu_usage_seconds_total", **labels, **cgroup}, pod.first + since, total
        used = box.mem_bytes[since:until]
        yield {"__name__": "container_memory_working_set_bytes", **labels, **cgroup}, pod.first + since, used
        if box.cpu_limit is not None:
            periods = 10.0 * SCRAPE_SECONDS * np.arange(until - since)
            for metric, share in (("periods", 1.0), ("throttled_periods", box.throttled)):
                name = f"container_cpu_cfs_{metric}_total"
                yield {"__name__": name, **labels, **cgroup}, pod.first + since, np.floor(share * periods)
    if box is pod.boxes[0]:  # the pod's own cgroup, without a container
        whole = np.cumsum(sum(SCRAPE_SECONDS * np.nan_to_num(one.cpu_cores) for one in pod.boxes))
        of_pod = {"namespace": NAMESPACE, "pod": pod.name, "container": "", "id": f"/kubepods/{pod.name}-{pod.first}"}
        yield {"__name__": "container_cpu_usage_seconds_total", **of_pod}, pod.first, whole


def _grouped(fleet: Fleet) -> Iterator[Group]:
    """Series that lie on the same scrapes together; what was not scraped, or is no longer kept, is left out."""
    together: defaultdict[tuple[int, int], list[tuple[dict[str, str], Floats]]] = defaultdict(list)
    extra = {} if fleet.cluster is None else {"cluster": fleet.cluster}
    for labels, first, values in _series(fleet):
        own = {name: value for name, value in {**labels, **extra}.items() if value}
        kept = np.where(np.arange(first, first + len(values)) < fleet.since, np.nan, values)
        for since, until in _stretches(kept):
            together[first + since, first + until].append((own, kept[since:until]))
    for (since, until), alike in together.items():
        moment = fleet.start + since * SCRAPE_SECONDS
        for changes in (True, False):
            some = [(labels, values) for labels, values in alike if bool((values != values[0]).any()) == changes]
            if some and changes:
                yield Group([labels for labels, _ in some], moment, SCRAPE_SECONDS, np.stack([v for _, v in some]))
            elif some:
                constant = np.array([values[0] for _, values in some])
                yield Group([labels for labels, _ in some], moment, SCRAPE_SECONDS, constant, samples=until - since)


def _stretches(values: Floats) -> list[tuple[int, int]]:
    """The ranges between gaps: (first, after the last)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], ~np.isnan(values), [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
