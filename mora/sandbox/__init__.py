"""A small web shop of real processes on loopback, run as Kubernetes would run it, with a real Prometheus.

    sandbox = mora.sandbox.start()
    sandbox.scale({"frontend": 2})
    sandbox.down()

The supervisor plays kubelet, the exporter cAdvisor, kube-state-metrics and node-exporter. Names are resolved at first
use, since the shop's own replicas import this package and have to stay small.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mora.sandbox.handle import SandboxHandle, connect, start
    from mora.sandbox.supervisor import run_foreground

__all__ = ["SandboxHandle", "connect", "run_foreground", "start"]

_DOORS = {
    "SandboxHandle": "mora.sandbox.handle",
    "connect": "mora.sandbox.handle",
    "start": "mora.sandbox.handle",
    "run_foreground": "mora.sandbox.supervisor",
}


def __getattr__(name: str) -> Any:
    if name in _DOORS:
        return getattr(import_module(_DOORS[name]), name)
    raise AttributeError(f"module 'mora.sandbox' has no attribute {name!r}")
