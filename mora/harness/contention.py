"""Whether a window is contended: what else the machines did could have changed what it measured.

Three things are asked, in the units of what they change. Each is a sum over threads that were ready to run and got no
CPU, as the kernel counts it, so use by others that makes no thread wait is no contention:

- how late Locust started what was due: a response time includes it, so it is compared with the window's p95;
- how long the target's threads waited, for each request: a response takes that much longer;
- how long Locust's own threads waited, for each request.

A window is contended where one of them is over a tenth of its p95 and ten milliseconds, or over 30 in any case. Where
the machine's /proc cannot be read (a cluster), the CPU that was idle on the target's nodes decides. The limits are
calibrated: the same load was driven beside 0, 1, 2 and 4 busy programs (experiments/benchmarks/contention.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from mora.domain import Quality
from mora.harness.host import HostUse
from mora.harness.record import LoadFigures, LoopFigures
from mora.quantities import significant

# A tenth of the p95; below ten milliseconds it is what a timer and context switches take on a machine with idle CPU.
_SHARE_OF_P95 = 0.10
_LEAST_SECONDS = 0.010
# A p95 of seconds may be the contention itself, so it excuses no more than this: no window on a machine with CPU to
# spare came near it, however overloaded the shop was.
_MOST_SECONDS = 0.030
# A hypervisor that takes this share of the cores, or nodes that are as full as this, can have changed anything.
_MOST_STEAL_RATIO = 0.03
_LEAST_IDLE_RATIO = 0.05
_LEAST_OTHERS_RATIO = 0.10


@dataclass(frozen=True, slots=True)
class Contention:
    """What else was done in a window, and whether it could have changed the figures.

    reasons: what could, with the figure; none where nothing could. late_p95_seconds, load_cpu_cores,
    load_waited_cores: of Locust. None: not known.
    """

    reasons: tuple[str, ...] = ()
    late_p95_seconds: float | None = None
    load_cpu_cores: float | None = None
    load_waited_cores: float | None = None
    host: HostUse | None = None

    @property
    def is_contended(self) -> bool:
        """Whether something could have changed the window's figures."""
        return bool(self.reasons)

    @property
    def others_cores(self) -> float | None:
        """CPU in use by what is neither the target nor MOrA nor Locust."""
        if self.host is None or self.host.others_cores is None:
            return None
        return max(0.0, self.host.others_cores - (self.load_cpu_cores or 0.0))

    def mark(self, quality: Quality) -> Quality:
        """The quality report of the window; one that something else could have changed is left out of training."""
        if not self.is_contended:
            return quality
        return replace(quality, is_complete=False, flags=(*quality.flags, f"contended: {'; '.join(self.reasons)}"))

    def to_dict(self) -> dict[str, Any]:
        """For the JSON beside an experiment: every figure by its name, and the verdict."""
        figures = {
            "late_p95_seconds": self.late_p95_seconds,
            "load_cpu_cores": self.load_cpu_cores,
            "load_waited_cores": self.load_waited_cores,
        }
        host = {} if self.host is None else asdict(self.host) | {"others_cores": self.others_cores}
        return {"is_contended": self.is_contended, "reasons": list(self.reasons), **figures, **host}


def judge(host: HostUse | None, loads: Sequence[tuple[LoadFigures, LoopFigures | None]]) -> Contention:
    """The contention of one window.

    host: what the target's machines did. loads: of every Locust that drove it, the figures and how it did itself.
    """
    loops = [loop for _, loop in loads if loop is not None]
    late = _most(loop.late_p95_seconds for loop in loops)
    waited, used = _total(loop.waited_cores for loop in loops), _total(loop.cpu_cores for loop in loops)
    requests_per_second = sum(figures.requests_per_second or 0.0 for figures, _ in loads)
    # Of several loads the fastest is changed first.
    p95 = min((figures.latency_p95_seconds for figures, _ in loads if figures.latency_p95_seconds), default=None)
    reasons: list[str] = []
    if late is not None and late > _allowed(p95):
        reasons.append(f"Locust was {_milliseconds(late)} late{_of(p95)}")
    target_waited = None if host is None else host.target_waited_cores
    for who, cores in (("the services", target_waited), ("Locust", waited)):
        if cores is None or not requests_per_second:
            continue
        each = cores / requests_per_second
        if each > _allowed(p95):
            reasons.append(f"{who} waited {_milliseconds(each)} for a CPU in each request{_of(p95)}")
    found = Contention((), late, used, waited, host)
    if host is not None:
        reasons += _of_the_machine(host, found.others_cores)
    return Contention(tuple(reasons), late, used, waited, host)


def _of_the_machine(host: HostUse, others: float | None) -> list[str]:
    reasons = []
    if host.steal_cores is not None and host.steal_cores > _MOST_STEAL_RATIO * host.cores:
        reasons.append(f"the hypervisor took {host.steal_cores / host.cores:.0%} of the CPU")
    # Where the kernel says how long the target waited, that has decided; a full machine alone is no harm.
    is_full = host.idle_cores is not None and host.idle_cores < _LEAST_IDLE_RATIO * host.cores
    if host.target_waited_cores is None and is_full and others and others > _LEAST_OTHERS_RATIO * host.cores:
        reasons.append(f"other programs used {significant(others, 2)} of {host.cores} cores, and none were idle")
    return reasons


def _allowed(p95: float | None) -> float:
    return min(max(_LEAST_SECONDS, _SHARE_OF_P95 * (p95 or 0.0)), _MOST_SECONDS)


def _of(p95: float | None) -> str:
    return "" if p95 is None else f", of a p95 of {_milliseconds(p95)}"


def _milliseconds(seconds: float) -> str:
    """
    >>> _milliseconds(0.00312), _milliseconds(0.0312), _milliseconds(0.0996), _milliseconds(3.12)
    ('3.1 ms', '31 ms', '100 ms', '3120 ms')
    """
    return f"{significant(seconds * 1000, 2)} ms"


def _most(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _total(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
