"""The form of Kustomize: a container's resources are what its manifest says, and every patch above that.

What is deployed is a tree: a root (a kustomization that no other builds on, or one that Flux or Argo CD deploys) down
to the manifests. A number is set where the outermost layer sets it. A file that several deployed objects share is never
changed for one of them: the root gets a patch of its own, unless --in-base allows it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

from mora.domain import API_VERSIONS
from mora.outputs.patches import template_path
from mora.repo.checkout import Checkout, Object, objects_in
from mora.repo.kustomizations import Kustomization, Patch, deployers, folders, of_folder, selects
from mora.repo.manifests import LISTS, known, labels_of, written_in
from mora.repo.patching import Layer, PatchWriter
from mora.repo.sites import FIELDS, Address, Claim, Field, Site
from mora.repo.tree import Node, at, items_at, text_at

_DEEPEST = 30


@dataclass(slots=True, eq=False)
class Built:
    """An object as one root builds it. names, namespaces: all that it had on the way; the last ones are the final.

    layers: container (is_init, name) -> its layers, the innermost first. replicas: the layers that set those.
    """

    one: Object
    names: list[str]
    namespaces: list[str]
    labels: dict[str, str]
    containers: list[tuple[bool, str, str | None]]
    layers: dict[tuple[bool, str], list[Layer]] = field(default_factory=dict)
    replicas: list[Layer] = field(default_factory=list)


def sites(checkout: Checkout) -> Iterator[Site]:
    """A site for each container of each workload of each root."""
    built = [(root, one) for root in roots(checkout) for one in _build(checkout, root)]
    users: dict[object, set[object]] = defaultdict(set)
    for root, one in built:
        for layer in (*one.replicas, *(layer for layers in one.layers.values() for layer in layers)):
            users[layer.key].add((id(root), one.one.kind, one.names[-1], tuple(one.namespaces[-1:])))
    counts = {key: len(found) for key, found in users.items()}
    for root, one in built:
        yield from _sites_of(checkout, root, one, counts)


def roots(checkout: Checkout) -> list[Kustomization]:
    """What is deployed: by Flux and Argo CD, and every other kustomization that nothing builds on."""
    found = checkout.memo.get("kustomize roots")
    if found is None:
        by_folder = {folder: one for folder in folders(checkout) if (one := of_folder(checkout, folder)) is not None}
        deployed = list(deployers(checkout))
        used = {path for one in (*by_folder.values(), *deployed) for path in (*one.resources, *one.components)}
        plain = [
            one
            for folder, one in by_folder.items()
            if folder not in used and (folder or ".") not in used and text_at(one.node, "kind") != "Component"
        ]
        found = checkout.memo["kustomize roots"] = [*deployed, *plain]
    return cast("list[Kustomization]", found)


def files_of(checkout: Checkout) -> frozenset[str]:
    """The files that kustomizations build on or patch with: they are no manifests on their own."""
    found: set[str] = set()
    waiting, seen = list(roots(checkout)), set()
    while waiting:
        one = waiting.pop()
        if (one.file, one.path) in seen:
            continue
        seen.add((one.file, one.path))
        if one.source is None:
            found.add(one.file)
        found.update(patch.file for patch in one.patches if patch.address.inner is None)
        for path in (*one.resources, *one.components):
            inner = of_folder(checkout, path) if checkout.is_folder(path) else None
            if inner is not None:
                waiting.append(inner)
            else:
                found.add(path)
    return frozenset(found)


# --- building --------------------------------------------------------------------------------------------------------


def _build(
    checkout: Checkout, root: Kustomization, above: tuple[str, ...] = (), found: list[Built] | None = None
) -> list[Built]:
    """The workloads that a kustomization builds, with the layers of their containers so far.

    found: what is there already: a component adds to it, and patches and transforms all of it.
    """
    found = [] if found is None else found
    if len(above) > _DEEPEST or root.file in above:
        return found
    below = (*above, root.file) if root.source is None else above
    for path in root.resources:
        inner = of_folder(checkout, path) if checkout.is_folder(path) else None
        if inner is not None:
            found += _build(checkout, inner, below)
        elif checkout.is_file(path):
            for number, document in enumerate(checkout.documents(path)):
                found += [_built(checkout, one) for one in objects_in(document.root, path, number) if _is_workload(one)]
    for path in root.components:
        component = of_folder(checkout, path)
        if component is not None:
            _build(checkout, component, below, found)
    _patch(checkout, root, found)
    for one in found:
        _transform(root, one)
    return found


def _is_workload(one: Object) -> bool:
    return one.kind in API_VERSIONS and one.name is not None


def _built(checkout: Checkout, one: Object) -> Built:
    name = one.name or ""
    made = Built(one, [name], [one.namespace] if one.namespace else [], labels_of(one.node), [])
    template = template_path(one.kind)
    for key, is_init in LISTS:
        for place, container in enumerate(items_at(one.node, *template, "spec", key)):
            called = text_at(container, "name")
            if called is None:
                continue
            made.containers.append((is_init, called, text_at(container, "image")))
            base = Address(one.document, (*one.path, *template, "spec", key, place, "resources"))
            values = {f: (text, base.below(*f)) for f, text in written_in(at(container, "resources")).items()}
            line = checkout.line(one.file, container.start)
            made.layers[is_init, called] = [Layer(one.file, base, values, line=line, form="manifest")]
    count = text_at(one.node, "spec", "replicas")
    if count is not None:
        address = Address(one.document, (*one.path, "spec", "replicas"))
        made.replicas.append(Layer(one.file, None, {}, replicas=(count, address)))
    return made


def _patch(checkout: Checkout, root: Kustomization, found: list[Built]) -> None:
    """Add the layers of a kustomization's patches; a patch of what is not here makes an object of its own."""
    for patch in root.patches:
        hits = [one for one in found if _applies(patch, one)]
        for one in hits:
            (_add_operations if patch.is_json else _add_part)(checkout, patch, one)
        if not hits and not patch.is_json and patch.target is None:
            # The base is elsewhere, behind an address: the patch alone tells of the object.
            for part in objects_in(patch.node, patch.file, patch.address.document):
                if _is_workload(part) and text_at(part.node, "$patch") is None:
                    made = _built(checkout, part)
                    made.layers, made.replicas = {}, []
                    _add_part(checkout, patch, made)
                    found.append(made)
    for place, item in enumerate(items_at(root.node, "replicas")):
        name, count = text_at(item, "name"), text_at(item, "count")
        for one in found:
            if name in one.names and count is not None:
                address = root.address("replicas", place, "count")
                one.replicas.append(Layer(root.file, None, {}, replicas=(count, address)))


