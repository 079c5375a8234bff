"""Counts the bytes that a pod receives and sends, in a file that outlives the process.

Like the counters of a pod's network interface, they continue when the container is killed and restarted: the file is
mapped into memory and has two unsigned 64-bit integers, received and sent.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

_LAYOUT = struct.Struct("<QQ")


class TrafficCounter:
    """Bytes received and sent by this process and its predecessors in the same pod."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(_LAYOUT.pack(0, 0))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _LAYOUT.size)
        self._received, self._sent = _LAYOUT.unpack(self._map[:])

    def add_received(self, count: int) -> None:
        """Count received bytes."""
        self._received += count
        _LAYOUT.pack_into(self._map, 0, self._received, self._sent)

    def add_sent(self, count: int) -> None:
        """Count sent bytes."""
        self._sent += count
        _LAYOUT.pack_into(self._map, 0, self._received, self._sent)


def read_traffic(path: Path) -> tuple[int, int]:
    """Bytes received and sent by the pod; (0, 0) before its process has started."""
    try:
        received, sent = _LAYOUT.unpack(path.read_bytes())
    except FileNotFoundError:
        return 0, 0
    return received, sent
