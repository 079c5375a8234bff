"""Reading an address, through texts in texts: what it leads to, and who else uses that."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as AbstractSequence

from mora.errors import MoraError
from mora.repo.layout import end_of_line, newline_of
from mora.repo.sites import Address
from mora.repo.tree import (
    Document,
    Key,
    Mapping,
    Node,
    Scalar,
    child,
    entry,
    is_null,
    key_text,
    merged,
    parse,
    resolved,
)

# How keys begin that only keep what is referred to.
KEPT = ("x-", ".", "_")


class Refusal(MoraError):
    """A value that cannot be changed without changing more; the message is a reason that follows "since"."""


class Shared(Refusal):
    """A value of an anchor that other places use, too. anchor: its name."""

    def __init__(self, anchor: str) -> None:
        self.anchor = anchor
        super().__init__(f"the anchor &{anchor} stands in other places, too; --split-anchors copies it")


def read_text(text: str, address: Address) -> str | None:
    """The text of the scalar at an address; None where there is none."""
    node = node_at(text, address)
    return node.text if isinstance(node, Scalar) and not is_null(node) else None


def node_at(text: str, address: Address) -> Node | None:
    """The resolved node at an address; None where there is none."""
    if address.inner is not None:
        holder = node_at(text, Address(address.document, address.path))
        return node_at(holder.text, address.inner) if isinstance(holder, Scalar) else None
    documents = parse(text)
    if address.document >= len(documents):
        return None
    node: Node | None = documents[address.document].root
    for key in address.path:
        node = None if node is None else child(node, key)
    return None if node is None else resolved(node)


def walk(document: Document, path: tuple[Key, ...]) -> list[Node]:
    """The resolved nodes on the way, the root first. Refusal where the way ends."""
    nodes = [resolved(document.root)]
    for key in path:
        found = child(nodes[-1], key)
        if found is None:
            raise Refusal(f"{key} is not there any more")
        nodes.append(resolved(found))
    return nodes


def shared_anchor(document: Document, path: tuple[Key, ...]) -> str | None:
    """The name of the first anchor on the way whose content stands in other places, too; None without one."""
    node: Node = document.root
    for step in (None, *path):
        if step is not None:
            parent = resolved(node)
            found = child(node, step)
            if found is None:
                return None
            if isinstance(parent, Mapping) and isinstance(step, str) and entry(parent, step) is None:
                shared = [one for one in merged(parent) if is_shared(document, resolved(one))]
                if shared:
                    return resolved(shared[0]).anchor
            node = found
        if is_shared(document, resolved(node)):
            return resolved(node).anchor
    return None


def is_shared(document: Document, node: Node) -> bool:
    """Whether what an anchor marks stands in more than one place that means something.

    What is only kept to be referred to (below a key such as `x-small` or `.anchors`) means nothing where it stands.
    """
    users = document.users(node)
    return len(users) > (1 if users and is_definition(document, node) else 0)


def is_definition(document: Document, node: Node) -> bool:
    """Whether a node stands below a key of the document that only keeps what is referred to."""
    root = resolved(document.root)
    entries = root.entries if isinstance(root, Mapping) else []
    return any(
        value.whole <= node.whole <= value.end and (key_text(key) or "").startswith(KEPT) for key, value in entries
    )


def check_not_shared(document: Document, path: tuple[Key, ...]) -> None:
    """Raise Shared where a path goes through an anchor that has more users."""
    anchor = shared_anchor(document, path)
    if anchor is not None:
        raise Shared(anchor)


# --- texts within texts ----------------------------------------------------------------------------------------------


def within(text: str, address: Address, change: Callable[[str, Address], str]) -> str:
    """Apply a change to the text that an address is of: the file itself, or a block of text in it."""
    if address.inner is None:
        return change(text, address)
    inner_address = address.inner
    documents = parse(text)
    node = walk(documents[address.document], address.path)[-1]
    if not isinstance(node, Scalar):
        raise Refusal("the address is not of a string")
    check_not_shared(documents[address.document], address.path)
    inner, embed = _embedded(text, node)
    return embed(within(inner, inner_address, change))


def _embedded(text: str, node: Scalar) -> tuple[str, Callable[[str], str]]:
    """The text that a scalar holds, and the function that puts a changed one in its place."""
    if node.style == "|":
        return _literal(text, node)
    raw = text[node.start : node.end]
    inner = raw[1:-1] if node.style in ("'", '"') else raw
    if node.style == ">" or inner != node.text:
        raise Refusal("it is in a text whose lines are folded or escaped; write it as a block (|)")
    first, last = node.start + (len(raw) - len(inner)) // 2, node.end - (len(raw) - len(inner)) // 2

    def embed(changed: str) -> str:
        if "\n" in changed or (node.style and node.style in changed) or (node.style == '"' and "\\" in changed):
            raise Refusal("it is in a text of one line, which the change does not fit in; write it as a block (|)")
        return text[:first] + changed + text[last:]

    return inner, embed


def _literal(text: str, node: Scalar) -> tuple[str, Callable[[str], str]]:
    first = text.find("\n", node.start) + 1
    if not 0 < first <= node.end:
        raise Refusal("it is an empty text")
    # The lines that carry content; blank ones behind them stay where they are.
    last = end_of_line(text, first + len(text[first : node.end].rstrip()) - 1)
    lines = text[first:last].split("\n")
    end = "\r" if newline_of(text, first - 1) == "\r\n" else ""
    indent = min((len(line) - len(line.lstrip(" ")) for line in lines if line.strip()), default=0)
    stripped = [line.rstrip("\r")[indent:] for line in lines]
    inner = "\n".join(stripped) + "\n"
    if inner.rstrip("\n") != node.text.rstrip("\n"):
        raise Refusal("it is in a block of text whose indentation is not plain")

    def embed(changed: str) -> str:
        after = changed.removesuffix("\n").split("\n")
        same = _common(stripped, after)
        tail = _common(stripped[same:][::-1], after[same:][::-1])
        middle = [" " * indent + line + end if line else end for line in after[same : len(after) - tail]]
        joined = [*(line.removesuffix("\r") + end for line in lines[:same]), *middle, *lines[len(lines) - tail :]]
        return text[:first] + "\n".join(joined).removesuffix("\r") + text[last:]

    return inner, embed


def _common(some: AbstractSequence[str], others: AbstractSequence[str]) -> int:
    count = 0
    for one, other in zip(some, others, strict=False):
        if one != other:
            break
        count += 1
    return count
