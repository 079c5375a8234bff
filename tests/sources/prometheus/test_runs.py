"""Runs of jobs are counted, not pods and not tries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mora.sources.prometheus.runs import count_runs
from tests.fleet import rig
from tests.fleet.tsdb import Group
from tests.sources.prometheus.shop import END, FLEET, days, fleet_at, read

PODS = st.lists(st.tuples(st.just("shop"), st.sampled_from("abcdef")), unique=True)


def runs(**of: str) -> dict[tuple[str, str], str]:
    return {("shop", pod): run for pod, run in of.items()}


def test_ten_parallel_pods_are_one_run() -> None:
    of = {("shop", f"fan-{number}"): "fan" for number in range(10)}
    assert count_runs(of, of, failed=(), killed=()) == (1, 0)


def test_a_run_whose_tries_all_failed_is_none_and_one_that_ended_well_at_last_is_one() -> None:
    of = runs(a="first", b="first", c="second", d="second")
    failed = {("shop", "a"), ("shop", "b"), ("shop", "c")}
    assert count_runs(of, of, failed=failed, killed=()) == (1, 3)


def test_an_oom_kill_shows_what_a_run_needs_at_least() -> None:
    of = runs(a="first", b="second")
    assert count_runs(of, of, failed=set(of), killed={("shop", "b")}) == (1, 1)


@given(PODS, st.dictionaries(st.tuples(st.just("shop"), st.sampled_from("abcdef")), st.sampled_from("xyz")), PODS)
def test_there_are_never_more_runs_than_pods_that_did_not_fail(
    pods: list[tuple[str, str]], of: dict[tuple[str, str], str], failed: list[tuple[str, str]]
) -> None:
    count, lost = count_runs(pods, of, failed=failed, killed=())
    assert lost == len(set(pods) & set(failed))
    assert count <= len(pods) - lost
    assert (count > 0) == (len(pods) > lost)


class Failing(rig.Fleet):
    """A nightly job whose last night had ten parallel pods, and whose first two nights failed."""

    def groups(self) -> Iterator[Group]:
        """The job's series, and those of its pods' phases and of nine more pods."""
        yield from super().groups()
        (service,) = self.services
        last = service.pods[-1]
        at = self.start + last.first * rig.SCRAPE_SECONDS
        names = [f"{last.name}{number}" for number in range(9)]
        here: dict[str, str] = {"namespace": rig.NAMESPACE}
        owned = {"__name__": "kube_pod_owner", "owner_kind": "Job", "owner_name": last.name.rpartition("-")[0]}
        used = {"__name__": "container_memory_working_set_bytes", "container": "report", "image": "x", "id": "/x"}
        yield Group([{**here, **owned, "pod": name} for name in names], at, 60, np.ones(9), samples=12)
        yield Group([{**here, **used, "pod": name} for name in names], at, 60, np.full(9, 700.0 * rig.MIB), samples=12)
        for number, pod in enumerate(service.pods):
            phase = {"__name__": "kube_pod_status_phase", "phase": "Failed", "pod": pod.name}
            moment = self.start + (pod.first + 12) * rig.SCRAPE_SECONDS
            yield Group([{**here, **phase}], moment, 60, np.array([float(number < 2)]), samples=30)


class FailingJobs(rig.Fleet):
    """The nightly job, whose first three Jobs failed; the third of them succeeded at its second try."""

    def groups(self) -> Iterator[Group]:
        """The job's series, and those of its Jobs' status."""
        yield from super().groups()
        (service,) = self.services
        for number, pod in enumerate(service.pods[:3]):
            job = {"namespace": rig.NAMESPACE, "job_name": pod.name.rpartition("-")[0]}
            at = self.start + pod.first * rig.SCRAPE_SECONDS
            failed = {**job, "__name__": "kube_job_status_failed", "reason": "BackoffLimitExceeded"}
            yield Group([failed], at, 60, np.array([1.0]), samples=40)
            succeeded = {**job, "__name__": "kube_job_status_succeeded"}
            yield Group([succeeded], at + 1200, 60, np.array([float(number == 2)]), samples=20)


def test_a_job_without_a_success_is_no_run_where_phases_of_pods_are_not_kept(tmp_path: Path) -> None:
    job = FailingJobs((FLEET.service("report"),), END)
    with rig.serving(tmp_path, job) as url:
        found = read(fleet_at(url), days(14))["report"].containers["report"]
    assert (found.pods, found.runs, found.failed_pods) == (rig.DAYS, rig.DAYS - 2, 2)


def test_runs_and_failed_tries_are_those_of_the_whole_window(tmp_path: Path) -> None:
    job = Failing((FLEET.service("report"),), END)
    with rig.serving(tmp_path, job) as url:
        found = read(fleet_at(url), days(14))["report"].containers["report"]
    assert (found.pods, found.runs, found.failed_pods) == (rig.DAYS + 9, rig.DAYS - 2, 2)
