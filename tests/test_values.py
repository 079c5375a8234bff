"""Values that people write are read by one parser for each kind, which says what the value must be."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora import values
from mora.errors import BadInput
from mora.quantities import format_duration, parse_cpu

Parser = Callable[[object], object]


@pytest.mark.parametrize(
    ("parse", "written", "read"),
    [
        (values.string, "quick", "quick"),
        (values.name, "shop", "shop"),
        (values.path, "~/data", Path("~/data").expanduser()),
        (values.one_of("a", "b"), "b", "b"),
        (values.switch, True, True),
        (values.switch, "false", False),
        (values.number, "0.25", 0.25),
        (values.whole(1), "3", 3),
        (values.whole(0, is_text_read=False), 0, 0),
        (values.factor, 1.2, 1.2),
        (values.ratio, "1%", 0.01),
        (values.ratio, 0.01, 0.01),
        (values.positive_ratio, 1, 1.0),
        (values.price, 0, 0.0),
        (values.span, "1h30m", timedelta(minutes=90)),
        (values.span, 90, timedelta(seconds=90)),
        (values.span, timedelta(hours=1), timedelta(hours=1)),
        (values.written_span, "62s", timedelta(seconds=62)),
        (values.response_time, "300ms", 0.3),
        (values.quantity(parse_cpu), "1.5", 1500),
        (values.table, {"a": 1}, {"a": 1}),
        (values.list_of(values.number), [1, "2"], [1.0, 2.0]),
        (values.container_names, "debug, agent", frozenset({"debug", "agent"})),
        (values.container_names, ["debug"], frozenset({"debug"})),
        (values.url, "https://metrics.example/prometheus/", "https://metrics.example/prometheus"),
        (values.headers, "X-Team: a:b", {"X-Team": "a:b"}),
        (values.helm_paths, {"server": "frontend.resources"}, {"server": "frontend.resources"}),
    ],
)
def test_a_value_is_read_as_the_type_that_code_uses(parse: Parser, written: object, read: object) -> None:
    assert parse(written) == read


@pytest.mark.parametrize(
    ("parse", "written", "words"),
    [
        (values.string, "", "must be a string, not ''"),
        (values.string, 3, "must be a string, not 3"),
        (values.one_of("a", "b"), "c", "must be one of a, b, not 'c'"),
        (values.switch, "yes", "must be true or false, not 'yes'"),
        (values.number, True, "must be a number, not True"),
        (values.number, "inf", "must be a number, not 'inf'"),
        (values.whole(1), 0, "must be a whole number of at least 1, not 0"),
        (values.whole(1), "two", "must be a whole number of at least 1, not 'two'"),
        (values.whole(1), True, "must be a whole number"),
        (values.whole(1, is_text_read=False), "3", "must be a whole number of at least 1, not '3'"),
        (values.factor, 0.9, "must be a factor of at least 1, not 0.9"),
        (values.ratio, "130%", "'130%' is not a share"),
        (values.positive_ratio, "0%", "must be more than 0"),
        (values.price, -1, "must be a price of 0 or more, not -1"),
        (values.span, "0", "must be a span of time"),
        (values.span, "soon", "'soon' is not a span of time"),
        (values.written_span, 60, "must be a string, not 60"),
        (values.response_time, "5m", "no caller waits that long"),
        (values.quantity(parse_cpu), 250, "must be a quantity in quotes, not 250"),
        (values.table, 3, "must be a table, not 3"),
        (values.list_of(values.number), [], "must be a list of at least one"),
        (values.container_names, 3, "must be a list of containers, not 3"),
        (values.runtimes, "jawa", "must be one of java"),
        (values.runtimes, "java:much", "much"),
        (values.runtimes, "Server=java", "not a valid container name"),
        (values.url, "localhost:9090", "must be a URL, not 'localhost:9090'"),
        (values.url, "http://[::1/", "must be a URL, not 'http://[::1/'"),
        (values.url, "http://host:99999", "must be a URL"),
        (values.url, "http://ada:s3/cret@host", "must be a URL, not 'host'"),
        (values.url, "http://ada:12/cret@host", "must be a URL, not 'host'"),
        (values.span, "999999999d", "'999999999d' is longer than 100 years"),
        (values.span, 1e300, "at most 100 years"),
        (values.span, "1" * 400 + "d", "longer than 100 years"),
        (values.url, "http://me:pass@127.0.0.1", "holds a user name or password"),
        (values.headers, "no colon", "is not an HTTP header"),
        (values.helm_paths, 3, "must be a table of containers, not 3"),
    ],
)
def test_a_value_that_cannot_be_read_is_refused_with_what_it_must_be(
    parse: Parser, written: object, words: str
) -> None:
    with pytest.raises(BadInput) as refused:
        parse(written)
    assert words in str(refused.value)


@given(st.integers(min_value=1, max_value=10**9))
def test_a_span_is_read_back_as_it_is_written(milliseconds: int) -> None:
    span = timedelta(milliseconds=milliseconds)
    assert values.span(format_duration(span)) == span


@given(st.integers(min_value=0, max_value=10**9))
def test_a_whole_number_is_the_same_as_a_number_and_as_text(count: int) -> None:
    assert values.whole(0)(count) == values.whole(0)(str(count)) == count
