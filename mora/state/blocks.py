"""Some series over some hours as bytes, exactly: labels and rows as JSON, values as numbers, all of it compressed.

Values keep every bit. Memory is counted in pages and is small as such; the bytes of other numbers are sorted by their
place, which zlib makes most of.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

_PAGE = 4096
# Of one block, decompressed: 300 rows of 20,000 series. What claims to be larger was not written here.
_MOST_BYTES = 64 * 2**20
_HEAD_BYTES = 8
_KINDS: Mapping[str, np.dtype[Any]] = {
    name: np.dtype(code) for name, code in (("pages", "<i4"), ("single", "<f4"), ("double", "<f8"))
}


@dataclass(frozen=True, slots=True)
class Samples:
    """One series: its labels, the rows at which it has samples (rising; steps since 1970), and their values."""

    labels: Mapping[str, str]
    rows: Rows
    values: Floats

    @property
    def name(self) -> tuple[tuple[str, str], ...]:
        """What tells this series from others."""
        return tuple(sorted(self.labels.items()))

    def within(self, first: int, last: int) -> Samples:
        """Its samples on the rows from `first` to `last`, both included."""
        begin, end = np.searchsorted(self.rows, (first, last + 1))
        return Samples(self.labels, self.rows[begin:end], self.values[begin:end])

    def renewed(self, newer: Samples) -> Samples:
        """These samples and newer ones, which count where both have a row.

        >>> older = Samples({}, np.array([1, 2, 3]), np.array([1.0, 2.0, 3.0]))
        >>> older.renewed(Samples({}, np.array([3, 4]), np.array([30.0, 40.0]))).values.tolist()
        [1.0, 2.0, 30.0, 40.0]
        """
        # What lies before all that is newer stays as it is: nearly everything, as a rule.
        begin = int(np.searchsorted(self.rows, newer.rows[0])) if len(newer.rows) else len(self.rows)
        tail, values = self.rows[begin:], self.values[begin:]
        stays = absent(tail, newer.rows)
        rows = np.concatenate([tail[stays], newer.rows])
        order = np.argsort(rows, kind="stable")
        numbers = np.concatenate([values[stays], newer.values])[order]
        return Samples(
            self.labels,
            np.concatenate([self.rows[:begin], rows[order]]),
            np.concatenate([self.values[:begin], numbers]),
        )


def absent(rows: Rows, others: Rows) -> NDArray[np.bool_]:
    """Which rows are not among others, that rise: many times as quick as np.isin() where both are few.

    >>> absent(np.array([1, 2, 5]), np.array([2, 3])).tolist()
    [True, False, True]
    """
    if not len(others):
        return np.ones(len(rows), dtype=np.bool_)
    return np.asarray(others[np.minimum(others.searchsorted(rows), len(others) - 1)] != rows)


def encode(series: Iterable[Samples]) -> bytes:
    """Series as bytes; those without samples are left out."""
    heads: list[list[Any]] = []
    bodies: list[bytes] = []
    for one in series:
        if not len(one.rows):
            continue
        kind, numbers = _packed(one.values)
        heads.append([dict(one.labels), _runs(one.rows), kind])
        bodies.append(np.frombuffer(numbers.tobytes(), np.uint8).reshape(len(numbers), -1).T.tobytes())
    head = json.dumps(heads, separators=(",", ":")).encode()
    return zlib.compress(b"".join((len(head).to_bytes(_HEAD_BYTES, "little"), head, *bodies)), 6)


def decode(body: bytes) -> list[Samples]:
    """The series of some bytes. ValueError where `encode` did not write them."""
    try:
        found = list(_decoded(body))
    except (zlib.error, KeyError, TypeError, IndexError, RecursionError, OverflowError, AttributeError) as error:
        raise ValueError(f"no block of samples: {error}") from error
    return found


def _decoded(body: bytes) -> Iterable[Samples]:
    reader = zlib.decompressobj()
    plain = reader.decompress(body, _MOST_BYTES)
    if not reader.eof:
        raise ValueError("a block of samples that breaks off, or is too large")
    at = _HEAD_BYTES + int.from_bytes(plain[:_HEAD_BYTES], "little")
    for labels, runs, kind in json.loads(plain[_HEAD_BYTES:at]):
        rows = np.concatenate([np.arange(first, first + count, dtype=np.int64) for first, count in runs])
        dtype = _KINDS[kind]
        size = len(rows) * dtype.itemsize
        pieces = np.frombuffer(plain[at : at + size], np.uint8).reshape(dtype.itemsize, len(rows)).T
        numbers = np.frombuffer(pieces.tobytes(), dtype).astype(np.float64)
        yield Samples(
            {str(k): str(v) for k, v in labels.items()}, rows, numbers * _PAGE if kind == "pages" else numbers
        )
        at += size
    if at != len(plain):
        raise ValueError("a block of samples with more behind its end")


def _packed(values: Floats) -> tuple[str, NDArray[Any]]:
    """Values in the smallest form that keeps them all."""
    with np.errstate(invalid="ignore", over="ignore"):
        pages = values / _PAGE
        whole = np.nan_to_num(pages, nan=0.5, posinf=0.5, neginf=0.5)
        if (np.abs(whole) < 2**31).all() and (whole == np.rint(whole)).all() and not np.signbit(whole).any():
            return "pages", whole.astype("<i4")
        single = values.astype("<f4")
        if np.array_equal(single.astype(np.float64), values, equal_nan=True):
            return "single", single
    return "double", values.astype("<f8")


def _runs(rows: Rows) -> list[list[int]]:
    """Rows as (first, count) of those that follow each other."""
    edges = np.flatnonzero(np.diff(rows) != 1) + 1
    begins = np.concatenate([[0], edges])
    ends = np.concatenate([edges, [len(rows)]])
    return [[int(rows[begin]), int(end - begin)] for begin, end in zip(begins, ends, strict=True)]


def joined(parts: Iterable[Sequence[Samples]]) -> dict[tuple[tuple[str, str], ...], Samples]:
    """Series by their labels, from blocks in the order of time."""
    found: dict[tuple[tuple[str, str], ...], list[Samples]] = {}
    for part in parts:
        for one in part:
            found.setdefault(one.name, []).append(one)
    return {
        name: ones[0]
        if len(ones) == 1
        else Samples(
            ones[0].labels, np.concatenate([one.rows for one in ones]), np.concatenate([one.values for one in ones])
        )
        for name, ones in found.items()
    }
