"""A shard of kube-state-metrics that has been silent for minutes makes no workload vanish."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mora.domain import WorkloadState
from tests.fleet import rig
from tests.fleet.tsdb import Group
from tests.sources.prometheus.shop import END, FLEET, fleet_at

SHARDS = ("10.0.0.8:8080", "10.0.0.9:8080")
OBJECTS = ("pod", "replicaset", "job_name", "deployment", "statefulset", "daemonset", "cronjob")
EVERY = 60


def shard_of(labels: Mapping[str, str]) -> int:
    """By the object, as kube-state-metrics splits them."""
    name = next((labels[label] for label in OBJECTS if label in labels), "")
    return zlib.crc32(name.encode()) % 2


@dataclass(frozen=True)
class Sharded(rig.Fleet):
    """The shop, each of whose objects only one of two instances knows; the second stops some scrapes before the end.

    replaced_by: an instance that takes over from it. gone: names of pods that end with it, cAdvisor's series too.
    """

    silent_scrapes: int = 8
    replaced_by: str = ""
    gone: tuple[str, ...] = ()
    has_instances: bool = True

    def groups(self) -> Iterator[Group]:
        """The series by shard, with or without the instance that each is of."""
        for group in self.by_shard():
            if self.has_instances:
                yield group
                continue
            plain = [{name: value for name, value in of.items() if name != "instance"} for of in group.labels]
            yield replace(group, labels=plain)

    def by_shard(self) -> Iterator[Group]:
        """The shop's series by shard."""
        last = self.start + rig.DAYS * rig.DAY * EVERY
        for group in super().groups():
            end = group.start + (group.count - 1) * EVERY
            for number, labels in enumerate(group.labels):
                values = group.values[number]
                one = Group([labels], group.start, group.step, np.array([values]), samples=group.samples)
                is_ksm = labels.get("job") == "kube-state-metrics"
                if is_ksm and labels["instance"] != SHARDS[shard_of(labels)]:
                    continue
                stops = (is_ksm and labels["instance"] == SHARDS[1]) or labels.get("pod") in self.gone
                if not stops or end < last:
                    yield one
                    continue
                count = group.count - self.silent_scrapes
                kept = np.array([values]) if group.samples is not None else np.array([values[:count]])
                yield Group([labels], group.start, group.step, kept, samples=count if group.samples else None)
                if is_ksm and self.replaced_by and labels.get("pod") not in self.gone:
                    more = np.array([values]) if group.samples is not None else np.array([values[count:]])
                    at = group.start + count * EVERY
                    new = {**labels, "instance": self.replaced_by}
                    yield Group([new], at, group.step, more, samples=self.silent_scrapes if group.samples else None)


def read(folder: Path, fleet: rig.Fleet) -> tuple[dict[str, WorkloadState], tuple[str, ...]]:
    with rig.serving(folder, fleet) as url:
        source = fleet_at(url)
        return {state.workload.name: state for state in source.states("shop")}, source.warnings


def plain(states: Mapping[str, WorkloadState]) -> dict[str, WorkloadState]:
    """Without reasons."""
    return {name: replace(state, reasons=()) for name, state in states.items()}


def test_what_a_silent_shard_said_last_stands_in_and_the_run_says_so(
    states: dict[str, WorkloadState], tmp_path: Path
) -> None:
    found, warnings = read(tmp_path, Sharded(FLEET.services, END))
    assert plain(found) == plain(states)
    (said,) = [one for one in warnings if "has sent nothing for" in one]
    assert said.startswith("kube-state-metrics at 10.0.0.9:8080 has sent nothing for 8m of ")
    assert "what it sent last is used" in said


def test_silence_is_known_where_series_do_not_name_their_instance(
    states: dict[str, WorkloadState], tmp_path: Path
) -> None:
    found, warnings = read(tmp_path, Sharded(FLEET.services, END, has_instances=False))
    assert plain(found) == plain(states)
    assert any(one.startswith("kube-state-metrics has sent nothing for 8m of ") for one in warnings)


def test_a_pod_that_was_deleted_a_moment_ago_is_no_silence(tmp_path: Path) -> None:
    services = tuple(one for one in FLEET.services if one.workload.name in ("payment", "agent"))
    fleet = Sharded(services, END, has_instances=False, silent_scrapes=1)
    _, warnings = read(tmp_path, fleet)
    assert not any("has sent nothing" in one for one in warnings)


def test_an_instance_that_another_one_replaced_is_not_silent_and_what_it_knew_is_gone(tmp_path: Path) -> None:
    services = tuple(one for one in FLEET.services if one.workload.name in ("payment", "agent"))
    gone = tuple(pod.name for pod in FLEET.service("agent").pods)
    replaced = Sharded(services, END, replaced_by="10.0.0.10:8080", gone=gone)
    assert any(shard_of({"pod": name}) for name in gone)
    found, warnings = read(tmp_path, replaced)
    assert not any("has sent nothing" in one for one in warnings)
    assert [reason.code for reason in found["agent"].reasons] == ["no-pods"]
    assert found["payment"].reasons == ()
