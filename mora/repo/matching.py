"""Which site is the place of a live container: by evidence, which is scored and told.

What is known of a site and differs from the live container rules it out. Of the rest the one with the most evidence is
the place, if it leads clearly; where two fit equally, neither is, and both are named.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mora.domain import Container, Recommendation, Resources, Role, Workload, WorkloadState
from mora.errors import BadInput
from mora.outputs.changes import quantity
from mora.quantities import parse_cpu, parse_memory
from mora.repo.affinity import affinity, chart_of, named, names_one
from mora.repo.sites import FIELDS, Claim, Field, Site

# Points of evidence. Only their order and their sums matter: an object's own kind and name is enough alone; so is a
# Helm release with one word or image beside it; today's values alone never are.
_KIND_AND_NAME, _RELEASE, _SOURCE, _NAMESPACE, _CONTAINER = 40, 25, 15, 15, 15
_IMAGE, _TAG, _OTHER_IMAGE, _LABEL, _OTHER_LABEL = 20, 6, -15, 4, -12
_CHART, _NAMED_LIKE_CHART, _ENVIRONMENT, _OTHER_ENVIRONMENT, _VALUE, _OTHER_VALUE = 25, 15, 8, -8, 4, -3
_ENOUGH = 40
# By how much a place must lead: more than one number that happens to be the same.
_LEAD = 6

_LABELS = ("app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component", "app", "k8s-app")
_AMOUNTS: Mapping[Field, str] = {
    ("requests", "cpu"): "cpu_request_millicores",
    ("limits", "cpu"): "cpu_limit_millicores",
    ("requests", "memory"): "memory_request_bytes",
    ("limits", "memory"): "memory_limit_bytes",
}


@dataclass(frozen=True, slots=True)
class Live:
    """A workload as the cluster has it, with what says who deployed it.

    release: name and namespace of the Helm release, None where unknown. sources: the objects of GitOps tools that
    deploy it, as (kind, namespace or "", name).
    """

    workload: Workload
    containers: tuple[Container, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    release: tuple[str, str | None] | None = None
    sources: frozenset[tuple[str, str, str]] = frozenset()

    @classmethod
    def of_state(cls, state: WorkloadState) -> Live:
        """What an inventory knows."""
        labels, annotations = state.labels, state.annotations
        workload = state.template_in or state.workload
        containers = tuple(c for c in state.allocation.containers if not c.is_injected)
        return cls(
            workload,
            containers,
            labels,
            _release(labels, annotations),
            _sources(labels, annotations),
        )

    @classmethod
    def of_recommendation(cls, recommendation: Recommendation, state: WorkloadState | None = None) -> Live:
        """What a recommendation knows, with the labels and annotations of the state that it was made from."""
        containers = tuple(c for c in recommendation.current.containers if not c.is_injected)
        own = cls(recommendation.manifest, containers)
        if state is None:
            return own
        known = cls.of_state(state)
        return replace(own, labels=known.labels, release=known.release, sources=known.sources)


def _release(labels: Mapping[str, str], annotations: Mapping[str, str]) -> tuple[str, str | None] | None:
    name = annotations.get("meta.helm.sh/release-name")
    if name is not None:
        return name, annotations.get("meta.helm.sh/release-namespace")
    if labels.get("app.kubernetes.io/managed-by") == "Helm" and "app.kubernetes.io/instance" in labels:
        return labels["app.kubernetes.io/instance"], None
    return None


def _sources(labels: Mapping[str, str], annotations: Mapping[str, str]) -> frozenset[tuple[str, str, str]]:
    found = set()
    for kind, prefix in (("HelmRelease", "helm.toolkit.fluxcd.io"), ("Kustomization", "kustomize.toolkit.fluxcd.io")):
        if f"{prefix}/name" in labels:
            found.add((kind, labels.get(f"{prefix}/namespace", ""), labels[f"{prefix}/name"]))
    # NAME:GROUP/KIND:NAMESPACE/NAME of the object; the application's own namespace may stand before its name.
    tracking = annotations.get("argocd.argoproj.io/tracking-id", "").partition(":")[0]
    application = tracking.rpartition("_")[2] or labels.get("argocd.argoproj.io/instance", "")
    if application:
        found.add(("Application", "", application))
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the resources of a live container are set in the repository, or why that is not known.

    evidence: what speaks for the site, as text. others: sites that fit as well, so that none was chosen.
    """

    workload: Workload
    container: Container
    site: Site | None
    evidence: tuple[str, ...] = ()
    reason: str = ""
    others: tuple[Site, ...] = ()


