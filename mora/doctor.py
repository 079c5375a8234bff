"""What is here and what is missing: programs, packages, rights, metrics, data, models.

Each check says what it found in words and, where something is amiss, what to do. Nothing is changed; the only things
made are a cgroup and a query, and the cgroup is removed at once.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from mora.errors import ClusterError, MoraError, ToolMissing
from mora.extras import EXTRAS, missing
from mora.quantities import GIB, readable_bytes
from mora.tools import find_tool

if TYPE_CHECKING:
    from mora.settings import Settings

_LOCK = Path(__file__).resolve().parent.parent / "requirements.lock"
_DISTRIBUTION = "mora-rightsizing"
_ENOUGH_DISK_BYTES = GIB  # a day of twelve metrics is under 2 MB; training writes little; Prometheus' own data is more
_PROGRAM_SECONDS = 20
_ANSWER = timedelta(seconds=10)  # a Prometheus or API server that takes longer is in trouble
_KNOWN_LATELY = timedelta(hours=1)
_IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class State(StrEnum):
    """How a check ended: `missing` stops some command, `warning` makes one worse."""

    OK = "ok"
    WARNING = "warning"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. words: what was found; remedy: what to do, empty where nothing is amiss."""

    name: str
    state: State
    words: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class _Signal:
    """A metric that MOrA reads, who exposes it, and what is lost without it; None: every answer needs it."""

    name: str
    exporter: str
    lost: str | None = None


_SIGNALS: tuple[_Signal, ...] = (
    _Signal("container_cpu_usage_seconds_total", "cAdvisor (kubelet)"),
    _Signal("container_memory_working_set_bytes", "cAdvisor (kubelet)"),
    _Signal("kube_pod_owner", "kube-state-metrics"),
    _Signal(
        "kube_replicaset_owner", "kube-state-metrics", "Deployments are not found; StatefulSets and DaemonSets are"
    ),
    _Signal("kube_deployment_status_replicas_available", "kube-state-metrics", "replicas of Deployments are not known"),
    _Signal("container_network_receive_bytes_total", "cAdvisor (kubelet)", "network columns stay empty"),
    _Signal("container_network_transmit_bytes_total", "cAdvisor (kubelet)", "network columns stay empty"),
    _Signal("container_cpu_cfs_throttled_periods_total", "cAdvisor (kubelet)", "throttling is not seen"),
    _Signal("container_cpu_cfs_periods_total", "cAdvisor (kubelet)", "throttling is not seen"),
    _Signal("kube_pod_container_status_restarts_total", "kube-state-metrics", "restarts are not seen"),
    _Signal(
        "kube_pod_container_status_last_terminated_reason",
        "kube-state-metrics",
        "OOM kills are not seen (it appears with the first restart of any container)",
    ),
    _Signal("kube_pod_container_resource_requests", "kube-state-metrics", "present requests are not known"),
    _Signal("kube_pod_container_resource_limits", "kube-state-metrics", "present limits are not known"),
    _Signal("kube_pod_info", "kube-state-metrics", "the nodes of a service are not known"),
    _Signal("node_cpu_seconds_total", "node-exporter", "node columns stay empty"),
    _Signal("node_memory_MemAvailable_bytes", "node-exporter", "node columns stay empty"),
    _Signal("node_memory_MemTotal_bytes", "node-exporter", "node columns stay empty"),
    _Signal("node_uname_info", "node-exporter", "node figures cannot be joined to the nodes of a service"),
)


# What the API server is asked, as `kubectl auth can-i` does. The first group is all that advice needs.
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_READING = (("list", "deployments.apps"), ("list", "statefulsets.apps"), ("list", "daemonsets.apps"), ("list", "pods"))
_SCALING = (("patch", "deployments.apps"), ("patch", "deployments.apps/scale"))


