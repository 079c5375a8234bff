"""What a team overrides for a workload, in its manifest or in mora.toml; a bad value is an error, never ignored.

    metadata:
      annotations:
        mora.dev/memory-floor: 256Mi
        mora.dev/exclude-containers: debug, agent

    [workloads."shop/frontend"]
    memory_floor = "256Mi"

The nearest wins, key by key: [workloads] of mora.toml > annotation > [namespaces] of mora.toml > flags and settings. A
file that the person who runs MOrA can edit at once comes before a manifest that somebody else owns.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from mora import values
from mora.domain import Workload, WorkloadState, check_name
from mora.domain.runtimes import Runtime
from mora.errors import BadInput, MoraError
from mora.quantities import parse_cpu, parse_memory

PREFIX = "mora.dev/"
_HELM_PATH = "helm-path."
# Notes that MOrA's own parts leave on objects; not for people to set.
_INTERNAL = "internal-"


@dataclass(frozen=True, slots=True)
class Overrides:
    """What is overridden; None where nothing is. origins: field -> the name of the place where it is set."""

    cpu_buffer: float | None = None
    memory_buffer: float | None = None
    cpu_quantile: float | None = None
    cpu_floor_millicores: int | None = None
    memory_floor_bytes: int | None = None
    cpu_cap_millicores: int | None = None
    memory_cap_bytes: int | None = None
    exclude_containers: frozenset[str] | None = None
    include_sidecars: bool | None = None
    allow_jvm_cut: bool | None = None
    cut_while_abnormal: bool | None = None
    skip: bool | None = None
    incidents: tuple[str, ...] | None = None
    runtime: Mapping[str, Runtime | None] | None = None
    origins: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def over(self, wider: Overrides) -> Overrides:
        """These, and those of `wider` where these set nothing."""
        given = {**wider.given, **self.given}
        return Overrides(**given, origins={**wider.origins, **self.origins})

    @property
    def given(self) -> dict[str, Any]:
        """Field -> value, of those that are set."""
        return {
            item.name: value
            for item in fields(self)
            if item.name != "origins" and (value := getattr(self, item.name)) is not None
        }


# Key in an annotation ("-") or in mora.toml ("_") -> the field, and what its value may be.
_KEYS: Mapping[str, tuple[str, Callable[[object], object]]] = {
    "cpu-buffer": ("cpu_buffer", values.factor),
    "memory-buffer": ("memory_buffer", values.factor),
    "cpu-quantile": ("cpu_quantile", values.positive_ratio),
    "cpu-floor": ("cpu_floor_millicores", values.quantity(parse_cpu)),
    "memory-floor": ("memory_floor_bytes", values.quantity(parse_memory)),
    "cpu-cap": ("cpu_cap_millicores", values.quantity(parse_cpu)),
    "memory-cap": ("memory_cap_bytes", values.quantity(parse_memory)),
    "exclude-containers": ("exclude_containers", values.container_names),
    "include-sidecars": ("include_sidecars", values.switch),
    "allow-jvm-cut": ("allow_jvm_cut", values.switch),
    "cut-while-abnormal": ("cut_while_abnormal", values.switch),
    "skip": ("skip", values.switch),
    "incidents": ("incidents", values.strings),
    "runtime": ("runtime", values.runtimes),
}


def keys() -> tuple[str, ...]:
    """What can be overridden, as annotations write it."""
    return tuple(_KEYS)


def key_of(name: str) -> str:
    """The key of a field of Overrides.

    >>> key_of("memory_floor_bytes")
    'memory-floor'
    """
    return next(key for key, (known, _) in _KEYS.items() if known == name)


def parse_overrides(table: Mapping[str, object], place: Callable[[str], str]) -> Overrides:
    """The overrides of a table. place: words for where a key is; BadInput names it, and the nearest key there is.

    >>> parse_overrides({"memory-floor": "256Mi"}, lambda key: key).memory_floor_bytes
    268435456
    """
    found: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for written, value in table.items():
        key = written.replace("_", "-")
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, n=1, cutoff=0.5)
            hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(_KEYS)}."
            raise BadInput(f"{place(written)}: unknown setting.", hint=hint)
        name, parse = _KEYS[key]
        try:
            found[name] = parse(value)
        except MoraError as error:
            raise BadInput(f"{place(written)}: {error.message}", hint=error.hint) from error
        origins[name] = place(written)
    return Overrides(**found, origins=origins)


def parse_table(tables: object, section: str) -> Mapping[str, Overrides]:
    """[namespaces] or [workloads] of mora.toml: name -> overrides. A workload is written namespace/name."""
    if not isinstance(tables, Mapping):
        raise BadInput(f"[{section}] must hold a table for each name.", hint=f"Write it like {_EXAMPLES[section]}.")
    return MappingProxyType({_checked(name, section): _one(name, table, section) for name, table in tables.items()})


_EXAMPLES = {"namespaces": "[namespaces.shop]", "workloads": '[workloads."shop/frontend"]'}


def _checked(name: str, section: str) -> str:
    parts = name.split("/")
    if len(parts) != (2 if section == "workloads" else 1):
        raise BadInput(f"[{section}]: {name!r} is not a valid name.", hint=f"Write it like {_EXAMPLES[section]}.")
    for part in parts:
        check_name(part)
    return name


def _one(name: str, table: object, section: str) -> Overrides:
    if not isinstance(table, Mapping):
        raise BadInput(f"[{section}]: {name!r} must be a table.", hint=f"Write it like {_EXAMPLES[section]}.")
    header = f'[{section}."{name}"]' if section == "workloads" else f"[{section}.{name}]"
    return parse_overrides(table, lambda key: f"{header} {key}")


# --- annotations -----------------------------------------------------------------------------------------------------


def is_override(annotation: str) -> bool:
    """Whether an annotation overrides how its workload is sized.

    >>> is_override("mora.dev/cpu-cap"), is_override("mora.dev/helm-path.web"), is_override("team")
    (True, False, False)
    """
    key = annotation.removeprefix(PREFIX)
    return key != annotation and not key.startswith((_HELM_PATH, _INTERNAL))


def annotated(state: WorkloadState) -> Overrides:
    """The overrides in the workload's own annotations; BadInput names the workload and the annotation."""
    given = {name.removeprefix(PREFIX): value for name, value in state.annotations.items() if is_override(name)}
    return parse_overrides(given, lambda key: f"{words_for(state.workload)}: annotation {PREFIX}{key}")


def helm_paths(states: Iterable[WorkloadState]) -> dict[str, str]:
    """Where a chart's values hold a container's resources: "namespace/workload/container" -> values path."""
    prefix = PREFIX + _HELM_PATH
    return {
        f"{state.workload.namespace}/{state.workload.name}/{name.removeprefix(prefix)}": path
        for state in states
        for name, path in state.annotations.items()
        if name.startswith(prefix)
    }


def words_for(workload: Workload) -> str:
    """A workload as kubectl names it.

    >>> words_for(Workload("shop", "frontend"))
    'deployment/frontend in namespace shop'
    """
    return f"{workload.kind.lower()}/{workload.name} in namespace {workload.namespace}"
