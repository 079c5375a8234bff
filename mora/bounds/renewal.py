"""Bounds of a history of which most was taken before: what is kept goes on where it can, and begins anew where not.

What is kept of a series knows which samples it took last. Where these are the same in the history that is at hand, only
what follows is taken. Where they are not (a sample came late, another pod takes its place, a time range is left out
now), or where another rule wrote it, or the history no longer reaches back to them, the whole history is taken.

Samples that may still change are not kept as taken: the bounds rest on them, and the next renewal takes them again.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mora.bounds.packing import damaged, moment_of, packed, unpacked
from mora.bounds.state import BoundsState
from mora.bounds.ticks import Bounds, Floats
from mora.domain import Target
from mora.errors import BadDataset, StaleAnswer

# How many samples stand behind the next one, the number of that one, and their digest.
_SEEN = struct.Struct("<Iq16s")
# Of the history at hand so much is compared: a longer outage than the other half begins anew.
_COMPARED = 0.5


@dataclass(frozen=True, slots=True)
class Renewed:
    """bounds: of the window that begins where the history ends, shapes (series,). kept: bytes of each series, for the
    next renewal. went_on: whether what was kept of it was gone on from, not begun anew. refused: what was kept of some
    series and could not be used, each problem once."""

    bounds: Bounds
    kept: tuple[bytes, ...]
    went_on: tuple[bool, ...]
    refused: tuple[BadDataset | StaleAnswer, ...] = ()


def renewed(
    values: Floats,
    kept: Sequence[bytes | None],
    *,
    target: Target,
    first_sample: int,
    step_seconds: float,
    horizon_seconds: float,
    unsettled: int = 0,
) -> Renewed:
    """The bounds of some series, each from what is kept of it and the samples since, or from its whole history.

    values: shape (series, n), NaN where missing. first_sample: the number of their first, counted in steps from the
    epoch. kept: of each series what an earlier renewal gave, None where there is nothing. unsettled: how many of the
    last samples may be others next time.
    Raises BadInput where whole steps make no tick.
    """
    settled = max(values.shape[1] - unsettled, 0)
    made_for = (target, step_seconds, horizon_seconds)
    refused: dict[type[Exception], BadDataset | StaleAnswer] = {}
    at: list[int | None] = []
    for one, row in zip(kept, values[:, :settled], strict=True):
        try:
            at.append(_goes_on_at(one, row, made_for, first_sample))
        except (BadDataset, StaleAnswer) as problem:
            at.append(None)
            refused[type(problem)] = problem
    requests, confidence = np.full((2, len(values)), np.nan)
    found: list[bytes] = [b""] * len(values)
    went_on = [False] * len(values)
    groups = [(begin, [number for number, one in enumerate(at) if one == begin]) for begin in dict.fromkeys(at)]
    while groups:
        begin, numbers = groups.pop(0)
        if begin is None:
            state = BoundsState(
                target,
                len(numbers),
                step_seconds=step_seconds,
                horizon_seconds=horizon_seconds,
                next_sample=first_sample,
            )
        else:
            try:
                state = unpacked([(kept[number] or b"")[_SEEN.size :] for number in numbers])
            except (BadDataset, StaleAnswer) as problem:
                refused[type(problem)] = problem
                groups.append((None, numbers))
                continue
        state.take(values[numbers, state.next_sample - first_sample : settled])
        seen = values[numbers, settled - int(_COMPARED * settled) : settled]
        for number, past, body in zip(numbers, seen, packed(state), strict=True):
            found[number] = _SEEN.pack(len(past), first_sample + settled, _digest(past)) + body
            went_on[number] = begin is not None
        state.take(values[numbers, settled:])
        bounds = state.bounds()
        requests[numbers], confidence[numbers] = bounds.requests, bounds.confidence
    return Renewed(Bounds(requests, confidence), tuple(found), tuple(went_on), tuple(refused.values()))


def _goes_on_at(
    kept: bytes | None, values: Floats, made_for: tuple[Target, float, float], first_sample: int
) -> int | None:
    """The number of the sample from which on a series is taken; None where it begins anew.

    Raises as packing.moment_of() does.
    """
    if kept is None:
        return None
    if len(kept) < _SEEN.size:
        raise damaged()
    compared, next_sample, digest = _SEEN.unpack_from(kept)
    end = next_sample - first_sample
    if not 0 <= end - compared <= end <= len(values) or _digest(values[end - compared : end]) != digest:
        return None
    return next_sample if moment_of(kept[_SEEN.size :]) == (*made_for, next_sample) else None


def _digest(values: Floats) -> bytes:
    # Which NaN it is that stands for a missing sample does not matter.
    whole = np.where(np.isnan(values), np.nan, values + 0.0)
    return hashlib.blake2b(np.ascontiguousarray(whole, dtype="<f8").tobytes(), digest_size=16).digest()
