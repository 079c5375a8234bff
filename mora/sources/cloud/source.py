"""A cloud as a source of metrics, of one workload (MetricSource) and of many (FleetSource), over a Reader."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mora.domain import Observation, Window, Workload, WorkloadHistory, WorkloadState, check_name, is_name
from mora.errors import BadInput, NotEnoughData, SourceUnavailable
from mora.quantities import format_duration, format_moment
from mora.seams import Reporter, Silent
from mora.sources.cloud.flat import OF_SERVICE, flat_frame
from mora.sources.cloud.frames import observation
from mora.sources.cloud.histories import by_workload, history_of, state_of
from mora.sources.cloud.placing import Placed, placed
from mora.sources.cloud.reader import Reader, Tried
from mora.sources.cloud.signals import OF_CONTAINERS, OF_DATABASES, OF_NODES, OF_PODS, Of, Remark, Scope, Series, Signal

if TYPE_CHECKING:
    import pandas as pd

# What has no point for so long does not run any more; Google's and Amazon's points arrive up to 4 minutes late.
_LATELY = timedelta(hours=1)
_MOST_SERIES = 200_000
_ONE_WORKLOAD = (*OF_CONTAINERS, *OF_PODS, *OF_NODES)
_MOST_NAMED = 20
_LONGEST_REMARK = 500


def _utc_now() -> datetime:
    return datetime.now(UTC)


class CloudSource:
    """What a Reader reads, as a MetricSource and a FleetSource. Subclasses make their reader (mora/sources/gcp).

    After histories(), `warnings` has what concerns no single workload. ABOUT: what it reads. RIGHTS: what it needs.
    """

    ABOUT = ""
    RIGHTS: tuple[str, ...] = ()
    database: str | None = None

    def __init__(self, reader: Reader, *, now: Callable[[], datetime] = _utc_now) -> None:
        self._reader = reader
        self._now = now
        self.warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._reader.title!r})"

    def check(self) -> Iterator[Tried]:
        """Each thing that reading needs, tried: what `mora doctor --source` shows."""
        return self._reader.check(self._now())

    @property
    def finest(self) -> timedelta:
        """The shortest step that a window may have: that of the cloud's points."""
        return self._reader.finest

    # --- one workload ---

    def services(self, namespace: str) -> list[str]:
        """Names of the workloads of a namespace that used CPU in the last hour, sorted."""
        return sorted({workload.name for workload in self._lately(check_name(namespace, "namespace"))})

    def queries(self, workload: Workload, window: Window) -> Mapping[str, str]:
        """What observe() would send, name -> text, without sending it."""
        return self._reader.queries(self._known(_ONE_WORKLOAD), Scope(workload.namespace, workload.name), window)

    def observe(self, workload: Workload, window: Window) -> Observation:
        """All metrics of a workload that the cloud knows over a window; what it does not know is NaN, with a warning.

        A workload of the same name and another kind is taken where there is only one. Raises NotEnoughData naming what
        there is where the workload has no samples, BadInput for a step that is finer than the cloud's points.
        """
        found, one = self._one(_ONE_WORKLOAD, workload, window)
        one = replace(one, rows={**one.rows, **{signal: found.of(signal) for signal in OF_NODES}})
        seen = observation(one, workload, window, known=self._reader.signals, queries=self.queries(workload, window))
        if seen.metrics[["cpu_cores_value", "mem_bytes_value"]].isna().all(axis=None):
            raise self._nothing(workload, window, [])
        return seen

    def flat(
        self, workload: Workload, window: Window, *, database: str | None = None
    ) -> tuple[pd.DataFrame, tuple[str, ...]]:
        """The flat frame of Helios (flat.py) and its remarks. Raises as observe() does.

        database: a managed one; None for that of the settings, or the only one that there is.
        """
        _, service = self._one(OF_SERVICE, workload, window)
        beside = self._read(OF_DATABASES, Scope(database=database or self.database), window)
        return flat_frame(service, beside, workload.name, window)

    def flat_queries(self, workload: Workload, window: Window, *, database: str | None = None) -> Mapping[str, str]:
        """What flat() would send, name -> text, without sending it."""
        of_service = self._reader.queries(self._known(OF_SERVICE), Scope(workload.namespace, workload.name), window)
        beside = Scope(database=database or self.database)
        return {**of_service, **self._reader.queries(self._known(OF_DATABASES), beside, window)}

    def _one(self, signals: Iterable[Signal], workload: Workload, window: Window) -> tuple[Placed, Placed]:
        """Everything that was answered, and what of it is of the workload."""
        self._check_step(window)
        found = self._read(signals, Scope(workload.namespace, workload.name), window)
        of_each = by_workload(found)
        named = [one for one in of_each if one.name == workload.name and one.namespace == workload.namespace]
        chosen = workload if workload in named else next(iter(named), None)
        if chosen is None or (len(named) > 1 and workload not in named):
            raise self._nothing(workload, window, named)
        remarks = list(found.remarks)
        if chosen != workload:
            remarks.append(f"{workload.name} is a {chosen.kind}, by what {self._reader.title} tells of its pods.")
        return found, replace(of_each[chosen], remarks=tuple(remarks))

    # --- many workloads ---

    def states(self, namespace: str | None = None) -> list[WorkloadState]:
        """Every workload of a namespace (None: of all) that used CPU in the last hour, with its requests and limits.

        Raises SourceUnavailable where there is none.
        """
        scope = Scope(namespace)
        found = by_workload(self._read(OF_CONTAINERS, scope, self._recent()))
        if not found:
            where = "" if namespace is None else f" in namespace {namespace!r}"
            raise SourceUnavailable(
                f"{self._reader.title} has no samples of containers{where} in the last hour.",
                hint=self._namespaces_there_are(),
            )
        return [
            state_of(workload, one, cloud=self._reader.title, known=self._reader.signals)
            for workload, one in found.items()
        ]

    def histories(
        self, states: Sequence[WorkloadState], window: Window, *, reporter: Reporter | None = None
    ) -> Iterator[WorkloadHistory]:
        """What the containers of each used over the window, namespace by namespace; one for each state."""
        self._check_step(window)
        self.warnings = ()
        reporter = reporter or Silent()
        namespaces = sorted({state.workload.namespace for state in states})
        for number, namespace in enumerate(namespaces):
            scope = Scope(namespace)
            signals = self._known(OF_CONTAINERS)
            found = self._read(signals, scope, window)
            self.warnings = tuple(dict.fromkeys((*self.warnings, *found.remarks)))
            of_each = _also_by_name(by_workload(found), states)
            queries = self._reader.queries(signals, scope, window)
            for state in states:
                if state.workload.namespace == namespace:
                    one = replace(of_each.get(state.workload, Placed()), remarks=found.remarks)
                    yield history_of(state, one, window, queries=queries)
            reporter.advance("history", number + 1, len(namespaces), namespace)

    # --- below ---

    def _known(self, signals: Iterable[Signal]) -> tuple[Signal, ...]:
        return tuple(signal for signal in signals if signal in self._reader.signals)

    def _read(self, signals: Iterable[Signal], scope: Scope, window: Window) -> Placed:
        wanted = self._known(signals)
        left_out: dict[str, int] = {}
        remarks: dict[str, None] = {}
        count = 0

        def believed() -> Iterator[Series]:
            nonlocal count
            for page in self._reader.read(wanted, scope, window):
                if isinstance(page, Remark):
                    remarks[_shortened(page.words)] = None
                    continue
                count += 1
                if count > _MOST_SERIES:
                    raise SourceUnavailable(
                        f"{self._reader.title} answers with more than {_MOST_SERIES:,} series.",
                        hint="Ask for one namespace (-n NAMESPACE), or for a shorter history.",
                    )
                if (what := _misnamed(page.of)) is None:
                    yield page
                else:
                    left_out[what] = left_out.get(what, 0) + 1

        found = placed(believed(), window)
        words = [
            f"{number:,} series have {what} that Kubernetes would not accept: left out."
            for what, number in left_out.items()
        ]
        return Placed(found.rows, (*found.remarks, *words, *remarks))

    def _lately(self, namespace: str | None) -> list[Workload]:
        return list(by_workload(self._read([Signal.CPU], Scope(namespace), self._recent())))

    def _recent(self) -> Window:
        step = max(timedelta(minutes=5), self._reader.finest)
        moment = self._now().timestamp()
        end = datetime.fromtimestamp(moment - moment % step.total_seconds(), UTC)
        return Window(end - _LATELY, end, step)

    def _check_step(self, window: Window) -> None:
        if window.step < self._reader.finest:
            finest = format_duration(self._reader.finest)
            raise BadInput(
                f"The step of {format_duration(window.step)} is too fine: {self._reader.title} has a point "
                f"every {finest}.",
                hint=f"Give --step {finest}, or a longer one.",
            )

    def _nothing(self, workload: Workload, window: Window, others: Sequence[Workload]) -> NotEnoughData:
        between = f"between {format_moment(window.start)} and {format_moment(window.end)}"
        what = f"{workload.kind} {workload.name!r} in namespace {workload.namespace!r} {between}"
        if others:
            return NotEnoughData(
                f"{self._reader.title} has no {what}, and several workloads of that name.",
                hint=f"Name one: {', '.join(f'{one.kind.lower()}/{one.name}' for one in others)}.",
            )
        known = sorted({one.name for one in self._lately(workload.namespace)})
        if not known:
            return NotEnoughData(f"{self._reader.title} has no {what}.", hint=self._namespaces_there_are())
        return NotEnoughData(f"{self._reader.title} has no {what}.", hint=f"It knows these: {_shown(known)}.")

    def _namespaces_there_are(self) -> str:
        known = sorted({one.namespace for one in self._lately(None)})
        if known:
            return f"It knows workloads of the last hour in these namespaces: {_shown(known)}."
        return "It has no samples of any container in the last hour. See: mora doctor --source"


def _also_by_name(of_each: Mapping[Workload, Placed], states: Sequence[WorkloadState]) -> dict[Workload, Placed]:
    """The same, and for a workload of which nothing is found what has its name: a cloud may not know every kind."""
    found, asked = dict(of_each), {state.workload for state in states}
    unclaimed: dict[tuple[str, str], list[Workload]] = {}
    for workload in of_each:
        if workload not in asked:
            unclaimed.setdefault((workload.namespace, workload.name), []).append(workload)
    for workload in asked - set(of_each):
        named = unclaimed.get((workload.namespace, workload.name), [])
        if len(named) == 1:
            found[workload] = of_each[named[0]]
    return found


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST_NAMED]) + (", ..." if len(names) > _MOST_NAMED else "")


def _shortened(words: str) -> str:
    text = "".join(character if character.isprintable() else " " for character in words)
    return text if len(text) <= _LONGEST_REMARK else f"{text[:_LONGEST_REMARK]} ..."


def _misnamed(of: Of) -> str | None:
    """Which of the names of a series Kubernetes would not accept; None where it would all. Names are hostile."""
    for name, what in ((of.pod, "a pod's name"), (of.container, "a container's name"), (of.node, "a node's name")):
        if name and not is_name(name):
            return what
    return None