def examine(settings: Settings) -> list[Check]:
    """Everything that MOrA can find out about where it runs, in the order in which a person would fix it."""
    examinations: tuple[tuple[str, Callable[[Settings], Iterator[Check]]], ...] = (
        ("settings", _settings),
        ("python", _python),
        ("packages", _packages),
        ("extras", _extras),
        ("prometheus", _programs),
        ("limits", _limits),
        ("disk", _disk),
        ("metrics", _metrics),
        ("cluster", _cluster),
        ("data", _data),
        ("models", _models),
        ("sandboxes", _sandboxes),
    )
    checks: list[Check] = []
    for name, examination in examinations:
        try:
            checks += examination(settings)
        except MoraError as error:
            # One thing that is broken must not hide the state of the others.
            checks.append(Check(name, State.MISSING, error.message, error.hint or ""))
    return checks


def _settings(settings: Settings) -> Iterator[Check]:
    given = sorted(set(settings.origins.values()))
    yield Check("settings", State.OK, f"from {', '.join(given)}" if given else "all defaults; no mora.toml here")


def _python(settings: Settings) -> Iterator[Check]:
    version, machine = platform.python_version(), f"{platform.system()} {platform.machine()}"
    fits = (3, 11) <= sys.version_info[:2] <= (3, 13)
    remedy = "" if fits else "TensorFlow has packages for Python 3.11 to 3.13."
    yield Check("python", State.OK if fits else State.WARNING, f"{version} on {machine}, {sys.prefix}", remedy)


def _packages(settings: Settings) -> Iterator[Check]:
    """Against the lock file of a checkout; without one, that what MOrA asks for is there at all."""
    locked = locked_versions(_LOCK.read_text(encoding="utf-8")) if _LOCK.is_file() else {}
    if not locked:
        absent = sorted(name for name in _required_names() if _version(name) is None)
        if absent:
            yield Check(
                "packages", State.MISSING, f"not installed: {', '.join(absent)}", "Install MOrA again with pip."
            )
        else:
            yield Check("packages", State.OK, "everything that MOrA asks for is installed")
        return
    absent, other = [], []
    for name, versions in locked.items():
        found = _version(name)
        if found is None and None not in versions:
            absent.append(name)
        elif found is not None and found not in versions:
            other.append(f"{name} {found}, locked {' or '.join(sorted(v for v in versions if v))}")
    if absent:
        yield Check("packages", State.MISSING, f"not installed: {', '.join(absent)}", "Run: make install")
    if other:
        yield Check("packages", State.WARNING, f"other versions than tested: {'; '.join(other)}", "Run: make install")
    if not absent and not other:
        yield Check("packages", State.OK, f"all {len(locked)} as in requirements.lock")


def _extras(settings: Settings) -> Iterator[Check]:
    """Which optional commands work here. An extra that is not installed is a choice, so nothing is amiss."""
    lacking = {extra: missing(extra) for extra in EXTRAS}
    installed = [extra for extra, packages in lacking.items() if not packages]
    words = f"installed: {', '.join(installed) or 'none'}"
    absent = [f"{extra} ({', '.join(packages)})" for extra, packages in lacking.items() if packages]
    if absent:
        words += f"; not installed: {', '.join(absent)}. To install all: pip install 'mora-rightsizing[all]'"
    yield Check("extras", State.OK, words)


def locked_versions(text: str) -> dict[str, set[str | None]]:
    """Package -> the versions that a lock file pins for some platform; None among them where others need not have it.

    >>> locked = locked_versions("numpy==2.4.6\\ncolorama==0.4.6 ; sys_platform == 'win32'\\n")
    >>> locked["numpy"] == {"2.4.6"}, locked["colorama"] == {"0.4.6", None}
    (True, True)
    """
    versions: dict[str, set[str | None]] = {}
    for name, version, marker in re.findall(r"^([\w.-]+)==([^\s;]+)\s*(;.*)?$", text, re.MULTILINE):
        versions.setdefault(name, set()).update({version, None} if marker else {version})
    return versions


