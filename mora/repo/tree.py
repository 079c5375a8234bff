"""YAML as a tree in which every node knows its place in the text, so that one value can be changed and no other byte.

The tree is built from the events of PyYAML's parser (libyaml where it is there, of which Go's parsers, and so kubectl,
Helm and Flux, are ports). Offsets count characters of the text as it is: line ends, a byte order mark and comments stay
where they are. Aliases and merge keys are nodes of their own, since what they stand for belongs to several places.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from mora.errors import BadInput

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# What stands before a node's content: &anchor and !tag, in any order.
_PROPERTIES = re.compile(r"(?:(?:&[^\s,\[\]{}]+|!\S*)(?:[ \t]+|(?=\r?\n))(?:#[^\r\n]*)?[\r\n \t]*)*")
_MERGE = "<<"
# No manifest that people write is deeper or larger; a file that is would only cost time and memory.
_DEEPEST = 200
_MOST_NODES = 2_000_000

Key = str | int
"""A step of a path: the key of a mapping, or the place in a list."""


@dataclass(slots=True, eq=False)
class Node:
    """A piece of the text. start, end: of its content, without anchor and tag. whole: where those begin."""

    start: int
    end: int
    whole: int
    anchor: str | None = None


@dataclass(slots=True, eq=False)
class Scalar(Node):
    """One value. text: what it means. style: '' where it is plain, else its quote, '|' or '>'. tag: an explicit one."""

    text: str = ""
    style: str = ""
    tag: str | None = None


@dataclass(slots=True, eq=False)
class Mapping(Node):
    """Keys with their values, in order."""

    entries: list[tuple[Node, Node]] = field(default_factory=list)
    is_flow: bool = False


@dataclass(slots=True, eq=False)
class Sequence(Node):
    """A list."""

    items: list[Node] = field(default_factory=list)
    is_flow: bool = False


@dataclass(slots=True, eq=False)
class Alias(Node):
    """`*name`: it stands for the node that has the anchor."""

    target: Node | None = None


@dataclass(slots=True, eq=False)
class Document:
    """One document of a file. aliases: by the identity of the node that they stand for."""

    root: Node
    aliases: dict[int, list[Alias]]
    start: int
    end: int

    def users(self, node: Node) -> list[Alias]:
        """The aliases that stand for a node."""
        return self.aliases.get(id(node), [])


def parse(text: str) -> list[Document]:
    """The documents of a text. BadInput with the line where it is no YAML.

    >>> [plain(document.root) for document in parse("a: 1 # one\\n---\\nb: [x, y]\\n")]
    [{'a': 1}, {'b': ['x', 'y']}]
    """
    shift = 1 if text.startswith("\ufeff") else 0
    try:
        return _Builder(text, shift).documents()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f" in line {mark.line + 1}" if mark is not None else ""
        raise BadInput(f"it is not valid YAML{line}: {_first_line(error.problem or error.context or '')}") from error
    except yaml.YAMLError as error:
        raise BadInput(f"it is not valid YAML: {_first_line(str(error))}") from error
    except RecursionError as error:
        raise BadInput("it is nested too deeply") from error


def _first_line(words: str) -> str:
    return (words.splitlines() or [""])[0]


class _Builder:
    def __init__(self, text: str, shift: int) -> None:
        self._text, self._shift = text, shift
        self._events: Iterator[Any] = yaml.parse(text[shift:], Loader=_Loader)
        self._anchors: dict[str, Node] = {}
        self._aliases: dict[int, list[Alias]] = {}
        self._open: set[int] = set()
        # Aliases count as what they stand for: every walk over the nodes follows them.
        self._count, self._deepest = 0, 0
        self._sizes: dict[int, tuple[int, int]] = {}

    def documents(self) -> list[Document]:
        found: list[Document] = []
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._anchors, self._aliases, self._sizes = {}, {}, {}
                root = self._node(next(self._events), 0)
                found.append(Document(root, self._aliases, self._at(event.start_mark), root.end))
            elif isinstance(event, yaml.DocumentEndEvent) and found:
                found[-1].end = max(found[-1].end, self._at(event.end_mark))
        return found

    def _at(self, mark: Any) -> int:
        return int(mark.index) + self._shift

    def _node(self, event: Any, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        self._grow(1, depth)
        before, outer, self._deepest = self._count, self._deepest, depth
        node = self._content(event, depth)
        if node.anchor is not None:
            self._sizes[id(node)] = self._count - before + 1, self._deepest - depth
        self._deepest = max(outer, self._deepest)
        return node

    def _grow(self, count: int, depth: int) -> None:
        self._count += count
        self._deepest = max(self._deepest, depth)
        if depth > _DEEPEST or self._count > _MOST_NODES:
            what = "its aliases stand for more values than are read" if self._aliases else "it is too large"
            raise BadInput("it is nested too deeply" if depth > _DEEPEST else what)

    def _alias(self, event: Any, depth: int) -> Alias:
        target = self._anchors.get(event.anchor or "")
        if target is None:
            raise BadInput(f"it is not valid YAML: there is no anchor &{event.anchor} before its alias")
        if id(target) in self._open:
            raise BadInput(f"what &{event.anchor} stands for holds its own alias")
        whole = self._at(event.start_mark)
        alias = Alias(whole, self._at(event.end_mark), whole, None, target)
        self._aliases.setdefault(id(target), []).append(alias)
        count, height = self._sizes[id(target)]
        self._grow(count, depth + height)
        return alias

    def _content(self, event: Any, depth: int) -> Node:
        whole, end = self._at(event.start_mark), self._at(event.end_mark)
        anchor, tag = event.anchor, event.tag
        start = whole
        if anchor is not None or tag is not None:
            found = _PROPERTIES.match(self._text, whole)
            start = found.end() if found else whole
        if isinstance(event, yaml.ScalarEvent):
            style = event.style if event.style in ("'", '"', "|", ">") else ""
            scalar = Scalar(min(start, end), end, whole, anchor, event.value, style, tag)
            self._keep(anchor, scalar)
            return scalar
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(start, whole, event, depth)
        return self._sequence(start, whole, event, depth)

    def _keep(self, anchor: str | None, node: Node) -> None:
        if anchor is not None:
            self._anchors[anchor] = node

    def _mapping(self, start: int, whole: int, event: Any, depth: int) -> Mapping:
        mapping = Mapping(start, start, whole, event.anchor, is_flow=bool(event.flow_style))
        self._keep(event.anchor, mapping)
        self._open.add(id(mapping))
        for inner in self._events:
            if isinstance(inner, yaml.MappingEndEvent):
                self._open.discard(id(mapping))
                mapping.end = self._end_of(mapping, inner, [value for _, value in mapping.entries])
                return mapping
            key = self._node(inner, depth + 1)
            mapping.entries.append((key, self._node(next(self._events), depth + 1)))
        raise BadInput("it is not valid YAML: a mapping does not end")

    def _sequence(self, start: int, whole: int, event: Any, depth: int) -> Sequence:
        sequence = Sequence(start, start, whole, event.anchor, is_flow=bool(event.flow_style))
        self._keep(event.anchor, sequence)
        self._open.add(id(sequence))
        for inner in self._events:
            if isinstance(inner, yaml.SequenceEndEvent):
                self._open.discard(id(sequence))
                sequence.end = self._end_of(sequence, inner, sequence.items)
                return sequence
            sequence.items.append(self._node(inner, depth + 1))
        raise BadInput("it is not valid YAML: a list does not end")

    def _end_of(self, node: Mapping | Sequence, event: Any, parts: list[Node]) -> int:
        """A block ends with its last part; the parser says where the next token begins."""
        if node.is_flow:
            return self._at(event.end_mark)
        return parts[-1].end if parts else node.start


# --- looking things up -----------------------------------------------------------------------------------------------


def resolved(node: Node) -> Node:
    """The node itself, or what the alias stands for."""
    while isinstance(node, Alias) and node.target is not None:
        node = node.target
    return node


def key_text(node: Node) -> str | None:
    """The text of a key; None for a key that is no scalar."""
    node = resolved(node)
    return node.text if isinstance(node, Scalar) else None


def entry(mapping: Mapping, key: str) -> tuple[Node, Node] | None:
    """The entry of a mapping that has the key itself, not by a merge; the last one counts, as for Kubernetes."""
    return next((one for one in reversed(mapping.entries) if key_text(one[0]) == key), None)


def merged(mapping: Mapping) -> list[Node]:
    """What `<<` merges into a mapping, as it stands there: aliases mostly. Earlier ones win."""
    found: list[Node] = []
    for key, value in mapping.entries:
        if isinstance(key, Scalar) and key.text == _MERGE and not key.style:
            inner = resolved(value)
            found += inner.items if isinstance(inner, Sequence) else [value]
    return found


def child(node: Node, key: Key) -> Node | None:
    """What a key, or a place in a list, leads to, as it stands there (it may be an Alias); None where it is not set."""
    node = resolved(node)
    if isinstance(node, Sequence):
        return node.items[key] if isinstance(key, int) and -len(node.items) <= key < len(node.items) else None
    if not isinstance(node, Mapping) or not isinstance(key, str):
        return None
    own = entry(node, key)
    if own is not None:
        return own[1]
    for other in merged(node):
        found = child(other, key)
        if found is not None:
            return found
    return None


def at(node: Node, *path: Key) -> Node | None:
    """The resolved node at a path; None where there is none.

    >>> plain(at(parse("a: {b: [1, 2]}")[0].root, "a", "b", 1))
    2
    """
    found: Node | None = node
    for key in path:
        found = child(found, key) if found is not None else None
    return None if found is None else resolved(found)


def text_at(node: Node, *path: Key) -> str | None:
    """The text of the scalar at a path; None where there is none, or it is null.

    >>> text_at(parse("kind: Pod")[0].root, "kind")
    'Pod'
    """
    found = at(node, *path)
    return found.text if isinstance(found, Scalar) and not is_null(found) else None


def items_at(node: Node, *path: Key) -> list[Node]:
    """The resolved items of the list at a path; none where there is no list."""
    found = at(node, *path)
    return [resolved(item) for item in found.items] if isinstance(found, Sequence) else []


def entries_of(node: Node | None) -> dict[str, Node]:
    """Key -> value of a mapping as they stand there, merges included; none for anything else."""
    node = None if node is None else resolved(node)
    if not isinstance(node, Mapping):
        return {}
    found: dict[str, Node] = {}
    for other in reversed(merged(node)):
        found |= entries_of(other)
    for key, value in node.entries:
        name = key_text(key)
        if name is not None and not (name == _MERGE and isinstance(key, Scalar) and not key.style):
            found[name] = value
    return found


def is_null(node: Node) -> bool:
    """Whether a node is YAML's null, written or left out."""
    return isinstance(node, Scalar) and not node.style and node.text in ("", "~", "null", "Null", "NULL")


