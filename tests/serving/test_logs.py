"""Log lines: one event a line, whatever a name or an error contains."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from mora.serving.logs import log_line

NOW = datetime(2026, 11, 21, 5, 0, 7, tzinfo=UTC)


@given(text=st.text())
def test_no_value_can_break_or_forge_a_line(text: str) -> None:
    line = log_line("info", "started", {"vpa": text}, now=NOW)
    assert "\n" not in line
    assert "\r" not in line
    assert line.startswith("time=2026-11-21T05:00:07.000Z level=info msg=started vpa=")


def test_plain_values_stand_without_quotes() -> None:
    line = log_line("info", "started", {"port": 8942, "namespace": "shop"}, now=NOW)
    assert line.endswith("msg=started port=8942 namespace=shop")
