"""Text for a terminal: rows of cells with those of a column one below the other, and nothing that it would obey."""

from __future__ import annotations

from collections.abc import Sequence


def columns(rows: Sequence[Sequence[str]], *, is_right: Sequence[bool] | None = None, gap: int = 2) -> list[str]:
    """A line a row; each column is as wide as its longest cell.

    is_right: which columns are aligned to the right, all but the first by default. gap: spaces between two columns.

    >>> print(*columns([("service", "CPU"), ("cart", "60m")]), sep="\\n")
    service  CPU
    cart     60m
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rights = [number > 0 for number in range(len(widths))] if is_right is None else is_right[: len(widths)]
    return [
        (" " * gap)
        .join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, rights, strict=True)
        )
        .rstrip()
        for row in rows
    ]


def printable(words: str) -> str:
    """Text for a terminal: what it would obey (control and bidirectional characters of a server's names) becomes "?".

    >>> printable("There is no 'a\\x1b[2J'.\\nDid you mean 'web'?")
    "There is no 'a?[2J'.\\nDid you mean 'web'?"
    """
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in words)
