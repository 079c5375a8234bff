"""How a text is laid out, read from the text itself."""

from __future__ import annotations

from mora.repo.layout import column_of, list_indent, newline_of, step_of
from mora.repo.tree import parse


def test_steps_lists_and_line_ends_are_those_of_the_text() -> None:
    text = "a:\r\n    b:\r\n        c: 1\r\n    d:\r\n    - 1\r\n"
    document = parse(text)[0]
    assert (step_of(text, document), list_indent(text, document), newline_of(text, 0)) == (4, 0, "\r\n")
    assert step_of("a: 1\n", parse("a: 1\n")[0]) == 2
    assert column_of("\ufeffab", 2) == 1
