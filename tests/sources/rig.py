"""A real Prometheus on loopback, filled with series that a test wrote down; and a shop of them, as a cluster has it."""

from __future__ import annotations

import json
import math
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mora.tools import find_tool


@dataclass(frozen=True)
class Series:
    """One series: its labels, its value at each moment (None: not scraped), and when it exists."""

    metric: str
    labels: dict[str, str]
    value: Callable[[float], float | None]
    start: float
    end: float
    every: float


def write_openmetrics(series: list[Series], path: Path) -> None:
    """The series as the text that `promtool tsdb create-blocks-from openmetrics` reads."""
    with path.open("w", encoding="utf-8") as file:
        for one in series:
            labels = ",".join(f'{name}="{value}"' for name, value in one.labels.items())
            head = f"{one.metric}{{{labels}}}"
            for number in range(int((one.end - one.start) / one.every) + 1):
                at = one.start + number * one.every
                value = one.value(at)
                if value is not None:
                    file.write(f"{head} {value:.10g} {at:.3f}\n")
        file.write("# EOF\n")


def backfill(series: list[Series], folder: Path) -> Path:
    """A TSDB folder with the series."""
    text = folder / "series.om"
    write_openmetrics(series, text)
    tsdb = folder / "tsdb"
    # The flag is hidden; without it promtool reads the whole text once for every two hours that it spans.
    command = [str(find_tool("promtool")), "tsdb", "create-blocks-from", "--max-block-duration=720h", "openmetrics"]
    subprocess.run([*command, str(text), str(tsdb)], check=True, capture_output=True)
    text.unlink()
    return tsdb


@contextmanager
def serve(tsdb: Path, *flags: str, config: Mapping[str, object] | None = None) -> Iterator[str]:
    """The address of a Prometheus with a TSDB folder. config: its configuration; by default it scrapes nothing."""
    configured = tsdb.parent / "prometheus.yml"
    configured.write_text(json.dumps(config or {}) + "\n", encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        str(find_tool("prometheus")),
        f"--config.file={configured}",
        f"--storage.tsdb.path={tsdb}",
        "--storage.tsdb.retention.time=10y",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
        *flags,
    ]
    log = (tsdb.parent / "prometheus.log").open("w+", encoding="utf-8")
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ours(url, process, tsdb)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)
        log.close()


def _wait_until_ours(url: str, process: subprocess.Popen[bytes], tsdb: Path) -> None:
    """Ready, and the one with our folder: another process may have taken the free port in between."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError((tsdb.parent / "prometheus.log").read_text(encoding="utf-8"))
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=2):  # noqa: S310  # our own http address
                pass
            with urllib.request.urlopen(f"{url}/api/v1/status/flags", timeout=2) as answer:  # noqa: S310
                assert json.load(answer)["data"]["storage.tsdb.path"] == str(tsdb)
                return
        except OSError:
            time.sleep(0.02)
    raise AssertionError("Prometheus did not get ready within 30 s")


# --- a shop, as cAdvisor, kube-state-metrics and node-exporter show it -----------------------------------------------


def cluster(
    services: dict[str, tuple[str, ...]],
    *,
    start: float,
    end: float,
    every: float,
    namespace: str = "shop",
    replicas: int = 2,
    rollout_every: float = math.inf,
    has_nodes: bool = True,
) -> list[Series]:
    """Deployments (name -> containers), all pods replaced by a new ReplicaSet every `rollout_every` seconds.

    CPU of the i-th pod is 0.1 (i + 1) cores on average, for the first container; the others use a tenth of it. Memory
    is 100 MiB plus 10 MiB a pod. Each pod receives 1000 and sends 2000 bytes/s.
    """
    made: list[Series] = []

    def add(metric: str, value: Callable[[float], float], since: float, until: float, **labels: str) -> None:
        made.append(Series(metric, labels, value, since, until, every))

    for node in range(2 if has_nodes else 0):
        instance = f"10.0.0.{node + 1}:9100"
        add("node_uname_info", lambda at: 1, start, end, instance=instance, nodename=f"node-{node}")
        for cpu in range(2):
            idle = 0.5 - 0.1 * node
            add(
                "node_cpu_seconds_total",
                lambda at, idle=idle: idle * (at - start),  # type: ignore[misc]  # bound at definition
                start,
                end,
                instance=instance,
                cpu=str(cpu),
                mode="idle",
            )
        add("node_memory_MemTotal_bytes", lambda at: 8e9, start, end, instance=instance)
        add("node_memory_MemAvailable_bytes", lambda at: 4e9, start, end, instance=instance)
    for name, containers in services.items():
        add(
            "kube_deployment_status_replicas_available",
            lambda at: replicas,
            start,
            end,
            namespace=namespace,
            deployment=name,
        )
        since, generation = start, 0
        while since < end:
            until = min(since + rollout_every - every, end)
            replica_set = f"{name}-{generation:08x}"
            add(
                "kube_replicaset_owner",
                lambda at: 1,
                since,
                until,
                namespace=namespace,
                replicaset=replica_set,
                owner_kind="Deployment",
                owner_name=name,
            )
            for number in range(replicas):
                pod = {"namespace": namespace, "pod": f"{replica_set}-{number:05x}"}
                add(
                    "kube_pod_owner", lambda at: 1, since, until, **pod, owner_kind="ReplicaSet", owner_name=replica_set
                )
                add("kube_pod_info", lambda at: 1, since, until, **pod, node=f"node-{number % 2}")
                for direction, speed in (("receive", 1000.0), ("transmit", 2000.0)):
                    add(
                        f"container_network_{direction}_bytes_total",
                        lambda at, speed=speed, since=since: speed * (at - since),  # type: ignore[misc]
                        since,
                        until,
                        **pod,
                        interface="eth0",
                    )
                for position, container in enumerate(containers):
                    one = {**pod, "container": container}
                    cores = 0.1 * (number + 1) * (1.0 if position == 0 else 0.1)
                    add(
                        "container_cpu_usage_seconds_total",
                        lambda at, cores=cores, since=since: cores * (at - since),  # type: ignore[misc]
                        since,
                        until,
                        **one,
                        image="shop",
                    )
                    add(
                        "container_memory_working_set_bytes",
                        lambda at, number=number: (100 + 10 * number) * 2**20,  # type: ignore[misc]
                        since,
                        until,
                        **one,
                        image="shop",
                    )
                    add("kube_pod_container_status_restarts_total", lambda at: 0, since, until, **one)
                    for metric in ("container_cpu_cfs_periods_total", "container_cpu_cfs_throttled_periods_total"):
                        per_second = 10.0 if "throttled" not in metric else 1.0
                        add(
                            metric,
                            lambda at, per_second=per_second, since=since: per_second * (at - since),  # type: ignore[misc]
                            since,
                            until,
                            **one,
                        )
                    for resource, amount in (("cpu", 0.25), ("memory", 256 * 2**20)):
                        for side, factor in (("requests", 1), ("limits", 2)):
                            add(
                                f"kube_pod_container_resource_{side}",
                                lambda at, amount=amount * factor: amount,  # type: ignore[misc]
                                since,
                                until,
                                **one,
                                resource=resource,
                                unit="core" if resource == "cpu" else "byte",
                            )
            since += rollout_every
            generation += 1
    return made
