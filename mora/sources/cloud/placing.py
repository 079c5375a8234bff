"""Points of a cloud on the grid of a window: sorted, in MOrA's units, each in its row; what is not known stays NaN."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mora.domain import Window
from mora.sources.cloud.signals import Of, Series, Signal, factor_of

Floats = NDArray[np.float64]
# How the points that fall into one row become its value. A peak of memory must not be averaged away.
_SUMMED = frozenset({Signal.RESTARTS, Signal.OOM_KILLS})
_LARGEST = frozenset({Signal.MEMORY, Signal.MEMORY_SHARE, Signal.NODE_MEMORY, Signal.DB_MEMORY})
# Requests and limits hold until they are changed, and are written less often than use.
_HELD = frozenset({Signal.CPU_REQUEST, Signal.CPU_LIMIT, Signal.MEMORY_REQUEST, Signal.MEMORY_LIMIT})
_LONGEST_HOLD_ROWS = 3
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Placed:
    """Series on the rows of a window: signal -> whose -> values of shape (window.sample_count,). remarks: what was
    left out or changed on the way, a sentence each."""

    rows: Mapping[Signal, Mapping[Of, Floats]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def of(self, signal: Signal) -> Mapping[Of, Floats]:
        """The series of a signal; empty where there is none."""
        return self.rows.get(signal, {})


def placed(pages: Iterable[Series], window: Window) -> Placed:
    """The pages of any number of series, in any order, on the rows of a window.

    A row has the points whose time ends after the row before it and not after it. Of points of the same moment the one
    that was answered last counts: clouds correct what arrived late. Values that are not finite, or are negative, are
    not known. Pages in a unit that is none of the signal's are left out, and told; so is a change of unit.
    """
    gathered: dict[tuple[Signal, Of], list[tuple[Floats, Floats]]] = {}
    units: dict[tuple[Signal, Of], dict[str, None]] = {}
    refused: dict[tuple[Signal, str], int] = {}
    impossible: dict[Signal, int] = {}
    for page in pages:
        key = page.signal, page.of
        factor = factor_of(page.signal, page.unit)
        if factor is None:
            refused[page.signal, page.unit] = refused.get((page.signal, page.unit), 0) + len(page.values)
            continue
        units.setdefault(key, {})[page.unit] = None
        values = page.values * factor
        known = np.isfinite(values) & np.isfinite(page.seconds) & (values >= 0)
        wrong = int(np.count_nonzero(~known & ~np.isnan(values)))
        if wrong:
            impossible[page.signal] = impossible.get(page.signal, 0) + wrong
        gathered.setdefault(key, []).append((page.seconds[known], values[known]))
    rows: dict[Signal, dict[Of, Floats]] = {}
    for (signal, of), parts in gathered.items():
        seconds = np.concatenate([part[0] for part in parts])
        values = np.concatenate([part[1] for part in parts])
        rows.setdefault(signal, {})[of] = _on_rows(signal, seconds, values, window)
    return Placed(rows, (*_unit_words(units, refused), *_impossible_words(impossible)))


def _on_rows(signal: Signal, seconds: Floats, values: Floats, window: Window) -> Floats:
    found = np.full(window.sample_count, np.nan)
    order = np.argsort(seconds, kind="stable")
    seconds, values = seconds[order], values[order]
    is_last = np.append(seconds[1:] != seconds[:-1], True)[: len(seconds)]
    seconds, values = seconds[is_last], values[is_last]
    # Clouds write whole seconds or milliseconds: what ends a millisecond after a row still belongs to it.
    at = np.ceil((seconds - window.start.timestamp() - 1e-3) / window.step.total_seconds())
    inside = (at >= 0) & (at < len(found))
    row, values = at[inside].astype(np.intp), values[inside]
    if not len(row):
        return found
    if signal in _SUMMED:
        totals = np.bincount(row, weights=values, minlength=len(found))
        found[np.unique(row)] = totals[np.unique(row)]
    elif signal in _LARGEST:
        np.fmax.at(found, row, values)
    elif signal in _HELD:
        found[row] = values  # the last of a row
        found = _held(found)
    else:
        counts = np.bincount(row, minlength=len(found))
        known = counts > 0
        found[known] = np.bincount(row, weights=values, minlength=len(found))[known] / counts[known]
    return found


def _held(values: Floats) -> Floats:
    """Short gaps filled with the value before them."""
    known = ~np.isnan(values)
    last = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))
    is_near = (last >= 0) & (np.arange(len(values)) - last <= _LONGEST_HOLD_ROWS)
    return np.where(is_near, values[np.maximum(last, 0)], np.nan)


def _unit_words(
    units: Mapping[tuple[Signal, Of], Mapping[str, None]], refused: Mapping[tuple[Signal, str], int]
) -> list[str]:
    changed: dict[tuple[Signal, tuple[str, ...]], list[str]] = {}
    for (signal, of), names in units.items():
        if len({factor_of(signal, name) for name in names}) > 1:
            changed.setdefault((signal, tuple(names)), []).append(of.pod or of.container or of.node or "one series")
    words = [
        f"The unit of {signal} changed within the window ({', '.join(map(shown_unit, names))}; "
        f"{', '.join(sorted(whose)[:_MOST_NAMED])}): each point is read in its own."
        for (signal, names), whose in changed.items()
    ]
    return words + [
        f"{count:,} points of {signal} are in the unit {shown_unit(unit)}, which is none of {signal}: left out."
        for (signal, unit), count in refused.items()
    ]


def _impossible_words(impossible: Mapping[Signal, int]) -> list[str]:
    return [f"{count:,} points of {signal} are negative or infinite: left out." for signal, count in impossible.items()]


def shown_unit(unit: str) -> str:
    """A unit for a message: what a server wrote is not believed to be short, or fit for a terminal."""
    text = "".join(character for character in unit[:20] if character.isprintable())
    return repr(text) if text else "without a name"
