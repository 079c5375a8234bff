"""Settings: flag > MORA_* environment > mora.toml > default, each with the place it came from.

An unknown key is an error that names its place and the nearest key there is: a misspelt floor that is silently ignored
is a service that runs out of memory. Every setting is one field of Settings; its key in mora.toml, its variable and its
flag are derived from one another, `slo.p95` is MORA_SLO_P95.

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
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from mora import registry
from mora.domain import Slo, check_name
from mora.errors import BadConfig, BadInput, MoraError
from mora.quantities import MIB, format_duration, format_memory, parse_cpu, parse_duration, parse_memory, parse_ratio
from mora.scaleout import BACKENDS, check_address

CONFIG_NAME = "mora.toml"
TARGETS = ("sandbox", "kubernetes")
_LONGEST_RESPONSE_SECONDS = 60.0
# What a limit may be; as mora.policies.LimitPolicy, which is not imported for the sake of `mora --help`.
_LIMITS = ("unset", "request", "keep", "ratio")

# Variables that begin like settings and are something else: read by this module, mora.tools, scripts, sandbox, load;
# Kubernetes sets the last two kinds in every pod beside a Service that is called mora.
_NOT_SETTINGS = re.compile(
    r"MORA_(CONFIG|TOOLS|PYTHON|SANDBOX_\w+|LOAD_\w+|SERVICE_(HOST|PORT\w*)|PORT(_\w+)?)", re.ASCII
)


# --- parsers: what a flag, a variable or a TOML value may be, as the type that the house uses ------------------------


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise BadInput(f"{value!r} is not a text.")
    return value


def _name(value: object) -> str:
    return check_name(_text(value))


def _path(value: object) -> Path:
    return Path(value if isinstance(value, Path) else _text(value)).expanduser()


def _one_of(*choices: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if value not in choices:
            raise BadInput(f"{value!r} is none of {', '.join(choices)}.")
        return _text(value)

    return parse


def _output(value: object) -> str:
    return _one_of(*registry.names("outputs"))(value)


def _url(value: object) -> str:
    parts = urlsplit(_text(value))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        # A password in front of the host must not end in a log.
        shown = _text(value).rpartition("@")[2]
        raise BadInput(f"{shown!r} is not a URL.", hint="Write it like http://127.0.0.1:9090.")
    if parts.username or parts.password:
        raise BadInput(
            "The URL holds a user name or password.",
            hint="Give them apart: prometheus.username, MORA_PROMETHEUS_PASSWORD.",
        )
    return _text(value).rstrip("/")


def _scheduler(value: object) -> str:
    return check_address(_text(value))


def _headers(value: object) -> Mapping[str, str]:
    """A table, or "Name: value" pairs parted by ";" or line ends."""
    if isinstance(value, Mapping):
        pairs = [(str(name), _text(text)) for name, text in value.items()]
    else:
        lines = [line for line in re.split(r"[;\n]", _text(value)) if line.strip()]
        pairs = [(name.strip(), text.strip()) for name, _, text in (line.partition(":") for line in lines)]
    for name, text in pairs:
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or not text or not text.isprintable():
            # A value may be a secret, and so may a line without a colon.
            shown = repr(name) if text else "A line without 'Name: value'"
            raise BadInput(f"{shown} is not an HTTP header.", hint="Write it like 'X-Scope-OrgID: shop'.")
    return MappingProxyType(dict(pairs))


def _number(value: object) -> float:
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else float("nan")
    except ValueError:
        number = float("nan")
    if not abs(number) < float("inf"):
        raise BadInput(f"{value!r} is not a number.")
    return number


def _integer(at_least: int) -> Callable[[object], int]:
    def parse(value: object) -> int:
        number = _number(value)
        if number != int(number) or number < at_least:
            raise BadInput(f"{value!r} is not a whole number of at least {at_least}.")
        return int(number)

    return parse


def _factor(value: object) -> float:
    number = _number(value)
    if number < 1:
        raise BadInput(f"{value!r} is less than 1: a buffer multiplies what is needed, and may not cut it.")
    return number


def _ratio(value: object) -> float:
    return parse_ratio(value if isinstance(value, str) else repr(_number(value)))


def _positive_ratio(value: object) -> float:
    ratio = _ratio(value)
    if ratio == 0:
        raise BadInput(f"{value!r} must be more than 0.")
    return ratio


def _seconds(value: object) -> float:
    """A span with its unit, or a number of seconds."""
    if isinstance(value, str) and not re.fullmatch(r"[0-9.]+", value):
        return parse_duration(value).total_seconds()
    number = _number(value)
    if number <= 0:
        raise BadInput(f"{value!r} seconds is not a span of time.")
    return number


def _response_time(value: object) -> float:
    """A span that a caller may wait; 300 for 300 ms would be five minutes, which every service keeps."""
    seconds = _seconds(value)
    if seconds > _LONGEST_RESPONSE_SECONDS:
        raise BadInput(
            f"{value!r} is {format_duration(seconds)}, and no caller waits that long.",
            hint="Write the unit: 300ms, or 1.5s.",
        )
    return seconds


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if value not in ("true", "false"):
        raise BadInput(f"{value!r} is neither true nor false.")
    return value == "true"


def _quantity(parse: Callable[[str], int]) -> Callable[[object], int]:
    """Text as Kubernetes writes it. A bare number is refused: nobody can tell millicores from cores, Mi from bytes."""

    def parse_amount(value: object) -> int:
        if isinstance(value, str):
            return parse(value)
        raise BadInput(f"{value!r} must be a quantity in quotes.", hint='Write CPU like "250m", memory like "512Mi".')

    return parse_amount


def _price(value: object) -> float:
    number = _number(value)
    if number < 0:
        raise BadInput(f"{value!r} is no price.")
    return number


def _overrides(section: str) -> Callable[[object], object]:
    def parse(value: object) -> object:
        from mora.fleet.overrides import parse_table

        return parse_table(value, section)

    return parse


def _helm_paths(value: object) -> Mapping[str, str]:
    """A table: container (or workload/container, namespace/workload/container) -> path in a chart's values."""
    if not isinstance(value, Mapping):
        raise BadInput(f"{value!r} is no table of containers.", hint='Write it like: [helm_paths] server = "resources"')
    return MappingProxyType({str(name): _text(path) for name, path in value.items()})


