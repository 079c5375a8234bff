"""Passes over a namespace: whatever goes away meanwhile, nothing is lost and nothing is changed twice."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest

from mora.errors import MoraError
from mora.inplace.journal import Journal
from tests.inplace.rig import Rig, resizes


class Unsent:
    """The pods, with the process killed between the audit log and the request."""

    def __init__(self, pods: Any) -> None:
        self._pods = pods

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pods, name)

    def resize(self, *args: Any, **about: Any) -> Any:
        raise KeyboardInterrupt


def test_an_api_server_that_is_away_for_ten_minutes_changes_nothing_twice(rig: Rig) -> None:
    rig.renew()
    rig.pass_time(0.5)
    before = len(resizes(rig))
    rig.cluster.failures = [(503, None)] * 400
    reports = rig.pass_time(10, every=60)
    assert all(report.stopped for report in reports)
    rig.cluster.failures = []
    assert rig.cpus() == ["200m", "400m", "400m"]
    rig.pass_time(0.5)
    assert rig.cpus() == ["200m", "400m", "400m"], "time without a look does not count as watched"
    rig.pass_time(15)
    assert rig.outcome() == "kept"
    assert len(resizes(rig)) == before + 2


def test_a_request_whose_answer_was_lost_is_not_sent_twice(rig: Rig) -> None:
    rig.cluster.on_patch = lambda key: rig.cluster.failures.extend([(503, None)] * 6)
    # The first try reaches the server; all that come after it fail, as where the connection broke off.
    rig.renew()
    rig.cluster.on_patch = None
    rig.cluster.failures = []
    rig.pass_time(20)
    assert rig.outcome() == "kept"
    assert sorted(resizes(rig)) == ["web-abc-0", "web-abc-1", "web-abc-2"]


@pytest.mark.parametrize("minutes", [0.5, 4.0])
def test_a_loop_that_was_killed_goes_on_where_it_was(rig: Rig, minutes: float) -> None:
    rig.renew()
    rig.pass_time(minutes)
    rig.start()
    rig.pass_time(20)
    assert rig.outcome() == "kept"
    assert rig.cpus() == ["200m"] * 3
    assert len(resizes(rig)) == 3


def test_a_loop_that_was_killed_still_undoes_what_does_harm(rig: Rig) -> None:
    rig.renew()
    rig.pass_time(4)
    rig.start()
    rig.change_pod("web-abc-1", restartCount=1)
    rig.pass_time(1)
    assert rig.cpus() == ["400m"] * 3
    assert rig.outcome() == "undone"


def test_what_was_announced_and_never_sent_is_sent_after_a_restart(rig: Rig) -> None:
    rig.loop.desk.pods = Unsent(rig.loop.desk.pods)
    with pytest.raises(KeyboardInterrupt):
        rig.renew()
    assert rig.cpus() == ["400m"] * 3
    rig.start()
    rig.pass_time(0.5)
    assert rig.cpus() == ["200m", "400m", "400m"]
    assert len(rig.events("asked")) == 1


_LIVES_UNTIL = """
import os, signal, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tests.inplace.rig import Known, Leads, recommendation
from mora.clusters.pods import KubernetesPods
from mora.inplace.journal import Journal
from mora.inplace.loop import Loop, LoopSettings
from mora.inplace.telemetry import Telemetry

state, kubeconfig, at, event, is_sent = sys.argv[1:]

class Mortal(Journal):
    def append(self, one, **about):
        made = super().append(one, **about)
        if one == event and not is_sent:
            os.kill(os.getpid(), signal.SIGKILL)
        return made

class Pods(KubernetesPods):
    def resize(self, *args, **about):
        super().resize(*args, **about)
        if is_sent:
            os.kill(os.getpid(), signal.SIGKILL)

now = datetime.fromisoformat(at)
journal = Mortal(Path(state), "shop")
loop = Loop(
    Pods("shop", kubeconfig=kubeconfig), lambda: [recommendation()], Known(), journal, settings=LoopSettings(),
    log=lambda *words, **about: None, observer=Telemetry(), leadership=Leads(), now=lambda: now,
)
with journal.opened() as events:
    loop.open_log(events)
    loop.run_pass(renew=True)
