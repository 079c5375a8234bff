"""Amounts survive their way through text, and what is asked for is never rounded down."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora import quantities as q
from mora.errors import BadInput

MILLICORES = st.integers(0, 10**7)
BYTES = st.integers(0, 2**55)
USE = st.floats(0, 1e12, allow_nan=False)
# Hypothesis takes bounds without a zone.
_YEARS = (datetime(1000, 1, 2), datetime(9999, 12, 30))  # noqa: DTZ001


@given(MILLICORES)
def test_cpu_survives_its_text(millicores: int) -> None:
    assert q.parse_cpu(q.format_cpu(millicores)) == millicores


@given(BYTES)
def test_memory_survives_its_text(amount_bytes: int) -> None:
    assert q.parse_memory(q.format_memory(amount_bytes)) == amount_bytes


@given(st.floats(0, 1e4))
def test_a_cpu_request_is_never_rounded_down(cores: float) -> None:
    millicores = q.cores_to_millicores(cores)
    # Six digits of a millicore are float noise, not use.
    assert cores * 1000 - 1e-6 <= millicores < cores * 1000 + 1


@given(USE)
def test_a_memory_request_is_never_rounded_down_and_never_by_a_whole_unit_up(amount_bytes: float) -> None:
    request = q.memory_request(amount_bytes)
    unit = q.MIB if amount_bytes >= q.MIB else q.KIB
    # Six digits of the unit are float noise: less than a byte.
    assert amount_bytes * (1 - 1e-11) - 1 < request < amount_bytes + unit
    assert request % unit == 0


@given(USE, USE)
def test_more_use_never_gives_a_smaller_request(one: float, other: float) -> None:
    less, more = sorted((one, other))
    assert q.memory_request(less) <= q.memory_request(more)
    assert q.bytes_up(less) <= q.bytes_up(more)


@pytest.mark.parametrize(
    ("text", "amount_bytes"),
    # What KRR's own tests parse (FIELD.md 6.1), and Kubernetes' documentation of quantities: all the same memory.
    [
        ("128974848", 128974848),
        ("123Mi", 128974848),
        ("128974848000m", 128974848),
        ("128974848e0", 128974848),
        ("129e6", 129_000_000),
        ("129M", 129_000_000),
        ("1Ki", 1024),
        ("1k", 1000),
        (".5Gi", 2**29),
        ("1E", 10**18),
    ],
)
def test_memory_is_read_as_kubernetes_reads_it(text: str, amount_bytes: int) -> None:
    assert q.parse_memory(text) == amount_bytes


@pytest.mark.parametrize(
    ("text", "cores"),
    [("5m", Decimal("0.005")), ("1", Decimal(1)), ("100n", Decimal("1e-7")), ("1e-3", Decimal("1e-3"))],
)
def test_cpu_is_read_as_kubernetes_reads_it(text: str, cores: Decimal) -> None:
    assert q.parse_quantity(text) == cores


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "1 Gi",
        "-1",
        "+1",
        "1.2.3",
        "m",
        "1mi",
        "1KiB",
        "0x10",
        "1e",
        "nan",
        "inf",
        "٣",
        "1Mi\n",
        "banana",
        "1e1000",
    ],
)
def test_what_is_no_quantity_is_refused_with_examples(text: str) -> None:
    with pytest.raises(BadInput, match="is not a Kubernetes quantity"):
        q.parse_quantity(text)


@pytest.mark.parametrize(
    ("amount_bytes", "text"),
    # Goldilocks rounds up to whole Mi (FIELD.md 6.3).
    [(123456 * 1024, "121Mi"), (1038683533, "991Mi"), (1, "1Ki"), (0, "0"), (q.MIB, "1Mi"), (236.66 * q.MIB, "237Mi")],
)
def test_memory_requests_are_printed_in_whole_mebibytes(amount_bytes: float, text: str) -> None:
    assert q.format_memory(q.memory_request(amount_bytes)) == text


@pytest.mark.parametrize("amount", [-1.0, math.nan, math.inf, -math.inf])
def test_an_amount_that_cannot_be_is_refused(amount: float) -> None:
    for convert in (q.cores_to_millicores, q.bytes_up, q.memory_request):
        with pytest.raises(BadInput, match="finite number of at least 0"):
            convert(amount)


def test_a_negative_amount_is_not_printed() -> None:
    for text_of in (q.format_cpu, q.format_memory):
        with pytest.raises(BadInput, match="at least 0"):
            text_of(-1)


@given(st.integers(1, 10**11))
def test_a_span_is_written_alike_from_seconds_and_from_a_timedelta(milliseconds: int) -> None:
    assert q.format_duration(milliseconds / 1000) == q.format_duration(timedelta(milliseconds=milliseconds))


def test_a_span_is_written_as_people_ask_for_it() -> None:
    spans = (30, 62, 5400, 3600, 86_400, 129_600, 172_800, 14 * 86_400)
    assert [q.format_duration(s) for s in spans] == ["30s", "1m2s", "1h30m", "1h", "24h", "36h", "2d", "14d"]


@given(st.floats(0, 1e9))
def test_an_estimated_span_is_off_by_less_than_its_last_digit(seconds: float) -> None:
    text = q.format_duration(seconds, about=True)
    if text != "0s":
        unit_seconds = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}[text.lstrip("0123456789.")]
        assert abs(q.parse_duration(text).total_seconds() - seconds) <= 0.06 * unit_seconds + 0.0005


def test_a_negative_span_is_not_written() -> None:
    with pytest.raises(BadInput, match="at least 0s"):
        q.format_duration(-1)


@given(
    st.datetimes(_YEARS[0], _YEARS[1], timezones=st.timezones()),
    st.sampled_from(["microseconds", "shortest"]),
)
def test_a_moment_survives_its_text_in_utc(at: datetime, precision: q.Precision) -> None:
    text = q.format_moment(at, precision)
    assert text.endswith("Z")
    assert datetime.fromisoformat(text) == at.astimezone(UTC)


@given(st.integers(1, 10**11))
def test_a_span_survives_its_text(milliseconds: int) -> None:
    span = timedelta(milliseconds=milliseconds)
    assert q.parse_duration(q.format_duration(span)) == span


@pytest.mark.parametrize("text", ["", "0s", "10", "s", "1 h", "-1h", "1h-5m", "1.h", "1y", "5min", "1hx", "٣s"])
def test_what_is_no_span_is_refused_with_examples(text: str) -> None:
    with pytest.raises(BadInput, match="is not a span of time"):
        q.parse_duration(text)


@pytest.mark.parametrize("text", ["", "%", "-1%", "101%", "1.1", "1 %", "one", "nan", "1%%"])
def test_what_is_no_share_is_refused_with_examples(text: str) -> None:
    with pytest.raises(BadInput, match="is not a share between 0 and 1"):
        q.parse_ratio(text)


@given(st.integers(0, 10_000))
def test_a_percentage_is_read_exactly(hundredths: int) -> None:
    assert q.parse_ratio(f"{hundredths / 100}%") == pytest.approx(hundredths / 1e4, abs=1e-15)
