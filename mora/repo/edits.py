"""Changing one value of a YAML text by its place: every byte outside of it stays as it is.

Each function takes a text and returns a text. Nothing is dumped: what is there is replaced, what is missing is inserted
below its siblings, in their indentation, quotes and line ends.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence as AbstractSequence

from mora.repo.addresses import Refusal, check_not_shared, within
from mora.repo.layout import column_of, end_of_entry, end_of_line, list_indent, newline_of, step_of
from mora.repo.sites import Address
from mora.repo.tree import (
    Alias,
    Document,
    Key,
    Mapping,
    Node,
    Scalar,
    Sequence,
    at,
    child,
    entry,
    is_null,
    parse,
    plain,
    resolved,
)

_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")


# --- the three changes -----------------------------------------------------------------------------------------------


def set_value(text: str, address: Address, value: str | int | None) -> str:
    """The text with a scalar at an address, its parents made where they are missing. value None: YAML's null.

    Text that reads as a number is quoted, but for an int. Raises Shared where an anchor on the way is used elsewhere.

    >>> print(set_value("a: {b: 1}  # why\\nc: 2\\n", Address(0, ("a", "b")), "500m"), end="")
    a: {b: 500m}  # why
    c: 2
    >>> print(set_value("resources: {}\\n", Address(0, ("resources", "limits", "memory")), "1Gi"), end="")
    resources:
      limits:
        memory: 1Gi
    """
    return within(text, address, lambda inner, one: _set(inner, one, value))


def remove_value(text: str, address: Address, *, keep: int) -> str:
    """The text without the key at an address, nor parents that are empty then, down to `keep` keys of the path.

    >>> remove_value("r:\\n  limits:\\n    cpu: 1\\n  a: 1\\n", Address(0, ("r", "limits", "cpu")), keep=1)
    'r:\\n  a: 1\\n'
    """
    return within(text, address, lambda inner, one: _remove(inner, one, keep))


def append_item(text: str, address: Address, lines: AbstractSequence[str]) -> str:
    """The text with one more item at the end of the list at an address, or a new list of it.

    lines: the item in block style, without its "- ".
    """
    return within(text, address, lambda inner, one: _append(inner, one, lines))


# --- setting ---------------------------------------------------------------------------------------------------------


def _set(text: str, address: Address, value: str | int | None) -> str:
    document = parse(text)[address.document]
    path = address.path
    check_not_shared(document, path)
    parent, place = document.root, 0
    for place, key in enumerate(path[:-1]):
        found = child(parent, key)
        if found is None or is_null(resolved(found)) or _is_empty(resolved(found)):
            return _insert(text, document, path[:place], parent, path[place:], value)
        parent = resolved(found)
    last = path[-1]
    found = child(parent, last)
    if found is None:
        return _insert(text, document, path[:-1], parent, path[-1:], value)
    return _replace(text, parent, last, resolved(found), value)


def _replace(text: str, parent: Node, key: Key, node: Node, value: str | int | None) -> str:
    if not isinstance(node, Scalar):
        raise Refusal(f"{key} is not a single value")
    if node.style in ("|", ">"):
        raise Refusal(f"{key} is a block of text")
    if "{{" in node.text or "${" in node.text:
        raise Refusal(f"{key} is set by a variable ({node.text})")
    if node.start == node.end:  # nothing but the key
        return text[: node.start] + " " + _written(value, node, parent, key) + text[node.start :]
    return text[: node.start] + _written(value, node, parent, key) + text[node.end :]


def _written(value: str | int | None, before: Scalar | None, parent: Node, key: Key) -> str:
    """A value in the quotes of the one before, or of its siblings; a number that was text stays text."""
    if value is None or isinstance(value, int):
        return _scalar(value)
    if before is not None and before.style in ("'", '"'):
        return f"{before.style}{value}{before.style}"
    if _is_json(parent):
        was_number = before is not None and not is_null(before)
        return value if was_number and _NUMBER.fullmatch(value) else json.dumps(value)
    if before is not None and isinstance(plain(before), (int, float)) and _NUMBER.fullmatch(value):
        return value
    return _scalar(value)


def _scalar(value: str | int | None) -> str:
    """A new value: a quantity that reads as a number is quoted, so that it stays text where text is wanted."""
    if value is None or isinstance(value, int):
        return "null" if value is None else str(value)
    return f'"{value}"' if _NUMBER.fullmatch(value) else value


def _is_json(parent: Node) -> bool:
    """Whether a mapping is written as in JSON: in braces, its keys quoted."""
    if not isinstance(parent, Mapping) or not parent.is_flow or not parent.entries:
        return False
    return all(isinstance(key, Scalar) and key.style == '"' for key, _ in parent.entries)


def _is_empty(node: Node) -> bool:
    return (isinstance(node, Mapping) and not node.entries) or (isinstance(node, Sequence) and not node.items)


def _insert(
    text: str, document: Document, path: tuple[Key, ...], parent: Node, keys: tuple[Key, ...], value: str | int | None
) -> str:
    """Put a chain of new keys with a value at its end into a mapping; the first key may be there, without a value."""
    if not isinstance(parent, Mapping) or any(not isinstance(key, str) for key in keys):
        raise Refusal(f"{keys[0]} is not there, and cannot be added")
    names = [str(key) for key in keys]
    there = entry(parent, names[0])
    if parent.is_flow:
        return _insert_flow(text, parent, there, names, value)
    if there is not None:
        return _fill(text, document, parent, there, names[1:], value)
    lines = _block(names, value, step_of(text, document))
    if not parent.entries:
        raise Refusal("it is an empty mapping without a place")
    return insert_lines(text, parent, lines)


def _block(names: AbstractSequence[str], value: str | int | None, step: int) -> list[str]:
    """A chain of keys in block style."""
    lines = [" " * (step * depth) + f"{_key(name)}:" for depth, name in enumerate(names)]
    lines[-1] += " " + _scalar(value)
    return lines


def _key(name: str) -> str:
    return name if _PLAIN_KEY.fullmatch(name) else json.dumps(name)


def _flow(names: AbstractSequence[str], value: str | int | None, *, is_json: bool) -> str:
    """A chain of keys in braces, without the outermost ones."""
    quoted = json.dumps if is_json else _key
    text = json.dumps(value) if is_json else _scalar(value)
    for depth, name in enumerate(reversed(names)):
        text = f"{quoted(name)}: {text}" if depth == 0 else f"{quoted(name)}: {{{text}}}"
    return text


def insert_lines(text: str, mapping: Mapping, lines: AbstractSequence[str]) -> str:
    """The text with lines of block style below the last entry of a block mapping, in its indentation."""
    column = column_of(text, mapping.entries[0][0].whole)
    offset = end_of_entry(text, mapping.entries[-1][1])
    return _put_lines(text, offset, [" " * column + line if line else line for line in lines])


def _put_lines(text: str, offset: int, lines: AbstractSequence[str]) -> str:
    newline = newline_of(text, offset)
    if offset and text[offset - 1 : offset] == "\n":  # a block that keeps its blank lines ends with one
        return text[:offset] + "".join(line + newline for line in lines) + text[offset:]
    return text[:offset] + "".join(newline + line for line in lines) + text[offset:]


def _fill(
    text: str,
    document: Document,
    parent: Mapping,
    there: tuple[Node, Node],
    names: AbstractSequence[str],
    value: str | int | None,
) -> str:
    """Give a key its first content: it has none, null, or empty braces."""
    key, node = there
    if isinstance(node, Alias):
        raise Refusal(f"it is an alias of &{text[node.start + 1 : node.end]}")
    step = step_of(text, document)
    column = column_of(text, key.whole) + step
    if not names:
        raise Refusal(f"{text[key.start : key.end]} is not a single value")
    offset = end_of_line(text, max(node.end, key.end))
    lines = [" " * column + line for line in _block(names, value, step)]
    changed = _put_lines(text, offset, lines)
    if node.start == node.end:
        return changed
    # The braces go, and the space before them; what else stands on the line stays.
    first = node.start
    while text[first - 1] in " \t":
        first -= 1
    return changed[:first] + changed[node.end :]


def _insert_flow(
    text: str, parent: Mapping, there: tuple[Node, Node] | None, names: AbstractSequence[str], value: str | int | None
) -> str:
    is_json = _is_json(parent)
    if there is not None:
        node = there[1]
        if isinstance(node, Alias) or len(names) < 2:
            raise Refusal(f"{names[0]} is not a mapping")
        inner = "{" + _flow(names[1:], value, is_json=is_json) + "}"
        return text[: node.start] + ("" if text[node.start - 1] in " \t" else " ") + inner + text[node.end :]
    piece = _flow(names, value, is_json=is_json)
    if not parent.entries:
        return text[: parent.start] + "{" + piece + "}" + text[parent.end :]
    last_key, last_value = parent.entries[-1]
    end = max(last_value.end, last_key.end)
    rest = re.match(r"[ \t]*,", text[end:])
    if rest:
        end += rest.end()
    line_start = text.rfind("\n", 0, last_key.whole) + 1
    lead = text[line_start : last_key.whole]
    gap = newline_of(text, line_start) + lead if line_start > parent.start and not lead.strip() else " "
    return text[:end] + ("" if rest else ",") + gap + piece + ("," if rest else "") + text[end:]


# --- lists -----------------------------------------------------------------------------------------------------------


def _append(text: str, address: Address, lines: AbstractSequence[str]) -> str:
    document = parse(text)[address.document]
    parent: Node = document.root
    for key in address.path[:-1]:
        found = child(parent, key)
        if found is None:
            raise Refusal(f"{key} is not there, and cannot be added")
        parent = resolved(found)
    name = address.path[-1]
    if not isinstance(parent, Mapping) or not isinstance(name, str) or parent.is_flow or not parent.entries:
        raise Refusal(f"{name} cannot be added there")
    there = entry(parent, name)
    node = None if there is None else there[1]
    if isinstance(node, Alias) or (node is not None and node.anchor is not None and document.users(node)):
        raise Refusal(f"{name} is shared by an anchor")
    if isinstance(node, Sequence) and node.items and not node.is_flow:
        column = column_of(text, node.start)
        return _put_lines(text, end_of_entry(text, node.items[-1]), _item(lines, column))
    if isinstance(node, Sequence) and node.items:
        if any(line.endswith("|") for line in lines):
            raise Refusal(f"{name} is a list in brackets; write it as a block")
        end = node.items[-1].end
        rest = re.match(r"[ \t]*,", text[end:])
        end += rest.end() if rest else 0
        return text[:end] + ("" if rest else ",") + " " + _braced(lines) + text[end:]
    if there is None:
        indent = list_indent(text, document)
        return insert_lines(text, parent, [f"{name}:", *_item(lines, indent)])
    if node is not None and not (is_null(node) or _is_empty(node)):
        raise Refusal(f"{name} is not a list")
    column = column_of(text, there[0].whole) + list_indent(text, document)
    changed = _put_lines(text, end_of_line(text, max(there[1].end, there[0].end)), _item(lines, column))
    first = there[1].start
    while first < there[1].end and text[first - 1] in " \t":
        first -= 1
    return changed[:first] + changed[there[1].end :]


def _braced(lines: AbstractSequence[str]) -> str:
    """An item of block style in braces: of scalars, and of mappings of scalars."""
    text, is_inside = "", False
    for line in lines:
        is_below = line.startswith(" ")
        if is_inside and not is_below:
            text += "}"
        text += ("" if not text or text.endswith("{") else ", ") + line.strip()
        is_inside = is_below
        if line.endswith(":"):
            text += " {"
    return "{" + text + ("}" if is_inside else "") + "}"


def _item(lines: AbstractSequence[str], column: int) -> list[str]:
    head, *rest = lines
    return [f"{' ' * column}- {head}", *(f"{' ' * column}  {line}" if line else line for line in rest)]


# --- removing --------------------------------------------------------------------------------------------------------


def _remove(text: str, address: Address, keep: int) -> str:
    path = address.path
    while len(path) > keep:
        document = parse(text)[address.document]
        check_not_shared(document, path)
        parent = document.root if len(path) == 1 else at(document.root, *path[:-1])
        name = path[-1]
        if parent is None:
            return text
        if not isinstance(parent, Mapping) or not isinstance(name, str):
            raise Refusal(f"{name} is in a list")
        there = entry(parent, name)
        if there is None:
            return text
        is_last = len(parent.entries) == 1
        if is_last and len(path) - 1 > keep:
            path = path[:-1]
            continue
        return _without(text, parent, there)
    return text


def _without(text: str, parent: Mapping, there: tuple[Node, Node]) -> str:
    key, value = there
    if parent.is_flow:
        place = parent.entries.index(there)
        if len(parent.entries) == 1:
            return text[: parent.start + 1] + text[parent.end - 1 :]
        if place + 1 < len(parent.entries):
            return text[: key.whole] + text[parent.entries[place + 1][0].whole :]
        before_key, before_value = parent.entries[place - 1]
        return text[: max(before_value.end, before_key.end)] + text[max(value.end, key.end) :]
    first = text.rfind("\n", 0, key.whole) + 1
    last = end_of_entry(text, value, at_least=key.end)
    if text[first : key.whole].strip():  # behind "- ": the next key takes its place
        place = parent.entries.index(there)
        if place + 1 >= len(parent.entries):
            raise Refusal("it is the only key of a list's item")
        return text[: key.whole] + text[parent.entries[place + 1][0].whole :]
    if last < len(text):
        is_past = last > first and text[last - 1] == "\n"
        return text[:first] + text[last if is_past else last + len(newline_of(text, last)) :]
    return text[: max(first - len(newline_of(text, first - 1)), 0)] + text[last:]
