"""From a template to one HTML file: styles and scripts inside it, everything else escaped, nothing loaded.

>>> text = render("plain.html", title="<b>", sections=[section("Figures", ["a & b"])])
>>> "&lt;b&gt;" in text, "a &amp; b" in text, "default-src" in text
(True, True, True)
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from mora.columns import printable

if TYPE_CHECKING:
    from jinja2 import Environment, Template
    from markupsafe import Markup

    from mora.pages.charts import Chart
    from mora.pages.tables import Table

# What every page has, in this order: the style, then what the scripts of the page share.
_STYLES = ("vendor/uplot/uPlot.min.css", "static/page.css")
_SCRIPTS = ("vendor/uplot/uPlot.iife.min.js", "static/charts.js", "static/tables.js")


def render(template: str, *, title: str, scripts: Sequence[str] = (), **context: Any) -> str:
    """A whole page. template: a file of templates/. scripts: files of static/ that this page needs beside the shared.

    All text of the context is escaped; control and bidirectional characters become "?". Data for scripts goes through
    `json_block` of parts.html. Raises jinja2's errors for a template that does not exist or misses a value.
    """
    from markupsafe import Markup

    style = "\n".join(map(_text, _STYLES))
    texts = [*map(_text, _SCRIPTS), *(_text(f"static/{name}") for name in scripts)]
    text = _template(template).render(
        title=title,
        policy=policy(style, texts),
        # These are MOrA's own files, which no name from outside has entered.
        style=Markup(style),  # noqa: S704
        scripts=[Markup(text) for text in texts],  # noqa: S704
        **context,
    )
    return text + "\n"


def policy(style: str, scripts: Iterable[str]) -> str:
    """The Content-Security-Policy of a page: its own style and scripts by their hashes, and nothing else at all."""
    hashes = " ".join(map(_hash, scripts))
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {hashes}; base-uri 'none'; form-action 'none'; "
        "require-trusted-types-for 'script'"
    )


def section(
    heading: str, paragraphs: Sequence[str] = (), charts: Sequence[Chart] = (), table: Table | None = None
) -> Markup:
    """A part of a page: a heading, sentences, charts and a table; each may be missing but the heading."""
    module = _template("parts.html").module
    made: Markup = module.section(heading, paragraphs, charts, table)  # type: ignore[attr-defined]  # a macro
    return made


def _template(name: str) -> Template:
    return _environment().get_template(name)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("mora.pages"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Names come from clusters and files: what would turn text around or end a line is never shown.
        finalize=_finalize,
    )
    return environment


def _finalize(value: Any) -> Any:
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return printable(value)
    return value


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _text(name: str) -> str:
    """A file of this room, as it stands in the page: a browser hashes it without surrounding changes."""
    return files("mora.pages").joinpath(name).read_text(encoding="utf-8").strip()
