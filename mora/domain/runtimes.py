"""Runtimes and caches with a maximum of memory: they take it sooner or later, whatever they use now.

A heap that was filled to a third last week may be full tomorrow, and no garbage collector frees what it is allowed to
keep. So memory is never cut below what a container's flags, variables or own metrics let it take.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

JAVA, NODE, GO, DOTNET = "Java", "Node.js", "Go", ".NET"
REDIS, MEMCACHED = "Redis", "memcached"

# What a container needs for each byte that its runtime may take. A heap is not all of a process: vendors leave it three
# quarters to four fifths of the container (MaxRAMPercentage, --max-old-space-size, maxmemory). Go counts everything.
_FOR_EACH_BYTE, _FOR_EACH_BYTE_OF_GO = 1.25, 1.05
# More is no amount: an unset GOMEMLIMIT is the largest number that there is.
_MOST_BYTES = 64 * 2**40


@dataclass(frozen=True, slots=True)
class Runtime:
    """What runs in a container, and how much memory it may take.

    most_bytes: None where nothing fixes it: it follows the memory limit, or is not known. told_by: the flag, the
    variable or the metric.
    """

    name: str
    most_bytes: int | None = None
    told_by: str = ""

    @property
    def container_bytes(self) -> int | None:
        """What a container needs in which the runtime takes all that it may; None where that is not fixed.

        >>> Runtime("Java", 4 * 2**30).container_bytes == 5 * 2**30
        True
        """
        if self.most_bytes is None:
            return None
        return math.ceil(self.most_bytes * (_FOR_EACH_BYTE_OF_GO if self.name == GO else _FOR_EACH_BYTE))

    def most_within(self, container_bytes: float) -> float:
        """What the runtime may take at most in a container of this size; the inverse of container_bytes."""
        return container_bytes / (_FOR_EACH_BYTE_OF_GO if self.name == GO else _FOR_EACH_BYTE)


@dataclass(frozen=True, slots=True)
class _Rule:
    """A flag or variable that tells a runtime how much it may take.

    pattern: with the groups `amount` and, where units are written, `unit`. unit: bytes of an amount without one.
    variable: the names of the variables that hold nothing but the amount; None where it is a flag, in arguments or in
    any variable.
    """

    name: str
    pattern: re.Pattern[str]
    unit: int = 1
    variable: re.Pattern[str] | None = None
    program: re.Pattern[str] | None = None
    """What the image or the command must show, where the flag alone could be another program's."""
    base: int = 10


_K = 1024
_UNITS: Mapping[str, int] = {"": 0, "b": 1, "k": _K, "m": _K**2, "g": _K**3, "t": _K**4}
_AMOUNT = r"(?P<amount>\d+(?:\.\d+)?)\s*(?P<unit>[kmgt]?)i?b?\b"


def _flag(text: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-]){text}{_AMOUNT}", re.IGNORECASE | re.ASCII)


def _named(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE | re.ASCII)


_PLAIN = re.compile(rf"\s*{_AMOUNT}\s*", re.IGNORECASE | re.ASCII)
_HEX = re.compile(r"\s*(?:0x)?(?P<amount>[0-9a-f]+)(?P<unit>)\s*", re.IGNORECASE | re.ASCII)
_MEMCACHED = _named("memcache")
_VARIABLE = re.compile(r"\w[\w.-]{0,62}", re.ASCII)