def place(live: Iterable[Live], sites: Sequence[Site]) -> list[Placement]:
    """A placement for each container of each workload, in their order."""
    by_name: dict[tuple[str | None, str | None], list[Site]] = defaultdict(list)
    for site in sites:
        by_name[site.claim.kind, site.claim.name].append(site)
    found: list[tuple[Live, Placement]] = []
    for one in live:
        keys = {(kind, name) for kind in (one.workload.kind, None) for name in (one.workload.name, None)}
        near = [site for key in sorted(keys, key=str) for site in by_name.get(key, ())]
        found += [(one, _placed(one, container, near)) for container in one.containers]
    return _once_each(_without_doubles(found))


def _placed(live: Live, container: Container, sites: Sequence[Site]) -> Placement:
    scored = [(*score, site) for site in sites if (score := evidence(live, container, site)) is not None]
    scored.sort(key=lambda one: (-one[0], one[2].file, str(one[2].address)))
    best = [one for one in scored if one[0] >= _ENOUGH]
    if not best:
        return Placement(live.workload, container, None, reason=_why_none(live, container, sites, scored))
    points, words, site = best[0]
    rivals = [one[2] for one in best[1:] if points - one[0] < _LEAD and one[2].key != site.key]
    if rivals:
        listed = " and ".join(one.where for one in (site, *rivals[:3]))
        reason = f"{len(rivals) + 1} places fit equally: {listed}"
        return Placement(live.workload, container, None, words, reason, (site, *rivals))
    return Placement(live.workload, container, site, words)


def _why_none(
    live: Live, container: Container, sites: Sequence[Site], scored: Sequence[tuple[int, tuple[str, ...], Site]]
) -> str:
    if scored:
        _, words, site = scored[0]
        known = ", ".join(words) or "nothing"
        return f"the nearest place is {site.where}, and too little speaks for it ({known})"
    named = [site for site in sites if site.claim.name == live.workload.name]
    if named:
        others = sorted({why for site in named if (why := _differs(live, container, site.claim)) is not None})
        return f"no file sets it; {named[0].where} is of the same name, but {others[0] if others else 'differs'}"
    return f"no file of the repository has a {live.workload.kind} {live.workload.name}, or values that lead to it"


def _without_doubles(placements: Sequence[tuple[Live, Placement]]) -> list[Placement]:
    """Take sites away that only keys lead to, where another container without a place has the very numbers of it.

    A chart may set both by one value, and nothing but its templates says so.
    """
    homeless = [(live, one) for live, one in placements if one.site is None and one.container.resources != Resources()]
    found = []
    for live, one in placements:
        site = one.site
        if site is None or not site.claim.is_of_chart or site.claim.container is not None:
            found.append(one)
            continue
        doubles = [
            other
            for near, other in homeless
            if near.release == live.release and near.workload.namespace == live.workload.namespace
            if evidence(near, other.container, site) is not None
            if not names_one(site.claim.words) or keys_of(near, other.container, site.claim)[0] > 0
        ]
        if doubles:
            names = ", ".join(sorted({_who(other) for other in (one, *doubles)}))
            reason = f"{site.where} may set the resources of several containers alike: {names}"
            one = replace(one, site=None, reason=reason, others=(site,))
        found.append(one)
    return found


def _once_each(placements: Sequence[Placement]) -> list[Placement]:
    """Take a site away from containers of several workloads: one number cannot be right for all of them."""
    owners: dict[tuple[str, object], list[Placement]] = defaultdict(list)
    for one in placements:
        if one.site is not None:
            owners[one.site.key].append(one)
    found = []
    for one in placements:
        users = owners[one.site.key] if one.site is not None else []
        if one.site is not None and len(users) > 1:
            names = ", ".join(sorted({_who(user) for user in users}))
            sets = "may set" if one.site.claim.is_of_chart else "sets"  # only the chart's templates know for sure
            reason = f"{one.site.where} {sets} the resources of several containers alike: {names}"
            found.append(replace(one, site=None, reason=reason, others=(one.site,)))
        else:
            found.append(one)
    return found


