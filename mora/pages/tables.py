"""A table of a page: sorted in the browser by any of its columns (static/tables.js)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cell:
    """The text of a cell, and what it is sorted by where that is not the text. kind: a class of page.css.

    group: in the first cell of a row, the group of the charts that the row is hidden and shown with.
    """

    text: str
    value: float | None = None
    kind: str = ""
    group: str = ""


def cell_of(shown: str) -> Cell:
    """A cell that is sorted by its number where its text is one, also with % or a mark * behind it.

    >>> cell_of("12.5%").value, cell_of("0.3*").value, cell_of("prophet").value
    (12.5, 0.3, None)
    """
    try:
        return Cell(shown, float(shown.rstrip("%*")))
    except ValueError:
        return Cell(shown)


@dataclass(frozen=True, slots=True)
class Table:
    """The headings and the rows, as many cells as headings each; the first cell names its row.

    caption: what the table is, for those who cannot see it.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
