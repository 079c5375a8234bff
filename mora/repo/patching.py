"""Writing where Kustomize reads: each number in the outermost layer that sets it, or in a new patch of the root."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass

from mora.outputs.documents import dump
from mora.outputs.patches import template_path
from mora.repo.addresses import Refusal, node_at, read_text
from mora.repo.anchors import unshare
from mora.repo.checkout import Checkout, Object
from mora.repo.edits import append_item, remove_value, set_value
from mora.repo.kustomizations import Kustomization
from mora.repo.matching import millis
from mora.repo.sites import Address, Field, Site, Texts, Wanted, WriteOptions
from mora.repo.tree import is_null
from mora.repo.writing import check_rest, current_text, kept

_MOST_NAMES = 50


@dataclass(frozen=True, slots=True)
class Layer:
    """What one file says of a container. base: the address of `resources`, None where single numbers are set only.

    values: field -> its text and address. is_whole: it replaces all that lower layers say. replicas: text and address.
    """

    file: str
    base: Address | None
    values: Mapping[Field, tuple[str, Address]]
    is_whole: bool = False
    line: int | None = None
    form: str = "manifest"
    replicas: tuple[str, Address] | None = None

    @property
    def where(self) -> Address:
        """The address that names it."""
        if self.base is not None:
            return self.base
        return self.replicas[1] if self.replicas else next(iter(self.values.values()))[1]

    @property
    def key(self) -> tuple[str, Address]:
        """What tells two layers apart."""
        return self.file, self.where


@dataclass(frozen=True, slots=True, eq=False)
class PatchWriter:
    """Sets the numbers of one container of one object that a root builds.

    root: gets new patches. name: of the object as the root finds it. users: key of a layer -> how many deployed
    objects it counts for. before: the containers before this one.
    """

    root: Kustomization
    one: Object
    name: str
    container: str
    is_init: bool
    layers: tuple[Layer, ...]
    counts: tuple[Layer, ...]
    users: Mapping[object, int]
    before: tuple[str, ...] = ()

    def is_shared(self, layer: Layer) -> bool:
        """Whether other deployed objects use it, too."""
        return self.users.get(layer.key, 1) > 1

    def main_layer(self) -> Layer | None:
        """The outermost layer that sets a number, or could; None where it is shared, so that a patch is needed."""
        setting = [layer for layer in self.layers if layer.values] or [layer for layer in self.layers if layer.base]
        top = setting[-1]
        if not self.is_shared(top):
            return top
        above = self.layers[self.layers.index(top) + 1 :]
        return next((layer for layer in reversed(above) if layer.base and not self.is_shared(layer)), None)

    def replicas_layer(self) -> Layer | None:
        """The outermost layer that sets the replicas, where no other object uses it."""
        return self.counts[-1] if self.counts and not self.is_shared(self.counts[-1]) else None

    def _layer_for(self, name: Field, *, in_base: bool) -> Layer | None:
        """Where a number is set: the outermost layer that says it, else the one that could; None for a new patch."""
        for layer in reversed(self.layers):
            if name in layer.values or layer.is_whole:
                return layer if in_base or not self.is_shared(layer) else self._above(layer)
        main = self.main_layer()
        if main is not None and main.base is not None:
            return main
        own = [layer for layer in self.layers if layer.base is not None and not self.is_shared(layer)]
        if own:
            return own[-1]
        return next((layer for layer in reversed(self.layers) if layer.base), None) if in_base else None

    def _above(self, layer: Layer) -> Layer | None:
        above = self.layers[self.layers.index(layer) + 1 :]
        return next((one for one in reversed(above) if one.base is not None and not self.is_shared(one)), None)

    def __call__(self, checkout: Checkout, texts: Texts, site: Site, wanted: Wanted, options: WriteOptions) -> Texts:
        """Set what is wanted. Refusal where a number is set by an operation that cannot say it."""
        changed: Texts = {}
        left: dict[Field, str | None] = {}
        for name, value in sorted(wanted.fields.items(), key=lambda one: one[1] is None):
            layer = self._layer_for(name, in_base=options.in_base)
            if layer is None:
                left[name] = value
            else:
                changed |= self._set(checkout, texts | changed, layer, name, value, options)
        replicas = wanted.replicas
        if replicas is not None and (count := self._count_layer(options)) is not None and count.replicas is not None:
            text = current_text(checkout, texts | changed, count.file)
            self._check_base(checkout, text, count, count.replicas[1])
            after = set_value(text, count.replicas[1], replicas)
            check_rest(text, after, [count.replicas[1]])
            changed[count.file] = after
            replicas = None
        if left or replicas is not None:
            changed |= self._new_patch(checkout, texts | changed, left, replicas)
        return {path: text for path, text in changed.items() if text != texts.get(path, checkout.text(path))}

    def _count_layer(self, options: WriteOptions) -> Layer | None:
        if options.in_base and self.counts:
            return self.counts[-1]
        return self.replicas_layer()

    def _set(
        self, checkout: Checkout, texts: Texts, layer: Layer, name: Field, value: str | None, options: WriteOptions
    ) -> Texts:
        text = current_text(checkout, texts, layer.file)
        there = layer.values.get(name)
        address = there[1] if there is not None else layer.base.below(*name) if layer.base is not None else None
        if address is None:
            raise Refusal("it is set by an operation on another number")
        self._check_base(checkout, text, layer, address)
        before_split, text = text, unshare(text, address) if options.split_anchors else text
        if value is not None:
            before = read_text(text, address)
            is_same = before is not None and millis(name, before) == millis(name, value)
            after = text if is_same else set_value(text, address, value)
        elif layer.base is None:
            raise Refusal("an operation of a JSON patch sets it; take that out by hand")
        elif any(name in below.values for below in self.layers[: self.layers.index(layer)]) and not layer.is_whole:
            node = node_at(text, address)
            after = text if node is not None and is_null(node) else set_value(text, address, None)
        else:
            after = remove_value(text, address, keep=kept(layer.base)) if node_at(text, address) is not None else text
        check_rest(before_split, after, [address])
        return {layer.file: after}

    def _check_base(self, checkout: Checkout, text: str, layer: Layer, address: Address) -> None:
        """Refuse to set a shared number a second time: the last workload would win over the others."""
        before = checkout.text(layer.file)
        if self.is_shared(layer) and before is not None and read_text(before, address) != read_text(text, address):
            raise Refusal("another workload that builds on the same base has set it already")

    # --- a patch of its own ---

    def _new_patch(
        self, checkout: Checkout, texts: Texts, fields: Mapping[Field, str | None], replicas: int | None
    ) -> Texts:
        """A new patch of the root: a file beside a kustomization, text within an object of Flux or Argo CD."""
        spec: dict[str, object] = {} if replicas is None else {"replicas": replicas}
        if fields:
            resources: dict[str, dict[str, str | None]] = {}
            for (section, resource), value in fields.items():
                resources.setdefault(section, {})[resource] = value
            # Kustomize puts the containers of a patch before all others: those before this one are named to stay there.
            items = [*({"name": name} for name in self.before), {"name": self.container, "resources": resources}]
            inner: dict[str, object] = {"spec": {"initContainers" if self.is_init else "containers": items}}
            for key in reversed(template_path(self.one.kind)[1:]):
                inner = {key: inner}
            spec |= inner
        document = {
            "apiVersion": self.one.api_version,
            "kind": self.one.kind,
            "metadata": {"name": self.name},
            "spec": spec,
        }
        if self.one.kind not in _MERGED:
            raise Refusal(f"a {self.one.kind} has no lists that Kustomize merges; set it in the base: --in-base")
        text = current_text(checkout, texts, self.root.file)
        target = ["target:", f"  kind: {self.one.kind}", f"  name: {self.name}"]
        address = self.root.address("patches")
        if self.root.source is not None:
            lines = ["patch: |", *(f"  {line}" for line in dump(document).splitlines()), *target]
            return {self.root.file: append_item(text, address, lines)}
        path = self._free_path(checkout, texts)
        lines = [f"path: {posixpath.basename(path)}", *target]
        return {path: dump(document), self.root.file: append_item(text, address, lines)}

    def _free_path(self, checkout: Checkout, texts: Texts) -> str:
        for number in range(1, _MOST_NAMES):
            end = "" if number == 1 else f"-{number}"
            path = posixpath.join(self.root.folder, f"{self.name}-resources{end}.yaml")
            if path not in texts and not (checkout.top / path).exists() and not (checkout.top / path).is_symlink():
                return path
        raise Refusal(f"there are too many files {self.name}-resources in {self.root.folder or 'the top folder'}")


# Of these Kustomize merges the list of containers by name.
_MERGED = frozenset({"Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job"})
