"""Tasks on real workers of a real scheduler, and what becomes of them when processes go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mora import dataset, pipeline
from mora.errors import ClusterError, NotEnoughData
from mora.fusion import DEFAULT_CANDIDATES
from mora.model import ServiceModel
from mora.model.settings import TrainSettings
from mora.scaleout import connect
from tests.fakes_learning import driven
from tests.running import start, until
from tests.scaleout import tasks
from tests.scaleout.rig import Rig, rig

pytestmark = pytest.mark.slow

SERVICES = ("cart", "frontend", "payment")


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig(tmp_path_factory.mktemp("dask"), workers=2) as cluster:
        yield cluster


def write_services(data_dir: Path) -> None:
    """A few small experiments of each service, none like another's."""
    for seed, service in enumerate(SERVICES):
        frame, cards = driven(scenarios=("browsing",), replicas=(1, 2), users=(10, 20), seed=seed)
        for old, rows in frame.groupby("experiment_id"):
            name = str(old).replace("frontend", service)
            card = {**cards[str(old)], "experiment_id": name, "service": service}
            rows = rows.reset_index(drop=True).assign(experiment_id=name, service=service)
            dataset.write_experiment(data_dir, rows, card)


def digests(models_dir: Path) -> dict[str, str]:
    return {service: ServiceModel.load(models_dir / service).digest for service in pipeline.list_models(models_dir)}


def test_services_trained_on_a_cluster_are_those_trained_here_though_a_worker_is_killed(tmp_path: Path) -> None:
    write_services(tmp_path / "data")
    usual = TrainSettings(candidates=DEFAULT_CANDIDATES)
    pipeline.train_all(SERVICES, data_dir=tmp_path / "data", models_dir=tmp_path / "here", settings=usual, jobs=1)
    (tmp_path / "dask").mkdir()
    with rig(tmp_path / "dask", workers=2) as cluster:
        victim = cluster.workers[0]
        asked = ("train", "--all", "--backend", "dask", "--scheduler", cluster.address, "--models", "there")
        with start(*asked, cwd=tmp_path) as training:
            while not pipeline.list_models(tmp_path / "there") and training.poll() is None:
                time.sleep(0.05)
            victim.kill()
            said, complaints = training.communicate(timeout=300)
    assert training.returncode == 0, complaints
    assert victim.wait() == -signal.SIGKILL
    assert all(service in said for service in SERVICES)
    assert len(digests(tmp_path / "here")) == len(SERVICES)
    assert digests(tmp_path / "there") == digests(tmp_path / "here")


def test_a_service_whose_data_cannot_be_read_does_not_stop_the_others(two_workers: Rig, tmp_path: Path) -> None:
    frame, cards = driven(scenarios=("browsing",), replicas=(1,), users=(10,), repeats=1)
    ((_, card),) = cards.items()
    dataset.write_experiment(tmp_path, frame, card)
    unread, too_little = pipeline.train_all(
        ["web", "frontend"], data_dir=tmp_path, models_dir=tmp_path / "models", scheduler=two_workers.address
    )
    assert "There is no data of 'web'" in str(unread.error)
    assert isinstance(too_little.error, NotEnoughData)


def test_tasks_run_on_every_worker_and_not_here(two_workers: Rig, tmp_path: Path) -> None:
    with connect(two_workers.address) as cluster:
        assert cluster.workers == 2
        processes = dict(cluster.run(tasks.where_with_company, ((f"task-{n}", str(tmp_path), 2) for n in range(6))))
    assert sorted(processes) == [f"task-{n}" for n in range(6)]
    assert {process for process in processes.values() if isinstance(process, int)} == {
        worker.pid for worker in two_workers.workers
    }


def test_what_a_task_raises_is_raised_here(two_workers: Rig) -> None:
    with connect(two_workers.address) as cluster, pytest.raises(ZeroDivisionError, match="first"):
        list(cluster.run(tasks.faulty, [("first",)]))


def test_a_single_worker_still_does_the_work(tmp_path: Path) -> None:
    with rig(tmp_path, workers=1) as one, connect(one.address) as cluster:
        ((name, process),) = cluster.run(tasks.where, [("only",)])
    assert (name, process) == ("only", one.workers[0].pid)


def test_a_task_that_takes_every_worker_down_is_an_error_and_the_others_go_on(tmp_path: Path) -> None:
    with rig(tmp_path, workers=2, nanny=True) as nursed, connect(nursed.address) as cluster:
        outcomes = dict(cluster.run(tasks.deadly, [("before",), ("deadly",), ("after",)]))
    assert (outcomes["before"], outcomes["after"]) == ("before", "after")
    assert isinstance(outcomes["deadly"], ClusterError)
    assert "deadly: every worker that tried it went down" in str(outcomes["deadly"])


@pytest.mark.parametrize(
    ("who", "words"),
    [("workers", r"has had no worker for 1 s(.|\n)*what was done before is kept"), ("scheduler", "has gone")],
)
def test_a_cluster_that_goes_is_an_error_and_not_waited_for(tmp_path: Path, who: str, words: str) -> None:
    started = tmp_path / "started"
    with rig(tmp_path, workers=1) as lonely, connect(lonely.address, no_worker_seconds=1) as cluster:
        outcomes = cluster.run(
            tasks.once_touched,
            [("first", str(started), str(started)), ("second", str(tmp_path / "second"), str(tmp_path / "never"))],
        )
        assert next(outcomes) == ("first", lonely.workers[0].pid)
        until((tmp_path / "second").exists, "the second task begins")
        for process in lonely.workers if who == "workers" else [lonely.scheduler]:
            process.kill()
        with pytest.raises(ClusterError, match=words):
            next(outcomes)


def test_a_scheduler_without_workers_is_refused_with_how_to_start_one(tmp_path: Path) -> None:
    with (
        rig(tmp_path, workers=0) as empty,
        pytest.raises(ClusterError, match=rf"has no worker(.|\n)*dask worker {empty.address}"),
        connect(empty.address, first_worker_seconds=1),
    ):
        pass


def test_a_worker_without_mora_is_refused_by_name(tmp_path: Path) -> None:
    bare = (
        "import sys, runpy; sys.modules['mora'] = None; runpy.run_module('distributed.cli.dask_worker', {}, '__main__')"
    )
    with rig(tmp_path, workers=0) as empty:
        command = [sys.executable, "-c", bare, empty.address, "--no-nanny", "--no-dashboard"]
        worker = subprocess.Popen(
            command,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": ""},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            with pytest.raises(ClusterError, match=r"cannot run MOrA(.|\n)*pip install"), connect(empty.address):
                pass
        finally:
            worker.terminate()
            worker.wait()