_RULES: Sequence[_Rule] = (
    _Rule(JAVA, _flag("-Xmx")),
    _Rule(JAVA, _flag("-XX:MaxHeapSize=")),
    _Rule(
        JAVA,
        _PLAIN,
        variable=_named(r"(JAVA_|JVM_|SOLR_)?(MAX_)?HEAP(_SIZE)?|JAVA_MAX_HEAP\w*|NEO4J_\w+_memory_heap_max__size"),
    ),
    _Rule(NODE, _flag(r"--max[-_]old[-_]space[-_]size[= ]"), unit=_K**2),
    _Rule(GO, _PLAIN, variable=_named("GOMEMLIMIT")),
    _Rule(DOTNET, _HEX, variable=_named("(DOTNET|COMPlus)_GCHeapHardLimit"), base=16),
    _Rule(REDIS, _flag(r"(?:--)?maxmemory[= ]")),
    _Rule(REDIS, _PLAIN, variable=_named("(REDIS|VALKEY|KEYDB)_MAX_?MEMORY")),
    _Rule(MEMCACHED, _flag(r"(?:-m|--memory-limit)[= ]?"), unit=_K**2, program=_MEMCACHED),
    _Rule("MySQL", _flag(r"--innodb[-_]buffer[-_]pool[-_]size[= ]")),
    _Rule("PostgreSQL", re.compile(rf"\bshared_buffers\s*=\s*{_AMOUNT}", re.IGNORECASE), unit=8 * _K),
    _Rule("MongoDB", _flag(r"--wiredTigerCacheSizeGB[= ]"), unit=_K**3),
    _Rule("Varnish", re.compile(rf"\bmalloc,\s*{_AMOUNT}", re.IGNORECASE)),
    _Rule("VictoriaMetrics", _flag(r"--?memory\.allowedBytes[= ]")),
)
_ARGUMENTS = "its arguments"
# Of Java, what may be taken beside the heap adds to it.
_BESIDE_THE_HEAP = (_flag("-XX:MaxDirectMemorySize="), _flag("-XX:MaxMetaspaceSize="))


def told_runtime(image: str, environment: Mapping[str, str], line: str) -> Runtime | None:
    """The runtime of a container with a maximum of memory; the most of what several flags allow.

    image: its name and tag. environment: the variables with known values. line: command and arguments, with spaces.

    >>> told_runtime("shop/api:1", {"JAVA_TOOL_OPTIONS": "-Xmx3g -Dx=1"}, "")
    Runtime(name='Java', most_bytes=3221225472, told_by='-Xmx3g in JAVA_TOOL_OPTIONS')
    >>> told_runtime("shop/api:1", {"GOMEMLIMIT": "750MiB"}, "/api").told_by
    'GOMEMLIMIT=750MiB'
    >>> told_runtime("shop/api:1", {"LOG_LEVEL": "3"}, "/api --max-size=3g") is None
    True
    """
    found = [one for rule in _RULES for one in _by_rule(rule, image, environment, line)]
    return largest(found)


def largest(runtimes: Iterable[Runtime | None]) -> Runtime | None:
    """The one that may take most; one without a fixed amount where no other is known."""
    known = [one for one in runtimes if one is not None]
    return max(known, key=lambda one: one.most_bytes or 0, default=None)


def _by_rule(rule: _Rule, image: str, environment: Mapping[str, str], line: str) -> Iterable[Runtime]:
    if rule.program is not None and not rule.program.search(f"{image} {line}"):
        return
    if rule.variable is not None:
        for name, value in environment.items():
            if rule.variable.fullmatch(name) and (match := rule.pattern.fullmatch(value)):
                yield from _runtime(rule, match, f"{name}={_shown(match)}", 0)
        return
    for place, text in ((_ARGUMENTS, line), *environment.items()):
        matches = list(rule.pattern.finditer(text))
        if matches:  # of several in one place the last one counts
            beside = _beside_the_heap(text) if rule.name == JAVA else 0
            named = place if place == _ARGUMENTS or _VARIABLE.fullmatch(place) else "a variable"
            yield from _runtime(rule, matches[-1], f"{_shown(matches[-1])} in {named}", beside)


def _shown(match: re.Match[str]) -> str:
    """What was matched, on one line; the rest of a variable may be secret."""
    return " ".join(match.group().split())


def _beside_the_heap(text: str) -> int:
    last = [list(pattern.finditer(text))[-1:] for pattern in _BESIDE_THE_HEAP]
    return sum(_bytes(match, 1, 10) for matches in last for match in matches)


def _runtime(rule: _Rule, match: re.Match[str], told_by: str, beside: int) -> Iterable[Runtime]:
    amount = _bytes(match, rule.unit, rule.base) + beside
    if beside <= amount - 1 and amount <= _MOST_BYTES:  # maxmemory 0: no maximum
        yield Runtime(rule.name, amount, told_by)


def _bytes(match: re.Match[str], unit: int, base: int) -> int:
    parse: Callable[[str], float] = float if base == 10 else lambda text: float(int(text, base))
    return math.ceil(parse(match["amount"]) * (_UNITS[match["unit"].lower()] or unit))
