"""Kustomizations as they are written: what they build on, what they patch, and who deploys them.

A Kustomization of Flux and an Application of Argo CD build on a folder and may patch it as a kustomization does, so
they are read as one.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mora.errors import BadInput
from mora.repo.checkout import KUSTOMIZATIONS, Checkout, Object
from mora.repo.manifests import known
from mora.repo.sites import Address
from mora.repo.tree import Key, Node, Scalar, Sequence, at, is_null, items_at, parse, plain, resolved, text_at

Source = tuple[str, str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """One document of a patch. address: of the document's root; node: that root. target: the selector, or None."""

    file: str
    address: Address
    node: Node
    target: Mapping[str, object] | None

    @property
    def is_json(self) -> bool:
        """Whether it is a list of operations (RFC 6902), and not a part of a manifest."""
        return isinstance(self.node, Sequence)


@dataclass(frozen=True, slots=True, eq=False)
class Kustomization:
    """One kustomization. path: of its mapping in the document; folder: what its paths are relative to.

    resources: files and folders of the checkout; components: folders. forced: whether `namespace` replaces the one that
    an object has. source: the GitOps object that this is, None for a plain kustomization.
    """

    file: str
    folder: str
    document: int
    path: tuple[Key, ...]
    node: Node
    resources: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    patches: tuple[Patch, ...] = ()
    namespace: str | None = None
    forced: bool = True
    source: Source | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def prefix(self) -> str:
        """What is put before every name."""
        return text_at(self.node, "namePrefix") or ""

    @property
    def suffix(self) -> str:
        """What is put behind every name."""
        return text_at(self.node, "nameSuffix") or ""

    def address(self, *keys: Key) -> Address:
        """The address of a key of this kustomization."""
        return Address(self.document, (*self.path, *keys))

    def image(self, image: str | None) -> str | None:
        """An image as `images` rewrites it."""
        if image is None:
            return None
        from mora.repo.matching import split_image

        name, tag = split_image(image)
        for one in items_at(self.node, "images"):
            if text_at(one, "name") == name:
                name = text_at(one, "newName") or name
                tag = text_at(one, "newTag") or text_at(one, "digest") or tag
                return f"{name}:{tag}" if tag else name
        return image


def of_folder(checkout: Checkout, folder: str) -> Kustomization | None:
    """The kustomization of a folder; None where it has none that can be read."""
    for name in KUSTOMIZATIONS:
        file = posixpath.join(folder, name) if folder not in ("", ".") else name
        if checkout.is_file(file):
            documents = checkout.documents(file)
            return _read(checkout, file, posixpath.dirname(file), 0, (), documents[0].root) if documents else None
    return None


def folders(checkout: Checkout) -> list[str]:
    """Every folder with a kustomization."""
    return sorted({posixpath.dirname(path) for path in checkout.paths if posixpath.basename(path) in KUSTOMIZATIONS})


def deployers(checkout: Checkout) -> Iterator[Kustomization]:
    """Kustomizations of Flux and Applications of Argo CD that deploy a folder of this checkout."""
    for one in checkout.objects("Kustomization"):
        if one.api_version.startswith("kustomize.toolkit.fluxcd.io/"):
            path, into = text_at(one.node, "spec", "path"), text_at(one.node, "spec", "targetNamespace")
            yield from _deployer(checkout, one, ("spec",), path, known(into), forced=True)
    for one in checkout.objects("Application"):
        if one.api_version.startswith("argoproj.io/"):
            into = known(text_at(one.node, "spec", "destination", "namespace"))
            sources: list[tuple[Key, ...]] = [("spec", "source")]
            sources += [("spec", "sources", place) for place in range(len(items_at(one.node, "spec", "sources")))]
            for source in sources:
                path = text_at(one.node, *source, "path")
                yield from _deployer(checkout, one, (*source, "kustomize"), path, into, forced=False)


def _deployer(
    checkout: Checkout, one: Object, keys: tuple[Key, ...], path: str | None, namespace: str | None, *, forced: bool
) -> Iterator[Kustomization]:
    if known(path) is None or path is None:
        return
    folder = checkout.resolve("", path.lstrip("/"))
    if folder is None or not checkout.is_folder(folder) or folder == ".":
        return
    node = at(one.node, *keys) or one.node
    is_flux = one.kind == "Kustomization"
    is_deep = is_flux or text_at(one.node, *keys[:-1], "directory", "recurse") == "true"
    has_own = of_folder(checkout, folder) is not None
    resources = [folder] if has_own else _files_in(checkout, folder, is_deep=is_deep)
    components = _paths(checkout, folder, node, "components") if is_flux else ()
    yield Kustomization(
        one.file,
        folder,
        one.document,
        (*one.path, *keys),
        node,
        tuple(resources),
        components,
        tuple(_patches(checkout, one.file, folder, Address(one.document, (*one.path, *keys)), node)),
        text_at(node, "namespace") or namespace,
        forced or text_at(node, "namespace") is not None,
        (one.kind, one.namespace or "", one.name or ""),
    )