def plain(node: Node | None) -> Any:
    """The node as plain Python: merges applied, plain scalars resolved to null, bool, int and float.

    >>> plain(parse("a: &x {b: 1}\\nc: {<<: *x, d: yes}")[0].root)
    {'a': {'b': 1}, 'c': {'b': 1, 'd': True}}
    """
    if node is None:
        return None
    node = resolved(node)
    if isinstance(node, Mapping):
        return {key: plain(value) for key, value in entries_of(node).items()}
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return _scalar(node) if isinstance(node, Scalar) else None


_RESOLVER: Any = yaml.SafeLoader("")
_BOOLS: AbstractMapping[str, bool] = {"yes": True, "on": True, "true": True, "no": False, "off": False, "false": False}


def _scalar(node: Scalar) -> Any:
    if node.style or node.tag == "!":
        return node.text
    tag = node.tag or _RESOLVER.resolve(yaml.ScalarNode, node.text, (True, False))
    kind = tag.rpartition(":")[2]
    try:
        if kind == "null":
            return None
        if kind == "bool":
            return _BOOLS.get(node.text.lower(), node.text)
        if kind == "int":
            return _RESOLVER.construct_yaml_int(yaml.ScalarNode(tag, node.text))
        if kind == "float":
            return _RESOLVER.construct_yaml_float(yaml.ScalarNode(tag, node.text))
    except ValueError:
        return node.text
    return node.text


def line_of(text: str, offset: int) -> int:
    """The number of the line, from 1, that an offset is in."""
    return text.count("\n", 0, offset) + 1
