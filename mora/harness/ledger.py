"""The ledger of a run on disk: a killed run can be resumed, and two runs never mix.

`data/.runs/<run_id>.json` identifies a run (a hash of plan, services and seed) and records the replicas before it.
`data/.runs/lock` is a file lock for as long as a run's process lives. Finished experiments are not recorded a second
time: an experiment is finished when the files of all its services exist.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mora import documents
from mora.dataset import discard_experiment, is_finished, list_services, read_cards
from mora.domain import Workload
from mora.errors import BadInput, MoraError
from mora.files import json_text, open_lock, read_regular, write_files
from mora.harness.plan import Cell, Plan
from mora.quantities import format_moment

_SCHEMA_VERSION = 1
_RUNS = ".runs"
_MOST_BYTES = 16 * 2**20
_VERSIONED = documents.fields({"schema_version": documents.whole()})
_RUN = documents.fields(
    {
        "run_id": documents.text,
        "plan": documents.text,
        "digest": documents.text,
        "started": documents.text,
        "original_replicas": documents.mapping(documents.whole(0, 2**31)),
    },
    only=True,
)


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Lock a data folder for one run; MoraError with the other process where it is locked already.

    The kernel releases the lock when the process ends, however it ends.
    """
    descriptor = open_lock(data_dir / _RUNS / "lock")
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
            raise MoraError(
                f"Another run is writing to {data_dir} (process {owner}).",
                hint="Wait for it, stop it, or collect into another folder with --data.",
            ) from error
        os.ftruncate(descriptor, 0)
        with contextlib.suppress(
            OSError
        ):  # on a full disk the folder is locked as well; only the process id is missing
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Run:
    """Identifies a run, and records the replicas to restore when it ends."""

    run_id: str
    plan: str
    digest: str
    started: str
    original_replicas: Mapping[str, int]
    """Target -> replicas before the first experiment; a killed run could not restore them."""


class Ledger:
    """The state of one run in a data folder; opened while the folder is locked."""

    def __init__(self, data_dir: Path, run: Run, workloads: Sequence[Workload]) -> None:
        self._data_dir = data_dir
        self.run = run
        self._workloads = workloads

    @classmethod
    def open(
        cls,
        data_dir: Path,
        plan: Plan,
        workloads: Sequence[Workload],
        *,
        entry_service: str,
        original_replicas: Mapping[str, int],
        now: datetime,
        resume: bool,
    ) -> Ledger:
        """Start a run, or continue the latest one of the plan where `resume`; without one, start.

        BadInput where the folder has experiments of another run, or where plan, scenarios or services differ from those
        of the run to continue.
        """
        digest = run_digest(plan, workloads, entry_service=entry_service)
        previous = _latest(data_dir, plan.name) if resume else None
        if previous is not None:
            if previous.digest != digest:
                raise BadInput(
                    f"Run {previous.run_id} in {data_dir} cannot be continued: it has another plan, other scenarios, "
                    "targets or services.",
                    hint="Undo the change, or collect into another folder with --data.",
                )
            ledger = cls(data_dir, previous, workloads)
        else:
            run = Run(
                run_id=f"{plan.name}-{now:%Y%m%dT%H%M%SZ}",
                plan=plan.name,
                digest=digest,
                started=format_moment(now, "seconds"),
                original_replicas=dict(original_replicas),
            )
            ledger = cls(data_dir, run, workloads)
            ledger._refuse_existing(
                plan.experiments() if plan.adaptive is None else ledger._driven(plan), resume=resume
            )
            ledger._write()
        return ledger

    def is_done(self, cell: Cell) -> bool:
        """Whether the files of every service exist for an experiment."""
        return all(
            is_finished(self._data_dir, w.name, cell.experiment(w.name).id, namespace=w.namespace)
            for w in self._workloads
        )

    def discard(self, cell: Cell) -> None:
        """Delete what a killed run left of an experiment, so that the files of its services are all of one run."""
        for w in self._workloads:
            discard_experiment(self._data_dir, w.name, cell.experiment(w.name).id, namespace=w.namespace)

    def _driven(self, plan: Plan) -> list[Cell]:
        """The cells of a plan's scenarios that the folder has, of whatever run: an adaptive plan may choose any."""
        found: dict[Cell, None] = {}
        for w in self._workloads:
            is_known = w.name in list_services(self._data_dir, namespace=w.namespace)
            for name in read_cards(w.name, self._data_dir, namespace=w.namespace) if is_known else ():
                cell = Cell.named(name, w.name)
                if cell is not None and cell.scenario in plan.scenario_files:
                    found.setdefault(cell)
        return list(found)

    def _refuse_existing(self, cells: Sequence[Cell], *, resume: bool) -> None:
        there = [cell for cell in cells if self._exists(cell)]
        if there:
            first = there[0].experiment(self._workloads[0].name).id
            raise BadInput(
                f"{self._data_dir} already has {len(there)} of this plan's {len(cells)} experiments ({first}, ...)"
                + (", but no run of this plan to continue." if resume else "."),
                hint="Collect into another folder with --data, or delete those experiments."
                if resume
                else "Continue the run that wrote them with --resume, or collect into another folder with --data.",
            )

    def _exists(self, cell: Cell) -> bool:
        return any(
            is_finished(self._data_dir, w.name, cell.experiment(w.name).id, namespace=w.namespace)
            for w in self._workloads
        )

    def _write(self) -> None:
        content = {"schema_version": _SCHEMA_VERSION, **asdict(self.run)}
        write_files([(self._data_dir / _RUNS / f"{self.run.run_id}.json", json_text(content))])


def run_digest(plan: Plan, workloads: Sequence[Workload], *, entry_service: str) -> str:
    """A hash of everything that must not change within a run."""
    names = sorted(f"{w.namespace}/{w.kind}/{w.name}" for w in workloads)
    text = json.dumps([plan.digest(), names, entry_service])
    return hashlib.sha256(text.encode()).hexdigest()


def latest_run_id(data_dir: Path, plan: Plan) -> str | None:
    """The run that `resume` would continue; None where there is none."""
    previous = _latest(data_dir, plan.name)
    return None if previous is None else previous.run_id


def _latest(data_dir: Path, plan_name: str) -> Run | None:
    """The run of a plan that started last."""
    runs = [_read(path) for path in (data_dir / _RUNS).glob("*.json")]
    return max((run for run in runs if run.plan == plan_name), key=lambda run: run.started, default=None)


def _read(path: Path) -> Run:
    content = read_record(
        path,
        _RUN,
        version=_SCHEMA_VERSION,
        what="the ledger of a run",
        hint="Delete it and collect into another folder. Training can still use the experiments beside it.",
    )
    return Run(**content)


def read_record(path: Path, shape: documents.Check, *, version: int, what: str, hint: str) -> dict[str, Any]:
    """A file of a run, checked, without its schema version; MoraError where it is not `what`, with the way out."""
    try:
        content = documents.parse(read_regular(path, _MOST_BYTES))
        documents.check(content, _VERSIONED)
        if content.pop("schema_version") > version:
            raise MoraError(f"{path} was written by a newer MOrA.", hint="Upgrade: pip install -U mora-rightsizing")
        documents.check(content, shape)
    except OSError as error:
        raise MoraError(f"{path} cannot be read: {error.strerror}.", hint=hint) from error
    except documents.Misfit as error:
        raise MoraError(f"{path} is not {what} ({error}).", hint=hint) from error
    found: dict[str, Any] = content
    return found
