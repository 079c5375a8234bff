"""The faults: what each does, what its strength means, and which metrics it can be seen in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_CHANGING = ("cartservice", "checkoutservice", "paymentservice", "frontend")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault.

    does: what happens, a sentence. unit: what the strength is; empty where it has none. usual: the strength unless
    told. drawn: from where to where a drawn scenario takes it. metrics: the columns that it is seen in, at the service
    itself. targets: the services that it does something to; empty for all.
    """

    name: str
    does: str
    metrics: tuple[str, ...]
    unit: str = ""
    usual: float = 1.0
    drawn: tuple[float, float] = (1.0, 1.0)
    targets: tuple[str, ...] = ()


_CPU, _MEMORY, _ERRORS, _LATENCY = "cpu_cores_value", "mem_bytes_value", "error_ratio", "latency_p95_seconds"
_REQUESTS, _RESTARTS, _THROTTLED = "requests_per_second", "pod_restarts_value", "throttled_ratio"
_TRAFFIC = ("net_rx_bytes_value", "net_tx_bytes_value")

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "cpu-hog",
            "A program in the pod's container burns CPU.",
            (_CPU, _THROTTLED, _LATENCY),
            "times the CPU limit",
            1.0,
            (0.8, 2.0),
        ),
        Kind(
            "memory-leak",
            "The service leaks memory, until the fault ends or the kernel kills it at its limit.",
            (_MEMORY, _RESTARTS, _ERRORS),
            "MiB a second",
            1.0,
            (0.5, 4.0),
        ),
        Kind(
            "latency",
            "Every request to the service arrives late.",
            (_LATENCY, _REQUESTS),
            "seconds",
            0.3,
            (0.15, 0.6),
        ),
        Kind(
            "loss",
            "Messages to and from the service are lost, and sent again as TCP does: after 0.2 s, 0.4 s, ...",
            (_LATENCY, _ERRORS, _REQUESTS),
            "share of the messages",
            0.3,
            (0.15, 0.4),
        ),
        Kind(
            "errors",
            "Requests to the service fail with status 500.",
            (_ERRORS, _CPU, *_TRAFFIC),
            "share of the requests",
            0.5,
            (0.2, 0.8),
        ),
        Kind(
            "dependency-down",
            "Every container of the service is killed, and none starts until the fault ends.",
            (_ERRORS, _RESTARTS, _CPU, _MEMORY, *_TRAFFIC, _REQUESTS),
        ),
        Kind(
            "pod-kill",
            "The container of a pod is killed with SIGKILL, and restarts.",
            (_RESTARTS, _ERRORS, _MEMORY, _CPU),
            "kills, spread over the duration",
            1.0,
            (1.0, 3.0),
        ),
        Kind(
            "stuck",
            "The service is stopped (SIGSTOP): it takes requests and answers none.",
            (_LATENCY, _ERRORS, _CPU, *_TRAFFIC, _REQUESTS),
        ),
        Kind(
            "noisy-neighbour",
            "Something beside the container takes the pod's CPU; the service's own CPU does not rise.",
            (_LATENCY, _THROTTLED, _CPU),
            "times the CPU limit",
            2.0,
            (1.5, 4.0),
        ),
        Kind(
            "disk-fill",
            "The pod's volume (8 MiB) is filled: what changes something fails with status 507.",
            (_ERRORS, _CPU, *_TRAFFIC),
            "share of the volume",
            targets=_CHANGING,
        ),
    )
}
