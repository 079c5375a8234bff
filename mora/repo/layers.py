"""Releases of Helm as a repository declares them: layers of values, merged as Helm merges them."""

from __future__ import annotations

from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass, field, replace

from mora.errors import BadInput
from mora.repo.checkout import Checkout, is_template
from mora.repo.manifests import known
from mora.repo.sites import Address
from mora.repo.templates import Use
from mora.repo.tree import Key, Mapping, Node, Scalar, entries_of, is_null, parse, resolved


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One set of values. address: of its root. node: what is there, None where nothing is yet.

    under: the keys of the release's values that the layer lies under: those of a chart within a chart. is_chart:
    whether it is the chart's own, that every release of the chart has.
    """

    file: str
    address: Address
    node: Node | None
    under: tuple[str, ...] = ()
    is_chart: bool = False

    @property
    def key(self) -> tuple[str, Address]:
        """What tells two layers apart."""
        return self.file, self.address


@dataclass(frozen=True, slots=True)
class Parameter:
    """A single value of a release that counts over every layer, as `--set` gives it. text: what it sets."""

    file: str
    address: Address
    text: str


@dataclass(frozen=True, slots=True)
class Release:
    """A Helm release as the repository declares it.

    form: as text, for evidence and messages. name None: whoever installs the chart names it. parameters: by the keys of
    the value that they set. knows_chart: whether the chart's own values are among the layers, so that what no layer
    sets is set nowhere. chart: its name; charts: those within it, by their keys in its values. environment: what the
    file of values that makes the release is named after. uses: what the chart's templates say.
    """

    form: str
    name: str | None
    namespace: str | None
    layers: tuple[Layer, ...]
    source: tuple[tuple[str, str, str], ...] = ()
    parameters: AbstractMapping[tuple[str, ...], Parameter] = field(default_factory=dict)
    knows_chart: bool = False
    chart: str | None = None
    charts: AbstractMapping[str, str] = field(default_factory=dict)
    environment: str | None = None
    uses: tuple[Use, ...] = ()


def layer_of_file(
    checkout: Checkout, path: str, *, under: tuple[str, ...] = (), is_chart: bool = False
) -> Layer | None:
    """The values in a file; None where it cannot be read, or is no mapping."""
    documents = checkout.documents(path)
    if not documents or not isinstance(resolved(documents[0].root), Mapping):
        return None
    return Layer(path, Address(0, ()), documents[0].root, under, is_chart)


def layer_in_text(checkout: Checkout, file: str, address: Address, holder: Node | None) -> Layer | None:
    """The values in a block of text of a file; None, and a reason in `skipped`, where they are no YAML."""
    holder = None if holder is None else resolved(holder)
    if not isinstance(holder, Scalar) or is_null(holder):
        return None
    try:
        documents = parse(holder.text)
    except BadInput as error:
        checkout.skip(f"{file} ({address})", error.message)
        return None
    if is_template(holder.text, documents, holds_others=True):
        checkout.skip(f"{file} ({address})", "it is a template ({{ }}), and never parsed as YAML")
        return None
    if not documents or not isinstance(resolved(documents[0].root), Mapping):
        return None
    return Layer(file, replace(address, inner=Address(0, ())), documents[0].root)


# --- merged values ---


@dataclass(frozen=True, slots=True)
class Part:
    """What one layer says at some keys. path: the keys from the root of the layer."""

    layer: Layer
    node: Node
    path: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Merged:
    """What the layers of a release say at some keys. parts: the topmost layer first, without those it hides."""

    parts: tuple[Part, ...]
    keys: tuple[Key, ...]

    @property
    def top(self) -> Node | None:
        """What counts, but for keys that only lower layers have; None where no layer says anything."""
        return resolved(self.parts[0].node) if self.parts else None

    @property
    def names(self) -> list[str]:
        """The keys that are here, in the order of the topmost layer."""
        found: dict[str, None] = {}
        for part in self.parts:
            found |= dict.fromkeys([part.node.keys[0]] if isinstance(part.node, Deeper) else entries_of(part.node))
        return list(found)

    def below(self, *keys: str) -> Merged:
        """What the layers say below. Helm merges mappings alone: anything else hides what lower layers have."""
        found = self
        for key in keys:
            found = found._below(key)
        return found

    def _below(self, key: str) -> Merged:
        found: list[Part] = []
        for part in self.parts:
            if isinstance(part.node, Deeper):
                value, path = part.node.below(key), part.path
            else:
                value, path = entries_of(part.node).get(key), (*part.path, key)
            if value is not None:
                found.append(Part(part.layer, value, path))
                if not isinstance(resolved(value), Mapping | Deeper):
                    break
        return Merged(tuple(found), (*self.keys, key))

    def text(self, *keys: str) -> str | None:
        """The text of a value below; None where there is none, or it has a variable in it."""
        top = self.below(*keys).top
        return known(top.text) if isinstance(top, Scalar) and not is_null(top) else None


class Deeper(Node):
    """The values of a chart within a chart as the release's values have them: under the keys of that chart."""

    __slots__ = ("keys", "values")

    def __init__(self, keys: tuple[str, ...], values: Node) -> None:
        """keys: not empty."""
        super().__init__(0, 0, 0)
        self.keys, self.values = keys, values

    def below(self, key: str) -> Node | None:
        """What is one key deeper; None for another key than the one that leads there."""
        if self.keys[0] != key:
            return None
        return Deeper(self.keys[1:], self.values) if self.keys[1:] else self.values


def merged(release: Release) -> Merged:
    """The values of a release, from their root."""
    parts = [
        Part(layer, Deeper(layer.under, layer.node) if layer.under else layer.node, ())
        for layer in reversed(release.layers)
        if layer.node is not None
    ]
    return Merged(tuple(parts), ())