def _required_names() -> list[str]:
    requirements = metadata.requires(_DISTRIBUTION) or []
    return [
        re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        for requirement in requirements
        if "extra ==" not in requirement
    ]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _programs(settings: Settings) -> Iterator[Check]:
    # promtool is for the tests of a checkout.
    tests = (("promtool", ["--version"], "the tests of the queries"),) if _LOCK.is_file() else ()
    for name, arguments, needed_for in (
        ("prometheus", ["--version"], "the sandbox"),
        *tests,
        ("kubectl", ["version", "--client", "-o", "json"], "applying what `-o patch` and the others print"),
    ):
        try:
            path = find_tool(name)
        except ToolMissing as error:
            # The sandbox starts a Prometheus; whoever did not install the sandbox does not miss it.
            is_needed = name == "prometheus" and not missing("sandbox")
            state = State.MISSING if is_needed else State.WARNING
            yield Check(name, state, f"not found; needed for {needed_for}", error.hint or "")
            continue
        yield _program(name, path, arguments)


def _program(name: str, path: Path, arguments: list[str]) -> Check:
    try:
        done = subprocess.run(
            [str(path), *arguments], capture_output=True, text=True, timeout=_PROGRAM_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(name, State.WARNING, f"{path} does not run: {error}", "Install it anew.")
    said = done.stdout + done.stderr
    version = _version_said(said)
    if done.returncode or version is None:
        return Check(name, State.WARNING, f"{path} does not tell its version: {said.strip()[:200]}", "Install it anew.")
    return Check(name, State.OK, f"{version}, {path}")


def _version_said(said: str) -> str | None:
    """A version in what a program prints of itself.

    >>> _version_said("prometheus, version 2.42.0+ds (branch: debian)"), _version_said('{"gitVersion": "v1.20.2"}')
    ('2.42.0', '1.20.2')
    """
    found = re.search(r'(?:version |"gitVersion": "v)([0-9]+(?:\.[0-9]+)+)', said)
    return found.group(1) if found else None


def _limits(settings: Settings) -> Iterator[Check]:
    from mora.sandbox import cgroups

    tree = cgroups.open_tree(f"doctor-{os.getpid()}")
    if isinstance(tree, cgroups.NoCgroups):
        yield Check(
            "limits",
            State.WARNING,
            f"{tree.reason}; in the sandbox the supervisor enforces limits and measures the processes",
            "Run as root, or in a delegated group (systemd-run --user -p Delegate=yes), for the kernel's own figures.",
        )
        return
    tree.remove_all()
    yield Check(
        "limits", State.OK, f"cgroups {tree.version} can be written: the kernel limits and measures the sandbox"
    )


def _disk(settings: Settings) -> Iterator[Check]:
    folder = next(
        parent for parent in (settings.data_dir.absolute(), *settings.data_dir.absolute().parents) if parent.exists()
    )
    free_bytes = shutil.disk_usage(folder).free
    enough = free_bytes >= _ENOUGH_DISK_BYTES
    remedy = "" if enough else f"Make room: collecting wants {readable_bytes(_ENOUGH_DISK_BYTES)} free."
    yield Check("disk", State.OK if enough else State.WARNING, f"{readable_bytes(free_bytes)} free in {folder}", remedy)


def _metrics(settings: Settings) -> Iterator[Check]:
    if settings.prometheus.url is None:
        yield Check("prometheus url", State.OK, "none set: the sandbox brings its own")
        return
    yield from metrics_at(settings.prometheus.url, settings)


def metrics_at(url: str, settings: Settings) -> list[Check]:
    """Which Prometheus answers at a URL, and which of the metrics that MOrA reads it has had in the last hour."""
    from mora import pipeline
    from mora.sources.prometheus.observe import PrometheusSource

    timeout = min(_ANSWER, settings.prometheus.timeout)
    source = PrometheusSource(url, access=pipeline.access_of(settings), timeout=timeout, retries=0)
    now = datetime.now(UTC)
    matcher = "|".join(signal.name for signal in _SIGNALS)
    with source.wire() as wire:
        checks = [Check("prometheus url", State.OK, f"{wire.url} answers, version {wire.version()}")]
        exposed = wire.label_values("__name__", f'{{__name__=~"{matcher}"}}', now - _KNOWN_LATELY, now)
    absent = [signal for signal in _SIGNALS if signal.name not in exposed]
    checks += [
        Check(
            "metrics",
            State.MISSING if signal.lost is None else State.WARNING,
            f"{signal.name} had no samples in the last hour: {signal.lost or 'no advice without it'}",
            f"It comes from {signal.exporter}; is that scraped, and is the metric not dropped by a relabelling rule?",
        )
        for signal in absent
    ]
    there = len(_SIGNALS) - len(absent)
    state = State.OK if there else State.MISSING
    return [*checks, Check("metrics", state, f"{there} of the {len(_SIGNALS)} metrics that MOrA reads are there")]


def _cluster(settings: Settings) -> Iterator[Check]:
    """What this user may do in the cluster, asked of its API server (SelfSubjectAccessReview, through kubectl)."""
    kubeconfig = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    named = [path for path in kubeconfig.split(os.pathsep) if Path(path).is_file()]
    if not named and not _IN_CLUSTER.is_file():
        yield Check("cluster", State.OK, "no cluster configured (no kubeconfig); the sandbox needs none")
        return
    kubectl = find_tool("kubectl")
    for purpose, rights, state in (
        ("read workloads", _READING, State.MISSING),
        ("scale and restart them (collect alone does)", _SCALING, State.WARNING),
    ):
        refused = [
            f"{verb} {resource}" for verb, resource in rights if not _may(kubectl, verb, resource, settings.namespace)
        ]
        words = f"in namespace {settings.namespace}: may {'not ' if refused else ''}{purpose}"
        if refused:
            yield Check("cluster", state, f"{words}: {', '.join(refused)}", "Ask for the roles in manifests/base.")
        else:
            yield Check("cluster", State.OK, words)


def _may(kubectl: Path, verb: str, resource: str, namespace: str) -> bool:
    """resource: "plural.group" or "plural.group/subresource"; no group is the core API."""
    named, _, subresource = resource.partition("/")
    plural, _, group = named.partition(".")
    asked = {"verb": verb, "resource": plural, "group": group, "subresource": subresource, "namespace": namespace}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
    try:
        done = subprocess.run(
            [str(kubectl), f"--request-timeout={_ANSWER.seconds}s", "create", "--raw", _REVIEWS, "-f", "-"],
            input=json.dumps(review),
            capture_output=True,
            text=True,
            timeout=3 * _ANSWER.seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ClusterError("The cluster's API server does not answer.", hint="Try: kubectl cluster-info") from error
    try:
        return bool(json.loads(done.stdout)["status"].get("allowed", False))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        said = (done.stderr.strip() or done.stdout.strip())[-300:]
        raise ClusterError(
            f"The cluster could not be asked for rights: {said}",
            hint="Does `kubectl cluster-info` work with this kubeconfig?",
        ) from error


def _data(settings: Settings) -> Iterator[Check]:
    from mora import dataset

    services = dataset.list_services(settings.data_dir, namespace=settings.namespace)
    if not services:
        yield Check(
            "data", State.WARNING, f"none in {settings.data_dir} yet", "Collect some: mora collect --plan quick"
        )
    for service in services:
        try:
            frame = dataset.read_dataset(service, settings.data_dir, namespace=settings.namespace)
        except MoraError as error:
            yield Check("data", State.MISSING, error.message, error.hint or "")
            continue
        experiments = frame["experiment_id"].nunique()
        yield Check("data", State.OK, f"{service}: {experiments} experiments, {len(frame)} rows to learn from")


def _models(settings: Settings) -> Iterator[Check]:
    from mora import pipeline

    services = pipeline.list_models(settings.models_dir, settings.namespace)
    if not services:
        yield Check("models", State.WARNING, f"none in {settings.models_dir} yet", "Train one: mora train frontend")
    for service in services:
        try:
            model = pipeline.load_model(service, models_dir=settings.models_dir, namespace=settings.namespace)
        except MoraError as error:
            yield Check("models", State.MISSING, error.message, error.hint or "")
            continue
        yield Check("models", State.OK, f"{service}: whole and readable, {model.digest}")


def _sandboxes(settings: Settings) -> Iterator[Check]:
    from mora.sandbox import state

    running = state.list_sandboxes()
    yield Check("sandboxes", State.OK, f"running: {', '.join(running)}" if running else "none running")
