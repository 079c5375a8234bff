"""Setting numbers at a site, and the proof that nothing else changed: the file is read again before it is believed."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from mora.repo.addresses import KEPT, Refusal, node_at, read_text
from mora.repo.anchors import unshare
from mora.repo.checkout import Checkout
from mora.repo.edits import remove_value, set_value
from mora.repo.matching import millis
from mora.repo.sites import Address, Field, Site, Texts, Wanted, WriteOptions
from mora.repo.tree import is_null, parse, plain


def current_text(checkout: Checkout, texts: Texts, path: str) -> str:
    """The text of a file after the changes so far. Refusal where it cannot be read."""
    text = texts.get(path)
    text = checkout.text(path) if text is None else text
    if text is None:
        raise Refusal(checkout.skipped.get(path, f"{path} cannot be read"))
    return text


def write_resources(checkout: Checkout, texts: Texts, site: Site, wanted: Wanted, options: WriteOptions) -> Texts:
    """Set the numbers below `site.address`, or at the addresses of `site.fields`."""
    text = current_text(checkout, texts, site.file)
    addresses: list[Address] = []
    if options.split_anchors:
        for name in wanted.fields:
            text = unshare(text, site.fields.get(name, site.address.below(*name)))
        if wanted.replicas is not None and site.replicas is not None:
            text = unshare(text, site.replicas)
    before, changed = current_text(checkout, texts, site.file), text
    # What is set comes first, so that a section that loses a limit is not dropped and made again.
    for name, value in sorted(wanted.fields.items(), key=lambda one: one[1] is None):
        address = site.fields.get(name, site.address.below(*name))
        addresses.append(address)
        changed = _set(changed, address, name, value, site)
    if wanted.replicas is not None and site.replicas is not None:
        addresses.append(site.replicas)
        if read_text(changed, site.replicas) != str(wanted.replicas):
            changed = set_value(changed, site.replicas, wanted.replicas)
    check_rest(text, changed, addresses)
    return {site.file: changed} if changed != before else {}


def _set(text: str, address: Address, name: Field, value: str | None, site: Site) -> str:
    if value is not None:
        before = read_text(text, address)
        is_same = before is not None and millis(name, before) == millis(name, value)
        return text if is_same else set_value(text, address, value)
    node = node_at(text, address)
    if site.drops_by == "null":
        return text if node is not None and is_null(node) else set_value(text, address, None)
    return text if node is None else remove_value(text, address, keep=kept(site.address))


def kept(resources: Address) -> int:
    """How many keys of the innermost path are above `resources`."""
    while resources.inner is not None:
        resources = resources.inner
    return len(resources.path) - 1


def check_rest(before: str, after: str, addresses: Iterable[Address]) -> None:
    """Refuse a change that touched anything but the values at these addresses, by reading both texts."""
    if before == after:
        return
    old, new = [plain(one.root) for one in parse(before)], [plain(one.root) for one in parse(after)]
    for documents in (old, new):
        for number, document in enumerate(documents):
            if isinstance(document, dict):
                documents[number] = {key: one for key, one in document.items() if not str(key).startswith(KEPT)}
    if len(old) == len(new):
        for address in addresses:
            for documents in (old, new):
                documents[address.document] = _without(documents[address.document], address)
        if old == new:
            return
    raise Refusal("the change would touch more than its resources")


def _without(document: Any, address: Address) -> Any:
    """A document without the value at an address, nor mappings that are empty then."""
    document = deepcopy(document)
    way, node = [], document
    for key in address.path[:-1]:
        way.append((node, key))
        try:
            node = node[key]
        except (KeyError, IndexError, TypeError):
            return _pruned(document, way[:-1])
    last = address.path[-1]
    if address.inner is not None and isinstance(node, dict | list):
        text = node[last]  # type: ignore[index]
        # Another address of the same text has parsed it before.
        inner = text if isinstance(text, list) else [plain(one.root) for one in parse(text)]
        inner[address.inner.document] = _without(inner[address.inner.document], address.inner)
        node[last] = inner  # type: ignore[index]
        return document
    if isinstance(node, dict):
        node.pop(last, None)
    return _pruned(document, way)


def _pruned(document: Any, way: list[tuple[Any, Any]]) -> Any:
    for parent, key in reversed(way):
        if parent[key] in ({}, None) and isinstance(parent, dict):
            del parent[key]
    return document
