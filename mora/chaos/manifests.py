"""The faults of a scenario as manifests for Chaos Mesh or LitmusChaos. MOrA prints them; it injects nothing itself.

Neither has every fault of the sandbox. Where one has only something like it, a remark says what is different; where it
has none, the fault is left out with a remark.
Formats: https://github.com/chaos-mesh/chaos-mesh (config/crd/bases) and https://github.com/litmuschaos/chaos-operator
(deploy/crds), the experiments of https://hub.litmuschaos.io.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mora.chaos.scenario import Injection, Scenario
from mora.domain import check_name
from mora.errors import BadInput
from mora.quantities import format_duration

Manifest = Mapping[str, Any]
CHAOS_MESH, LITMUS = "chaos-mesh", "litmus"
ENGINES = (CHAOS_MESH, LITMUS)
_MIB = 2**20
_API = "chaos-mesh.org/v1alpha1"
_LABEL_KEY = re.compile(
    r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", re.ASCII
)
_VOLUME = re.compile(r"(/[A-Za-z0-9_.-]+)+", re.ASCII)
# Its admission webhook refuses a network fault in both directions that does not say which other side is meant.
_OTHER_SIDE = "The other side is every pod of this namespace; traffic to and from others goes on."


@dataclass(frozen=True, slots=True)
class Site:
    """Where the services run on a cluster. label: the pods' label whose value is the service's name. port: where it
    takes HTTP requests. volume: where its data volume is mounted. container: that of the service; empty for the first.
    """

    namespace: str
    label: str = "app"
    port: int = 8080
    volume: str = "/data"
    container: str = ""


@dataclass(frozen=True, slots=True)
class Made:
    """The manifest of one fault; None with a remark where the engine has no such fault."""

    injection: Injection
    manifest: Manifest | None
    remarks: tuple[str, ...] = ()


def manifests(scenario: Scenario, site: Site, engine: str) -> list[Made]:
    """The manifest of every fault: part by part, in the order of time."""
    _check(site)
    make = _mesh if engine == CHAOS_MESH else _litmus
    return [make(one, scenario, site) for part in scenario.parts for one in part.injections]


def _check(site: Site) -> None:
    """Raise BadInput for what neither engine would take."""
    check_name(site.namespace, "namespace")
    if not _LABEL_KEY.fullmatch(site.label):
        raise BadInput(f"{site.label!r} is not the key of a label.", hint="Such as app, or app.kubernetes.io/name.")
    if not _VOLUME.fullmatch(site.volume):
        raise BadInput(f"{site.volume!r} is not where a volume is mounted.", hint="Give its whole path: /data")


def as_yaml(scenario: Scenario, made: Sequence[Made], engine: str) -> str:
    """The manifests as one YAML file: a comment before each says when it is applied, and what is different."""
    import yaml

    part_of = {one.id: part.number for part in scenario.parts for one in part.injections}
    lines = [
        f"# {scenario.name}: {len(made)} faults for {engine}, made by mora chaos. Nothing was injected.",
        "# Apply each at its time after the load is steady; each ends by itself.",
    ]
    if len(scenario.parts) > 1:
        lines.append("# Its parts are for clusters, or hours, of their own: their times begin anew.")
    for one in made:
        part = f"part {part_of[one.injection.id]}, " if len(scenario.parts) > 1 else ""
        at = f"{one.injection.kind} at {one.injection.target}, {part}after {format_duration(one.injection.start)}"
        notes = [f"# {remark}" for remark in one.remarks]
        if one.manifest is None:
            lines += ["---", f"# Left out: {at}.", *notes]
        else:
            lines += ["---", f"# {at}", *notes, yaml.safe_dump(dict(one.manifest), sort_keys=False).rstrip()]
    return "\n".join(lines) + "\n"


def _name(one: Injection, scenario: Scenario) -> str:
    # What tells it from the others is never cut off.
    rest = f"-{one.id}-{one.kind}"
    return scenario.name[: 63 - len(rest)].rstrip("-.") + rest


def _seconds(one: Injection) -> int:
    return math.ceil(one.duration.total_seconds())


def _percent(share: float) -> int:
    return max(1, min(100, round(share * 100)))


# --- Chaos Mesh ------------------------------------------------------------------------------------------------------


def _mesh(one: Injection, scenario: Scenario, site: Site) -> Made:
    made = _MESH[one.kind](one, site)
    if made is None:
        return Made(one, None, ("Chaos Mesh has no fault of this kind; LitmusChaos has: --engine litmus.",))
    kind, spec, remarks = made
    selector = {"namespaces": [site.namespace], "labelSelectors": {site.label: one.target}}
    common: dict[str, Any] = {"mode": "all", "selector": selector, "duration": f"{_seconds(one)}s"}
    if site.container and kind in ("StressChaos", "IOChaos"):
        common["containerNames"] = [site.container]
    return Made(
        one,
        {
            "apiVersion": _API,
            "kind": kind,
            "metadata": {"name": _name(one, scenario), "namespace": site.namespace},
            "spec": {**common, **spec},
        },
        remarks,
    )


_Spec = tuple[str, dict[str, Any], tuple[str, ...]] | None


def _mesh_cpu(one: Injection, site: Site) -> _Spec:
    workers = math.ceil(one.strength)
    load = _percent(one.strength / workers)
    remark = "The load is a share of a core a worker; the CPU limit of the container caps it."
    return "StressChaos", {"stressors": {"cpu": {"workers": workers, "load": load}}}, (remark,)


def _mesh_memory(one: Injection, site: Site) -> _Spec:
    size = f"{max(1, round(one.strength * one.duration.total_seconds()))}MB"
    remark = (
        "The memory is a program's beside the service, taken at once; at the limit the kernel kills one of the two."
    )
    return "StressChaos", {"stressors": {"memory": {"workers": 1, "size": size}}}, (remark,)


def _mesh_latency(one: Injection, site: Site) -> _Spec:
    delay = {"latency": f"{round(one.strength * 1000)}ms", "jitter": f"{round(one.strength * 200)}ms"}
    return "NetworkChaos", {"action": "delay", "direction": "to", "delay": delay}, ()


def _mesh_loss(one: Injection, site: Site) -> _Spec:
    loss = {"loss": f"{one.strength * 100:g}"}
    spec = {"action": "loss", "direction": "both", "target": _all_pods(site), "loss": loss}
    return "NetworkChaos", spec, (_OTHER_SIDE,)


def _all_pods(site: Site) -> dict[str, Any]:
    return {"mode": "all", "selector": {"namespaces": [site.namespace]}}


def _mesh_errors(one: Injection, site: Site) -> _Spec:
    remark = f"HTTPChaos has no share of requests: every request fails, and not {one.strength:.0%} of them."
    replace = {"target": "Response", "port": site.port, "path": "*", "replace": {"code": 500}}
    return "HTTPChaos", replace, (remark,)


def _mesh_down(one: Injection, site: Site) -> _Spec:
    return "PodChaos", {"action": "pod-failure"}, ()


def _mesh_kill(one: Injection, site: Site) -> _Spec:
    remarks = (f"One kill, and not {one.strength:g}: apply it again under another name.",) if one.strength > 1 else ()
    return "PodChaos", {"action": "pod-kill", "mode": "one", "gracePeriod": 0}, remarks


def _mesh_stuck(one: Injection, site: Site) -> _Spec:
    remark = "No SIGSTOP: the network of the pods is cut in both directions, so that requests get no answer either."
    spec = {"action": "partition", "direction": "both", "target": _all_pods(site)}
    return "NetworkChaos", spec, (remark, _OTHER_SIDE)


def _mesh_disk(one: Injection, site: Site) -> _Spec:
    spec = {
        "action": "fault",
        "volumePath": site.volume,
        "path": f"{site.volume}/**/*",
        "errno": 28,
        "percent": 100,
        "methods": ["write"],
    }
    return "IOChaos", spec, ("Writes fail with ENOSPC (28); the disk itself is not filled.",)


_MESH: Mapping[str, Callable[[Injection, Site], _Spec]] = {
    "cpu-hog": _mesh_cpu,
    "memory-leak": _mesh_memory,
    "latency": _mesh_latency,
    "loss": _mesh_loss,
    "errors": _mesh_errors,
    "dependency-down": _mesh_down,
    "pod-kill": _mesh_kill,
    "stuck": _mesh_stuck,
    "noisy-neighbour": lambda one, site: None,
    "disk-fill": _mesh_disk,
}


# --- LitmusChaos -----------------------------------------------------------------------------------------------------


def _litmus(one: Injection, scenario: Scenario, site: Site) -> Made:
    experiment, variables, remarks = _LITMUS[one.kind](one, site)
    variables = {"TOTAL_CHAOS_DURATION": _seconds(one), **variables}
    if site.container and experiment not in ("node-cpu-hog", "pod-delete"):
        variables["TARGET_CONTAINER"] = site.container
    env = [{"name": name, "value": str(value)} for name, value in variables.items()]
    return Made(
        one,
        {
            "apiVersion": "litmuschaos.io/v1alpha1",
            "kind": "ChaosEngine",
            "metadata": {"name": _name(one, scenario), "namespace": site.namespace},
            "spec": {
                "engineState": "active",
                "appinfo": {
                    "appns": site.namespace,
                    "applabel": f"{site.label}={one.target}",
                    "appkind": "deployment",
                },
                "chaosServiceAccount": f"{experiment}-sa",
                "jobCleanUpPolicy": "delete",
                "experiments": [{"name": experiment, "spec": {"components": {"env": env}}}],
            },
        },
        remarks,
    )


_Experiment = tuple[str, dict[str, Any], tuple[str, ...]]
_ALL_PODS = {"PODS_AFFECTED_PERC": 100}


def _litmus_errors(one: Injection, site: Site) -> _Experiment:
    variables = {
        **_ALL_PODS,
        "STATUS_CODE": 500,
        "MODIFY_RESPONSE_BODY": "true",
        "TARGET_SERVICE_PORT": site.port,
        "TOXICITY": _percent(one.strength),
    }
    return "pod-http-status-code", variables, ()


def _litmus_kill(one: Injection, site: Site) -> _Experiment:
    every = max(1, round(one.duration.total_seconds() / one.strength))
    return "pod-delete", {"FORCE": "true", "CHAOS_INTERVAL": every}, ()


_LITMUS: Mapping[str, Callable[[Injection, Site], _Experiment]] = {
    "cpu-hog": lambda one, site: (
        "pod-cpu-hog",
        {
            **_ALL_PODS,
            "CPU_CORES": math.ceil(one.strength),
            "CPU_LOAD": _percent(one.strength / math.ceil(one.strength)),
        },
        ("The load is a share of a core; the CPU limit of the container caps it.",),
    ),
    "memory-leak": lambda one, site: (
        "pod-memory-hog",
        {**_ALL_PODS, "MEMORY_CONSUMPTION": max(1, round(one.strength * one.duration.total_seconds()))},
        ("The memory is a program's beside the service, taken at once.",),
    ),
    "latency": lambda one, site: (
        "pod-network-latency",
        {**_ALL_PODS, "NETWORK_LATENCY": round(one.strength * 1000), "JITTER": round(one.strength * 200)},
        (),
    ),
    "loss": lambda one, site: (
        "pod-network-loss",
        {**_ALL_PODS, "NETWORK_PACKET_LOSS_PERCENTAGE": _percent(one.strength)},
        (),
    ),
    "errors": _litmus_errors,
    "dependency-down": lambda one, site: (
        "pod-network-partition",
        {},
        ("The pods run on, and no other pod reaches them.",),
    ),
    "pod-kill": _litmus_kill,
    "stuck": lambda one, site: (
        "pod-network-loss",
        {**_ALL_PODS, "NETWORK_PACKET_LOSS_PERCENTAGE": 100},
        ("No SIGSTOP: every packet is lost, so that requests get no answer either.",),
    ),
    "noisy-neighbour": lambda one, site: (
        "node-cpu-hog",
        {"NODE_CPU_CORE": 0, "CPU_LOAD": _percent(min(one.strength, 1.0))},
        ("The node is chosen by LitmusChaos unless TARGET_NODES names that of the service.",),
    ),
    "disk-fill": lambda one, site: (
        "disk-fill",
        {**_ALL_PODS, "FILL_PERCENTAGE": _percent(one.strength)},
        (f"It fills the ephemeral storage of the container, and not {_percent(one.strength)} % of a volume.",),
    ),
}