def _setting(
    key: str, parse: Callable[[object], object], default: object = None, *, flag: str = "", secret: bool = False
) -> Any:
    """A field of Settings. key: its place in mora.toml; flag: its name on the command line, if it has one."""
    metadata = {"key": key, "parse": parse, "flag": flag, "secret": secret}
    if callable(default):
        return field(default_factory=default, metadata=metadata, repr=not secret)
    return field(default=default, metadata=metadata, repr=not secret)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


# --- the settings ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set, with honest defaults: `Settings()` is what an empty folder gets."""

    data_dir: Path = _setting("data_dir", _path, Path("data"), flag="--data")
    """Folder of the unified CSVs; relative to the working directory, or to the mora.toml that names it."""

    models_dir: Path = _setting("models_dir", _path, Path("models"), flag="--models")
    """Folder of the models."""

    namespace: str = _setting("namespace", _name, "default", flag="--namespace")
    """Kubernetes namespace of the services; the sandbox plays `default`."""

    target: str = _setting("target", _one_of(*TARGETS), "sandbox", flag="--target")
    """Where experiments run. The sandbox by default: it needs nothing and harms nothing."""

    plan: str = _setting("plan", _text, "quick", flag="--plan")
    """Name of a plan in experiments/plans, or a path to one. The shortest by default."""

    output: str = _setting("output", _output, "table", flag="--output")
    """How a recommendation is printed."""

    jobs: int = _setting("jobs", _integer(1), _cores, flag="--jobs")
    """Processes that train in parallel, about 1 GB each; as many as this process may use cores."""

    seed: int = _setting("seed", _integer(0), 0, flag="--seed")
    """Seed of training: the same seed and data give the same numbers. A plan has a seed of its own."""

    prophet_weight: float = _setting("train.prophet_weight", _ratio, 0.4, flag="--prophet-weight")
    """What Prophet counts in the blend before held-out errors judge it; the LSTM has the rest."""

    learn_weights: bool = _setting("train.learn_weights", _flag, False, flag="--learn-weights")
    """Whether the weights that erred least on held-out stretches are taken, in tenths, and not these."""

    backend: str = _setting("train.backend", _one_of(*BACKENDS), "loky", flag="--backend")
    """Where many services are trained: loky, in processes of this machine, or dask, on the workers of a cluster."""

    scheduler: str | None = _setting("train.scheduler", _scheduler, flag="--scheduler")
    """Address of the Dask scheduler: tcp://host:8786, or tls:// with the certificates that Dask's own settings name."""

    horizon_seconds: float = _setting("hold", _seconds, 86_400.0, flag="--hold")
    """How long a recommendation from observed data stands before it is renewed; a day sees every hour once."""

    prometheus_url: str | None = _setting("prometheus.url", _url, flag="--prometheus")
    """Address of a Prometheus (or of what answers its API); None means the sandbox's own."""

    prometheus_timeout_seconds: float = _setting("prometheus.timeout", _seconds, 30.0)
    """How long one query may take. Prometheus itself gives up after two minutes; a person does earlier."""

    prometheus_username: str | None = _setting("prometheus.username", _text)
    """Basic auth; goes with MORA_PROMETHEUS_PASSWORD."""

    prometheus_password: str | None = _setting("prometheus.password", _text, secret=True)
    """Basic auth; from the environment alone, since files get committed and command lines are seen by every user."""

    prometheus_token_file: Path | None = _setting("prometheus.token_file", _path)
    """File that holds a bearer token; read at each start, since cluster tokens rotate."""

    prometheus_headers: Mapping[str, str] = _setting("prometheus.headers", _headers, lambda: MappingProxyType({}))
    """Extra headers, such as X-Scope-OrgID for a tenant of Mimir or Cortex."""

    prometheus_client_certificate: Path | None = _setting("prometheus.client_certificate", _path)
    """A client certificate for it, as a PEM file; its key may be in the same file."""

    prometheus_client_key: Path | None = _setting("prometheus.client_key", _path)
    """The key of the client certificate, as a PEM file."""

    prometheus_ca_file: Path | None = _setting("prometheus.ca_file", _path)
    """Certificates that the server's is checked against; None means those of the system."""

    prometheus_cluster: str | None = _setting("prometheus.cluster", _text, flag="--cluster")
    """Value of the label `cluster` that is meant, where one Prometheus (Thanos, Mimir) holds several."""

    history_seconds: float = _setting("history", _seconds, 14 * 86_400.0, flag="--history")
    """How far back the cluster's own history is read: two weeks hold every day of the week twice."""

    slo_p95_seconds: float = _setting("slo.p95", _response_time, 0.3, flag="--slo-p95")
    """95th percentile of the response time that callers are promised, seconds."""

    slo_error_ratio: float = _setting("slo.errors", _ratio, 0.01, flag="--slo-errors")
    """Share of requests that may fail, 0..1."""

    target_utilisation: float = _setting(
        "replicas.target_utilisation", _positive_ratio, 0.7, flag="--target-utilisation"
    )
    """Share of what a pod can do that is used at the load asked for; the rest takes bursts and the loss of a pod."""

    min_replicas: int = _setting("replicas.min", _integer(1), 1, flag="--min-replicas")
    """Replicas that a service never goes below; 2 keeps it up while a node is drained."""

    max_replicas: int | None = _setting("replicas.max", _integer(1), flag="--max-replicas")
    """Replicas that a service never goes above; None means what the measured load response knows."""

    cpu_buffer: float = _setting("policy.cpu_buffer", _factor, 1.2)
    """Factor on the CPU forecast at a driven load, applied once, by the policy; the number for the coming hold of
    observed data takes none, since its bound was calibrated for cost."""

    memory_buffer: float = _setting("policy.memory_buffer", _factor, 1.15)
    """The same for memory; smaller than CPU's, since the bound and the peak already hold it up."""

    cpu_floor_millicores: int = _setting("policy.cpu_floor", _quantity(parse_cpu), 10)
    """Smallest CPU request, millicores; the least that KRR gives, too."""

    memory_floor_bytes: int = _setting("policy.memory_floor", _quantity(parse_memory), 16 * MIB)
    """Smallest memory request, bytes. The field's 100 MiB is its most frequent complaint."""

    cpu_cap_millicores: int | None = _setting("policy.cpu_cap", _quantity(parse_cpu))
    """Largest CPU request, millicores; None means none."""

    memory_cap_bytes: int | None = _setting("policy.memory_cap", _quantity(parse_memory))
    """Largest memory request, bytes; where it lies below what was seen in use there is a reason and no number."""

    max_cpu_cut: float = _setting("policy.max_cpu_cut", _positive_ratio, 0.5)
    """Largest share that one step takes off a CPU request."""

    max_memory_cut: float = _setting("policy.max_memory_cut", _positive_ratio, 0.3)
    """Largest share that one step takes off a memory request; too little kills, so it is more careful than CPU."""

    min_change: float = _setting("policy.min_change", _ratio, 0.1)
    """Cuts below this share are not worth a rollout and are held back; raises never are."""

    cpu_limit: str = _setting("policy.cpu_limit", _one_of(*_LIMITS), "unset")
    """What becomes of a CPU limit: unset (idle CPU of the node may be used), request (equal to it), keep (as it is, or
    the request if that is more), ratio (to the request, as now)."""

    memory_limit: str = _setting("policy.memory_limit", _one_of(*_LIMITS), "request")
    """As cpu_limit. Equal to the request by default: what is promised is there, and no neighbour is killed for it."""

    touch_autoscaled: bool = _setting("policy.touch_autoscaled", _flag, False, flag="--retarget-hpa")
    """Whether to change a request on whose utilisation an HPA scales; its target must then change with it."""

    allow_any_step: bool = _setting("policy.allow_any_step", _flag, False, flag="--allow-any-step")
    """Whether one step may cut more than max_cpu_cut and max_memory_cut."""

    include_sidecars: bool = _setting("policy.include_sidecars", _flag, False, flag="--include-sidecars")
    """Whether injected and native sidecars are sized as well; a mesh sets most of them by its own means."""

    allow_jvm_cut: bool = _setting("policy.allow_jvm_cut", _flag, False, flag="--allow-jvm-cut")
    """Whether memory of Java virtual machines may be cut, whose heap takes what it is given whether needed or not."""

    cpu_price: float | None = _setting("prices.cpu", _price, flag="--cpu-price")
    """What a reserved core costs an hour; OpenCost's default where only the other price is given."""

    memory_price: float | None = _setting("prices.memory", _price, flag="--memory-price")
    """What a reserved GiB of memory costs an hour; OpenCost's default where only the other price is given."""

    currency: str = _setting("prices.currency", _text, "USD")
    """What the prices are in; a word that is printed."""

    helm_paths: Mapping[str, str] = _setting("helm_paths", _helm_paths, lambda: MappingProxyType({}))
    """Where a chart's values hold the resources of a container."""

    namespaces: Mapping[str, Any] = _setting("namespaces", _overrides("namespaces"), lambda: MappingProxyType({}))
    """What is wanted otherwise in a namespace: [namespaces.shop], with the keys of the mora.dev/ annotations."""

    workloads: Mapping[str, Any] = _setting("workloads", _overrides("workloads"), lambda: MappingProxyType({}))
    """What is wanted otherwise for a workload: [workloads."shop/frontend"]; stands above its annotations."""

    origins: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Field name -> where its value came from, for those that are not the default."""

    @property
    def slo(self) -> Slo:
        """The promise as the domain knows it."""
        return Slo(p95_seconds=self.slo_p95_seconds, error_ratio=self.slo_error_ratio)

    def origin(self, name: str) -> str:
        """Where a field's value came from, in words: "--data", "MORA_DATA_DIR", "mora.toml line 3", "default"."""
        return self.origins.get(name, "default")


