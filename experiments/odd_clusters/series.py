"""The series of one namespace, as kube-state-metrics and cAdvisor expose them, written as a Prometheus block."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.fleet.tsdb import Group, write_block

Floats = NDArray[np.float64]
Level = float | Floats
"""A value that stays, or one per scrape."""

Span = tuple[int, int | None]
"""The first scrape, and the scrape after the last one; None for the end of the history."""

WHOLE: Span = (0, None)
MIB = float(2**20)
GIB = float(2**30)
DAY = 86_400


@dataclass(frozen=True)
class Box:
    """A container: what it used from scrape to scrape (NaN: not scraped), and what it was given.

    cpu: cores; None where cAdvisor has no series of it. memory: bytes of working set. requests, limits: (cores, bytes).
    role: None for a container, "init" for an init container, "sidecar" for a native sidecar. more: further cAdvisor
    series of the container. restarts: (scrape, reason) of each.
    """

    name: str
    cpu: Level | None = 0.1
    memory: Level | None = 100 * MIB
    requests: tuple[float | None, float | None] = (0.5, 512 * MIB)
    limits: tuple[float | None, float | None] = (None, 512 * MIB)
    image: str = "registry.local/shop/app:1"
    role: str | None = None
    more: Mapping[str, Level] = field(default_factory=dict)
    restarts: Sequence[tuple[int, str]] = ()


class Series:
    """What one namespace's scrapes have left in a Prometheus, up to `end`.

    every: seconds between scrapes. Times are counted in scrapes from the beginning of the history, as indexes.
    """

    def __init__(self, namespace: str, end: int, *, days: float = 7, every: int = 60) -> None:
        self.namespace, self.every = namespace, every
        self.end = end // every * every
        self.count = int(days * DAY / every) + 1
        self.start = self.end - (self.count - 1) * every
        self.node = f"node-of-{namespace}"
        self._rows: list[tuple[dict[str, str], float, Floats, bool]] = []
        self._spans: defaultdict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = defaultdict(list)

    def _bounds(self, span: Span) -> tuple[int, int]:
        first, last = span
        return first, self.count if last is None else max(first, min(last, self.count))

    # --- shapes ------------------------------------------------------------------------------------------------------

    def random(self, seed: int = 0) -> np.random.Generator:
        """Chance that is the same on every run."""
        return np.random.default_rng([zlib.crc32(self.namespace.encode()), seed])

    def wave(self, cores: float, *, swing: float = 0.4, noise: float = 0.08, seed: int = 1) -> Floats:
        """A daily rhythm around a level, with noise."""
        at = self.start + np.arange(self.count) * self.every
        rhythm = 1 + swing * np.sin(2 * np.pi * at / DAY)
        values: Floats = cores * rhythm * np.exp(noise * self.random(seed).standard_normal(self.count))
        return values

    def steady(self, level: float, *, wobble: float = 0.03, seed: int = 2) -> Floats:
        """A level, and up to `wobble` above it."""
        values: Floats = np.round(level * (1 + wobble * self.random(seed).random(self.count)), 6)
        return values

    def days_ago(self, days: float) -> int:
        """The index of the scrape that many days before the end."""
        return max(0, self.count - 1 - round(days * DAY / self.every))

    # --- series ------------------------------------------------------------------------------------------------------

    def add(self, name: str, values: Level, span: Span = WHOLE, /, **labels: str) -> None:
        """One series, on a span of the scrapes; NaN where it was not scraped.

        A series that is there already stays, so that each of several pods can add what they share.
        """
        first, last = self._bounds(span)
        row = np.full(max(last - first, 0), float(values)) if np.ndim(values) == 0 else np.array(values, float)
        self._add(labels | {"__name__": name}, row[: max(last - first, 0)], self.start + first * self.every, False)

    def add_as_it_is(self, name: str, values: Floats, /, **labels: str) -> None:
        """One series of all scrapes, with NaN where NaN was scraped."""
        self._add(labels | {"__name__": name}, values, self.start, True)

    def _add(self, labels: dict[str, str], values: Floats, start: float, keeps_nan: bool) -> None:
        spans = self._spans[tuple(sorted(labels.items()))]
        end = start + len(values) * self.every
        if all(end <= first or start >= last for first, last in spans):
            spans.append((start, end))
            self._rows.append((labels, start, values, keeps_nan))

    def here(self, name: str, values: Level = 1.0, span: Span = WHOLE, /, **labels: str) -> None:
        """One series that carries the namespace."""
        self.add(name, values, span, **{"namespace": self.namespace, **labels})

    def drop(self, is_meant: Callable[[Mapping[str, str]], bool]) -> None:
        """Take series away again."""
        for labels, *_ in self._rows:
            if is_meant(labels):
                del self._spans[tuple(sorted(labels.items()))]
        self._rows = [one for one in self._rows if not is_meant(one[0])]

    def silence(self, is_meant: Callable[[Mapping[str, str]], bool], *, scrapes: int) -> None:
        """Take the last scrapes of series away."""
        for labels, _, values, _ in self._rows:
            if is_meant(labels):
                values[-scrapes:] = np.nan

    def nodes(self, *, cores: float = 16, memory: float = 64 * GIB, allocatable: float = 0.95) -> None:
        """The node that the pods run on, as kube-state-metrics shows it."""
        for resource, unit, amount in (("cpu", "core", cores), ("memory", "byte", memory)):
            labels = {"node": self.node, "resource": resource, "unit": unit}
            self.add("kube_node_status_capacity", amount, **labels)
            self.add("kube_node_status_allocatable", amount * allocatable, **labels)
        self.add("machine_cpu_cores", cores, node=self.node, instance=self.node, job="kubelet")
        self.add("machine_memory_bytes", memory, node=self.node, instance=self.node, job="kubelet")

    # --- pods --------------------------------------------------------------------------------------------------------

    def pod(
        self, name: str, owner: tuple[str, str] | None, boxes: Iterable[Box], *, first: int = 0, last: int | None = None
    ) -> None:
        """A pod from the scrape `first` to before `last`; one that was there at the beginning is a month old."""
        last = self.count if last is None else min(last, self.count)
        span = (first, last)
        kind, owner_name = owner or ("<none>", "<none>")
        controlled = {"owner_is_controller": "true" if owner else "<none>"}
        self.here("kube_pod_owner", 1.0, span, pod=name, owner_kind=kind, owner_name=owner_name, **controlled)
        born = float(self.start + first * self.every if first else self.start - 30 * DAY)
        for metric in ("kube_pod_created", "kube_pod_start_time"):
            self.here(metric, born, span, pod=name)
        self.here("kube_pod_info", 1.0, span, pod=name, node=self.node, host_network="false")
        for box in boxes:
            self._declare(name, box, first, last)
            if box.cpu is not None:
                self.use(name, box, first=first, last=last)

    def _declare(self, pod: str, box: Box, first: int, last: int) -> None:
        part = "container" if box.role is None else "init_container"
        span = (first, last)
        labels = {"pod": pod, "container": box.name}
        policy = {"restart_policy": "Always"} if box.role == "sidecar" else {}
        self.here(f"kube_pod_{part}_info", 1.0, span, **labels, image=box.image, **policy)
        for side, amounts in (("requests", box.requests), ("limits", box.limits)):
            for resource, unit, amount in zip(("cpu", "memory"), ("core", "byte"), amounts, strict=True):
                if amount is not None:
                    kind = {"resource": resource, "unit": unit, "node": self.node}
                    self.here(f"kube_pod_{part}_resource_{side}", amount, span, **labels, **kind)
        if box.role == "init":
            return
        restarts = np.zeros(last - first)
        for at, _ in box.restarts:
            restarts[at - first :] += 1
        self.here(f"kube_pod_{part}_status_restarts_total", restarts, span, **labels)
        ends = [*(at for at, _ in box.restarts), last][1:]
        for (at, reason), until in zip(box.restarts, ends, strict=True):
            self.here(f"kube_pod_{part}_status_last_terminated_reason", 1.0, (at, until), **labels, reason=reason)

    def use(self, pod: str, box: Box, *, first: int = 0, last: int | None = None, **labels: str) -> None:
        """What cAdvisor shows of a container."""
        last = self.count if last is None else min(last, self.count)
        own = self.cadvisor(pod, box, first) | labels
        cores = np.broadcast_to(np.asarray(0.0 if box.cpu is None else box.cpu, float), last - first)
        counter = np.cumsum(np.nan_to_num(cores) * self.every)
        counter[np.isnan(cores)] = np.nan
        span = (first, last)
        self.add("container_cpu_usage_seconds_total", counter, span, **own)
        if box.memory is not None:
            self.add("container_memory_working_set_bytes", box.memory, span, **own)
        for name, values in box.more.items():
            self.add(name, values, span, **own)

    def cadvisor(self, pod: str, box: Box, first: int = 0) -> dict[str, str]:
        """The labels of a container's series in cAdvisor."""
        path = f"/kubepods/{self.namespace}/{pod}/{box.name}/{first}"
        where = {"job": "kubelet", "metrics_path": "/metrics/cadvisor", "node": self.node}
        return {
            "namespace": self.namespace, "pod": pod, "container": box.name, "image": box.image, "id": path, **where
        }  # fmt: skip

    # --- workloads ---------------------------------------------------------------------------------------------------

    def deployment(
        self,
        name: str,
        *boxes: Box,
        replicas: int = 1,
        pods: Mapping[str, Sequence[Box]] | None = None,
        kind: str = "Deployment",
    ) -> None:
        """A Deployment with one ReplicaSet, its pods there all the time. pods: suffix -> containers of its own."""
        replica_set = f"{name}-7d4b9c"
        self.replica_set(replica_set, kind, name, replicas=len(pods) if pods else replicas)
        if kind == "Deployment":
            self.here("kube_deployment_spec_replicas", float(len(pods) if pods else replicas), deployment=name)
        for suffix, own in (pods or {f"x{number}": boxes for number in range(replicas)}).items():
            self.pod(f"{replica_set}-{suffix}", ("ReplicaSet", replica_set), own)

    def replica_set(self, name: str, kind: str, owner: str, *, replicas: float = 1, first: int = 0) -> None:
        """A ReplicaSet and whose it is."""
        owned = {"owner_kind": kind, "owner_name": owner, "owner_is_controller": "true"}
        self.here("kube_replicaset_owner", 1.0, (first, None), replicaset=name, **owned)
        self.here("kube_replicaset_spec_replicas", replicas, (first, None), replicaset=name)

    def stateful_set(self, name: str, *boxes: Box, replicas: int = 1) -> None:
        """A StatefulSet, its pods there all the time."""
        self.here("kube_statefulset_replicas", float(replicas), statefulset=name)
        for number in range(replicas):
            self.pod(f"{name}-{number}", ("StatefulSet", name), boxes)

    def daemon_set(self, name: str, *boxes: Box) -> None:
        """A DaemonSet with one pod."""
        self.here("kube_daemonset_status_desired_number_scheduled", 1.0, daemonset=name)
        self.pod(f"{name}-abcde", ("DaemonSet", name), boxes)

    def job(self, name: str, cron_job: str | None, *, first: int, last: int | None = None) -> None:
        """A Job, of a CronJob or of its own."""
        owner = ("CronJob", cron_job) if cron_job else ("<none>", "<none>")
        labels = {"job_name": name, "owner_kind": owner[0], "owner_name": owner[1]}
        self.here("kube_job_owner", 1.0, (first, last), **labels)
        self.here("kube_job_info", 1.0, (first, last), job_name=name)

    def run(
        self, pod: str, job: str, box: Box, *, first: int, scrapes: int, kept: int, reason: str = "Completed"
    ) -> None:
        """A Job's pod that ran for so many scrapes, and whose object was kept for `kept` scrapes in all."""
        last = min(first + kept, self.count)
        ended = min(first + scrapes, last)
        self.pod(pod, ("Job", job), [replace(box, cpu=None)], first=first, last=last)
        self.use(pod, box, first=first, last=ended)
        labels = {"pod": pod, "container": box.name}
        good = reason == "Completed"
        self.here("kube_pod_container_status_terminated", 1.0, (ended, last), **labels)
        self.here("kube_pod_container_status_terminated_reason", 1.0, (ended, last), **labels, reason=reason)
        code = 0.0 if good else 137.0 if reason == "OOMKilled" else 1.0
        self.here("kube_pod_container_status_last_terminated_exitcode", code, (ended, last), **labels)
        self.here("kube_pod_status_phase", 1.0, (ended, last), pod=pod, phase="Succeeded" if good else "Failed")
        self.here("kube_job_status_failed", 0.0 if good else 1.0, (ended, last), job_name=job)
        self.here("kube_job_status_succeeded", 1.0 if good else 0.0, (ended, last), job_name=job)

    # --- the block ---------------------------------------------------------------------------------------------------

    def groups(self) -> list[Group]:
        """The series without their gaps, those of the same scrapes together."""
        same: defaultdict[tuple[float, int], list[tuple[dict[str, str], Floats]]] = defaultdict(list)
        for labels, start, values, keeps_nan in self._rows:
            there = np.concatenate([[False], ~np.isnan(values) | keeps_nan, [False]])
            for begin, end in np.flatnonzero(np.diff(there.astype(np.int8))).reshape(-1, 2):
                same[(start + begin * self.every, int(end - begin))].append((labels, values[begin:end]))
        return [
            Group([labels for labels, _ in rows], start, self.every, np.vstack([values for _, values in rows]))
            for (start, _), rows in same.items()
        ]


def write(all_series: Iterable[Series], folder: Path) -> None:
    """One block of all namespaces."""
    write_block([group for series in all_series for group in series.groups()], folder)
