"""Where an init container requests more than all that runs after it, smaller requests of those free nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from mora.domain import Reason, Recommendation
from mora.quantities import readable_bytes, readable_cores

_AMOUNTS: tuple[tuple[str, str, Callable[[int], str]], ...] = (
    ("CPU", "cpu_request_millicores", lambda amount: readable_cores(amount / 1000)),
    ("memory", "memory_request_bytes", readable_bytes),
)


def with_init_remarks(advice: Recommendation) -> Recommendation:
    """The same advice, with a reason for each resource whose cut an init container's request keeps from freeing it."""
    return replace(advice, reasons=(*advice.reasons, *_remarks(advice)))


def _remarks(advice: Recommendation) -> Iterable[Reason]:
    for word, amount, write in _AMOUNTS:
        now, then = advice.current.running(amount), advice.target.running(amount)
        reserved, container = advice.target.starting(amount)
        if container is None or then >= now or reserved <= then:
            continue
        text = (
            f"each pod reserves {write(reserved)} of {word} for its init container {container.name}, and its other "
            f"containers then request {write(then)} together: request less {word} for {container.name} too, or that "
            "part of the cut frees nothing"
        )
        yield Reason("init-request-rules", text)
