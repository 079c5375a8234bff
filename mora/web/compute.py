"""One refresh, in a process of its own: from the settings to an answer, or to why there is none, as JSON.

A process of its own keeps the numeric work off the threads that serve, gives its memory back, and can be ended while a
Prometheus does not answer.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mora.errors import MoraError
from mora.workers import end_with

if TYPE_CHECKING:
    from mora.pipeline import Request
    from mora.record.store import InForce
    from mora.settings import Settings

# The longest refresh that was measured, 5,000 workloads, takes minutes; one that takes an hour hangs.
MOST_SECONDS = 3600.0
_LOOK_SECONDS = 0.2


def _read_only(found: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(found)


# Settings have read-only mappings, which go to the process as what they show.
ForkingPickler.register(MappingProxyType, lambda shown: (_read_only, (dict(shown),)))


@dataclass(frozen=True, slots=True)
class Task:
    """What one refresh answers. applied: recommendations whose use since is to be looked at."""

    request: Request
    settings: Settings
    applied: Sequence[InForce] = ()


class Failed(MoraError):
    """A refresh that gave no answer."""


def compute(task: Task) -> dict[str, Any]:
    """The answer to a task (answer.answer_document), and under `uses` what was needed since changes were applied."""
    from mora import pipeline
    from mora.outputs import OutputSettings
    from mora.web.answer import answer_document, entry_document
    from mora.web.uses import Watch

    settings, notes = task.settings, list[str]()
    watch = Watch(task.applied)
    made_at = time.time()
    request = replace(task.request, keeps_past=True, marks_abnormal=True)
    advised = pipeline.recommend_workloads(request, settings, say=notes.append, look=watch.look)
    shown = OutputSettings(prices=settings.prices.prices, min_change=settings.policy.min_change, verbose=True)
    entries = [entry_document(one, shown) for one in advised.recommendations]
    uses = {str(episode): asdict(use) for episode, use in watch.found.items()}
    return {**answer_document(made_at, entries, notes, shown.prices), "uses": uses}


def received(connection: Connection) -> dict[str, Any] | None:
    """What a process sent; None where it ended before, or while it did."""
    try:
        # Bytes, not objects: nothing that comes back is unpickled.
        found: dict[str, Any] = json.loads(connection.recv_bytes())
    except (EOFError, OSError, ValueError):
        return None
    return found


def run(task: Task, *, is_over: Any, most_seconds: float) -> dict[str, Any]:
    """compute() in a new process.

    is_over: an Event; once it is set the process is ended. Raises Failed with the process's own error, or where it
    takes longer than `most_seconds`, or ends without an answer.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(task, theirs), name="mora-refresh", daemon=True)
    process.start()
    theirs.close()
    until = time.monotonic() + most_seconds
    try:
        while not ours.poll(_LOOK_SECONDS):
            if is_over.is_set():
                raise Failed("The server shuts down.")
            if time.monotonic() > until:
                raise Failed(
                    f"The refresh was ended after {most_seconds / 60:.0f} minutes.",
                    hint="Does Prometheus answer? Read less (--history 7d), or fewer namespaces (-n).",
                )
        found = received(ours)
        if found is None:
            process.join(10)
            raise Failed(
                f"The process that computes ended without an answer (exit code {process.exitcode}).",
                hint="Exit code -9 is a kill, most often for want of memory: give it more, or size fewer namespaces.",
            )
    finally:
        ours.close()
        if process.is_alive():
            process.kill()
        process.join()
    if "error" in found:
        raise Failed(found["error"]["message"], hint=found["error"]["hint"])
    return found


def _work(task: Task, answer_to: Connection) -> None:
    from os import getppid

    # Ctrl-C reaches all processes of a terminal; the one that serves decides when this one ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    end_with(getppid())
    try:
        found = compute(task)
    except MoraError as error:
        found = {"error": {"message": error.message, "hint": error.hint}}
    except Exception as error:
        words = f"This is a bug in MOrA: {type(error).__name__}: {error}"
        found = {"error": {"message": words, "hint": "Report it, with what `mora --debug recommend` prints."}}
    answer_to.send_bytes(json.dumps(found, allow_nan=False).encode())
    answer_to.close()
