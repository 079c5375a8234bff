"""How things stood before a run, written down before its first change, so that a run that was killed can be undone.

`data/.runs/<run_id>/restore.json` is written whole or not at all. A run that ends, however it ends, puts replicas back
itself and marks the file; after a kill -9 `mora collect --restore` does. What MOrA changes of a workload is its
replicas (and the annotation that restarts its pods, which is left: taking it away would restart them once more).
Requests and limits are written down as well, to tell what somebody else changed since.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from mora.domain import Allocation, Resources, Workload
from mora.errors import ClusterError, MoraError
from mora.files import json_text, write_files
from mora.quantities import format_moment
from mora.seams import Cluster

_SCHEMA_VERSION = 1
_RUNS, _FILE = ".runs", "restore.json"
RESTORE = "mora collect --restore"


@dataclass(frozen=True, slots=True)
class Place:
    """A cluster that outlives a run. server tells it from others; words tell people which one it is."""

    server: str
    words: str


@dataclass(frozen=True, slots=True)
class Original:
    """One workload before the run: its replicas, and container -> requests and limits."""

    workload: Workload
    replicas: int
    resources: Mapping[str, Resources]


@dataclass(frozen=True, slots=True)
class RestorePoint:
    """What a run has to put back. restored: when that was done, None as long as it was not."""

    run_id: str
    written: str
    place: Place
    targets: tuple[Original, ...]
    restored: str | None = None


def look(cluster: Cluster, targets: Sequence[Workload]) -> tuple[Original, ...]:
    """How the targets stand now."""
    return tuple(_original(workload, cluster.allocation(workload)) for workload in targets)


def _original(workload: Workload, now: Allocation) -> Original:
    if now.replicas is None:
        # Whoever wrote 0 here would scale it to nothing on the way back.
        raise ClusterError(
            f"{workload.kind} {workload.name} has no number of replicas, so it cannot be put back after a run.",
            hint="Leave it out: name the services that a run scales with -s.",
        )
    return Original(workload, now.replicas, {one.name: one.resources for one in now.containers})


def unrestored(data_dir: Path) -> list[RestorePoint]:
    """Runs of a data folder whose changes nobody has put back, the oldest first."""
    found = [_read(path) for path in (data_dir / _RUNS).glob(f"*/{_FILE}")]
    return sorted((point for point in found if point.restored is None), key=lambda point: point.written)


def refuse_unrestored(data_dir: Path, *, run_id: str | None) -> None:
    """MoraError where a run left changes behind; the run `run_id` may go on with its own."""
    for point in unrestored(data_dir):
        if point.run_id != run_id:
            names = ", ".join(original.workload.name for original in point.targets)
            raise MoraError(
                f"Run {point.run_id} was killed and has not put back the replicas of {names} in {point.place.words}.",
                hint=f"Put them back: {RESTORE} (see it first with --dry-run). Or go on with that run: --resume.",
            )


def remember(data_dir: Path, point: RestorePoint) -> RestorePoint:
    """Write a restore point before the first change; what is to be put back.

    A run that goes on after it was killed keeps the point that it has: that says what stood before the run.
    """
    path = _path(data_dir, point.run_id)
    if path.is_file() and (kept := _read(path)).restored is None:
        return kept
    _write(data_dir, point)
    return point


def mark_restored(data_dir: Path, run_id: str, *, now: datetime) -> None:
    """Note that everything stands as it did before the run."""
    path = _path(data_dir, run_id)
    if path.is_file():
        _write(data_dir, replace(_read(path), restored=format_moment(now, "seconds")))


def restore(data_dir: Path, cluster: Cluster, place: Place, *, now: datetime, dry_run: bool = False) -> Iterator[str]:
    """Put back what killed runs left, and tell it line by line; with `dry_run` only tell it.

    Doing it twice does nothing the second time. Raises ClusterError, at the end, where a workload could not be put
    back (its run stays unrestored), and at once where a run was in another cluster.
    """
    failed: list[str] = []
    points = unrestored(data_dir)
    for point in points:
        if point.place.server != place.server:
            raise ClusterError(
                f"Run {point.run_id} was in {point.place.words}, and this is {place.words}.",
                hint="Choose that cluster: kubectl config use-context, or $KUBECONFIG.",
            )
    # Where several runs were killed in a row, the oldest knows how things stood before all of them.
    done: set[Workload] = set()
    for point in points:
        before = len(failed)
        for original in point.targets:
            if original.workload in done:
                continue
            done.add(original.workload)
            try:
                yield f"{point.run_id}: {_put_back(cluster, original, dry_run=dry_run)}"
            except MoraError as error:
                failed.append(f"{original.workload.name}: {error.message}")
        if not dry_run and len(failed) == before:
            mark_restored(data_dir, point.run_id, now=now)
    if failed:
        raise ClusterError(f"Not everything could be put back. {' '.join(failed)}", hint=f"Then again: {RESTORE}")


def put_back(cluster: Cluster, originals: Mapping[Workload, int]) -> None:
    """Set every workload's replicas, each tried even where another fails; ClusterError naming those that failed.

    One that vanished during the run has nothing to put back; what ended the run says so.
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
            f"Replicas were not put back. {' '.join(failed)}", hint=f"Put them back, on a cluster: {RESTORE}"
        )


def _put_back(cluster: Cluster, original: Original, *, dry_run: bool) -> str:
    """Set one workload's replicas, and what to say of it."""
    from mora.clusters.connection import NotFound

    workload = original.workload
    name = f"{workload.kind.lower()}/{workload.name} in {workload.namespace}"
    try:
        now = cluster.allocation(workload)
    except NotFound:
        return f"{name} is no longer there; nothing to put back"
    state = _original(workload, now)
    changed = [one for one, was in original.resources.items() if state.resources.get(one, was) != was]
    aside = f" (requests or limits of {', '.join(changed)} were changed since, not by MOrA: left)" if changed else ""
    if state.replicas == original.replicas:
        return f"{name} has {original.replicas} replicas, as before{aside}"
    if not dry_run:
        cluster.apply(workload, Allocation(original.replicas))
    verb = "would go" if dry_run else "goes"
    return f"{name} {verb} from {state.replicas} back to {original.replicas} replicas{aside}"


# --- the file --------------------------------------------------------------------------------------------------------


def _path(data_dir: Path, run_id: str) -> Path:
    return data_dir / _RUNS / run_id / _FILE


def _write(data_dir: Path, point: RestorePoint) -> None:
    write_files([(_path(data_dir, point.run_id), json_text({"schema_version": _SCHEMA_VERSION, **asdict(point)}))])


def _read(path: Path) -> RestorePoint:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("schema_version") > _SCHEMA_VERSION:
            raise MoraError(f"{path} was written by a newer MOrA.", hint="Upgrade: pip install -U mora-rightsizing")
        targets = tuple(_read_original(target) for target in content.pop("targets"))
        return RestorePoint(**{**content, "place": Place(**content["place"]), "targets": targets})
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise MoraError(
            f"{path} is not a restore point ({error}).",
            hint="Set the replicas that it names by hand (kubectl scale), then delete it.",
        ) from error


def _read_original(target: Mapping[str, Any]) -> Original:
    resources = {name: Resources(**amounts) for name, amounts in target["resources"].items()}
    return Original(Workload(**target["workload"]), target["replicas"], resources)
