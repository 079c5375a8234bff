"""Reads the answer to a range query fast: a fleet's has millions of points, and json would build objects for each.

Only the values are read as numbers. Where a series has a value at every step, as usual, its times follow from the first
and the last. An answer in another notation than that of Prometheus, Thanos, Mimir and VictoriaMetrics is read by json.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mora.documents import Misfit
from mora.domain import Window
from mora.sources.prometheus.answers import check_size, label_set, rows_of_many, sample

Floats = NDArray[np.float64]

_RESULT = b'"result":['
_METRIC = b'{"metric":'
_VALUES = b',"values":[['
_END = b"]]}"
# A batch has some ten thousand containers, however doubled its scrapes.
_MOST_SERIES = 200_000
# Labels that are kept, of 300 bytes each: those of a batch of workloads, a few times over.
_MOST_KNOWN = 20_000


@dataclass(frozen=True, slots=True)
class Strip:
    """One series of an answer: its labels and its values on rows (a slice, or their numbers) of a window's grid."""

    labels: Mapping[str, str]
    rows: slice | NDArray[np.intp]
    values: Floats


def read(body: bytes, window: Window, known: dict[bytes, dict[str, str]] | None = None) -> Iterator[Strip]:
    """The series of an answer, on the grid of `window`; values that are not finite become NaN.

    known: labels by how they are written, for the answers to come: the pieces of a time range have the same series.

    Raises ValueError, KeyError or TypeError where the answer is no matrix, and ValueError for a sample off the window.

    >>> from datetime import UTC, datetime, timedelta
    >>> start = datetime(2026, 11, 1, tzinfo=UTC)
    >>> window = Window(start, start + timedelta(seconds=20), timedelta(seconds=10))
    >>> head = '{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"pod":"a"},"values":['
    >>> body = f'{head}[{start.timestamp():.0f},"1"],[{start.timestamp() + 20:.0f},"2.5"]]' + '}]}}'
    >>> [(strip.labels["pod"], strip.rows.tolist(), strip.values.tolist()) for strip in read(body.encode(), window)]
    [('a', [0, 2], [1.0, 2.5])]
    """
    at = body.find(_RESULT)
    if at < 0:
        yield from _read_any(body, window)
        return
    if body.count(_METRIC) > _MOST_SERIES:
        raise Misfit(f"there are more than {_MOST_SERIES:,} series")
    position = at + len(_RESULT)
    # Quotes within a label are escaped, so none of the marks can stand inside of one.
    while body.startswith(_METRIC, position):
        values_at = body.find(_VALUES, position)
        end = body.find(_END, values_at)
        if values_at < 0 or end < 0:
            raise ValueError("the answer breaks off")
        labels = _labels(body[position + len(_METRIC) : values_at], known)
        strip = _strip(labels, body[values_at + len(_VALUES) : end], window)
        if len(strip.values):
            yield strip
        position = end + len(_END)
        if body.startswith(b",", position):
            position += 1
    if position == at + len(_RESULT):
        yield from _read_any(body, window)  # nothing, or written in another way
    elif json.loads(body[: at + len(_RESULT)] + body[position:])["status"] != "success":
        raise ValueError("the answer is no success")


def _labels(text: bytes, known: dict[bytes, dict[str, str]] | None) -> dict[str, str]:
    if known is None:
        return label_set(json.loads(text))
    if text not in known:
        if len(known) >= _MOST_KNOWN:
            known.clear()
        known[text] = label_set(json.loads(text))
    return known[text]


def _strip(labels: Mapping[str, str], text: bytes, window: Window) -> Strip:
    """text: `1700000000,"0.1"],[1700000300,"0.2"`, that is, values between quotes and times between values."""
    if text.count(b'"') > 2 * (window.sample_count + 1):  # one may lie before the window
        raise Misfit(f"a series has samples outside the asked range: more than its {window.sample_count:,}")
    pieces = text.split(b'"')
    count = len(pieces) // 2
    values = np.fromiter(map(float, pieces[1::2]), dtype=np.float64, count=count)
    first = float(pieces[0][:-1])
    last = float(pieces[-3].rpartition(b"[")[2][:-1]) if count > 1 else first
    start, step = window.start.timestamp(), window.step.total_seconds()
    first_row, last_row = round((first - start) / step), round((last - start) / step)
    rows: slice | NDArray[np.intp] = slice(first_row, last_row + 1)
    if last_row - first_row + 1 != count:  # some steps have no value
        joined = b"".join(pieces[:-1:2]).replace(b",],[", b",").rstrip(b",")
        times = np.fromstring(joined, dtype=np.float64, sep=",")
        rows = _rows_at(times, count, window)
    return _checked(labels, rows, first_row, last_row, values, window)


def _checked(
    labels: Mapping[str, str],
    rows: slice | NDArray[np.intp],
    first_row: int,
    last_row: int,
    values: Floats,
    window: Window,
) -> Strip:
    if first_row == -1:  # a query frontend moved the range back onto multiples of the step
        rows = slice(0, rows.stop) if isinstance(rows, slice) else rows[1:]
        first_row, values = 0, values[1:]
    if first_row < 0 or last_row >= window.sample_count:
        raise ValueError(f"samples outside the asked range, on rows {first_row} to {last_row}")
    values[~np.isfinite(values)] = np.nan
    return Strip(labels, rows, values)


def _rows_at(times: Floats, count: int, window: Window) -> NDArray[np.intp]:
    """The rows of some moments, which must rise."""
    if len(times) != count:
        raise Misfit("samples are no pairs of a moment and a value")
    rows = np.rint((times - window.start.timestamp()) / window.step.total_seconds())
    # What is neither far off nor NaN has a row; _checked() looks at the first and the last.
    if not (np.abs(rows) < 1e9).all() or (np.diff(rows) <= 0).any():
        raise Misfit("the moments of samples do not rise from step to step")
    return rows.astype(np.intp)


def _read_any(body: bytes, window: Window) -> Iterator[Strip]:
    check_size(body)
    answer: Any = json.loads(body)
    data = answer["data"]
    if answer["status"] != "success" or data["resultType"] != "matrix":
        raise ValueError(f"a {data['resultType']} in place of a matrix")
    for series in rows_of_many(data["result"]):
        times, values = np.array([sample(pair) for pair in series["values"]]).T
        rows = _rows_at(times, len(values), window)
        strip = _checked(series["metric"], rows, int(rows[0]), int(rows[-1]), values, window)
        if len(strip.values):
            yield strip
