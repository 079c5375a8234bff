"""How a YAML text is laid out: the columns of its keys, the steps of its indentation, its line ends."""

from __future__ import annotations

from collections import Counter

from mora.repo.tree import Document, Mapping, Node, Scalar, Sequence

_STEP = 2


def mappings(node: Node) -> list[Mapping]:
    """Every mapping of a node, in no order; what aliases stand for is visited where it stands."""
    found: list[Mapping] = []
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            found.append(one)
            waiting += [value for _, value in one.entries]
        elif isinstance(one, Sequence):
            waiting += one.items
    return found


def list_indent(text: str, document: Document) -> int:
    """By how much lists are indented below their key in a document: 0 where there is none."""
    found: Counter[int] = Counter()
    for mapping in mappings(document.root):
        if not mapping.is_flow and mapping.entries:
            column = column_of(text, mapping.entries[0][0].whole)
            for _, value in mapping.entries:
                if isinstance(value, Sequence) and not value.is_flow and value.items:
                    found[column_of(text, value.start) - column] += 1
    return found.most_common(1)[0][0] if found else 0


def step_of(text: str, document: Document) -> int:
    """By how much mappings are indented below their key in a document; 2 where nothing tells."""
    found: Counter[int] = Counter()
    for mapping in mappings(document.root):
        if mapping.is_flow:
            continue
        for key, value in mapping.entries:
            if isinstance(value, Mapping) and not value.is_flow and value.entries:
                found[column_of(text, value.entries[0][0].whole) - column_of(text, key.whole)] += 1
    step = found.most_common(1)[0][0] if found else _STEP
    return step if step > 0 else _STEP


def column_of(text: str, offset: int) -> int:
    """How many characters stand before an offset on its line."""
    column = offset - (text.rfind("\n", 0, offset) + 1)
    return column - 1 if text.startswith("\ufeff") and column == offset else column


def newline_of(text: str, near: int) -> str:
    """The line end that is used around an offset."""
    found = text.find("\n", max(near, 0))
    found = text.rfind("\n") if found < 0 else found
    return "\r\n" if found > 0 and text[found - 1] == "\r" else "\n"


def end_of_line(text: str, offset: int) -> int:
    """Where the line of an offset ends, before its line end."""
    found = text.find("\n", offset)
    end = len(text) if found < 0 else found
    return end - 1 if found > 0 and text[end - 1] == "\r" and end - 1 >= offset else end


def end_of_entry(text: str, node: Node, *, at_least: int = 0) -> int:
    """The end of the last line of a node, a comment on it included: where lines can be added below it."""
    last = last_of(node)
    end = max(last.end, at_least)
    if isinstance(last, Scalar) and last.style in ("|", ">"):
        header = text[last.start : last.end].split("\n", 1)[0].split("#", 1)[0]
        if "+" in header and text[end - 1 : end] == "\n":
            return end  # its blank lines belong to it
        end = last.start + len(text[last.start : last.end].rstrip())
    return end_of_line(text, end)


def last_of(node: Node) -> Node:
    """What stands last in a node of block style."""
    while True:
        if isinstance(node, Mapping) and not node.is_flow and node.entries:
            node = node.entries[-1][1]
        elif isinstance(node, Sequence) and not node.is_flow and node.items:
            node = node.items[-1]
        else:
            return node
