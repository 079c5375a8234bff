"""A BoundsState as plain bytes, a few kB a series, and back.

Each series has bytes of its own, so a store keeps them beside its container and puts together again what it likes. They
begin with a digest of the rule's code: what another rule learnt is refused. What is left out or rounded moves a bound
by less than half a per cent, however often it is written and read (tests/bounds/test_packing.py); by how much, and how
many bytes they are, prints experiments/benchmarks/bounds_state.py.

- A sample of a window that is still open is kept as the bucket it fell into; of memory, to a thousandth.
- Of the peaks that memory is sized on, only those that no later one exceeds can matter.
- Histograms are kept where they are not empty. A weight is written as what it was worth at the epoch, so that fading
  does not change it and it is rounded once. Of used/base only the buckets near the quantile that is sought are kept
  apart: in a group elsewhere, where the mass lies changes nothing.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mora.bounds.carry import Carry
from mora.bounds.histograms import BUCKETS, Histograms
from mora.bounds.state import BoundsState
from mora.bounds.ticks import Bounds, Floats, Indices
from mora.code_digest import code_within
from mora.domain import Target
from mora.errors import BadDataset, StaleAnswer

Array = NDArray[Any]

_MAGIC = b"MoB1"
# Rule, target, step, horizon, next sample, age in ticks, last bound and confidence, samples of the running tick.
_HEAD, _SUM = struct.Struct("<4s16sBddqqddI"), struct.Struct("<I")
_TARGETS = (Target.CPU, Target.MEMORY)
_LEVEL = 6
_MOST_BYTES = 4 * 2**20
# Bits of a mantissa that are cut off levels and sums of ticks: an eighth of a thousandth stays. They are rounded up, so
# that a base that was just reached still is.
_CUT_BITS = np.int32(11)
# Memory samples by the thousandth, from 10^-10 to 10^18.
_SAMPLE, _LEAST_SAMPLE, _UNKNOWN = 1e-3, np.log(1e-10), 65535
_UNKNOWN_PLACE = 1023
# Weights are kept as logarithms; those below 2^-32 of the largest are left out. To 2,048ths of a doubling: of used/base
# many buckets decide together. To millionths: a quantile of the past is the base itself, and one bucket is 3 % of it.
_DOUBLINGS = 32.0
_PER_DOUBLING = {"calibrated": (2047.0, "<u2"), "fading": (2.0**20, "<u4")}
# Buckets of used/base are kept together by so many where so much of the weight lies below; elsewhere by 16. Which it is
# goes by whole sixteens, and a group's weight lies in its last bucket: to group once more changes nothing.
_TOGETHER = ((0.93, 0.968, 1), (0.86, 0.985, 2), (0.7, 0.995, 4), (-1.0, 2.0, 16))
_LARGEST = 16


@cache
def rule_digest() -> bytes:
    """What the rule's code comes to: bytes that were packed by another one are refused."""
    return bytes.fromhex(code_within("mora.bounds.packing", ("mora.bounds", "mora.coverage")))[:16]


def packed(state: BoundsState) -> list[bytes]:
    """The bytes of each series of a state."""
    sections = [*_sections(state)]
    found = []
    for number in range(len(state)):
        head = _HEAD.pack(
            _MAGIC,
            rule_digest(),
            _TARGETS.index(state.target),
            state.step_seconds,
            state.horizon_seconds,
            state.next_sample,
            int(state.aged[number]),
            state.last.requests[number],
            state.last.confidence[number],
            state.pending.shape[1],
        )
        body = [state.pending[number].astype("<f8").tobytes(), *(section[number] for section in sections)]
        written = head + zlib.compress(b"".join(body), _LEVEL)
        found.append(written + _SUM.pack(zlib.crc32(written)))
    return found