def _applies(patch: Patch, one: Built) -> bool:
    if patch.target is not None:
        return selects(patch.target, one.one.kind, set(one.names), set(one.namespaces) or {"default"}, one.labels)
    if text_at(patch.node, "kind") != one.one.kind or text_at(patch.node, "metadata", "name") not in one.names:
        return False
    namespace = text_at(patch.node, "metadata", "namespace")
    return namespace is None or not one.namespaces or namespace in one.namespaces


def _add_part(checkout: Checkout, patch: Patch, one: Built) -> None:
    """The layers of a strategic merge patch, container by container."""
    template = template_path(one.one.kind)
    for key, is_init in LISTS:
        listed = items_at(patch.node, *template, "spec", key)
        _order(one, is_init, listed)
        for place, container in enumerate(listed):
            name = text_at(container, "name")
            if name is None or text_at(container, "$patch") is not None:
                continue
            base = patch.address.below(*template, "spec", key, place, "resources")
            values = {f: (text, base.below(*f)) for f, text in written_in(at(container, "resources")).items()}
            line = checkout.line(patch.file, container.start) if patch.address.inner is None else None
            layer = Layer(patch.file, base, values, line=line, form="Kustomize patch")
            one.layers.setdefault((is_init, name), []).append(layer)
    count = text_at(patch.node, "spec", "replicas")
    if count is not None:
        one.replicas.append(Layer(patch.file, None, {}, replicas=(count, patch.address.below("spec", "replicas"))))


def _order(one: Built, is_init: bool, listed: list[Node]) -> None:
    """Put containers as Kustomize merges them: those that a patch lists come first, in the patch's order."""
    there = {name: image for init, name, image in one.containers if init is is_init}
    wanted = {name: text_at(item, "image") for item in listed if (name := text_at(item, "name")) is not None}
    gone = {text_at(item, "name") for item in listed if text_at(item, "$patch") == "delete"}
    names = [name for name in dict.fromkeys([*wanted, *there]) if name not in gone]
    own = [(is_init, name, wanted.get(name) or there.get(name)) for name in names]
    one.containers = [*(item for item in one.containers if item[0] is not is_init), *own]


