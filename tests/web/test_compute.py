from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path

import pytest

from mora import pipeline
from mora.config import load_settings
from mora.outputs import OutputSettings
from mora.outputs.json import document
from mora.pipeline import Request
from mora.settings import Settings
from mora.web.answer import read_answer
from mora.web.compute import Failed, Task, received, run
from tests.vpa.conftest import Fleet


def settings(url: str, tmp_path: Path) -> Settings:
    flags = {"prometheus_url": url, "history": "3d", "models_dir": str(tmp_path), "namespace": "team-000"}
    return load_settings(flags, {}, tmp_path)


ALL = Request(everything=True, use_kubernetes=False, use_model=False)


def test_a_process_of_its_own_gives_the_numbers_of_recommend(fleet: Fleet, tmp_path: Path) -> None:
    task = Task(ALL, settings(fleet.url, tmp_path))
    found = run(task, is_over=threading.Event(), most_seconds=300)
    answer = read_answer(found)
    assert answer is not None
    printed = pipeline.recommend_workloads(task.request, task.settings).recommendations
    assert [entry.workload for entry in answer.entries] == [one.workload.name for one in printed]
    for entry, one in zip(answer.entries, printed, strict=True):
        expected = document(one)
        # Both end at the present moment, which is not the same one.
        assert entry.document["containers"][0]["memory_request_bytes"]["value"] == pytest.approx(
            expected["containers"][0]["memory_request_bytes"]["value"], rel=0.05
        )
        assert entry.explained.startswith(pipeline.render([one], "explain", OutputSettings()).splitlines()[0])


def test_an_error_of_the_process_is_the_error_that_recommend_prints(fleet: Fleet, tmp_path: Path) -> None:
    task = Task(replace(ALL, names=("nobody",), everything=False), settings(fleet.url, tmp_path))
    with pytest.raises(Failed, match="nobody") as refused:
        run(task, is_over=threading.Event(), most_seconds=300)
    assert refused.value.hint


@contextmanager
def silent() -> Iterator[str]:
    """A server that takes every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def children() -> set[str]:
    """The processes that this one has started and that run."""
    own = str(os.getpid())
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[:2]
            words = (folder / "cmdline").read_text(encoding="utf-8")
        except (OSError, ValueError):
            continue
        if parent == own and state != "Z" and "spawn_main" in words:
            found.add(folder.name)
    return found


def test_a_prometheus_that_hangs_is_given_up_and_leaves_no_process(tmp_path: Path) -> None:
    before = children()
    with silent() as url, pytest.raises(Failed, match="was ended after") as refused:
        run(Task(ALL, settings(url, tmp_path)), is_over=threading.Event(), most_seconds=3.0)
    assert "--history 7d" in (refused.value.hint or "")
    assert children() <= before


def test_it_ends_at_once_when_the_server_does(tmp_path: Path) -> None:
    is_over = threading.Event()
    before = children()
    with silent() as url:
        raised: list[Exception] = []

        def compute() -> None:
            try:
                run(Task(ALL, settings(url, tmp_path)), is_over=is_over, most_seconds=600.0)
            except Failed as error:
                raised.append(error)

        thread = threading.Thread(target=compute)
        thread.start()
        while not children() - before:
            time.sleep(0.01)
        is_over.set()
        thread.join()
    assert [str(error) for error in raised] == ["The server shuts down."]
    assert children() <= before


def test_a_process_that_is_killed_is_reported(tmp_path: Path) -> None:
    before = children()
    with silent() as url:

        def kill() -> None:
            while not (new := children() - before):
                time.sleep(0.01)
            for pid in new:
                os.kill(int(pid), 9)

        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(Failed, match="exit code -9") as refused:
            run(Task(ALL, settings(url, tmp_path)), is_over=threading.Event(), most_seconds=600.0)
        killer.join()
    assert "memory" in (refused.value.hint or "")


def test_an_answer_that_breaks_off_is_none() -> None:
    ours, theirs = Pipe(duplex=False)
    os.write(theirs.fileno(), struct.pack("!i", 1000) + b'{"version"')  # a length, and less than that
    theirs.close()
    assert received(ours) is None
    ours.close()
