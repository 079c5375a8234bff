"""Values of Helm releases: which keys set the resources of containers, in which of the layers that Helm merges.

A release has layers, the lowest first: the values of the chart itself, files of values, values written where the
release is declared. A site is in the topmost layer that sets the resources. Where that layer is of several releases,
the site is in the topmost one that is the release's own, unless --in-base is given.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass, replace
from typing import Literal

from mora.repo.checkout import Checkout
from mora.repo.layers import Deeper, Layer, Merged, Parameter, Part, Release, merged
from mora.repo.manifests import known, written_in
from mora.repo.sites import FIELDS, Address, Claim, Field, Site, Texts, Wanted, WriteOptions
from mora.repo.templates import filled
from mora.repo.tree import (
    Key,
    Mapping,
    Scalar,
    Sequence,
    at,
    child,
    entries_of,
    entry,
    is_null,
    line_of,
    resolved,
)
from mora.repo.writing import write_resources

_RESOURCES = re.compile(r"(?:^|[a-z0-9_.-])resources$|^resources$", re.IGNORECASE)
# What has requests, but of storage.
_STORAGE = re.compile(r"volumeclaim|persistentvolume|persistence|^pvc$|storagespec", re.IGNORECASE)
_LISTS = re.compile(r"containers$|sidecars$", re.IGNORECASE)
# The values of bjw-s' app-template and common library: controllers.X.containers.Y.
_CONTROLLERS, _CONTAINERS = "controllers", {"containers": False, "initContainers": True}
_KINDS = {
    "deployment": "Deployment",
    "statefulset": "StatefulSet",
    "daemonset": "DaemonSet",
    "cronjob": "CronJob",
    "job": "Job",
}
_REPLICAS = ("replicas", "replicaCount")


def sites_of(checkout: Checkout, releases: Iterable[Release]) -> Iterator[Site]:
    """The sites of all releases; a layer that several of them have is shared."""
    releases = list(releases)
    users = Counter(layer.key for one in releases for layer in {layer.key: layer for layer in one.layers}.values())
    for release in releases:
        yield from _Values(checkout, release, users).sites()


# --- the merged values of one release --------------------------------------------------------------------------------


class _Values:
    """The merged values of one release."""

    def __init__(self, checkout: Checkout, release: Release, users: AbstractMapping[tuple[str, Address], int]) -> None:
        self._checkout, self._release, self._users = checkout, release, users
        self._root = merged(release)

    def sites(self) -> Iterator[Site]:
        """Every place of these values that sets the resources of a container, or could."""
        yield from self._walk(self._root)

    def _walk(self, here: Merged) -> Iterator[Site]:
        if _is_off(here):
            return
        names = here.names
        for name in names:
            below = here.below(name)
            if _RESOURCES.search(name) and _is_resources(below):
                yield from self._site(here, name, below)
            elif _RESOURCES.search(name) and isinstance(below.top, Mapping):
                # Some charts have the components below: resources.operator.requests
                for inner in below.names:
                    if inner not in ("requests", "limits") and _sets_amounts(below.below(inner)):
                        yield from self._site(below, inner, below.below(inner))
            elif isinstance(below.top, Mapping | Deeper) and not _STORAGE.search(name):
                yield from self._walk(below)
            elif isinstance(below.top, Sequence):
                yield from self._walk_list(below, below.top)
        if _schema(here.keys) is not None and "resources" not in names and "image" in names:
            yield from self._site(here, "resources", Merged((), (*here.keys, "resources")))

    def _walk_list(self, here: Merged, items: Sequence) -> Iterator[Site]:
        """A list is of the topmost layer alone: Helm does not merge lists."""
        part = here.parts[0]
        for place, item in enumerate(items.items):
            if isinstance(resolved(item), Mapping):
                inner = Part(part.layer, item, (*part.path, place))
                yield from self._walk(Merged((inner,), (*here.keys, place)))

    # --- one site ---

    def _site(self, holder: Merged, name: str, resources: Merged) -> Iterator[Site]:
        written = self._written(resources)
        claim = self._claim(holder, name)
        if claim is None:
            return
        given = self._defaults(holder, resources)
        target = self._target(holder, resources)
        if target is None:
            return
        layer, keys = target
        own = next((part for part in resources.parts if part.layer.key == layer.key), None)
        sets = frozenset(written_in(resolved(own.node))) if own is not None else frozenset()
        base = next((part for part in resources.parts if written_in(resolved(part.node))), None)
        is_shared = self._users[layer.key] > 1
        given_alone = self._parameters(resources.keys)
        is_known = self._release.knows_chart or _schema(holder.keys) is not None
        others = [resolved(part.node) for part in resources.parts if part.layer.key != layer.key]
        lower = {one for node in others for one in written_in(node)}
        drops_by: Literal["delete", "null"] = "delete" if is_known and not lower and not given else "null"
        writer = None
        if given or given_alone or (base is not None and base.layer.key != layer.key):
            in_base = None if base is None else (base.layer.file, base.layer.address.below(*base.path))
            writer = _Writer(given_alone, in_base, given)
        replicas, count = self._replicas(holder, layer)
        address = layer.address.below(*keys)
        yield Site(
            form=self._release.form,
            file=layer.file,
            address=address,
            claim=claim,
            written={**given, **written, **{name: one.text for name, one in given_alone.items()}},
            sets=sets | frozenset(given_alone),
            drops_by=drops_by,
            replicas=replicas,
            written_replicas=count,
            shared=f"{self._users[layer.key]} releases build on these values" if is_shared else None,
            line=self._line(layer, keys),
            writer=writer,
        )

    def _written(self, resources: Merged) -> dict[Field, str]:
        """The quantities as they are merged, as text; null in a layer hides those below."""
        found: dict[Field, str] = {}
        for part in reversed(resources.parts):
            node = resolved(part.node)
            for section in ("requests", "limits"):
                for key, value in entries_of(at(node, section)).items():
                    one: Field = (section, key)
                    value = resolved(value)
                    if is_null(value):
                        found.pop(one, None)
                    elif isinstance(value, Scalar) and key in ("cpu", "memory"):
                        found[one] = value.text
        return found

    def _defaults(self, holder: Merged, resources: Merged) -> dict[Field, str]:
        """What app-template gives containers without resources of their own."""
        schema = _schema(holder.keys)
        if schema is None or resources.parts:
            return {}
        found: dict[Field, str] = {}
        for keys in (holder.keys[:schema], holder.keys[: schema + 2]):
            here = self._root.below(*(str(key) for key in keys), "defaultContainerOptions", "resources")
            found |= self._written(here)
        return found

    def _target(self, holder: Merged, resources: Merged) -> tuple[Layer, tuple[Key, ...]] | None:
        """The layer that is changed, and the keys of the resources in it."""
        setting = [part for part in resources.parts if written_in(resolved(part.node))] or list(resources.parts)
        if not setting:  # app-template's container without resources: they go where the container is
            setting = [Part(part.layer, part.node, (*part.path, "resources")) for part in holder.parts]
        if not setting:
            return None
        best = setting[0]
        if self._users[best.layer.key] > 1:
            layers = reversed(self._release.layers)
            own = [layer for layer in layers if self._users[layer.key] == 1 and not layer.is_chart]
            in_list = any(isinstance(key, int) for key in resources.keys)
            for layer in own if not in_list else ():
                if resources.keys[: len(layer.under)] == layer.under:
                    return layer, resources.keys[len(layer.under) :]
        return best.layer, best.path

    def _parameters(self, keys: tuple[Key, ...]) -> dict[Field, Parameter]:
        fields = {name: self._release.parameters.get((*(str(key) for key in keys), *name)) for name in FIELDS}
        return {name: one for name, one in fields.items() if one is not None}

    def _replicas(self, holder: Merged, layer: Layer) -> tuple[Address | None, str | None]:
        schema = _schema(holder.keys)
        place = holder if schema is None else self._root.below(*(str(key) for key in holder.keys[: schema + 2]))
        for name in _REPLICAS:
            found = place.below(name).parts
            if found and found[0].layer.key == layer.key:
                return layer.address.below(*found[0].path), place.text(name)
        return None, None

    def _line(self, layer: Layer, keys: tuple[Key, ...]) -> int | None:
        """The line of the last key that is there."""
        if layer.node is None:
            return None
        node, offset = layer.node, layer.node.start
        for key in keys:
            here = resolved(node)
            found = entry(here, key) if isinstance(here, Mapping) and isinstance(key, str) else None
            inner = found[1] if found is not None else child(here, key)
            if inner is None:
                break
            node, offset = inner, inner.start if found is None else found[0].start
        text = self._checkout.text(layer.file) or ""
        if layer.address.inner is None:
            return line_of(text, offset)
        root = self._checkout.documents(layer.file)[layer.address.document].root
        holder = at(root, *layer.address.path)
        return line_of(text, holder.start) + line_of(holder.text, offset) if isinstance(holder, Scalar) else None

    # --- whose it is ---

    def _claim(self, holder: Merged, name: str) -> Claim | None:
        release, keys = self._release, holder.keys
        claim = Claim(
            namespace=known(release.namespace),
            image=self._image(holder),
            release=known(release.name),
            release_namespace=known(release.namespace),
            source=release.source,
            words=tuple(key for key in keys if isinstance(key, str)),
            charts=tuple(dict.fromkeys(name for name in (self._release.chart, self._chart(keys)) if name is not None)),
            environment=release.environment,
        )
        schema = _schema(keys)
        if schema is not None:
            controller = self._root.below(*(str(key) for key in keys[: schema + 2]))
            if _is_off(controller):
                return None
            kind = _KINDS.get((controller.text("type") or "deployment").lower())
            container = holder.text("nameOverride") or str(keys[-1])
            is_init = _CONTAINERS[str(keys[schema + 2])]
            return replace(claim, kind=kind, container=known(container), is_init=is_init)
        if keys and isinstance(keys[-1], int):
            item, listed = holder.text("name"), next((key for key in reversed(keys) if isinstance(key, str)), "")
            if item is not None and _LISTS.search(listed):
                return replace(claim, container=item, is_init=listed.lower().startswith("init"))
        if "defaultContainerOptions" in keys:
            return None
        claim = claim if name == "resources" else replace(claim, words=(*claim.words, name))
        return self._told_by_template(claim, (*keys, name))

    def _chart(self, keys: tuple[Key, ...]) -> str | None:
        """The chart whose values these are: the one within the release's that the first key names, else that itself."""
        return self._release.charts.get(str(keys[0])) or self._release.chart if keys else self._release.chart

    def _told_by_template(self, claim: Claim, keys: tuple[Key, ...]) -> Claim:
        """The claim with the kind, name and container that the one template says that uses the value."""
        uses = [use for use in self._release.uses if use.keys == keys]
        if len(uses) != 1:
            return claim
        use = uses[0]
        return replace(
            claim,
            kind=use.kind,
            name=filled(use.name, lambda name: self._filling(name, use.under)),
            container=filled(use.container, lambda name: self._filling(name, use.under)),
        )

    def _filling(self, name: str, under: tuple[str, ...]) -> str | None:
        """What an action such as .Values.web.name gives in a template of the chart that is under these keys."""
        first, *rest = name.split(".")
        if first == "Values" and rest:
            return self._root.text(*under, *rest)
        return {"Release.Name": self._release.name, "Chart.Name": self._chart(under)}.get(name)

    def _image(self, holder: Merged) -> str | None:
        """The image beside the resources: a text, or registry, repository and tag."""
        whole = holder.text("image")
        if whole is not None:
            return whole
        name = holder.text("image", "repository")
        if name is None:
            return None
        tag = holder.text("image", "tag")
        return name if tag is None else f"{name}:{tag}"


