"""Everything that a running sandbox has on the machine, to check that nothing of it is left."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mora.sandbox.watchdog import start_time
from tests.running import until


class Traces:
    """Everything that a running sandbox has on the machine."""

    def __init__(self, status: dict[str, Any]) -> None:
        pods = [pod for service in status["services"].values() for pod in service["pods"]]
        pids = [status["pid"], status["watchdog_pid"], status["prometheus_pid"], *(pod["pid"] for pod in pods)]
        self.processes = {pid: start_time(pid) for pid in pids}
        self.folders = [Path(path) for path in [status["folder"], *status["cgroup_folders"]]]
        self.ports = [urlsplit(status[key]).port for key in ("control_url", "shop_url", "prometheus_url")]
        assert self.left() != [], "what runs leaves traces"

    def left(self) -> list[object]:
        """What is still there. A zombie has ended; burying it is its new parent's business."""
        processes = [pid for pid, started in self.processes.items() if start_time(pid) == started and not _is_dead(pid)]
        return [*processes, *(path for path in self.folders if path.exists()), *filter(_is_open, self.ports)]

    def until_gone(self) -> None:
        until(lambda: self.left() == [], f"nothing left of {self.processes}, {self.folders}, {self.ports}")


def _is_dead(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"


def _is_open(port: int | None) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port or 0)) == 0