_FIELDS: dict[str, Field[Any]] = {item.name: item for item in fields(Settings) if item.metadata}
_BY_KEY: dict[str, str] = {item.metadata["key"]: name for name, item in _FIELDS.items()}


def variable(name: str) -> str:
    """The environment variable of a field.

    >>> variable("slo_p95_seconds"), variable("prometheus_url"), variable("data_dir")
    ('MORA_SLO_P95', 'MORA_PROMETHEUS_URL', 'MORA_DATA_DIR')
    """
    return "MORA_" + str(_FIELDS[name].metadata["key"]).upper().replace(".", "_")


def key(name: str) -> str:
    """The key of a field in mora.toml.

    >>> key("slo_p95_seconds")
    'slo.p95'
    """
    return str(_FIELDS[name].metadata["key"])


def load_settings(
    flags: Mapping[str, object] = MappingProxyType({}),
    environ: Mapping[str, str] = MappingProxyType({}),
    start_dir: Path = Path(),
    *,
    config_file: Path | None = None,
) -> Settings:
    """The settings of one call.

    flags: field name -> what the command line says, parsed or as text; None means not given.
    environ: variables; those called MORA_* that are no setting are an error.
    start_dir: where mora.toml is looked for, and what --config or MORA_CONFIG is relative to.
    Raises BadConfig (environment, file) and BadInput (flags), naming the place, and for an unknown key the nearest.

    >>> settings = load_settings({"users": None}, {"MORA_SLO_P95": "250ms"})
    >>> settings.slo.p95_seconds, settings.origin("slo_p95_seconds"), settings.min_replicas
    (0.25, 'MORA_SLO_P95', 1)
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    layers = (
        _from_file(_find_file(environ, start_dir, config_file), start_dir),
        _from_environ(environ),
        _from_flags(flags),
    )
    for layer in layers:
        for name, (value, origin) in layer.items():
            values[name], origins[name] = value, origin
    settings = replace(Settings(), **values, origins=MappingProxyType(origins))
    _check_together(settings)
    return settings


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
        if name not in _FIELDS:
            raise BadInput(f"{name!r} is not a setting.", hint=_nearest(name, _FIELDS))
        flag = _FIELDS[name].metadata["flag"] or "--" + name.replace("_", "-")
        layer[name] = (_parsed(name, value, flag, BadInput), flag)
    return layer


def _from_environ(environ: Mapping[str, str]) -> _Layer:
    by_variable = {variable(name): name for name in _FIELDS}
    layer: _Layer = {}
    for name, value in environ.items():
        if not name.startswith("MORA_") or _NOT_SETTINGS.fullmatch(name):
            continue
        if name not in by_variable:
            raise BadConfig(
                f"The environment sets {name}, which is no setting of MOrA.", hint=_nearest(name, by_variable)
            )
        layer[by_variable[name]] = (_parsed(by_variable[name], value, name, BadConfig), name)
    return layer


def _from_file(path: Path | None, start_dir: Path) -> _Layer:
    if path is None:
        return {}
    shown = path.relative_to(start_dir) if path.is_relative_to(start_dir) else path
    try:
        text = path.read_text(encoding="utf-8")
        tables = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfig(f"{shown} is not TOML: {error}.") from error
    layer: _Layer = {}
    for found, value in _flattened(tables):
        line = _line_of(text, found)
        place = f"{shown} line {line}" if line else str(shown)
        if found not in _BY_KEY:
            raise BadConfig(f"{place}: {found!r} is no setting of MOrA.", hint=_nearest(found, _BY_KEY))
        name = _BY_KEY[found]
        if _FIELDS[name].metadata["secret"]:
            raise BadConfig(
                f"{place}: {found!r} does not belong in a file.", hint=f"Set {variable(name)} in the environment."
            )
        parsed = _parsed(name, value, f"{place}: {found}", BadConfig)
        layer[name] = (path.parent / parsed if isinstance(parsed, Path) and path.parent != start_dir else parsed, place)
    return layer


def _flattened(tables: Mapping[str, object]) -> list[tuple[str, object]]:
    """("slo.p95", "300ms"), ...; a table that is a setting itself (prometheus.headers) stays whole."""
    sections = {known.partition(".")[0] for known in _BY_KEY if "." in known}
    flat: list[tuple[str, object]] = []
    for name, value in tables.items():
        if name in sections and isinstance(value, Mapping):
            flat += [(f"{name}.{inner}", inner_value) for inner, inner_value in value.items()]
        else:
            flat.append((name, value))
    return flat


def _line_of(text: str, found: str) -> int | None:
    """The line (from 1) on which a key stands in a TOML text; tomllib does not tell."""
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


def _parsed(name: str, value: object, place: str, error_type: type[MoraError]) -> object:
    try:
        return _FIELDS[name].metadata["parse"](value)
    except MoraError as error:
        # What a secret is must not end in a log; its parser only ever refuses an empty one.
        message = "It is empty." if _FIELDS[name].metadata["secret"] else error.message
        raise error_type(f"{place}: {message}", hint=error.hint) from error


def _nearest(word: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"Did you mean {near[0]}?" if near else f"Known: {', '.join(sorted(known))}."


def _check_together(settings: Settings) -> None:
    """What no value can tell by itself."""

    def refuse(lower: str, upper: str, words: str) -> None:
        places = " and ".join(f"{key(name)} ({settings.origin(name)})" for name in (lower, upper))
        raise BadConfig(f"{places} contradict each other: {words}")

    if settings.max_replicas is not None and settings.max_replicas < settings.min_replicas:
        refuse(
            "min_replicas",
            "max_replicas",
            f"at least {settings.min_replicas}, at most {settings.max_replicas} replicas.",
        )
    cpu_cap, memory_cap = settings.cpu_cap_millicores, settings.memory_cap_bytes
    if cpu_cap is not None and cpu_cap < settings.cpu_floor_millicores:
        refuse(
            "cpu_floor_millicores",
            "cpu_cap_millicores",
            f"at least {settings.cpu_floor_millicores}m, at most {cpu_cap}m.",
        )
    if memory_cap is not None and memory_cap < settings.memory_floor_bytes:
        floor = format_memory(settings.memory_floor_bytes)
        refuse("memory_floor_bytes", "memory_cap_bytes", f"at least {floor}, at most {format_memory(memory_cap)}.")
    if settings.backend == "dask" and settings.scheduler is None:
        raise BadConfig(
            f"train.backend ({settings.origin('backend')}) is dask, and no scheduler is named.",
            hint="Name it: --scheduler tcp://10.0.0.7:8786, or MORA_TRAIN_SCHEDULER, or mora.toml.",
        )
    if settings.backend != "dask" and settings.scheduler is not None:
        words = f"only dask asks a scheduler, and the backend is {settings.backend}."
        refuse("backend", "scheduler", words)
    if settings.prometheus_password and not settings.prometheus_username:
        refuse("prometheus_username", "prometheus_password", "a password needs its user name.")
    if settings.prometheus_client_key and not settings.prometheus_client_certificate:
        refuse("prometheus_client_certificate", "prometheus_client_key", "a key needs its certificate.")
