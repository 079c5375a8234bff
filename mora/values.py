"""Values that people write: in mora.toml, MORA_* variables, flags, plans and annotations; one parser for each kind.

A parser takes what TOML gives (text, numbers, switches, lists, tables) or text alone, and returns the type that code
uses. What it cannot read it refuses with a BadInput that says what the value must be; the caller names the place.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit, urlunsplit

from mora.domain import check_name
from mora.domain.runtimes import DOTNET, GO, JAVA, MEMCACHED, NODE, REDIS, Runtime
from mora.errors import BadInput
from mora.quantities import LONGEST_SPAN, parse_duration, parse_memory, parse_ratio

_Parsed = TypeVar("_Parsed")
# What Locust sends from one core is some thousand requests a second; no plan of one machine asks for more than this.
_MOST_RATE = 1e6
_LONGEST_RESPONSE = timedelta(seconds=60)


def string(value: object) -> str:
    """Text that is not empty."""
    if not isinstance(value, str) or not value:
        raise BadInput(f"must be a string, not {value!r}.")
    return value


def strings(value: object) -> tuple[str, ...]:
    """Some strings: a list, or text with commas between them."""
    found = value if isinstance(value, list | tuple) else string(value).split(",")
    words = tuple(string(word.strip() if isinstance(word, str) else word) for word in found)
    if not words:
        raise BadInput("must name one at least.")
    return words


def name(value: object) -> str:
    """A name as Kubernetes allows it."""
    return check_name(string(value))


def context(value: object) -> str:
    """The name of a cluster or of a kubeconfig's context: any printable text, as `kubectl config` allows it."""
    text = string(value)
    if not text.isprintable() or text != text.strip() or text.startswith("-") or len(text) > 253:
        raise BadInput(f"{text[:60]!r} is no name of a context.", hint="List them: kubectl config get-contexts")
    return text


def path(value: object) -> Path:
    """A file or a folder; ~ is the home folder."""
    return Path(value if isinstance(value, Path) else string(value)).expanduser()


def one_of(*choices: str) -> Callable[[object], str]:
    """One of a closed set of strings."""

    def parse(value: object) -> str:
        if value not in choices:
            near = difflib.get_close_matches(str(value), choices, n=1, cutoff=0.5)
            hint = f"Did you mean {near[0]}?" if near else None
            raise BadInput(f"must be one of {', '.join(choices)}, not {value!r}.", hint=hint)
        return string(value)

    return parse


def switch(value: object) -> bool:
    """true or false."""
    if isinstance(value, bool):
        return value
    if value not in ("true", "false"):
        raise BadInput(f"must be true or false, not {value!r}.")
    return value == "true"


def number(value: object) -> float:
    """A finite number, or text that is one."""
    try:
        parsed = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else float("nan")
    except ValueError:
        parsed = float("nan")
    if not abs(parsed) < float("inf"):
        raise BadInput(f"must be a number, not {value!r}.")
    return parsed


def whole(at_least: int, *, is_text_read: bool = True) -> Callable[[object], int]:
    """A whole number with a minimum. is_text_read: "10" is one, as in a variable; a plan must write 10."""

    def parse(value: object) -> int:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        try:
            parsed = number(value) if is_number or (is_text_read and isinstance(value, str)) else float("nan")
        except BadInput:
            parsed = float("nan")
        if not (parsed >= at_least and parsed == int(parsed)):
            raise BadInput(f"must be a whole number of at least {at_least}, not {value!r}.")
        return int(parsed)

    return parse


def factor(value: object) -> float:
    """A factor of at least 1."""
    parsed = number(value)
    if parsed < 1:
        raise BadInput(f"must be a factor of at least 1, not {value!r}: a margin may not cut what is needed.")
    return parsed


def ratio(value: object) -> float:
    """A share from 0 to 1: 0.01 or "1%"."""
    if not isinstance(value, str):
        number(value)
    return parse_ratio(str(value))


def positive_ratio(value: object) -> float:
    """A share above 0 and up to 1."""
    parsed = ratio(value)
    if parsed == 0:
        raise BadInput(f"must be more than 0, not {value!r}.", hint="Write it like 0.99, or 99%.")
    return parsed


