"""What is read of a cloud, whatever it calls it: signals, series as they were answered, and their units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from mora.domain import Workload, check_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Signal(StrEnum):
    """One thing that a cloud may know, in the unit of `MEASURES`.

    RESTARTS: new restarts since the point before, not the count since the container began; OOM_KILLS alike.
    *_SHARE: of the limit. DB_*: of a managed database, which belongs to no namespace.
    """

    CPU = "cpu"
    MEMORY = "memory"
    CPU_REQUEST = "cpu request"
    CPU_LIMIT = "cpu limit"
    MEMORY_REQUEST = "memory request"
    MEMORY_LIMIT = "memory limit"
    CPU_SHARE = "share of the cpu limit"
    MEMORY_SHARE = "share of the memory limit"
    RESTARTS = "restarts"
    OOM_KILLS = "oom kills"
    RECEIVED = "received"
    SENT = "sent"
    REPLICAS = "replicas"
    NODE_CPU = "node cpu"
    NODE_MEMORY = "node memory"
    DB_CPU = "database cpu"
    DB_MEMORY = "database memory"
    DB_CONNECTIONS = "database connections"


OF_CONTAINERS = (
    Signal.CPU,
    Signal.MEMORY,
    Signal.CPU_REQUEST,
    Signal.CPU_LIMIT,
    Signal.MEMORY_REQUEST,
    Signal.MEMORY_LIMIT,
    Signal.RESTARTS,
    Signal.OOM_KILLS,
)
"""What is read of each container for an observation or a history; OF_PODS and OF_NODES for an observation alone."""
OF_PODS = (Signal.RECEIVED, Signal.SENT, Signal.REPLICAS)
OF_NODES = (Signal.NODE_CPU, Signal.NODE_MEMORY)
OF_DATABASES = (Signal.DB_CPU, Signal.DB_MEMORY, Signal.DB_CONNECTIONS)

_CORES, _BYTES, _RATIO, _COUNT, _RATE = "cores", "bytes", "ratio", "count", "bytes/s"
MEASURES: Mapping[Signal, str] = MappingProxyType(
    {
        Signal.CPU: _CORES,
        Signal.MEMORY: _BYTES,
        Signal.CPU_REQUEST: _CORES,
        Signal.CPU_LIMIT: _CORES,
        Signal.MEMORY_REQUEST: _BYTES,
        Signal.MEMORY_LIMIT: _BYTES,
        Signal.CPU_SHARE: _RATIO,
        Signal.MEMORY_SHARE: _RATIO,
        Signal.RESTARTS: _COUNT,
        Signal.OOM_KILLS: _COUNT,
        Signal.RECEIVED: _RATE,
        Signal.SENT: _RATE,
        Signal.REPLICAS: _COUNT,
        Signal.NODE_CPU: _RATIO,
        Signal.NODE_MEMORY: _RATIO,
        Signal.DB_CPU: _RATIO,
        Signal.DB_MEMORY: _RATIO,
        Signal.DB_CONNECTIONS: _COUNT,
    }
)
"""Signal -> the unit of its values in MOrA: cores, bytes, bytes/s, ratio (0..1), count."""

_SIZES = {
    "by": 1.0,
    "byte": 1.0,
    "bytes": 1.0,
    "kby": 1e3,
    "kilobytes": 1e3,
    "mby": 1e6,
    "megabytes": 1e6,
    "gby": 1e9,
    "gigabytes": 1e9,
    "kiby": 2.0**10,
    "kibibytes": 2.0**10,
    "miby": 2.0**20,
    "mebibytes": 2.0**20,
    "giby": 2.0**30,
    "gibibytes": 2.0**30,
}
# Units as clouds write them (UCUM at Google, words at Amazon and Azure), in small letters -> factor.
_FACTORS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        _CORES: {
            "cores": 1.0,
            "{cpu}": 1.0,
            "s{cpu}/s": 1.0,
            "s/s": 1.0,
            "vcpu": 1.0,
            "millicores": 1e-3,
            "m{cpu}": 1e-3,
            "nanocores": 1e-9,
        },
        _BYTES: _SIZES,
        _RATE: {
            **{f"{name}/s": factor for name, factor in _SIZES.items()},
            **{f"{name}/second": factor for name, factor in _SIZES.items()},
            "bytespersecond": 1.0,
        },
        # "10^2.%" is Google's for a share that its console shows in per cent: the values are 0..1.
        _RATIO: {"1": 1.0, "ratio": 1.0, "10^2.%": 1.0, "%": 0.01, "percent": 0.01},
        _COUNT: {"1": 1.0, "count": 1.0, "{restart}": 1.0, "{connection}": 1.0, "none": 1.0, "": 1.0},
    }
)


def factor_of(signal: Signal, unit: str) -> float | None:
    """What a value in a cloud's unit is multiplied by; None for a unit that is not one of the signal: never guessed.

    >>> factor_of(Signal.MEMORY, "MiBy"), factor_of(Signal.CPU, "MilliCores"), factor_of(Signal.MEMORY, "Percent")
    (1048576.0, 0.001, None)
    """
    return _FACTORS[MEASURES[signal]].get(unit.strip().lower())


@dataclass(frozen=True, slots=True)
class Scope:
    """What is asked for: a namespace (None: all), of it one workload (None: all), or a managed database."""

    namespace: str | None = None
    workload: str | None = None
    database: str | None = None

    def __post_init__(self) -> None:
        for name, what in ((self.namespace, "namespace"), (self.workload, "workload name")):
            if name is not None:
                check_name(name, what)


@dataclass(frozen=True, slots=True)
class Of:
    """Whose a series is. pod: empty where the cloud has one series for all pods, which is that of the hottest.

    workload: None for a node's or a database's. node: where it runs; of a node's series its own; of a database's its
    instance.
    """

    workload: Workload | None = None
    pod: str = ""
    container: str = ""
    node: str = ""


@dataclass(frozen=True, slots=True)
class Remark:
    """What a reader must know of an answer, such as that it is incomplete: whole sentences, believed to be hostile."""

    words: str


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one series, or of a page of it, as a cloud answered them.

    seconds: when each point's time ends, Unix seconds, shape (n,), in any order, doubles included. values: of the same
    shape. unit: as the cloud writes it; pages of one series may differ in it.
    """

    signal: Signal
    of: Of
    unit: str
    seconds: NDArray[np.float64]
    values: NDArray[np.float64]
