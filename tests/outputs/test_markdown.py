"""Text in Markdown stays text, whatever it says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mora.outputs.markdown import plain

SIGNS = st.text("ab12 <>&*_`[]()!|~#@:./\\-+=", max_size=60)


@given(SIGNS)
def test_a_text_makes_no_element_in_a_cell_of_a_table(text: str) -> None:
    html = MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(f"| a |\n|---|\n| x {plain(text)} |\n")
    inside = html.split("<tbody>")[1].split("</tbody>")[0]
    assert inside.count("<") == len(["<tr>", "<td>", "</td>", "</tr>"])
