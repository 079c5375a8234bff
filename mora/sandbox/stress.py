"""Programs that take what a fault says: CPU, or the space of a volume.

    python -m mora.sandbox.stress burn UNTIL SHARE               a share of a core
    python -m mora.sandbox.stress fill UNTIL VOLUME BYTES        the space that is left of a volume of that size

The supervisor starts them in the cgroup of a pod, and ends them; they end by themselves at UNTIL (time.monotonic()) and
when the supervisor ends.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

FILLING = "filling"
"""The file of a volume that the fault fills."""
_PERIOD_SECONDS = 0.05
_CHUNK_BYTES = 256 * 1024


def burn(until: float, share: float) -> None:
    """Take a share of one core: so much of every 50 ms."""
    while (now := time.monotonic()) < until:
        end = now + _PERIOD_SECONDS * share
        # CPU time, not time: throttled, it does not think that it has burnt what it was not given.
        began = time.thread_time()
        while time.monotonic() < end and time.thread_time() - began < _PERIOD_SECONDS * share:
            pass
        time.sleep(max(0.0, now + _PERIOD_SECONDS - time.monotonic()) if share < 1 else 0.0)


def fill(until: float, volume: Path, size_bytes: int) -> None:
    """Write what is left of a volume, wait, and delete it."""
    file = volume / FILLING
    try:
        with file.open("wb", buffering=0) as filling:
            while time.monotonic() < until:
                used = sum(entry.stat().st_size for entry in os.scandir(volume))
                missing = min(size_bytes - used, _CHUNK_BYTES)
                if missing > 0:
                    filling.write(bytes(missing))
                else:
                    time.sleep(_PERIOD_SECONDS)
    finally:
        file.unlink(missing_ok=True)


def main(arguments: list[str]) -> None:
    """Do what the arguments say."""
    what, until, *rest = arguments
    if what == "burn":
        burn(float(until), float(rest[0]))
    else:
        fill(float(until), Path(rest[0]), int(rest[1]))


if __name__ == "__main__":
    main(sys.argv[1:])