def rate(value: object) -> float:
    """A number of requests per second, above 0."""
    parsed = number(value)
    if not 0 < parsed <= _MOST_RATE:
        raise BadInput(f"must be above 0 and at most {_MOST_RATE:g} requests per second, not {value!r}.")
    return parsed


def price(value: object) -> float:
    """An amount of money, 0 or more."""
    parsed = number(value)
    if parsed < 0:
        raise BadInput(f"must be a price of 0 or more, not {value!r}.")
    return parsed


def span(value: object) -> timedelta:
    """A span with its unit, or a number of seconds."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str) and not re.fullmatch(r"[0-9.]+", value):
        return parse_duration(value)
    seconds = number(value)
    if seconds <= 0 or seconds > LONGEST_SPAN.total_seconds():
        raise BadInput(
            f"must be a span of time of at most 100 years, not {value!r} seconds.", hint="Write it like 90s, 1h or 14d."
        )
    return timedelta(seconds=seconds)


def written_span(value: object) -> timedelta:
    """A span with its unit, where a bare number could be anything."""
    return parse_duration(string(value))


def response_time(value: object) -> float:
    """Seconds that a caller may wait; 300 for 300 ms would be five minutes, which every service meets."""
    parsed = span(value)
    if parsed > _LONGEST_RESPONSE:
        raise BadInput(
            f"{value!r} is {parsed.total_seconds():g} s, and no caller waits that long.",
            hint="Write the unit: 300ms, or 1.5s.",
        )
    has_unit = isinstance(value, timedelta) or (isinstance(value, str) and value[-1:].isalpha())
    if not has_unit and parsed >= timedelta(seconds=1):
        number_ = parsed.total_seconds()
        raise BadInput(
            f"{value!r} has no unit: it may be milliseconds or seconds.",
            hint=f"Write the unit: {number_:g}ms, or {number_:g}s.",
        )
    return parsed.total_seconds()


def quantity(parse: Callable[[str], int]) -> Callable[[object], int]:
    """Text as Kubernetes writes it. A bare number is refused: it may be millicores or cores, Mi or bytes."""

    def parse_amount(value: object) -> int:
        if isinstance(value, str):
            return parse(value)
        raise BadInput(
            f"must be a quantity in quotes, not {value!r}.", hint='Write CPU like "250m", memory like "512Mi".'
        )

    return parse_amount


def table(value: object) -> Mapping[str, Any]:
    """A TOML table."""
    if not isinstance(value, Mapping):
        raise BadInput(f"must be a table, not {value!r}.")
    return value


def list_of(parse: Callable[[Any], _Parsed]) -> Callable[[object], list[_Parsed]]:
    """A list of at least one of what `parse` takes."""

    def parse_list(value: object) -> list[_Parsed]:
        if not isinstance(value, list) or not value:
            raise BadInput(f"must be a list of at least one, not {value!r}.")
        return [parse(item) for item in value]

    return parse_list


def container_names(value: object) -> frozenset[str]:
    """Names with commas between them, or a list of them."""
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
        raise BadInput(f"must be a list of containers, not {value!r}.", hint="Write it like: debug, agent")
    return frozenset(check_name(one.strip(), "container name") for one in names)


def runtimes(value: object) -> Mapping[str, Runtime | None]:
    """What runs in containers: `java`, `redis:2Gi` of the main one, `server=java:3Gi, proxy=none`; "" is the main one.

    None says that nothing there has a maximum of memory.

    >>> runtimes("java, cache=redis:2Gi")["cache"].most_bytes == 2 * 2**30
    True
    """
    found: dict[str, Runtime | None] = {}
    for word in strings(value):
        container, _, what = word.rpartition("=")
        name, colon, amount = what.strip().partition(":")
        written = one_of(*_RUNTIMES)(name.strip().lower())
        if container:
            check_name(container.strip(), "container name")
        most = quantity(parse_memory)(amount.strip()) if colon else None
        runtime = Runtime(_RUNTIMES[written], most, "mora.dev/runtime")
        found[container.strip()] = None if written == "none" else runtime
    return MappingProxyType(found)


_RUNTIMES: Mapping[str, str] = {
    "java": JAVA,
    "jvm": JAVA,
    "node": NODE,
    "go": GO,
    "dotnet": DOTNET,
    "redis": REDIS,
    "memcached": MEMCACHED,
    "other": "its runtime",
    "none": "",
}


def address_parts(text: str) -> SplitResult | None:
    """The parts of an http or https address; None where it is none.

    >>> address_parts("http://[::1]:9090/prometheus").port, address_parts("http://[::1/"), address_parts("http://a:b")
    (9090, None, None)
    """
    try:
        parts = urlsplit(text)
        is_one = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not close, a port that is no number
        return None
    # An @ behind the host is that of a password with a "/", whose end would be taken for a path and printed.
    is_clean = text.isprintable() and " " not in text and "@" not in f"{parts.path}{parts.query}{parts.fragment}"
    return parts if is_one and is_clean else None


def shown(url: str) -> str:
    """An address that can be printed: without user, password and query.

    >>> shown("https://ada:secret@metrics.example/prometheus?token=1")
    'https://metrics.example/prometheus'
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # brackets that do not close
        return url.rpartition("@")[2].partition("?")[0]
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def is_loopback(url: str) -> bool:
    """Whether a URL stays on this machine.

    >>> is_loopback("http://127.0.0.1:8080"), is_loopback("http://localhost"), is_loopback("http://shop.example")
    (True, True, False)
    """
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def shows_secrets(url: str) -> bool:
    """Whether a request to a URL can be read on its way: it leaves this machine, and not by TLS.

    >>> shows_secrets("http://shop.example"), shows_secrets("https://shop.example"), shows_secrets("http://127.0.0.1")
    (True, False, False)
    """
    parts = address_parts(url)
    return parts is None or (parts.scheme != "https" and not is_loopback(url))