def unpacked(series: Sequence[bytes]) -> BoundsState:
    """One state of some series, at least one: all of one target, step, horizon and moment.

    Raises StaleAnswer where another rule wrote one, BadDataset where one is damaged or they do not go together.
    """
    heads = [_head(one) for one in series]
    _, _, target, step, horizon, next_sample, _, _, _, pending = heads[0]
    if any((one[2:6], one[9]) != (heads[0][2:6], pending) for one in heads) or not target < len(_TARGETS):
        raise BadDataset(
            "States of bounds of several targets, steps, horizons or moments were put together.",
            hint="Unpack those of one moment together; to bring an older one there, take the missing samples as NaN.",
        )
    state = BoundsState(
        _TARGETS[target], len(series), step_seconds=step, horizon_seconds=horizon, next_sample=next_sample
    )
    state.aged = np.array([one[6] for one in heads], dtype=np.int64)
    state.last = Bounds(np.array([one[7] for one in heads]), np.array([one[8] for one in heads]))
    readers = [_Reader(_body(one)) for one in series]
    state.pending = np.array([one.array("<f8", (pending,)) for one in readers]).reshape(len(series), pending)
    state.carry = _carry(readers, state)
    if any(one.left for one in readers):
        raise damaged()
    return state


def moment_of(one: bytes) -> tuple[Target, float, float, int]:
    """Target, step, horizon and the number of the next sample of a series' bytes; raises as unpacked() does."""
    _, _, target, step, horizon, next_sample, *_ = _head(one)
    if target >= len(_TARGETS):
        raise damaged()
    return _TARGETS[target], step, horizon, next_sample


def _head(one: bytes) -> tuple[Any, ...]:
    end = len(one) - _SUM.size
    if end < _HEAD.size or one[:4] != _MAGIC or _SUM.unpack_from(one, end)[0] != zlib.crc32(one[:end]):
        raise damaged()
    head = _HEAD.unpack_from(one)
    if head[1] != rule_digest():
        raise StaleAnswer(
            "The state of a bound was written by another version of MOrA's rule.", hint="Build it again from history."
        )
    return head


def _body(one: bytes) -> bytes:
    reading = zlib.decompressobj()
    try:
        body = reading.decompress(one[_HEAD.size : -_SUM.size], _MOST_BYTES)
    except zlib.error as wrong:
        raise damaged() from wrong
    if not reading.eof or reading.unused_data:
        raise damaged()
    return body


def damaged() -> BadDataset:
    """The error for bytes that packed() did not write, or not all of them."""
    return BadDataset("The state of a bound is damaged or incomplete.", hint="Build it again from history.")


class _Reader:
    """Arrays from the bytes of one series, one after the other."""

    def __init__(self, body: bytes) -> None:
        self._body, self._at = body, 0

    @property
    def left(self) -> int:
        return len(self._body) - self._at

    def array(self, dtype: str, shape: tuple[int, ...]) -> Array:
        kind, count = np.dtype(dtype), int(np.prod(shape))
        if count < 0 or self.left < count * kind.itemsize:
            raise damaged()
        found = np.frombuffer(self._body, kind, count, self._at)
        self._at += count * kind.itemsize
        return found.reshape(shape)

    def shuffled(self, dtype: str, shape: tuple[int, ...]) -> Array:
        """Written byte by byte of the numbers: first all lowest ones."""
        width = np.dtype(dtype).itemsize
        flat = self.array("<u1", (width, int(np.prod(shape))))
        return np.ascontiguousarray(flat.T).view(dtype).reshape(shape)


def _shuffled(rows: Array, dtype: str) -> list[bytes]:
    """The bytes of each row: first the lowest of all its numbers, which compresses better."""
    whole = np.ascontiguousarray(rows.reshape(len(rows), -1).astype(dtype))
    width = whole.dtype.itemsize
    parts = whole.view("<u1").reshape(len(rows), -1, width).transpose(0, 2, 1)
    return [one.tobytes() for one in parts]


# --- arrays ----------------------------------------------------------------------------------------------------------

# Follow from others, or are packed with others.
_DERIVED = ("running ", "is known", "known")


@cache
def _layout(target: Target, step_seconds: float, horizon_seconds: float) -> tuple[Carry, tuple[str, ...]]:
    """What a state of one series carries once it has seen a tick, and the names of the arrays that are packed."""
    state = BoundsState(target, 1, step_seconds=step_seconds, horizon_seconds=horizon_seconds, next_sample=0)
    state.take(np.full((1, state.samples_per_tick), np.nan))
    names = (name for name in state.carry.arrays if name not in _DERIVED[1:] and not name.startswith(_DERIVED[0]))
    return state.carry, tuple(sorted(names))