def _files_in(checkout: Checkout, folder: str, *, is_deep: bool) -> list[str]:
    """The files that Flux (with the folders below) and Argo CD apply from a folder without a kustomization."""
    below = checkout.paths_below(folder)
    return below if is_deep else [path for path in below if posixpath.dirname(path) == folder]


def _read(
    checkout: Checkout, file: str, folder: str, document: int, path: tuple[Key, ...], node: Node
) -> Kustomization:
    labels = plain(at(node, "commonLabels"))
    found = {str(key): str(value) for key, value in labels.items()} if isinstance(labels, dict) else {}
    for one in items_at(node, "labels"):
        pairs = plain(at(one, "pairs"))
        found |= {str(key): str(value) for key, value in pairs.items()} if isinstance(pairs, dict) else {}
    return Kustomization(
        file,
        folder,
        document,
        path,
        node,
        (*_paths(checkout, folder, node, "resources"), *_paths(checkout, folder, node, "bases")),
        _paths(checkout, folder, node, "components"),
        tuple(_patches(checkout, file, folder, Address(document, path), node)),
        text_at(node, "namespace"),
        labels=found,
    )


def _paths(checkout: Checkout, folder: str, node: Node, key: str) -> tuple[str, ...]:
    found = []
    for item in items_at(node, key):
        if isinstance(item, Scalar) and not is_null(item):
            path = checkout.resolve(folder, item.text)
            if path is not None:
                found.append(path)
    return tuple(found)


def _patches(checkout: Checkout, file: str, folder: str, here: Address, node: Node) -> Iterator[Patch]:
    """Every document of every patch, in the order that Kustomize applies them."""
    for place, item in enumerate(items_at(node, "patchesStrategicMerge")):
        if isinstance(item, Scalar):
            if "\n" in item.text:
                yield from _inline(file, here.below("patchesStrategicMerge", place), item, None)
            else:
                yield from _of_file(checkout, folder, item.text, None)
    for key in ("patches", "patchesJson6902"):
        for place, item in enumerate(items_at(node, key)):
            found = plain(at(item, "target"))
            target = found if isinstance(found, dict) else None
            inline, path = at(item, "patch"), text_at(item, "path")
            if isinstance(inline, Scalar) and not is_null(inline):
                yield from _inline(file, here.below(key, place, "patch"), inline, target)
            elif path is not None:
                yield from _of_file(checkout, folder, path, target)


def _of_file(checkout: Checkout, folder: str, name: str, target: Mapping[str, object] | None) -> Iterator[Patch]:
    path = checkout.resolve(folder, name)
    if path is not None and checkout.is_file(path):
        for number, document in enumerate(checkout.documents(path)):
            yield Patch(path, Address(number, ()), resolved(document.root), target)


def _inline(file: str, address: Address, text: Scalar, target: Mapping[str, object] | None) -> Iterator[Patch]:
    try:
        documents = parse(text.text)
    except BadInput:
        return
    for number, document in enumerate(documents):
        inner = Address(address.document, address.path, Address(number, ()))
        yield Patch(file, inner, resolved(document.root), target)


def selects(
    target: Mapping[str, object], kind: str, names: set[str], namespaces: set[str], labels: Mapping[str, str]
) -> bool:
    """Whether the selector of a patch means an object: patterns must match all of a name; labels must be equal."""
    for key, values in (("kind", {kind}), ("name", names), ("namespace", namespaces)):
        pattern = target.get(key)
        if pattern is not None and not any(_matches(str(pattern), value) for value in values):
            return False
    for part in str(target.get("labelSelector") or "").split(","):
        name, equals, value = part.replace("==", "=").partition("=")
        if equals and not name.endswith("!") and labels.get(name.strip()) != value.strip():
            return False
    return True


def _matches(pattern: str, value: str) -> bool:
    try:
        return re.fullmatch(pattern, value) is not None
    except re.error:
        return False
