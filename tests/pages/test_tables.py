"""Tables of a page: what a cell is sorted by, and what hides its row."""

from __future__ import annotations

from mora.pages.page import section
from mora.pages.tables import Cell, Table, cell_of


def test_a_cell_is_sorted_by_its_value_and_a_row_hidden_with_its_group() -> None:
    rows = [[Cell("krr", group="krr"), Cell("1.5 GiB", 1.5), Cell("-5%", -0.05, "less")]]
    made = section("Scores", table=Table("Scores of rules", ["rule", "memory", "change"], rows))
    assert '<tr class="stays" data-of="krr"><th scope="row">krr</th>' in made
    assert '<td data-v="1.5">1.5 GiB</td><td data-v="-0.05" class="less">-5%</td>' in made
    assert '<caption class="hidden">Scores of rules</caption>' in made


def test_a_cell_with_a_number_is_sorted_by_it_and_words_by_themselves() -> None:
    assert [cell_of(shown).value for shown in ("12.5%", "-0.3*", "inf", "none", "")] == [
        12.5,
        -0.3,
        float("inf"),
        None,
        None,
    ]
    assert cell_of("12.5%").text == "12.5%"