def _sections(state: BoundsState) -> Iterator[list[bytes]]:
    like, names = _layout(state.target, state.step_seconds, state.horizon_seconds)
    has_begun = bool(state.carry.arrays)
    yield [bytes([has_begun])] * len(state)
    if not has_begun:
        return
    for name in names:
        rows = state.carry.arrays[name].swapaxes(0, 1)
        if name == "places":
            is_known = state.carry.arrays["is known"].swapaxes(0, 1)
            # In which order the samples of a tick came changes nothing.
            yield _shuffled(np.sort(np.where(is_known, rows, _UNKNOWN_PLACE), axis=2), "<u2")
        elif name == "samples":
            yield _shuffled(np.sort(_sample_codes(rows), axis=2), "<u2")
        elif name == "highest":
            # A window that is still open reaches to its end: what a later peak exceeds no longer counts.
            yield _shuffled(_up(np.maximum.accumulate(rows[:, ::-1], axis=1)[:, ::-1]), "<f4")
        elif rows.shape[1] > 1:
            yield _shuffled(_up(rows), "<f4")
        else:
            yield _shuffled(rows, _kind(rows[0]))
    for name in sorted(like.histograms):
        yield _packed_histograms(state, name)


def _carry(readers: Sequence[_Reader], state: BoundsState) -> Carry:
    like, names = _layout(state.target, state.step_seconds, state.horizon_seconds)
    carry = Carry()
    begun = [bool(one.array("<u1", (1,))[0]) for one in readers]
    if not any(begun):
        return carry
    if not all(begun):
        raise BadDataset("States of bounds of several moments were put together.", hint="Take missing samples as NaN.")
    for name in names:
        shape = (len(like.arrays[name]), *like.arrays[name].shape[2:])
        if name in ("places", "samples"):
            codes = np.array([one.shuffled("<u2", shape) for one in readers]).swapaxes(0, 1)
            if name == "samples":
                carry.arrays[name] = _samples(codes)
                continue
            is_known = codes != _UNKNOWN_PLACE
            if (codes[is_known] >= BUCKETS).any():
                raise damaged()
            carry.arrays["is known"] = is_known
            carry.arrays["known"] = is_known.sum(axis=2).astype(np.float64)
            carry.arrays[name] = np.where(is_known, codes, 0).astype(np.int16)
        else:
            kind = "<f4" if shape[0] > 1 else _kind(np.empty(shape))
            rows = np.array([one.shuffled(kind, shape) for one in readers], dtype=np.float64)
            carry.arrays[name] = np.ascontiguousarray(rows.swapaxes(0, 1))
    for name in sorted(like.histograms):
        carry.histograms[name] = _unpacked_histograms(readers, name, like.histograms[name], state)
    return carry


def _kind(row: Array) -> str:
    """Single figures are exact; the many that each expert has, nearly."""
    return "<f8" if row.size == 1 else "<f4"


def _up(rows: Floats) -> NDArray[np.float32]:
    """Rounded up to numbers whose last bits are 0; what is infinite, unknown or 0 stays."""
    single = rows.astype(np.float32)
    single = np.where(single < rows, np.nextafter(single, np.float32(np.inf)), single)
    last = np.int32((1 << _CUT_BITS) - 1)
    cut = ((single.view(np.int32) + last) & ~last).view(np.float32)
    return np.where(np.isfinite(single), cut, single)


def _sample_codes(samples: Floats) -> Indices:
    with np.errstate(divide="ignore", invalid="ignore"):
        codes = 1 + np.clip(np.round((np.log(samples) - _LEAST_SAMPLE) / _SAMPLE), 0, _UNKNOWN - 2)
    return np.where(np.isnan(samples), _UNKNOWN, np.where(samples > 0, codes, 0)).astype(np.int64)


def _samples(codes: Array) -> Floats:
    known = np.exp((codes.astype(np.float64) - 1) * _SAMPLE + _LEAST_SAMPLE)
    return np.where(codes == _UNKNOWN, np.nan, np.where(codes == 0, 0.0, known))


# --- histograms ------------------------------------------------------------------------------------------------------


