"""One HTML file: its own style and scripts by their hashes, everything else as text."""

from __future__ import annotations

import base64
import hashlib
import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import TemplateNotFound, UndefinedError

from mora.pages.charts import Chart, Line
from mora.pages.page import render, section
from mora.pages.tables import Cell, Table

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>'\"&\u202e\x1b[2J"


def plain(text: str) -> str:
    table = Table(text, [text], [[Cell(text, 1.5, group=text)]])
    chart = Chart(text, [1, 2], [Line(text, [1, 2], "c1", group=text, label=text)], text=text, x_label=text)
    return render("plain.html", title=text, lead=[text], sections=[section(text, [text], [chart], table)], foot=[text])


def tags(page: str) -> list[str]:
    return re.findall(r"<[a-z][^>]*>", re.sub(r"<(script|style)[^>]*>.*?</\1>", r"<\1></\1>", page, flags=re.DOTALL))


def test_the_policy_names_each_style_and_script_that_runs_and_no_other() -> None:
    page = plain("x")
    meta = unescape(page.partition('<meta http-equiv="Content-Security-Policy" content="')[2].partition('"')[0])
    allowed = set(re.findall(r"'(sha256-[^']+)'", meta))
    inside = re.findall(r"<(?:style|script)>(.*?)</(?:style|script)>", page, flags=re.DOTALL)
    hashed = {f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}" for text in inside}
    assert len(inside) == 4
    assert hashed == allowed
    assert meta.startswith("default-src 'none'; ")
    assert "unsafe" not in meta


def test_hostile_text_stays_text() -> None:
    page, calm = plain(HOSTILE), plain("x")
    assert [tag.partition(" ")[0].rstrip(">") for tag in tags(page)] == [
        tag.partition(" ")[0].rstrip(">") for tag in tags(calm)
    ]
    assert "<img" not in page
    assert not [c for c in page if not c.isprintable() and c != "\n"]


@given(st.text(max_size=30))
def test_no_text_adds_an_element(text: str) -> None:
    assert len(tags(plain(text or "x"))) == len(tags(plain("x")))


def test_a_template_that_is_not_there_and_a_value_that_is_missing_are_errors() -> None:
    with pytest.raises(TemplateNotFound):
        render("no-such.html", title="x")
    with pytest.raises(UndefinedError):
        render("plain.html", title="x")
