"""Copying what an anchor shares, so that one of its users can change: the others keep what they have.

An alias becomes a copy of what it stands for. Where the anchor itself is the one to change, its first alias takes the
anchor over, with a copy of its content. What a merge key gives becomes a key of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence as AbstractSequence

from mora.repo.addresses import Refusal, is_shared, within
from mora.repo.edits import insert_lines
from mora.repo.layout import column_of, end_of_entry, end_of_line, newline_of, step_of
from mora.repo.sites import Address
from mora.repo.tree import (
    Alias,
    Document,
    Mapping,
    Node,
    Scalar,
    Sequence,
    child,
    entry,
    merged,
    parse,
    plain,
    resolved,
)

_MOST = 50


def unshare(text: str, address: Address) -> str:
    """The text with nothing on the path to an address shared any more; what every document means stays the same.

    >>> print(unshare("a: &r {cpu: 1}\\nb: *r\\nc: *r\\n", Address(0, ("a", "cpu"))), end="")
    a: {cpu: 1}
    b: &r {cpu: 1}
    c: *r
    """
    return within(text, address, _unshared)


def _unshared(text: str, address: Address) -> str:
    for _ in range(_MOST):
        document = parse(text)[address.document]
        changed = _step(text, document, address)
        if changed is None:
            return text
        if [plain(one.root) for one in parse(changed)] != [plain(one.root) for one in parse(text)]:
            raise Refusal("its anchor cannot be copied in the way that the file is written")
        text = changed
    raise Refusal("too many anchors lead to it")


def _step(text: str, document: Document, address: Address) -> str | None:
    """The text after one copy; None where nothing is shared."""
    node = document.root
    for key in address.path:
        parent, found = resolved(node), child(node, key)
        if found is None:
            return None
        if isinstance(parent, Mapping) and isinstance(key, str) and entry(parent, key) is None:
            if is_shared(document, resolved(found)) or _merges_shared(document, parent):
                return _own_key(text, document, parent, key, resolved(found))
        elif is_shared(document, resolved(found)):
            if isinstance(found, Alias):
                return _copied(text, document, found, "")
            first = document.users(found)[0]
            name = found.anchor or ""
            changed = _copied(text, document, first, f"&{name}")
            mark = re.compile(rf"[ \t]*&{re.escape(name)}(?=\s)(?:[ \t]+(?=[^\s#]))?")
            before = text[found.whole - 1] if found.whole else ""
            return changed[: found.whole - (before in " \t")] + mark.sub(
                " " if found.start > found.whole and "\n" not in text[found.whole : found.start] else "",
                changed[found.whole - (before in " \t") :],
                count=1,
            )
        node = found
    return None


def _merges_shared(document: Document, mapping: Mapping) -> bool:
    return any(is_shared(document, resolved(one)) for one in merged(mapping))


def _own_key(text: str, document: Document, mapping: Mapping, key: str, value: Node) -> str:
    """Give a mapping a key of its own for what a merge gives it."""
    if mapping.is_flow:
        end = mapping.entries[-1][1].end
        return f"{text[:end]}, {json.dumps(key)}: {json.dumps(plain(value))}{text[end:]}"
    inline, lines = _source(text, value)
    if inline is not None:
        return insert_lines(text, mapping, [f"{key}: {inline}"])
    step = step_of(text, document)
    return insert_lines(text, mapping, [f"{key}:", *(" " * step + line if line else line for line in lines)])


def _copied(text: str, document: Document, alias: Alias, anchor: str) -> str:
    """Replace an alias by a copy of what it stands for, with an anchor if it is to have one."""
    target = resolved(alias)
    inline, lines = _source(text, target)
    holder, key = _holder(document.root, alias)
    mark = f"{anchor} " if anchor else ""
    if isinstance(holder, Mapping | Sequence) and holder.is_flow:
        return text[: alias.start] + mark + json.dumps(plain(target)) + text[alias.end :]
    if inline is not None:
        return text[: alias.start] + mark + inline + text[alias.end :]
    column = column_of(text, key.whole) + step_of(text, document) if key is not None else column_of(text, alias.start)
    end = end_of_line(text, alias.end)
    newline = newline_of(text, end)
    block = "".join(newline + (" " * column + line if line else line) for line in lines)
    first = alias.start
    if not anchor and key is not None:
        while text[first - 1] in " \t":
            first -= 1
    if not anchor and key is None:  # an item of a list: its first line stands behind the "- "
        return text[:first] + block.lstrip("\r\n ") + text[alias.end :]
    return text[:first] + anchor + text[alias.end : end] + block + text[end:]


def _source(text: str, node: Node) -> tuple[str | None, list[str]]:
    """A node's own text, anchors within it left out: on one line, or as lines from column 0."""
    if isinstance(node, Scalar) and node.style in ("|", ">"):
        raise Refusal("its anchor is of a block of text")
    is_block = isinstance(node, Mapping | Sequence) and not node.is_flow
    last = end_of_entry(text, node) if is_block else node.end
    parts, offset = [], node.start
    for mark in sorted(_marks(node), key=lambda one: one.whole):
        if mark is not node:
            kept = re.sub(r"&\S+[ \t]*", "", text[mark.whole : mark.start])
            parts += [text[offset : mark.whole], kept]
            offset = mark.start
    source = "".join([*parts, text[offset:last]])
    if not is_block:
        return source, []
    column = column_of(text, node.start)
    head, *rest = (line.rstrip("\r") for line in source.split("\n"))
    return None, [head, *(line[column:] if not line[:column].strip() else line.lstrip() for line in rest)]


def _marks(node: Node) -> AbstractSequence[Node]:
    """The nodes within a node that have an anchor."""
    parts = [one for pair in node.entries for one in pair] if isinstance(node, Mapping) else []
    parts += node.items if isinstance(node, Sequence) else []
    own = [node] if node.anchor is not None else []
    return [*own, *(found for part in parts for found in _marks(part))]


def _holder(node: Node, wanted: Node) -> tuple[Node | None, Node | None]:
    """What a node stands in: the mapping and its key there, or the list and None."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            for key, value in one.entries:
                if value is wanted:
                    return one, key
            waiting += [value for _, value in one.entries]
        elif isinstance(one, Sequence):
            if any(item is wanted for item in one.items):
                return one, None
            waiting += one.items
    return None, None
