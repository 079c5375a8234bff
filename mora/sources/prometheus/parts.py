"""Questions in parts, where a store refuses to answer the whole: each half is asked alone, down to what is answered.

Prometheus bounds the samples of a query, VictoriaMetrics, Mimir and Thanos also its series. Fewer samples are had by a
shorter range (wire.py); fewer series by fewer namespaces, fewer pods, or the objects whose names end in certain
characters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from mora.domain import Window
from mora.sources.prometheus.access import TooLarge, TooMuch
from mora.sources.prometheus.fleet_promql import Scope
from mora.sources.prometheus.wire import Wire

Found = TypeVar("Found")


def in_parts(ask: Callable[[Scope], Iterable[Found]], scope: Scope) -> list[Found]:
    """What a question finds in a scope, however many parts it takes; TooMuch or TooLarge where none is small enough.

    What carries no name that can be halved is found again in each part, so a result may repeat.
    """
    try:
        return list(ask(scope))
    except (TooMuch, TooLarge) as error:
        halves = scope.halves()
        # An answer without an end has none in any part.
        is_endless = isinstance(error, TooLarge) and scope.endings is not None and len(scope.endings.characters) == 1
        if halves is None or is_endless:
            raise
        first, second = halves
    return [*in_parts(ask, first), *in_parts(ask, second)]


def exposed(wire: Wire, scope: Scope, metrics: Iterable[str], matcher: str, window: Window) -> set[str]:
    """Which of some metrics have samples in a window; one that the store has too many series of does."""

    def ask(some: Iterable[str]) -> list[str]:
        selector = scope.select("", f'__name__=~"{"|".join(some)}"', matcher)
        return wire.label_values("__name__", selector, window.start, window.end)

    def is_exposed(metric: str) -> bool:
        try:
            return bool(ask([metric]))
        except TooMuch:
            return True

    metrics = list(metrics)
    try:
        return set(ask(metrics))
    except TooMuch:
        return {metric for metric in metrics if is_exposed(metric)}


def in_some_part(ask: Callable[[Scope], Found | None], scope: Scope) -> Found | None:
    """What a question finds in a part of a scope, the whole if possible; None where each part that answers has none."""
    try:
        return ask(scope)
    except TooMuch:
        halves = scope.halves()
        if halves is None:
            raise
        first, second = halves
    found = in_some_part(ask, first)
    return found if found is not None else in_some_part(ask, second)
