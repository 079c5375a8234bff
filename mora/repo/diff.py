"""The unified diff of a plan, as `git apply` takes it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

from mora.repo.checkout import Checkout

_PLAIN = re.compile(r"[\w./+@=,:~ -]+", re.ASCII)
_NO_END = "\\ No newline at end of file\n"
_NOTHING = "/dev/null"


def unified(checkout: Checkout, texts: Mapping[str, str]) -> str:
    """What changes in the files, those first that come first by name; nothing where nothing does."""
    return "".join(_file(path, checkout.text(path), texts[path]) for path in sorted(texts))


def _file(path: str, before: str | None, after: str) -> str:
    if before == after:
        return ""
    old, new = _lines(before or ""), _lines(after)
    name, head = _quoted(f"a/{path}"), ""
    if before is None:
        name, head = _NOTHING, f"diff --git {_quoted(f'a/{path}')} {_quoted(f'b/{path}')}\nnew file mode 100644\n"
    parts = [head]
    for number, line in enumerate(difflib.unified_diff(old, new, name, _quoted(f"b/{path}"), n=3)):
        # The two names end with a line end of their own; lines of the file have theirs.
        parts.append(line if number < 2 or line.endswith("\n") else f"{line}\n{_NO_END}")
    return "".join(parts)


def _lines(text: str) -> list[str]:
    """Lines as Git counts them, each with its end: by line feeds alone."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _quoted(name: str) -> str:
    """A path as Git writes it: in quotes, bytes as octal numbers, where it has more than plain characters.

    >>> _quoted("a/apps/web.yaml"), _quoted('a/é"b')
    ('a/apps/web.yaml', '"a/\\\\303\\\\251\\\\"b"')
    """
    if _PLAIN.fullmatch(name):
        return name
    escaped = "".join(
        chr(byte)
        if 0x20 <= byte < 0x7F and byte not in b'"\\'
        else f"\\{chr(byte)}"
        if byte in b'"\\'
        else f"\\{byte:03o}"
        for byte in name.encode(errors="surrogateescape")
    )
    return f'"{escaped}"'
