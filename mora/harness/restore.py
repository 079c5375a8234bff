"""Restore points: the replicas before a run, written to disk before its first change, so that it can be undone.

`data/.runs/<run_id>/restore.json` is written whole or not at all. A run restores the replicas itself, however it ends,
and marks the file; after a kill -9, `mora collect --restore` does it. A run of a plan changes only the replicas of a
workload, and the annotation that restarts its pods, which stays: removing it would restart the pods again. Its requests
and limits are recorded to report what others changed since; a run that changes them, too, says so (with_resources).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from mora import documents
from mora.domain import Allocation, Resources, Workload, is_name
from mora.errors import ClusterError, MoraError
from mora.files import json_text, write_files
from mora.harness.ledger import read_record
from mora.quantities import format_moment
from mora.seams import Cluster


def _name(value: Any, where: str) -> None:
    documents.text(value, where)
    if not is_name(value.lower()):  # a kind has capitals
        raise documents.Misfit(f"{where} is not a name that Kubernetes allows")


_SCHEMA_VERSION = 1
_RUNS, _FILE = ".runs", "restore.json"
_WORKLOAD = documents.fields({"namespace": _name, "name": _name, "kind": _name}, only=True)
_POINT = documents.fields(
    {
        "run_id": documents.text,
        "written": documents.text,
        "place": documents.fields({"server": documents.text, "words": documents.text}, only=True),
        "targets": documents.items(
            documents.fields(
                {
                    "workload": _WORKLOAD,
                    "replicas": documents.whole(0, 2**31),
                    "resources": documents.mapping(
                        documents.fields(
                            dict.fromkeys(Resources.__dataclass_fields__, documents.optional(documents.whole())),
                            needed=(),
                            only=True,
                        )
                    ),
                },
                only=True,
            )
        ),
        "restored": documents.optional(documents.text),
        "with_resources": documents.flag,
    },
    needed=("run_id", "written", "place", "targets", "restored"),
    only=True,
)
RESTORE = "mora collect --restore"
SANDBOX = "sandbox/"
"""How the server of a sandbox begins: its name follows."""


@dataclass(frozen=True, slots=True)
class Place:
    """A cluster that outlives a run. server: its address, which identifies it. words: its name for messages."""

    server: str
    words: str

    @property
    def restore_command(self) -> str:
        """The command that restores what a killed run left here.

        >>> Place("http://here", "context lab").restore_command, Place("sandbox/lab", "sandbox lab").restore_command
        ('mora collect --restore', 'mora optimize --restore --sandbox lab')
        """
        is_sandbox = self.server.startswith(SANDBOX)
        return f"mora optimize --restore --sandbox {self.server.removeprefix(SANDBOX)}" if is_sandbox else RESTORE


@dataclass(frozen=True, slots=True)
class Original:
    """One workload before the run: its replicas, and container -> requests and limits."""

    workload: Workload
    replicas: int
    resources: Mapping[str, Resources]

    def restored(self, now: Allocation) -> Allocation:
        """The replicas that it had, and of the containers that it has now those whose requests or limits were others.

        What did not change is not set again: a patch of a container without any would leave empty ones behind.
        """
        before = self.resources
        containers = tuple(
            replace(one, resources=before[one.name])
            for one in now.containers
            if one.name in before and before[one.name] != one.resources
        )
        return Allocation(self.replicas, containers)


@dataclass(frozen=True, slots=True)
class RestorePoint:
    """What a run has to restore. restored: when that was done; None until then. with_resources: not replicas alone."""

    run_id: str
    written: str
    place: Place
    targets: tuple[Original, ...]
    restored: str | None = None
    with_resources: bool = False


def read_originals(cluster: Cluster, targets: Sequence[Workload]) -> tuple[Original, ...]:
    """The current state of the targets."""
    return tuple(_original(workload, cluster.allocation(workload)) for workload in targets)


def _original(workload: Workload, now: Allocation) -> Original:
    if now.replicas is None:
        # Recording 0 instead would scale it to nothing when it is restored.
        raise ClusterError(
            f"{workload.kind} {workload.name} has no number of replicas, so a run could not restore it.",
            hint="Leave it out: name the services to scale with -s.",
        )
    return Original(workload, now.replicas, {one.name: one.resources for one in now.containers})


def unrestored(data_dir: Path) -> list[RestorePoint]:
    """The runs of a data folder whose changes are not restored, the oldest first."""
    found = [_read(path) for path in (data_dir / _RUNS).glob(f"*/{_FILE}")]
    return sorted((point for point in found if point.restored is None), key=lambda point: point.written)


def refuse_unrestored(data_dir: Path, *, run_id: str | None) -> None:
    """Raise MoraError where a killed run left changes; the run `run_id` may continue with its own."""
    for point in unrestored(data_dir):
        if point.run_id != run_id:
            names = ", ".join(original.workload.name for original in point.targets)
            raise MoraError(
                f"Run {point.run_id} was killed and has not restored the replicas of {names} in {point.place.words}.",
                hint=f"Restore them: {point.place.restore_command} (--dry-run shows the changes). "
                "Or continue that run: --resume.",
            )


def record_restore_point(data_dir: Path, point: RestorePoint) -> RestorePoint:
    """Write a restore point before the first change; the point that is valid.

    A resumed run keeps the point that it has: it records the state before the run first started.
    """
    path = _path(data_dir, point.run_id)
    if path.is_file() and (kept := _read(path)).restored is None:
        return kept
    _write(data_dir, point)
    return point


def mark_restored(data_dir: Path, run_id: str, *, now: datetime) -> None:
    """Record that the state before the run is restored."""
    path = _path(data_dir, run_id)
    if path.is_file():
        _write(data_dir, replace(_read(path), restored=format_moment(now, "seconds")))


def restore(data_dir: Path, cluster: Cluster, place: Place, *, now: datetime, dry_run: bool = False) -> Iterator[str]:
    """Restore what killed runs left, with a line about each workload; with `dry_run`, the lines alone.

    A second time there is nothing to restore. Raises ClusterError at once where a run was in another cluster, and at
    the end where a workload could not be restored; its run then remains to be restored.
    """
    failed: list[str] = []
    points = unrestored(data_dir)
    for point in points:
        if point.place.server != place.server:
            raise ClusterError(
                f"Run {point.run_id} was in {point.place.words}, and this is {place.words}.",
                hint=f"Restore it there: {point.place.restore_command}"
                if any(one.server.startswith(SANDBOX) for one in (point.place, place))
                else "Switch to that cluster: kubectl config use-context, or $KUBECONFIG.",
            )
    # Where several runs were killed in a row, the oldest recorded the state before all of them.
    done: set[Workload] = set()
    for point in points:
        before = len(failed)
        for original in point.targets:
            if original.workload in done:
                continue
            done.add(original.workload)
            try:
                is_both = point.with_resources
                line = _restore_one(cluster, original, dry_run=dry_run, with_resources=is_both)
                yield f"{point.run_id}: {line}"
            except MoraError as error:
                failed.append(f"{original.workload.name}: {error.message}")
        if not dry_run and len(failed) == before:
            mark_restored(data_dir, point.run_id, now=now)
    if failed:
        raise ClusterError(
            f"Some workloads were not restored. {' '.join(failed)}",
            hint=f"Solve that, then run again: {place.restore_command}",
        )


def restore_replicas(cluster: Cluster, originals: Mapping[Workload, int]) -> None:
    """Set the replicas of every workload, even where one fails; ClusterError with those that failed.

    A workload that was deleted during the run is passed over: the error that ended the run reports it.
    """
    from mora.clusters.connection import NotFound

    failed: list[str] = []
    for workload, replicas in originals.items():
        try:
            cluster.apply(workload, Allocation(replicas))
        except NotFound:
            continue
        except MoraError as error:
            failed.append(f"{workload.name}: {error.message}")
    if failed:
        raise ClusterError(
            f"Replicas were not restored. {' '.join(failed)}", hint=f"On a cluster, restore them: {RESTORE}"
        )


def _restore_one(cluster: Cluster, original: Original, *, dry_run: bool, with_resources: bool) -> str:
    """Set the replicas of one workload, and its requests and limits where the run changed them; a line about it."""
    from mora.clusters.connection import NotFound

    workload = original.workload
    name = f"{workload.kind.lower()}/{workload.name} in {workload.namespace}"
    try:
        now = cluster.allocation(workload)
    except NotFound:
        return f"{name} no longer exists; nothing to restore"
    state = _original(workload, now)
    changed = [one for one, was in original.resources.items() if state.resources.get(one, was) != was]
    if with_resources and changed:
        if not dry_run:
            cluster.apply(workload, original.restored(now))
        verb = "would get" if dry_run else "gets"
        return f"{name} {verb} back {original.replicas} replicas, and the requests and limits of {', '.join(changed)}"
    aside = (
        f" (not changed: requests or limits of {', '.join(changed)}, which others have set since)" if changed else ""
    )
    if state.replicas == original.replicas:
        return f"{name} has {original.replicas} replicas, as before the run{aside}"
    if not dry_run:
        cluster.apply(workload, Allocation(original.replicas))
    verb = "would be scaled" if dry_run else "is scaled"
    return f"{name} {verb} from {state.replicas} back to {original.replicas} replicas{aside}"


# --- the file --------------------------------------------------------------------------------------------------------


def _path(data_dir: Path, run_id: str) -> Path:
    return data_dir / _RUNS / run_id / _FILE


def _write(data_dir: Path, point: RestorePoint) -> None:
    write_files([(_path(data_dir, point.run_id), json_text({"schema_version": _SCHEMA_VERSION, **asdict(point)}))])


def _read(path: Path) -> RestorePoint:
    content = read_record(
        path,
        _POINT,
        version=_SCHEMA_VERSION,
        what="a restore point",
        hint="Set the replicas that it names with kubectl scale, then delete it.",
    )
    targets = tuple(_read_original(target) for target in content.pop("targets"))
    return RestorePoint(**{**content, "place": Place(**content["place"]), "targets": targets})


def _read_original(target: Mapping[str, Any]) -> Original:
    resources = {name: Resources(**amounts) for name, amounts in target["resources"].items()}
    return Original(Workload(**target["workload"]), target["replicas"], resources)
