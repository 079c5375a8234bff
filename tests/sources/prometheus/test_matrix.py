"""The fast reader of range answers reads what json reads, whatever the labels contain."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.documents import Misfit
from mora.domain import Window
from mora.sources.prometheus import matrix

START = datetime(2026, 11, 1, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(minutes=20), timedelta(minutes=1))

hostile = st.one_of(
    st.text(max_size=12), st.sampled_from(['"values":[[', "]]}", '"}', '\\"', '"result":[', '{"metric":', ",", "NaN"])
)
values = st.one_of(st.floats(0, 1e18), st.sampled_from([float("inf"), float("-inf"), float("nan")]))
series = st.tuples(
    st.dictionaries(hostile, hostile, max_size=4), st.dictionaries(st.integers(0, 20), values, min_size=1, max_size=21)
)


def written(found: list[tuple[dict[str, str], dict[int, float]]], **style: Any) -> bytes:
    words = {float("inf"): "+Inf", float("-inf"): "-Inf"}
    result = [
        {
            "metric": labels,
            "values": [
                [START.timestamp() + 60 * row, words.get(samples[row], str(samples[row]).replace("nan", "NaN"))]
                for row in sorted(samples)
            ],
        }
        for labels, samples in found
    ]
    answer = {"status": "success", "data": {"resultType": "matrix", "result": result}, "warnings": ["one"]}
    return json.dumps(answer, **style).encode()


@settings(max_examples=60, deadline=None)
@given(st.lists(series, max_size=4), st.booleans())
def test_what_is_written_is_read(found: list[tuple[dict[str, str], dict[int, float]]], is_compact: bool) -> None:
    style: dict[str, Any] = {"separators": (",", ":")} if is_compact else {"indent": 1}
    for ascii_only in (True, False):
        strips = list(matrix.read(written(found, ensure_ascii=ascii_only, **style), WINDOW))
        assert len(strips) == len(found)
        for strip, (labels, samples) in zip(strips, found, strict=True):
            assert strip.labels == labels
            rows = np.zeros(WINDOW.sample_count)
            rows[strip.rows] = np.nan_to_num(strip.values, nan=-1.0)
            finite = {row: value if np.isfinite(value) else -1.0 for row, value in samples.items()}
            assert rows.tolist() == [finite.get(row, 0.0) for row in range(WINDOW.sample_count)]


def test_an_answer_that_breaks_off_is_no_answer() -> None:
    whole = written([({"pod": "a"}, dict.fromkeys(range(20), 1.5)), ({"pod": "b"}, {3: 2.0})], separators=(",", ":"))
    assert len(list(matrix.read(whole, WINDOW))) == 2
    for length in range(1, len(whole)):
        with pytest.raises((ValueError, KeyError, TypeError)):
            list(matrix.read(whole[:length], WINDOW))


def test_an_error_is_no_answer() -> None:
    with pytest.raises((ValueError, KeyError)):
        list(matrix.read(b'{"status":"error","data":{"resultType":"matrix","result":[]}}', WINDOW))


def test_a_range_that_a_query_frontend_moved_back_is_read_without_the_sample_before_it() -> None:
    """Thanos answers from the multiple of the step before the start; a window of an experiment begins anywhere."""
    window = Window(START + timedelta(seconds=50), START + timedelta(seconds=50, minutes=20), timedelta(minutes=1))
    body = written([({"pod": "a"}, {0: 1.0, 1: 2.0, 20: 3.0}), ({"pod": "gone"}, {0: 1.0})], separators=(",", ":"))
    (strip,) = matrix.read(body, window)
    assert (strip.labels, strip.values.tolist()) == ({"pod": "a"}, [2.0, 3.0])
    assert np.arange(window.sample_count)[strip.rows].tolist() == [0, 19]


def test_an_answer_with_more_than_any_has_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [({"pod": str(number)}, {0: 1.0}) for number in range(4)]
    body = written(many, separators=(",", ":"))
    assert len(list(matrix.read(body, WINDOW))) == 4
    monkeypatch.setattr(matrix, "_MOST_SERIES", 3)
    with pytest.raises(Misfit, match="more than 3 series"):
        list(matrix.read(body, WINDOW))
    with pytest.raises(Misfit, match="samples outside the asked range: more than its 21"):
        list(matrix.read(written([({}, dict.fromkeys(range(23), 1.0))], separators=(",", ":")), WINDOW))


@pytest.mark.parametrize(
    ("metric", "values", "words"),
    [
        ('{"pod":7}', '[[1793491200,"1"]]', "the label 'pod' is a number, not text"),
        ("[]", '[[1793491200,"1"]]', "the labels of a series are a list"),
        ("{}", '[[1793491200,"1"],[1793491200,"1"]]', "do not rise"),
        ("{}", '[[1793491260,"1"],[1793491200,"1"],[1793491320,"1"]]', "do not rise"),
        ("{}", '[[1793491200,"1"],[NaN,"1"],[1793491500,"1"]]', "do not rise"),
    ],
)
def test_series_that_no_prometheus_writes_are_no_answer(metric: str, values: str, words: str) -> None:
    result = f'[{{"metric":{metric},"values":{values}}}]'
    body = f'{{"status":"success","data":{{"resultType":"matrix","result":{result}}}}}'
    for text in (body, body.replace('"result":[', '"result": [')):  # read fast, and as any JSON
        with pytest.raises(Misfit, match="|".join({words, "moment of a sample"})):
            list(matrix.read(text.encode(), WINDOW))