def _is_off(here: Merged) -> bool:
    return bool(here.keys) and (here.text("enabled") or "").lower() == "false"


def _is_resources(here: Merged) -> bool:
    """Whether a value is the resources of a container: CPU or memory, and no storage; or empty, for them."""
    for part in here.parts:
        node = resolved(part.node)
        if isinstance(node, Mapping) and node.entries:
            sections = [at(node, "requests"), at(node, "limits")]
            amounts = {key for one in sections for key in entries_of(one)}
            return bool(amounts & {"cpu", "memory"}) or (any(sections) and "storage" not in amounts)
        if not isinstance(node, Mapping) and not is_null(node):
            return False
    return bool(here.parts)


def _sets_amounts(here: Merged) -> bool:
    return any(part.layer.node is not None and written_in(resolved(part.node)) for part in here.parts)


def _schema(keys: tuple[Key, ...]) -> int | None:
    """Where `controllers` stands in the keys of a container of app-template; None for any others."""
    if len(keys) < 4 or keys[-4] != _CONTROLLERS or keys[-2] not in _CONTAINERS:
        return None
    return len(keys) - 4


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes parameters where they are set, and the other numbers into the layer of the site.

    base: the file and the address where the numbers are set now, in a layer that other releases have as well; they are
    changed there with --in-base. given: what a container gets as long as it has no resources of its own.
    """

    parameters: AbstractMapping[Field, Parameter]
    base: tuple[str, Address] | None
    given: AbstractMapping[Field, str]

    def __call__(self, checkout: Checkout, texts: Texts, site: Site, wanted: Wanted, options: WriteOptions) -> Texts:
        """The files that change."""
        found: Texts = {}
        kept = self.given if wanted.fields else {}
        fields = {**kept, **{name: to for name, to in wanted.fields.items() if name not in self.parameters}}
        rest = replace(wanted, fields=fields)
        for name, parameter in self.parameters.items():
            if name in wanted.fields:
                one = replace(site, file=parameter.file, fields={name: parameter.address}, writer=None)
                only = Wanted({name: wanted.fields[name]})
                found |= write_resources(checkout, texts | found, one, only, options)
        if options.in_base and self.base is not None:
            site = replace(site, file=self.base[0], address=self.base[1], replicas=None)
        return found | write_resources(checkout, texts | found, replace(site, writer=None), rest, options)
