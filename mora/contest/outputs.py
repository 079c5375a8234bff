"""The outputs of `mora compare`, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mora.contest.page import render_page
from mora.contest.text import Comparison, render_json, render_markdown, render_table

RENDERERS: Mapping[str, Callable[[Comparison], str]] = {
    "table": render_table,
    "markdown": render_markdown,
    "json": render_json,
    "html": render_page,
}