def _packed_histograms(state: BoundsState, name: str) -> list[bytes]:
    """Of each series: how many weights, which, and how large, beside the largest of its pace."""
    histograms = state.carry.histograms[name]
    weights = histograms.weights().reshape(len(histograms.paces), len(state), -1, BUCKETS)
    if name == "calibrated":
        weights = _grouped(weights)
    paces, series = weights.shape[:2]
    flat = weights.reshape(paces, series, -1)
    per_doubling, kind = _PER_DOUBLING[name]
    most = int(_DOUBLINGS * per_doubling)
    with np.errstate(divide="ignore"):
        worth = per_doubling * (np.log2(flat) + _doublings(histograms, state)[:, None, None])
    # Rounded up or down by chance, so that many small weights come to what they are; what is untouched stays.
    chance = np.random.default_rng(state.next_sample).random(worth.shape[2])
    codes = np.where(flat > 0, np.floor(worth + np.where(_is_whole(worth), 0.5, chance)), -np.inf)
    top = codes.max(axis=2, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0.0)
    below = top[:, :, None] - codes
    is_kept = below <= most
    found = []
    for number in range(series):
        which = np.flatnonzero(is_kept[:, number].any(axis=0))
        some = np.where(is_kept[:, number, which], below[:, number, which], most + 1)
        # The copies of a rule weigh alike, so what is kept is by how much one differs from the one before.
        some = np.diff(some, axis=0, prepend=0).astype(np.int64) % 2 ** (8 * np.dtype(kind).itemsize)
        steps = np.diff(which, prepend=0)
        found.append(
            struct.pack("<I", len(which))
            + top[:, number].astype("<f8").tobytes()
            + _shuffled(steps[None], "<u2")[0]
            + _shuffled(some[None], kind)[0]
        )
    return found


def _unpacked_histograms(readers: Sequence[_Reader], name: str, like: Histograms, state: BoundsState) -> Histograms:
    paces, rows = len(like.paces), like.rows
    weights = np.zeros((paces, len(readers), rows * BUCKETS))
    doublings = _doublings(like, state)
    per_doubling, kind = _PER_DOUBLING[name]
    for number, one in enumerate(readers):
        count = int(one.array("<u4", (1,))[0])
        tops = one.array("<f8", (paces,))
        which = np.cumsum(one.shuffled("<u2", (count,)).astype(np.int64))
        below = one.shuffled(kind, (paces, count)).cumsum(axis=0, dtype=kind).astype(np.float64)
        if not np.isfinite(tops).all() or (which >= rows * BUCKETS).any():
            raise damaged()
        with np.errstate(over="raise"):
            try:
                worth = np.exp2((tops[:, None] - below) / per_doubling - doublings[:, None])
            except FloatingPointError as wrong:
                raise damaged() from wrong
        weights[:, number, which] = np.where(below > _DOUBLINGS * per_doubling, 0.0, worth)
    return Histograms.of(like.paces, weights.reshape(paces, -1))


def _doublings(histograms: Histograms, state: BoundsState) -> Floats:
    """How often a weight of each pace doubled from the epoch to now, had it not faded but what comes later weighed
    more."""
    ticks = state.next_sample // state.samples_per_tick
    return np.asarray(-ticks * np.log2(np.array(histograms.paces)))


def _is_whole(worth: Floats) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.abs(worth - np.round(worth)) < 1e-4)


def _grouped(weights: Floats) -> Floats:
    """The same weights, those far from the quantile that is sought in groups; in groups already, they stay the same.

    weights: shape (paces, series, rows, BUCKETS). Copies of a row have the same buckets, so that each is named once.
    """
    groups = weights.reshape(*weights.shape[:3], -1, _LARGEST)
    each = groups.sum(axis=4)
    total = np.maximum(each.sum(axis=3, keepdims=True), np.finfo(float).tiny)
    up_to = each.cumsum(axis=3) / total
    before = up_to - each / total
    found = np.zeros_like(groups)
    is_done = np.zeros((1, *each.shape[1:]), dtype=np.bool_)
    for low, high, size in _TOGETHER:
        # What one copy needs apart is kept apart in all.
        is_here = ((up_to > low) & (before < high)).any(axis=0, keepdims=True) & ~is_done
        some = np.where(is_here[..., None], groups, 0.0).reshape(*each.shape, -1, size)
        found[..., size - 1 :: size] += some.sum(axis=5)
        is_done |= is_here
    return found.reshape(weights.shape)
