"""The questions of an assistant, answered by what `mora recommend` runs; answers are kept for a while.

An assistant asks of the same workloads several times in a row: it lists them, has them sized, has one explained. One
run answers all of it, so that the numbers agree and Prometheus is asked once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from mora import outputs, pipeline
from mora.columns import printable
from mora.errors import BadInput
from mora.mcp import answers
from mora.pipeline import Advised, Request

if TYPE_CHECKING:
    from mora.settings import Settings

Ask = Callable[[Request, "Settings", Callable[[str], None]], Advised]
LONGEST = 6_000
"""Tokens of an explanation; a longer one is cut, with a last line that says where to read on."""
_REMARKS, _LONGEST_REMARK = 3, 240  # lines below an answer, and characters of each


def _run(request: Request, settings: Settings, say: Callable[[str], None]) -> Advised:
    return pipeline.recommend_workloads(request, settings, say=say)


class Questions:
    """The four questions, by the settings that the server was started with. One run at a time.

    settings_of: the settings of the server with those of a question, by their names. usual: what every question leaves
    out or compares with. keep: how long an answer is used again. clock: seconds that only rise.
    """

    def __init__(
        self,
        settings_of: Callable[..., Settings],
        usual: Request,
        *,
        keep: timedelta,
        clock: Callable[[], float],
        ask: Ask = _run,
    ) -> None:
        self._settings_of, self._usual, self._ask = settings_of, usual, ask
        self._keep_seconds, self._clock = keep.total_seconds(), clock
        self._lock = threading.Lock()
        self._kept: dict[tuple[object, ...], tuple[float, Advised, tuple[str, ...]]] = {}

    def list_workloads(self, namespace: str | None, all_namespaces: bool, offset: int) -> str:
        """The workloads and what they request now."""
        advised, notes = self._answer(self._of_all(all_namespaces), namespace)
        return _rows(answers.listing, advised, notes, offset)

    def recommend(
        self, workloads: list[str] | None, namespace: str | None, all_namespaces: bool, as_json: bool, offset: int
    ) -> str:
        """The numbers: a line a container, or the JSON of `mora recommend -o json`."""
        advised, notes = self._answer(self._of(workloads, all_namespaces), namespace)
        if as_json:
            return pipeline.render(advised.recommendations, "json", outputs.DEFAULTS)
        return _rows(answers.compact, advised, notes, offset)

    def explain(self, workload: str, namespace: str | None) -> str:
        """How the numbers of one workload came to be, or of each that has the name, without the queries."""
        advised, notes = self._answer(self._of([workload], False), namespace)
        chapters = (pipeline.render([one], "explain", outputs.DEFAULTS) for one in advised.recommendations)
        text = "\n".join(chapter.partition("\nqueries, as sent\n")[0] for chapter in chapters)
        return _noted(_cut(text or "no workloads"), notes)

    def what_if(self, workload: str, namespace: str | None, request: dict[str, object], **settings: object) -> str:
        """What would be recommended under other conditions, beside what is recommended as things are.

        request: fields of the Request, such as users. settings: by their names, such as slo_p95. None: not given.
        """
        conditions = {name: value for name, value in request.items() if value is not None}
        changed = {name: value for name, value in settings.items() if value is not None}
        if not conditions and not changed:
            raise BadInput("What if what?", hint="Give at least one condition, such as users, horizon or slo_p95.")
        usual = self._of([workload], False)
        before, notes = self._answer(usual, namespace)
        after, more = self._answer(replace(usual, **conditions), namespace, **changed)  # type: ignore[arg-type]  # its fields
        text = answers.compared(before.recommendations, after.recommendations)
        return _noted(_cut(text), tuple(dict.fromkeys((*notes, *more))))

    def _of(self, workloads: list[str] | None, all_namespaces: bool) -> Request:
        if not workloads:
            return self._of_all(all_namespaces)
        return replace(self._usual, names=tuple(workloads), everything=False, all_namespaces=False)

    def _of_all(self, all_namespaces: bool) -> Request:
        return replace(self._usual, names=(), everything=not all_namespaces, all_namespaces=all_namespaces)

    def _answer(self, request: Request, namespace: str | None, **more: object) -> tuple[Advised, tuple[str, ...]]:
        """The answer to a request, with what was remarked on the way."""
        if request.all_namespaces and namespace is not None:
            raise BadInput("all_namespaces is every namespace, and namespace names one.", hint="Give one of them.")
        key = (request, namespace, *sorted(more.items()))
        with self._lock:
            now = self._clock()
            self._kept = {one: kept for one, kept in self._kept.items() if now - kept[0] < self._keep_seconds}
            if key not in self._kept:
                notes: list[str] = []
                settings = self._settings_of(namespace=namespace, all_namespaces=request.all_namespaces, **more)
                advised = self._ask(request, settings, notes.append)
                self._kept[key] = (self._clock(), advised, tuple(notes))
            _, advised, remarks = self._kept[key]
        return advised, remarks


def _rows(answer: Callable[..., str], advised: Advised, notes: tuple[str, ...], offset: int) -> str:
    """Rows from an offset on, and the remarks below them, within the budget of an answer."""
    if offset < 0:
        raise BadInput(f"The offset {offset} is below 0.", hint="Leave it out, or give that of the last answer.")
    below = _remarks(notes)
    budget = answers.BUDGET - sum(answers.tokens(line) + 1 for line in below)
    return "\n".join([answer(advised.recommendations, offset=offset, budget=budget), *below])


def _cut(text: str) -> str:
    """A text that an assistant can afford, cut at the end of a line."""
    if answers.tokens(text) <= LONGEST:
        return text
    lines, left = [], LONGEST
    for line in text.splitlines():
        left -= answers.tokens(line) + 1
        if left < 0:
            break
        lines.append(line)
    return "\n".join([*lines, "(cut here: ask for the workload with `mora explain`)"])


def _noted(text: str, notes: tuple[str, ...]) -> str:
    return "\n".join([text, *_remarks(notes)])


def _remarks(notes: tuple[str, ...]) -> list[str]:
    """What was remarked in a run: three lines at most, since an assistant pays for each."""
    shown = [f"note: {printable(' '.join(note.split()))[:_LONGEST_REMARK]}" for note in notes[:_REMARKS]]
    return (
        shown
        if len(notes) <= _REMARKS
        else [*shown, f"note: {len(notes) - _REMARKS} more remarks, see `mora recommend`"]
    )