"""


@pytest.mark.parametrize(
    ("event", "is_sent", "is_refused", "asked", "outcome"),
    [
        ("begun", False, False, 0, "dropped"),
        ("asked", False, False, 3, "kept"),
        ("asked", True, False, 3, "kept"),
        ("refused", False, True, 1, "refused"),
    ],
)
def test_kill_9_between_two_writes_loses_nothing_and_changes_nothing_twice(
    rig: Rig, event: str, is_sent: bool, is_refused: bool, asked: int, outcome: str
) -> None:
    if is_refused:
        bound = {"limits": [{"type": "Container", "min": {"memory": "500Mi"}}]}
        meta = {"name": "bound", "namespace": "shop"}
        rig.cluster.add({"apiVersion": "v1", "kind": "LimitRange", "metadata": meta, "spec": bound})
    rig.close()
    arguments = [str(rig.folder / "state"), str(rig.folder / "kubeconfig"), rig.now.isoformat(), event]
    killed = subprocess.run(
        [sys.executable, "-c", _LIVES_UNTIL, *arguments, "sent" if is_sent else ""], check=False, timeout=120
    )
    assert killed.returncode == -signal.SIGKILL
    assert rig.cpu() == ("200m" if is_sent else "400m")
    if is_refused:
        rig.cluster.remove("LimitRange", "bound")
    rig.start()
    rig.pass_time(20)
    assert rig.outcome() == outcome
    assert len(rig.events("asked")) == asked
    assert rig.cpus() == ["200m" if outcome == "kept" else "400m"] * 3
    accepted = [one for one in rig.cluster.patches if one.path.endswith("/resize")]
    assert len(accepted) == asked


def test_harm_that_was_noted_when_the_loop_was_killed_is_undone_though_it_has_passed(rig: Rig) -> None:
    rig.renew()
    rig.pass_time(0.5)
    rig.signals.broken = "its SLO is broken"

    append = rig.loop.desk.journal.append

    def until_harmed(event: str, **about: Any) -> Any:
        append(event, **about)
        raise KeyboardInterrupt

    rig.loop.desk.journal.append = until_harmed  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        rig.pass_time(0.5)
    rig.signals.broken = None
    rig.start()
    rig.pass_time(1)
    assert rig.cpus() == ["400m"] * 3
    assert rig.outcome() == "undone"
    assert len(rig.events("harmed")) == 1


def test_an_instance_that_lost_the_lease_sends_nothing_more(rig: Rig) -> None:
    rig.renew()
    rig.lease.is_ours = False
    before = len(rig.cluster.changes)
    rig.signals.broken = "its SLO is broken"
    reports = rig.pass_time(1)
    assert reports[-1].stopped == "another instance resizes pods of this namespace now"
    assert len(rig.cluster.changes) == before
    rig.lease.is_ours = True
    rig.pass_time(1)
    assert rig.outcome() == "undone"


def test_two_loops_by_one_audit_log_are_refused(rig: Rig) -> None:
    with (
        pytest.raises(MoraError, match="Another process resizes pods by the audit log"),
        Journal(rig.folder / "state", "shop").opened(),
    ):
        pass


def test_an_audit_log_of_another_cluster_is_refused(rig: Rig) -> None:
    rig.renew()
    rig.cluster.objects["namespaces", "", "shop"]["metadata"]["uid"] = "00000000-0000-4000-8000-999999999999"
    with pytest.raises(MoraError, match="is of another cluster"):
        rig.start()


def test_a_prometheus_that_is_away_begins_nothing_and_nothing_counts_as_watched(rig: Rig) -> None:
    rig.signals.is_away = True
    assert rig.renew().stopped == "Prometheus does not answer"
    rig.signals.is_away = False
    rig.renew()
    rig.signals.is_away = True
    rig.pass_time(10)
    assert rig.cpus() == ["200m", "400m", "400m"]
    rig.change_pod("web-abc-0", restartCount=1)
    rig.pass_time(1)
    assert rig.outcome() == "undone", "what the pods themselves say still counts"


def test_a_clock_that_jumps_back_loses_nothing(rig: Rig) -> None:
    rig.renew()
    rig.pass_time(1)
    rig.now -= timedelta(hours=2)
    rig.start()
    assert "the clock was set back" in rig.said()
    rig.pass_time(20)
    assert rig.outcome() == "kept"
    assert len(resizes(rig)) == 3


def test_a_disk_that_is_full_under_the_audit_log_sends_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Journal, event: str, **about: Any) -> Any:
        raise MoraError("The audit log cannot be written: no space left on device.")

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", full)
        assert "no space left" in str(rig.renew().stopped)
    assert not rig.cluster.changes
    assert rig.renew().begun == 1
