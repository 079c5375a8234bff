"""The recommender as a process: alone, and two on one API server, of which one writes and the other takes over."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mora.vpa import service
from mora.vpa.advice import Adviser
from mora.vpa.service import ServiceSettings, serve
from tests.running import until
from tests.vpa.fake_vpa import FakeVpaApi, serving
from tests.vpa.making import manifest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 120.0


@pytest.fixture
def api() -> Iterator[FakeVpaApi]:
    with serving() as server:
        yield server


class Instance:
    """A process, and its log as it is written."""

    def __init__(self, api: FakeVpaApi, folder: Path, name: str, *, lease_seconds: float) -> None:
        self.path = folder / f"{name}.log"
        kubeconfig = api.kubeconfig(folder / f"{name}.kubeconfig", user=name)
        command = [sys.executable, "-m", "tests.vpa.instance", str(kubeconfig), name, str(lease_seconds)]
        with self.path.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stderr=log)

    @property
    def log(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def get(self, path: str) -> str:
        port = re.search(r"port=(\d+)", self.log)
        assert port is not None, self.log
        with urllib.request.urlopen(f"http://127.0.0.1:{port[1]}{path}", timeout=60) as answer:
            return str(answer.read().decode())

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return self.process.wait(PATIENCE_SECONDS)


@pytest.fixture
def start(api: FakeVpaApi, tmp_path: Path) -> Iterator[Callable[..., Instance]]:
    instances: list[Instance] = []

    def begin(name: str, *, lease_seconds: float) -> Instance:
        instances.append(Instance(api, tmp_path, name, lease_seconds=lease_seconds))
        return instances[-1]

    yield begin
    for instance in instances:
        instance.process.kill()
        instance.process.wait()


def test_one_writes_and_the_other_takes_over_when_it_is_killed(api: FakeVpaApi, start: Callable[..., Instance]) -> None:
    api.add(manifest("web"))
    first = start("ada", lease_seconds=600)
    until(lambda: api.patches(user="ada"), "the first writes")
    second = start("bob", lease_seconds=600)
    until(lambda: "follows ada" in second.log, "the second follows")
    assert "mora_recommender_is_leader 1.0" in first.get("/metrics")
    assert "mora_recommender_is_leader 0.0" in second.get("/metrics")
    assert second.get("/readyz") == "ok\n"
    api.add(manifest("cart"))
    until(lambda: len(api.patches()) == 2, "the new VPA is written")
    assert api.patches(user="bob") == []
    # After SIGKILL the lease is not released: it must expire. From now on a second is enough for that.
    first.end(signal.SIGKILL)
    assert api.holder() == "ada"
    api.leases["mora", "mora-recommender"]["spec"]["leaseDurationSeconds"] = 1
    api.add(manifest("db"))
    until(lambda: api.patches(user="bob"), "the second takes over")
    assert [patch.path.split("/")[-2] for patch in api.patches(user="bob")] == ["db"]
    assert api.leases["mora", "mora-recommender"]["spec"]["leaseTransitions"] == 1
    assert second.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_clean_shutdown_releases_the_lease_and_the_next_instance_need_not_wait(
    api: FakeVpaApi, start: Callable[..., Instance], how: signal.Signals
) -> None:
    first = start("ada", lease_seconds=600)
    until(lambda: api.holder() == "ada" and "pass ended" in first.log, "the first leads")
    assert first.end(how) == 0
    assert api.holder() == ""
    assert f"signal={how.name}" in first.log
    assert "Traceback" not in first.log
    second = start("bob", lease_seconds=600)
    # The first one's lease would have lasted ten minutes.
    until(lambda: api.holder() == "bob", "the second leads")
    assert second.end(signal.SIGTERM) == 0


class SignalledWhileListing:
    """A cluster's VPA objects; the process gets a signal while it lists them, and waits for the answer."""

    def __init__(self, how: signal.Signals, *, answers: threading.Event | None = None) -> None:
        self.how, self.answers = how, answers

    def list_vpas(self, namespace: str | None = None) -> list[dict[str, Any]]:
        try:
            os.kill(os.getpid(), self.how)
        finally:
            if self.answers is not None:
                assert self.answers.wait(PATIENCE_SECONDS)
        return []

    def patch_status(self, namespace: str, name: str, status: Mapping[str, Any], *, version: str) -> None:
        raise NotImplementedError


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_one_instance_needs_neither_a_lease_nor_endpoints_and_ends_while_it_waits_for_an_answer(
    how: signal.Signals,
) -> None:
    lines: list[tuple[str, dict[str, object]]] = []
    before = signal.getsignal(how)
    serve(
        SignalledWhileListing(how),
        Adviser(lambda workloads: [], refresh=timedelta(minutes=1)),
        ServiceSettings(namespace="shop", listen=None),
        log=lambda level, message, **about: lines.append((message, about)),
        leases=None,
        identity="ada",
    )
    (started, about), *_, ended = lines
    assert started == "started"
    assert (about["identity"], about["namespace"]) == ("ada", "shop")
    assert "port" not in about
    assert ended == ("shut down", {"signal": how.name})
    assert signal.getsignal(how) is before


def test_an_answer_that_does_not_come_cannot_delay_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_PATIENCE_SECONDS", 0.01)
    left = threading.Event()
    lines: list[str] = []
    serve(
        SignalledWhileListing(signal.SIGTERM, answers=left),
        Adviser(lambda workloads: [], refresh=timedelta(minutes=1)),
        ServiceSettings(listen=None),
        log=lambda level, message, **about: lines.append(message),
        leases=None,
        leave=left.set,
    )
    assert lines == ["started", "shut down while a query was still unanswered", "shut down"]
