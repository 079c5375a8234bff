"""The sandbox: a small web shop of real processes on loopback, run as Kubernetes runs it, with a real Prometheus.

    sandbox = mora.sandbox.start()
    sandbox.scale({"frontend": 2})
    sandbox.down()

The supervisor stands in for the kubelet, the exporter for cAdvisor, kube-state-metrics and node-exporter. Names are
imported at first use, because the replicas of the shop import this package and have to stay small.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mora.sandbox.handle import SandboxHandle, connect, start, starting
    from mora.sandbox.process import run_foreground

__all__ = ["SandboxHandle", "connect", "run_foreground", "start", "starting"]

_MODULES = {
    "SandboxHandle": "mora.sandbox.handle",
    "connect": "mora.sandbox.handle",
    "start": "mora.sandbox.handle",
    "starting": "mora.sandbox.handle",
    "run_foreground": "mora.sandbox.process",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'mora.sandbox' has no attribute {name!r}")
