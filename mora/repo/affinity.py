"""How well the keys above a value name a container: charts have no other way to say whose it is.

`hubble.relay.resources` is of the Deployment hubble-relay, `certController.resources` of the container cert-controller,
`resources` alone of what the chart is called after. The points are added to the other evidence (mora/repo/matching.py).
What they get right and wrong on real charts, rendered by Helm: experiments/benchmarks/repo_places.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mora.domain import Container, Role

_TOKEN = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_VERSION = re.compile(r"-v?[0-9]+\..*$")
# Keys that are in the values of every chart, and name no container.
_STRUCTURE = frozenset(
    [
        "controller",
        "container",
        "spec",
        "template",
        "value",
        "resource",
        "pod",
        "deployment",
        "main",
        "default",
        "init",
        "app",
        "statefulset",
        "daemonset",
        "server",
        "component",
        "k8",
        "kubernete",
    ]
)
# What is in the names of containers everywhere, and need not be in a key.
_LOOSE = frozenset(
    [
        "controller",
        "container",
        "main",
        "app",
        "manager",
        "server",
        "default",
        "ctr",
        "service",
        "pod",
        "kube",
        "kubernete",
    ]
)
_OF_KIND: Mapping[str, frozenset[str]] = {
    "DaemonSet": frozenset({"daemonset", "node"}),
    "StatefulSet": frozenset({"statefulset"}),
    "Deployment": frozenset({"deployment"}),
    "CronJob": frozenset({"cronjob", "cron", "job"}),
    "Job": frozenset({"job"}),
}
_COMPONENTS = ("app.kubernetes.io/component", "app.kubernetes.io/controller", "component", "app.kubernetes.io/name")

# Points: a key that is the name itself, one whose words are in the name, one whose words are known otherwise, one that
# names something else. _REST: per word of the container's name that no key has.
_EXACT, _NAMED, _KNOWN, _TWICE, _PARTLY, _FOREIGN = 14, 10, 4, 2, -3, -10
_REST, _MOST_REST = -5, -15
_INIT, _NOT_INIT, _NO_INIT_KEY = 8, -15, -3
# No key names anything: the resources of the whole chart, which are those of its main container.
_OF_THE_CHART, _REST_OF_CHART = 15, -10
_LONG_ENOUGH = 5


@dataclass(frozen=True, slots=True)
class Named:
    """What a container is called, taken apart. own: words of its release and chart, which say nothing within them."""

    strong: frozenset[str]
    weak: frozenset[str]
    kind: frozenset[str]
    own: frozenset[str]
    exact: frozenset[str]
    text: str
    is_init: bool


def named(
    container: Container, workload: str, kind: str, labels: Mapping[str, str], release: str | None, image: str | None
) -> Named:
    """The words of a container. image: its repository, without tag."""
    is_init = container.role in (Role.INIT, Role.NATIVE_SIDECAR)
    components = [labels[label] for label in _COMPONENTS if label in labels]
    chart = chart_of(labels) or ""
    names = [workload, container.name, *components]
    prefix = "" if release is None else f"{release}-"
    return Named(
        strong=frozenset(_tokens(*names)),
        weak=frozenset(_tokens((image or "").rpartition("/")[2])),
        kind=_OF_KIND.get(kind, frozenset()),
        own=frozenset((*_tokens(release or "", chart), folded(release or ""), folded(chart))),
        exact=frozenset(folded(name) for name in (container.name, workload.removeprefix(prefix), *components)),
        text=f"{folded(workload)}|{folded(container.name)}",
        is_init=is_init,
    )


def chart_of(labels: Mapping[str, str]) -> str | None:
    """The name of the chart that an object is of, by its labels; None where they do not say.

    >>> chart_of({"helm.sh/chart": "cert-manager-v1.2.3"}), chart_of({})
    ('cert-manager', None)
    """
    return _VERSION.sub("", labels.get("helm.sh/chart") or labels.get("chart") or "") or None


def affinity(name: Named, words: Iterable[str]) -> tuple[int, tuple[str, ...]]:
    """Points for keys above a container's resources, and the keys that speak for it.

    >>> relay = named(Container("hubble-relay"), "hubble-relay", "Deployment", {}, "cilium", None)
    >>> affinity(relay, ("hubble", "relay")), affinity(relay, ("hubble", "ui")), affinity(relay, ())
    ((20, ('hubble', 'relay')), (-5, ('hubble',)), (-5, ()))
    """
    words = tuple(words)
    text = "|".join(folded(word) for word in words)
    points, seen, why, count = 0, set[str](), [], 0
    for word in words:
        tokens = _tokens(word)
        worth, is_name = _worth(name, word, tokens)
        if worth == _NAMED and seen.issuperset(token for token in tokens if token not in _STRUCTURE):
            worth = _TWICE  # prometheus.prometheusSpec names it once
        seen |= set(tokens)
        points += worth
        count += is_name
        if worth >= _NAMED and is_name:
            why.append(word)
    rest = sum(token not in text for token in name.strong - seen - name.own - _LOOSE)
    if count == 0:
        points += max(_OF_THE_CHART + _REST_OF_CHART * rest, _MOST_REST)
    else:
        points += max(_REST * rest, _MOST_REST)
    if name.is_init and "init" not in seen:
        points += _NO_INIT_KEY
    return points, tuple(why)


def _worth(name: Named, word: str, tokens: list[str]) -> tuple[int, bool]:
    """Points of one key, and whether it names anything."""
    telling = [token for token in tokens if token not in _STRUCTURE]
    if not telling:
        if "init" in tokens:
            return (_INIT if name.is_init else _NOT_INIT), False
        is_told = tokens != ["controller"] and any(token in name.strong - name.own for token in tokens)
        return (_KNOWN if is_told else 0), False
    if folded(word) in name.exact:
        return _EXACT, True
    if all(token in name.strong | name.kind for token in telling) and not name.strong.isdisjoint(telling):
        return (_KNOWN if all(token in name.own for token in telling) else _NAMED), True
    if len(folded(word)) >= _LONG_ENOUGH and folded(word) in name.text:
        return _NAMED, True
    if all(token in name.strong | name.weak | name.kind | name.own for token in telling):
        return _KNOWN, True
    return (_PARTLY if any(token in name.strong - name.own for token in telling) else _FOREIGN), True


def names_one(words: Iterable[str]) -> bool:
    """Whether keys name any container, and are not those of the chart as a whole.

    >>> names_one(("controllers", "web")), names_one(("controller",))
    (True, False)
    """
    return any(token not in _STRUCTURE for token in _tokens(*words))


def folded(word: str) -> str:
    """A word without its case and signs: nodeExporter, node-exporter and node_exporter are one."""
    return "".join(re.findall("[a-z0-9]+", word.lower()))


def _tokens(*words: str) -> list[str]:
    """The single words of names in camel case, or with hyphens; a plural counts as its singular.

    >>> _tokens("kubeStateMetrics", "node-exporter")
    ['kube', 'state', 'metric', 'node', 'exporter']
    """
    found = [token.lower() for word in words for token in _TOKEN.findall(word)]
    return [
        token[:-1] if len(token) > 3 and token.endswith("s") and not token.endswith("ss") else token for token in found
    ]
