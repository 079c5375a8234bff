from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.changes.windows import DAYS, parse_window
from mora.errors import BadInput

TIMES = st.tuples(st.integers(0, 23), st.integers(0, 59)).map(lambda clock: f"{clock[0]:02d}:{clock[1]:02d}")
MOMENTS = st.integers(1_700_000_000, 1_900_000_000).map(lambda at: datetime.fromtimestamp(at, UTC))


@given(day=st.sampled_from(DAYS), begin=TIMES, end=TIMES, at=MOMENTS)
def test_a_window_is_open_on_its_day_from_its_begin_to_its_end(day: str, begin: str, end: str, at: datetime) -> None:
    if begin == end:
        return
    window = parse_window(f"{day} {begin}-{end}")
    clock, name = f"{at:%H:%M}", DAYS[at.weekday()]
    if begin < end:
        expected = name == day and begin <= clock < end
    else:
        yesterday = DAYS[at.weekday() - 1]
        expected = (name == day and clock >= begin) or (yesterday == day and clock < end)
    assert window.is_open(at.timestamp()) == expected


@given(day=st.sampled_from(DAYS), begin=TIMES, end=TIMES, at=MOMENTS)
def test_a_window_opens_at_its_next_opening_and_not_before(day: str, begin: str, end: str, at: datetime) -> None:
    if begin == end:
        return
    window, moment = parse_window(f"{day} {begin}-{end}"), at.timestamp()
    opens = window.opens_at(moment)
    assert window.is_open(opens)
    assert opens - moment < 7 * 86_400
    assert opens == moment or not any(window.is_open(moment + (opens - moment) * part / 9) for part in range(9))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "always",
        "02:00",
        "02:00-02:00",
        "24:00-01:00",
        "25:00-26:00",
        "02:00-03:61",
        "Mox 02:00-03:00",
        "Mon-Wed-Fri 1",
    ],
)
def test_what_is_no_window_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_window(text)
    assert "Mon-Fri 22:00-02:00" in str(refused.value.hint)


def test_several_windows_and_days_out_of_order_are_read() -> None:
    window = parse_window("Sat,Sun 00:00-24:00; mon-fri 22:00-02:00")
    saturday = datetime(2026, 11, 28, 12, tzinfo=UTC).timestamp()
    assert window.is_open(saturday)
    assert not window.is_open(saturday + 2 * 86_400)
    assert window.is_open(saturday + 2 * 86_400 + 10.5 * 3600)
    assert parse_window("Fri-Mon 00:00-24:00").is_open(saturday)