_MOST_NAMED = 12


def known_names(word: str, known: Iterable[str]) -> str:
    """Which name was perhaps meant by an unknown one, and which there are; of many, the first ones.

    >>> known_names("shpo", ["shop", "bank"])
    'Did you mean shop? There are: bank, shop.'
    """
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return (f"Did you mean {near[0]}? " if near else "") + f"There are: {', '.join(names[:_MOST_NAMED])}{more}."


def without_proxy(known: str | None) -> str:
    """The hosts that are reached without a proxy, as in $NO_PROXY: those that are known, and this machine.

    kubectl and Prometheus never ask a proxy for this machine either: it knows no port-forward and no kind cluster.

    >>> without_proxy("a.example")
    'a.example,localhost,127.0.0.1,::1'
    """
    return ",".join(filter(None, (known, "localhost,127.0.0.1,::1")))


def url(value: object) -> str:
    """An HTTP address without a user name or password, and without a slash at its end."""
    text = string(value)
    parts = address_parts(text)
    if parts is None:
        # A password in front of the host must not end in a log.
        shown = text.rpartition("@")[2]
        raise BadInput(f"must be a URL, not {shown!r}.", hint="Write it like http://127.0.0.1:9090.")
    if parts.username or parts.password:
        raise BadInput(
            "The URL holds a user name or password.",
            hint="Give them apart: prometheus.username, MORA_PROMETHEUS_PASSWORD.",
        )
    return text.rstrip("/")


def headers(value: object) -> Mapping[str, str]:
    """HTTP headers: a table, or "Name: value" pairs with ";" or line ends between them."""
    if isinstance(value, Mapping):
        pairs = [(str(header), string(text)) for header, text in value.items()]
    else:
        lines = [line for line in re.split(r"[;\n]", string(value)) if line.strip()]
        pairs = [(header.strip(), text.strip()) for header, _, text in (line.partition(":") for line in lines)]
    for header, text in pairs:
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", header) or not text or not text.isprintable():
            # A value may be a secret, and so may a line without a colon.
            shown = repr(header) if text else "A line without 'Name: value'"
            raise BadInput(f"{shown} is not an HTTP header.", hint="Write it like 'X-Scope-OrgID: shop'.")
    return MappingProxyType(dict(pairs))


def helm_paths(value: object) -> Mapping[str, str]:
    """A table: container (or workload/container, namespace/workload/container) -> path in a chart's values."""
    if not isinstance(value, Mapping):
        raise BadInput(
            f"must be a table of containers, not {value!r}.", hint='Write it like: [helm_paths] server = "resources"'
        )
    return MappingProxyType({str(container): string(where) for container, where in value.items()})