def _add_operations(checkout: Checkout, patch: Patch, one: Built) -> None:
    """The layers of a JSON patch: operations on `resources`, or below it, of a container by its place."""
    template = template_path(one.one.kind)
    for number, operation in enumerate(items_at(patch.node)):
        path = text_at(operation, "path") or ""
        if text_at(operation, "op") not in ("add", "replace"):
            continue
        keys = [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]
        value = patch.address.below(number, "value")
        if keys == ["spec", "replicas"] and (count := text_at(operation, "value")) is not None:
            one.replicas.append(Layer(patch.file, None, {}, replicas=(count, value)))
            continue
        if keys in (["metadata", "name"], ["metadata", "namespace"]) and (text := text_at(operation, "value")):
            (one.names if keys[1] == "name" else one.namespaces).append(text)
            continue
        if keys[: len(template) + 1] != [*template, "spec"] or len(keys) < len(template) + 3:
            continue
        listed, place, *below = keys[len(template) + 1 :]
        is_init = dict(LISTS).get(listed)
        if is_init is not None and not below and text_at(operation, "op") == "add":
            _add_container(checkout, patch, one, number, (is_init, place))
            continue
        what, *rest = below or [""]
        named = [name for init, name, _ in one.containers if init is is_init]
        if is_init is None or what != "resources" or not place.isdigit() or int(place) >= len(named) or len(rest) > 2:
            continue
        found: dict[Field, tuple[str, Address]] = {}
        for name in FIELDS:
            if (
                list(name[: len(rest)]) == rest
                and (text := text_at(operation, "value", *name[len(rest) :])) is not None
            ):
                found[name] = (text, value.below(*name[len(rest) :]))
        line = checkout.line(patch.file, operation.start) if patch.address.inner is None else None
        layer = Layer(patch.file, None if rest else value, found, bool(not rest), line, "JSON patch of Kustomize")
        one.layers.setdefault((is_init, named[int(place)]), []).append(layer)


def _add_container(checkout: Checkout, patch: Patch, one: Built, number: int, into: tuple[bool, str]) -> None:
    """A container that an operation adds to a list: at its end (-), or before the one of that place."""
    operation = items_at(patch.node)[number]
    is_init, place = into
    name = text_at(operation, "value", "name")
    if name is None:
        return
    base = patch.address.below(number, "value", "resources")
    values = {f: (text, base.below(*f)) for f, text in written_in(at(operation, "value", "resources")).items()}
    line = checkout.line(patch.file, operation.start) if patch.address.inner is None else None
    one.layers[is_init, name] = [Layer(patch.file, base, values, line=line, form="JSON patch of Kustomize")]
    positions = [spot for spot, (init, _, _) in enumerate(one.containers) if init is is_init]
    before = positions[int(place)] if place.isdigit() and int(place) < len(positions) else len(one.containers)
    one.containers.insert(before, (is_init, name, text_at(operation, "value", "image")))


def _transform(root: Kustomization, one: Built) -> None:
    """Names, namespace, labels and images as a kustomization leaves them."""
    if root.namespace is not None and (root.forced or not one.namespaces):
        one.namespaces.append(root.namespace)
    if root.prefix or root.suffix:
        one.names.append(f"{root.prefix}{one.names[-1]}{root.suffix}")
    one.labels |= root.labels
    one.containers = [(is_init, name, root.image(image)) for is_init, name, image in one.containers]


# --- sites -----------------------------------------------------------------------------------------------------------


def _patched_root(checkout: Checkout, root: Kustomization) -> Kustomization:
    """Where a new patch goes: the kustomization of the folder that is deployed, if nothing else deploys it."""
    own = of_folder(checkout, root.folder) if root.source is not None and root.folder in root.resources else None
    others = [one for one in roots(checkout) if one is not root and root.folder in (one.folder, *one.resources)]
    return root if own is None or others else own


def _sites_of(checkout: Checkout, root: Kustomization, one: Built, users: Mapping[object, int]) -> Iterator[Site]:
    patched = _patched_root(checkout, root)
    name_there = one.names[-1]
    for level in (root, patched) if patched is not root else (root,):
        name_there = name_there.removeprefix(level.prefix).removesuffix(level.suffix)
    images = {(is_init, name): image for is_init, name, image in one.containers}
    for (is_init, name), layers in one.layers.items():
        listed = [called for init, called, _ in one.containers if init is is_init]
        before = tuple(listed[: listed.index(name)]) if name in listed else ()
        writer = PatchWriter(
            patched, one.one, name_there, name, is_init, tuple(layers), tuple(one.replicas), users, before
        )
        chosen = writer.main_layer()
        written: dict[Field, str] = {}
        for layer in layers:
            written = {} if layer.is_whole else written
            written |= {f: text for f, (text, _) in layer.values.items()}
        claim = Claim(
            kind=one.one.kind,
            name=known(one.names[-1]),
            namespace=known(one.namespaces[-1]) if one.namespaces else None,
            container=known(name),
            is_init=is_init,
            image=known(images.get((is_init, name))),
            labels=one.labels,
            source=() if root.source is None else (root.source,),
        )
        count = writer.replicas_layer()
        yield Site(
            form=chosen.form if chosen else "new Kustomize patch",
            file=chosen.file if chosen else patched.file,
            address=chosen.where if chosen else patched.address("patches", f"{one.one.kind} {one.names[-1]}", name),
            claim=claim,
            written=written,
            sets=frozenset(chosen.values) if chosen else frozenset(),
            replicas=count.replicas[1] if count is not None and count.replicas else patched.address("replicas"),
            written_replicas=one.replicas[-1].replicas[0] if one.replicas and one.replicas[-1].replicas else None,
            line=chosen.line if chosen else None,
            writer=writer,
        )