def _who(placement: Placement) -> str:
    workload = placement.workload
    return f"{workload.namespace}/{workload.name} {placement.container.name}"


# --- evidence --------------------------------------------------------------------------------------------------------


def evidence(live: Live, container: Container, site: Site) -> tuple[int, tuple[str, ...]] | None:
    """Points and words for a site as the place of a live container; None where something rules it out."""
    claim = site.claim
    if _differs(live, container, claim) is not None or _contradicts(container, site) is not None:
        return None
    points, words = 0, []
    if claim.environment is not None and not site.sets and not _is_of_environment(live, claim.environment):
        points += _OTHER_ENVIRONMENT
    for worth, text in (
        *_identity(live, container, claim),
        *_image(container, claim),
        *_labels(live, claim),
        *_named(live, container, claim),
        *_amounts(container, site.written),
    ):
        points += worth
        if text and worth > 0:
            words.append(text)
    return points, tuple(dict.fromkeys(words))


def _differs(live: Live, container: Container, claim: Claim) -> str | None:
    """What rules a site out, as text; None where nothing does."""
    workload = live.workload
    for word, mine, other in (
        ("kind", claim.kind, workload.kind),
        ("name", claim.name, workload.name),
        ("namespace", claim.namespace, workload.namespace),
        ("container", claim.container, container.name),
    ):
        if mine is not None and mine != other:
            return f"its {word} is {mine}, not {other}"
    if claim.is_init is not None and claim.is_init != (container.role in (Role.INIT, Role.NATIVE_SIDECAR)):
        return "one is an init container, and the other is not"
    if live.release is not None and live.release[1] is not None and not claim.is_of_chart:
        # By its own annotation, which nothing but Helm writes.
        return f"Helm installed it, as the release {live.release[0]}"
    if claim.release is not None and live.release is not None:
        name, namespace = live.release
        if claim.release != name:
            return f"it is of the Helm release {claim.release}, not {name}"
        if None not in (namespace, claim.release_namespace) and claim.release_namespace != namespace:
            return f"its Helm release is in the namespace {claim.release_namespace}, not {namespace}"
    for kind, namespace, name in live.sources:
        of_kind = [one for one in claim.source if one[0] == kind]
        if of_kind and not any(n == name and (not ns or not namespace or ns == namespace) for _, ns, n in of_kind):
            return f"it is deployed by the {kind} {of_kind[0][2]}, not {name}"
    return None


def _contradicts(container: Container, site: Site) -> str | None:
    """What rules out a site whose container is only guessed from keys: a number that is not today's, as text."""
    if not site.claim.is_of_chart or site.claim.container is not None:
        return None
    live = container.resources if container.written is None else container.written
    for name, text in site.written.items():
        amount = millis(name, text)
        if amount is not None and amount != getattr(live, _AMOUNTS[name]):
            return f"its {name[1]} {name[0].removesuffix('s')} is {text}, which the container does not have today"
    return None


Points = list[tuple[int, str]]


def _identity(live: Live, container: Container, claim: Claim) -> Points:
    found: Points = []
    if claim.kind is not None and claim.name is not None:
        found.append((_KIND_AND_NAME, f"{claim.kind} {claim.name}"))
    if claim.namespace is not None:
        found.append((_NAMESPACE, f"namespace {claim.namespace}"))
    if claim.container is not None:
        found.append((_CONTAINER, f"container {claim.container}"))
    if claim.release is not None and live.release is not None:
        found.append((_RELEASE, f"Helm release {claim.release}"))
    kinds = {kind for kind, _, _ in live.sources}
    deployed = [f"{kind} {name}" for kind, _, name in claim.source if kind in kinds]
    return [*found, *([(_SOURCE, f"deployed by the {deployed[0]}")] if deployed else [])]


