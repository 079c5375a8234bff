"""Settings: flag > MORA_* environment > mora.toml > default, each with the place it came from.

An unknown key is an error that names its place and the nearest key there is: a misspelt minimum that is silently
ignored is a service that runs out of memory. mora/settings.py lists the keys.

    data_dir = "data"

    [prometheus]
    url = "http://127.0.0.1:9090"

    [slo]
    p95 = "300ms"
    errors = "1%"

    [policy]
    memory_floor = "64Mi"
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mora.errors import BadConfig, BadInput, MoraError
from mora.quantities import format_memory
from mora.settings import (
    BY_KEY,
    BY_NAME,
    OLD_KEYS,
    SETTINGS,
    ClusterOptions,
    Setting,
    Settings,
    password_variable,
    variable_of,
)

__all__ = ["CONFIG_NAME", "Settings", "load_settings"]

CONFIG_NAME = "mora.toml"

# Variables that begin like settings and are something else: read by this module, mora.tools, scripts, sandbox, load;
# Kubernetes sets the last two kinds in every pod beside a Service that is called mora.
_NOT_SETTINGS = re.compile(
    r"MORA_(CONFIG|TOOLS|PYTHON|TRACES|SANDBOX_\w+|LOAD_\w+|SERVICE_(HOST|PORT\w*)|PORT(_\w+)?)", re.ASCII
)


# Of clusters that mora.toml names; _with_passwords() looks for them.
_OF_A_CLUSTER = re.compile(r"MORA_CLUSTERS_\w+_PROMETHEUS_PASSWORD", re.ASCII)


def load_settings(
    flags: Mapping[str, object] = MappingProxyType({}),
    environ: Mapping[str, str] = MappingProxyType({}),
    start_dir: Path = Path(),
    *,
    config_file: Path | None = None,
) -> Settings:
    """The settings of one call.

    flags: name of a setting -> what the command line says, parsed or as text; None means not given.
    environ: variables; those called MORA_* that are no setting are an error.
    start_dir: where mora.toml is looked for, and what --config or MORA_CONFIG is relative to.
    Raises BadConfig (environment, file) and BadInput (flags), naming the place, and for an unknown key the nearest.

    >>> settings = load_settings({"replicas_min": None}, {"MORA_SLO_P95": "250ms"})
    >>> settings.slo.p95_seconds, settings.origin("slo_p95"), settings.policy.min_replicas
    (0.25, 'MORA_SLO_P95', 1)
    """
    found: _Layer = {}
    notes: list[str] = []
    found |= _from_file(_find_file(environ, start_dir, config_file), start_dir, notes)
    found |= _from_environ(environ, notes)
    found |= _from_flags(flags)
    origins = MappingProxyType({name: origin for name, (_, origin) in found.items()})
    _check_together(found)
    fields = {BY_NAME[name].field: value for name, (value, _) in found.items()}
    settings = Settings(origins=origins, notes=tuple(notes))
    for group in {field.partition(".")[0] for field in fields if "." in field}:
        inner = {field.partition(".")[2]: fields[field] for field in fields if field.startswith(f"{group}.")}
        settings = replace(settings, **{group: replace(getattr(settings, group), **inner)})
    settings = replace(settings, **{field: value for field, value in fields.items() if "." not in field})
    return replace(settings, clusters=_with_passwords(settings.clusters, environ))


def _with_passwords(clusters: Mapping[str, ClusterOptions], environ: Mapping[str, str]) -> Mapping[str, ClusterOptions]:
    """The clusters with the passwords of the environment; one that is not of exactly one cluster is an error."""
    found = dict(clusters)
    for variable in filter(_OF_A_CLUSTER.fullmatch, environ):
        names = [name for name in clusters if password_variable(name) == variable]
        if not names:
            known = f"mora.toml has these: {', '.join(clusters)}." if clusters else "mora.toml has no [clusters.NAME]."
            raise BadConfig(f"The environment sets {variable}, and there is no such cluster.", hint=known)
        if len(names) > 1:
            raise BadConfig(
                f"The environment sets {variable}, and it would be the password of {' and '.join(names)}.",
                hint="Name them in mora.toml so that they differ in more than case and punctuation.",
            )
        one = found[names[0]]
        password = _parsed(BY_KEY["prometheus.password"], environ[variable], variable, BadConfig)
        found[names[0]] = replace(one, prometheus=MappingProxyType({**one.prometheus, "password": password}))
    return MappingProxyType(found)


_Layer = dict[str, tuple[Any, str]]


def _find_file(environ: Mapping[str, str], start_dir: Path, config_file: Path | None) -> Path | None:
    named = config_file or (Path(environ["MORA_CONFIG"]) if environ.get("MORA_CONFIG") else None)
    if named is None:
        found = start_dir / CONFIG_NAME
        return found if found.is_file() else None
    path = start_dir / named.expanduser()
    if not path.is_file():
        where = "--config" if config_file else "MORA_CONFIG"
        raise BadConfig(f"{where} names {named}, which is not a file.")
    return path


def _from_flags(flags: Mapping[str, object]) -> _Layer:
    layer: _Layer = {}
    for name, value in flags.items():
        if value is None:
            continue
        if name not in BY_NAME:
            raise BadInput(f"{name!r} is not a setting.", hint=_nearest(name, BY_NAME))
        flag = BY_NAME[name].flag or "--" + name.replace("_", "-")
        layer[name] = (_parsed(BY_NAME[name], value, flag, BadInput), flag)
    return layer


def _from_environ(environ: Mapping[str, str], notes: list[str]) -> _Layer:
    by_variable = {one.variable: one for one in SETTINGS}
    layer: _Layer = {}
    for name, value in environ.items():
        if not name.startswith("MORA_") or _NOT_SETTINGS.fullmatch(name) or _OF_A_CLUSTER.fullmatch(name):
            continue
        old = next((one for one in OLD_KEYS.values() if variable_of(one.old) == name), None)
        if old is not None:
            notes.append(f"{name} is now called {old.variable}; the old name still works for one release.")
            if old.variable in environ:
                continue
        setting = old or by_variable.get(name)
        if setting is None:
            raise BadConfig(
                f"The environment sets {name}, which is an unknown setting.", hint=_nearest(name, by_variable)
            )
        layer[setting.name] = (_parsed(setting, value, name, BadConfig), name)
    return layer


def _from_file(path: Path | None, start_dir: Path, notes: list[str]) -> _Layer:
    if path is None:
        return {}
    shown = path.relative_to(start_dir) if path.is_relative_to(start_dir) else path
    try:
        text = path.read_text(encoding="utf-8")
        tables = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadConfig(
            f"{shown} is not TOML: {error}.", hint='Correct that place. A setting is a line like: horizon = "24h"'
        ) from error
    layer: _Layer = {}
    for found, value in _flattened(tables):
        line = _line_of(text, found)
        place = f"{shown} line {line}" if line else str(shown)
        old = OLD_KEYS.get(found)
        if old is not None:
            notes.append(f"{place}: {found!r} is now called {old.key!r}; the old name still works for one release.")
            if old.key in tables:
                continue
        setting = old or BY_KEY.get(found)
        if setting is None:
            raise BadConfig(f"{place}: {found!r} is an unknown setting.", hint=_nearest(found, BY_KEY))
        if setting.secret:
            raise BadConfig(
                f"{place}: {found!r} does not belong in a file.", hint=f"Set {setting.variable} in the environment."
            )
        parsed = _parsed(setting, value, f"{place}: {found}", BadConfig)
        layer[setting.name] = (parsed if path.parent == start_dir else _below(path.parent, parsed), place)
    return layer


def _below(folder: Path, value: Any) -> Any:
    """Paths of a value as seen from the folder of its mora.toml."""
    if isinstance(value, Path):
        return folder / value
    if isinstance(value, Mapping):
        return MappingProxyType({name: _below(folder, one) for name, one in value.items()})
    if isinstance(value, ClusterOptions):
        return ClusterOptions(**{one.name: _below(folder, getattr(value, one.name)) for one in fields(value)})
    return value


def _flattened(tables: Mapping[str, object]) -> list[tuple[str, object]]:
    """("slo.p95", "300ms"), ...; a table that is a setting itself (prometheus.headers) stays whole."""
    sections = {known.partition(".")[0] for known in BY_KEY if "." in known}
    flat: list[tuple[str, object]] = []
    for name, value in tables.items():
        if name in sections and isinstance(value, Mapping):
            flat += [(f"{name}.{inner}", inner_value) for inner, inner_value in value.items()]
        else:
            flat.append((name, value))
    return flat


def _line_of(text: str, found: str) -> int | None:
    """The line (from 1) of a key in a TOML text; tomllib does not give it."""
    section, _, last = found.rpartition(".")
    current = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[\s*([^\[\]]+?)\s*\]", line):
            current = header.group(1).replace('"', "")
            if current == found:
                return number
        elif assigned := re.match(r"\s*([\w.\"' -]+?)\s*=", line):
            written = re.sub(r"[\"' ]", "", assigned.group(1))
            if (f"{current}.{written}" if current else written) == found or (current == section and written == last):
                return number
    return None


def _parsed(setting: Setting, value: object, place: str, error_type: type[MoraError]) -> Any:
    try:
        return setting.parse(value)
    except MoraError as error:
        # What a secret is must not end in a log; its parser only ever refuses an empty one.
        message = "It is empty." if setting.secret else error.message
        raise error_type(f"{place}: {message}", hint=error.hint) from error


def _nearest(word: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"Did you mean {near[0]}?" if near else f"Known: {', '.join(sorted(known))}."


def _check_together(found: _Layer) -> None:
    """Refuse settings that contradict each other, naming where each came from."""

    def value(name: str) -> Any:
        return found[name][0] if name in found else attrgetter(BY_NAME[name].field)(Settings())

    def origin(name: str) -> str:
        return found[name][1] if name in found else "default"

    def refuse(lower: str, upper: str, why: str) -> None:
        places = " and ".join(f"{BY_NAME[name].key} ({origin(name)})" for name in (lower, upper))
        raise BadConfig(f"{places} contradict each other: {why}")

    for lower, upper, written in (
        ("replicas_min", "replicas_max", lambda count: f"{count} replicas"),
        ("policy_cpu_floor", "policy_cpu_cap", lambda millicores: f"{millicores}m"),
        ("policy_memory_floor", "policy_memory_cap", format_memory),
    ):
        least, most = value(lower), value(upper)
        if most is not None and most < least:
            refuse(lower, upper, f"at least {written(least)}, at most {written(most)}.")
    backend, scheduler = value("train_backend"), value("train_scheduler")
    if backend == "dask" and scheduler is None:
        raise BadConfig(
            f"train.backend ({origin('train_backend')}) is dask, and no scheduler is named.",
            hint="Name it: --scheduler tcp://10.0.0.7:8786, or MORA_TRAIN_SCHEDULER, or mora.toml.",
        )
    if backend != "dask" and scheduler is not None:
        refuse("train_backend", "train_scheduler", f"a scheduler needs the backend dask, and it is {backend}.")
    if value("prometheus_password") and not value("prometheus_username"):
        refuse("prometheus_username", "prometheus_password", "a password needs its user name.")
    if value("prometheus_client_key") and not value("prometheus_client_certificate"):
        refuse("prometheus_client_certificate", "prometheus_client_key", "a key needs its certificate.")