def _image(container: Container, claim: Claim) -> Points:
    if container.image is None or claim.image is None:
        return []
    (mine, tag), (live, live_tag) = split_image(claim.image), split_image(container.image)
    # A mirror changes the registry, and not the last part.
    own, other = mine.rpartition("/")[2], live.rpartition("/")[2]
    if own != other:  # templates of charts add to what values say (operator-generic)
        return [] if own in other or other in own else [(_OTHER_IMAGE, "")]
    is_same_tag = tag is not None and tag == live_tag
    return [(_IMAGE, f"image {live}"), (_TAG if is_same_tag else 0, f"image tag {tag}")]


def split_image(image: str) -> tuple[str, str | None]:
    """Repository and tag (or digest) of an image.

    >>> split_image("ghcr.io:443/shop/web:1.2@sha256:ab"), split_image("nginx")
    (('ghcr.io:443/shop/web', '1.2'), ('nginx', None))
    """
    name, _, digest = image.partition("@")
    folder, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    return f"{folder}{slash}{last}", tag or digest or None


def _labels(live: Live, claim: Claim) -> Points:
    found: Points = []
    for label in _LABELS:
        mine, other = claim.labels.get(label), live.labels.get(label)
        if mine is not None and other is not None:
            found.append((_LABEL, f"label {label}") if mine == other else (_OTHER_LABEL, ""))
    return found


def _named(live: Live, container: Container, claim: Claim) -> Points:
    """The chart, the environment, and keys above the site that name the container or the component."""
    if not claim.is_of_chart:
        return []
    found: Points = []
    chart = chart_of(live.labels)
    if claim.release is None and chart in claim.charts:
        found.append((_CHART, f"chart {chart}"))
    if claim.release is None and live.release is not None and live.release[0] in claim.charts:
        found.append((_NAMED_LIKE_CHART, f"Helm release {live.release[0]}, named like the chart"))
    if claim.environment is not None and _is_of_environment(live, claim.environment):
        found.append((_ENVIRONMENT, f"environment {claim.environment}"))
    points, keys = keys_of(live, container, claim)
    return [*found, (points, f"keys {'.'.join(keys)}" if keys else "the chart's own resources")]


def _is_of_environment(live: Live, environment: str) -> bool:
    """Whether the namespace or the release is named after an environment."""
    names = (live.workload.namespace, *((live.release[0],) if live.release else ()))
    return any(environment in name.split("-") for name in names)


def keys_of(live: Live, container: Container, claim: Claim) -> tuple[int, tuple[str, ...]]:
    """Points for the keys above a site as those of a container, and the keys that name it."""
    release = None if live.release is None else live.release[0]
    image = None if container.image is None else split_image(container.image)[0]
    workload = live.workload
    name = named(container, workload.name, workload.kind, live.labels, release, image)
    return affinity(name, claim.words)


def _amounts(container: Container, written: Mapping[Field, str]) -> Points:
    live = container.resources if container.written is None else container.written
    found: Points = []
    for name in FIELDS:
        mine, other = millis(name, written.get(name)), getattr(live, _AMOUNTS[name])
        if mine is None and other is None:
            continue
        found.append((_VALUE, "") if mine == other else (_OTHER_VALUE, ""))
    if found and all(points == _VALUE for points, _ in found):
        found[0] = (_VALUE, "today's values")
    return found


def drift(placement: Placement) -> str:
    """How the repository's numbers differ from what the cluster has now, as text; nothing where they do not.

    The repository may be ahead of the cluster, or the cluster was changed by hand.
    """
    site, container = placement.site, placement.container
    if site is None:
        return ""
    live = container.resources if container.written is None else container.written
    parts = []
    for name in FIELDS:
        mine, other = millis(name, site.written.get(name)), getattr(live, _AMOUNTS[name])
        if mine != other and (mine is not None or site.written.get(name) is None):
            now = "nothing" if other is None else quantity(name[1], other)
            parts.append(f"{name[1]} {name[0].removesuffix('s')} {site.written.get(name, 'nothing')}, not {now}")
    return "; ".join(parts)


def millis(name: Field, text: str | None) -> int | None:
    """A quantity of a field as millicores or bytes; None where there is none, or it cannot be read (a variable)."""
    if text is None:
        return None
    try:
        return parse_cpu(text) if name[1] == "cpu" else parse_memory(text)
    except BadInput:
        return None
