"""The command line as a user meets it: a process of its own, its words, its exit code."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mora import __version__, dataset, pipeline
from mora.domain import Allocation, Recommendation, Resources
from mora.fleet.settings import FleetSettings
from mora.fleet.stream import stream
from tests.conftest import leave_free
from tests.fakes_learning import driven
from tests.fleet.making import container_history, history, state, steady

COMMANDS = ("collect", "train", "recommend", "doctor", "list", "demo", "sandbox")


def mora(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a folder, away from the settings of whoever runs the tests."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MORA_")}
    return subprocess.run(
        [sys.executable, "-m", "mora", *arguments],
        cwd=cwd,
        env={**clean, "COLUMNS": "120", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the driven data of one service, and its model."""
    folder = tmp_path_factory.mktemp("home")
    frame, cards = driven()
    for name, rows in frame.groupby("experiment_id"):
        dataset.write_experiment(folder / "data", rows.reset_index(drop=True), cards[str(name)])
    pipeline.train("frontend", data_dir=folder / "data", models_dir=folder / "models")
    return folder


def test_help_teaches_every_command(tmp_path: Path) -> None:
    told = mora("--help", cwd=tmp_path)
    assert told.returncode == 0
    for command in COMMANDS:
        assert command in told.stdout
        its = mora(command, "--help", cwd=tmp_path)
        assert its.returncode == 0
        assert "Usage: mora" in its.stdout


def test_the_version_is_told_without_a_command(tmp_path: Path) -> None:
    told = mora("--version", cwd=tmp_path)
    assert (told.returncode, told.stdout.strip()) == (0, f"mora {__version__}")


def test_a_recommendation_is_on_stdout_and_nothing_else(home: Path) -> None:
    done = mora("recommend", "frontend", "-o", "json", cwd=home)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["schema_version"] == 2
    assert document["recommendations"][0]["service"] == "frontend"
    assert done.stderr == ""


def test_the_same_model_gives_the_same_words_twice(home: Path) -> None:
    first, second = (mora("recommend", "frontend", cwd=home).stdout for _ in range(2))
    assert first == second
    assert "CONFIDENCE" in first


def test_another_load_is_asked_for_by_users_and_scenario(home: Path) -> None:
    small, large = (
        json.loads(mora("recommend", "frontend", "-u", users, "--scenario", "checkout", "-o", "json", cwd=home).stdout)
        for users in ("10", "40")
    )
    pods = [answer["recommendations"][0]["replicas"]["value"] for answer in (small, large)]
    assert pods[0] <= pods[1]
    assert small["recommendations"][0]["load"] == {"scenario": "checkout", "users": 10}


def test_a_load_far_beyond_what_was_driven_gets_a_reason_and_no_number(home: Path) -> None:
    done = mora("recommend", "frontend", "--users", "100000", "-o", "json", cwd=home)
    assert done.returncode == 0, done.stderr
    advice = json.loads(done.stdout)["recommendations"][0]
    assert advice["cpu_request_millicores"]["value"] is None
    assert any("1.5x" in reason["text"] for reason in advice["reasons"] + advice["cpu_request_millicores"]["reasons"])


def test_driven_data_is_not_asked_for_a_time_unless_by_a_file_that_means_other_services(
    home: Path, tmp_path: Path
) -> None:
    refused = mora("recommend", "frontend", "--hold", "1h", cwd=home)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "--horizon does not apply to it" in refused.stderr
    (tmp_path / "mora.toml").write_text('hold = "1h"\n')
    config = ("--config", str(tmp_path / "mora.toml"))
    assert mora(*config, "recommend", "frontend", cwd=home).returncode == 0


def test_a_due_change_fails_a_pipeline_that_asks_for_it(home: Path) -> None:
    assert mora("recommend", "frontend", "--fail-on-change", cwd=home).returncode == 3


def test_kustomize_files_are_written_into_a_folder(home: Path, tmp_path: Path) -> None:
    done = mora("recommend", "frontend", "-o", "kustomize", "--out", str(tmp_path / "overlay"), cwd=home)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "overlay" / "kustomization.yaml").is_file()
    assert len(done.stdout.splitlines()) == 2


@pytest.mark.parametrize("free_bytes", [0, 4096])
def test_a_full_disk_is_said_and_leaves_no_half_written_overlay(home: Path, tiny_disk: Path, free_bytes: int) -> None:
    overlay = tiny_disk / "overlay"
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text("# what stood there\n")
    leave_free(tiny_disk, free_bytes)
    written = ("recommend", "frontend", "-o", "kustomize", "--out", str(overlay))
    assert "--overwrite" in mora(*written, cwd=home).stderr
    done = mora(*written, "--overwrite", cwd=home)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "space" in done.stderr.splitlines()[-1]
    assert [path.read_text() for path in overlay.iterdir()] == ["# what stood there\n"]
    (tiny_disk / "fill").unlink()
    assert mora(*written, "--overwrite", cwd=home).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "nope"), "nope"),
        (("train",), "Which service"),
        (("train", "--all"), "no data"),
        (("recommend", "frontend"), "There is no model of 'frontend'"),
        (("recommend", "--all"), "There is no model"),
        (("recommend", "Bad_Name"), "not a valid service name"),
        (("recommend", "frontend", "-o", "xml"), "xml"),
        (("collect", "--plan", "nope", "--dry-run"), "There is no plan 'nope'"),
        (("collect", "--plan", "quick", "--dry-run", "-s", "nope"), "There is no service 'nope'"),
        (("collect", "--history", "2h"), "Which Prometheus?"),
        (("collect", "--history", "soon", "--prometheus", "http://127.0.0.1:9"), "soon"),
        (("collect", "--history", "2h", "--prometheus", "http://127.0.0.1:9", "-s", "a"), "127.0.0.1:9"),
        (("sandbox", "status", "--name", "not-there"), "No sandbox named 'not-there'"),
        (("sandbox", "scale", "frontend", "--name", "not-there"), "does not say how many"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    done = mora(*arguments, cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_wrong_flag_is_wrong_usage(tmp_path: Path) -> None:
    assert mora("recommend", "--nope", cwd=tmp_path).returncode == 2


def test_a_traceback_is_shown_only_when_asked_for(tmp_path: Path) -> None:
    assert "Traceback" in mora("--debug", "train", "nope", cwd=tmp_path).stderr


def test_an_unknown_setting_names_its_place(tmp_path: Path) -> None:
    (tmp_path / "mora.toml").write_text('data_dirr = "x"\n')
    done = mora("list", cwd=tmp_path)
    assert done.returncode == 1
    assert "mora.toml" in done.stderr
    assert "data_dir" in done.stderr


def test_a_dry_run_prints_experiments_and_queries_and_starts_nothing(tmp_path: Path) -> None:
    done = mora("collect", "--plan", "quick", "--dry-run", cwd=tmp_path, MORA_SANDBOX_HOME=str(tmp_path / "sandboxes"))
    assert done.returncode == 0, done.stderr
    assert re.match(r"12 experiments, about [\d.]+m,", done.stdout)
    assert "container_cpu_usage_seconds_total" in done.stdout
    assert not list(tmp_path.glob("data*"))
    assert not (tmp_path / "sandboxes").exists() or not list((tmp_path / "sandboxes").iterdir())


def test_a_service_of_another_kind_is_named_as_kubectl_does(tmp_path: Path) -> None:
    asked = ("collect", "--history", "2h", "--prometheus", "http://127.0.0.1:9", "-n", "shop", "--dry-run", "-s")
    done = mora(*asked, "cart,statefulset/redis", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    cart, _, redis = done.stdout.partition("Queries for redis")
    assert 'owner_kind="Deployment",owner_name="cart"' in cart
    assert 'owner_kind="StatefulSet",owner_name="redis"' in redis
    refused = mora(*asked, "job/nightly", cwd=tmp_path)
    assert refused.returncode == 1
    assert "'job' is not a kind of workload" in refused.stderr


def test_a_trained_model_sizes_the_main_container_beside_the_cluster_s_history(home: Path) -> None:
    model = pipeline.load_model("frontend", models_dir=home / "models")
    measured = pipeline.measured_allocation(model)
    of = state(workload=model.workload, allocation=replace(measured, replicas=2))
    names = [container.name for container in measured.containers]
    seen = history(*(container_history(name, cpu_cores=steady(0.001)) for name in names), workload=model.workload)

    def advised(fleet: FleetSettings, allocation: Allocation) -> Recommendation:
        ask = pipeline.trained_demand(home / "models", home / "data", fleet)
        (advice,) = stream([replace(of, allocation=allocation)], [seen], seen.window, fleet, ask=ask)
        return advice

    used = advised(FleetSettings(), of.allocation)
    assert (used.basis, used.model_digest) == ("model", model.digest)
    assert used.load is not None
    assert used.replicas.value is not None  # which history alone never tells
    # Never below what the cluster saw, here in memory.
    assert (used.main.memory_request.value or 0) >= np.nanmax(seen.containers[names[0]].mem_bytes)
    other_limits = replace(measured.containers[0], resources=Resources(cpu_limit_millicores=9000))
    changed = advised(FleetSettings(), replace(of.allocation, containers=(other_limits,)))
    assert (changed.basis, changed.model_digest) == ("history", None)
    assert "the data saw" in " ".join(reason.text for reason in changed.reasons if reason.code == "model-not-used")


def test_list_tells_what_there_is(home: Path) -> None:
    told = mora("list", cwd=home).stdout
    assert "services with data (data): frontend" in told
    assert "services with a model (models): frontend" in told


def test_an_edited_model_is_refused(home: Path, tmp_path: Path) -> None:
    model = pipeline.load_model("frontend", models_dir=home / "models")
    folder = tmp_path / "models" / "frontend"
    model_files = home / "models" / "frontend"
    folder.mkdir(parents=True)
    for file in model_files.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    text = (folder / "response.json").read_text()
    (folder / "response.json").write_text(text.replace("0", "1", 1))
    done = mora("recommend", "frontend", "--models", str(tmp_path / "models"), cwd=home)
    assert done.returncode == 1
    assert "response.json" in done.stderr
    assert model.digest


@pytest.mark.parametrize("command", [("train", "frontend"), ("recommend", "frontend"), ("doctor",)])
def test_ctrl_c_while_reading_data_ends_in_words(
    command: tuple[str, ...], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The data is a pipe in which nothing comes: the command stands still until it is interrupted."""
    folder = tmp_path / "data" / "frontend"
    folder.mkdir(parents=True)
    pipe = folder / "frontend_browsing_replicas_1_users_10.csv"
    os.mkfifo(pipe)
    if command[0] == "recommend":
        command = (*command, "--models", str(request.getfixturevalue("home") / "models"))
    running = start(*command, cwd=tmp_path)
    writing = _when_read(pipe)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=120)
    os.close(writing)
    assert running.returncode == 130
    assert "Interrupted" in said
    assert "Traceback" not in said
    assert not (tmp_path / "models").exists()


def test_ctrl_c_ends_what_trains_in_parallel(tmp_path: Path) -> None:
    pipes = [tmp_path / "data" / name / f"{name}_browsing_replicas_1_users_10.csv" for name in ("cart", "frontend")]
    for pipe in pipes:
        pipe.parent.mkdir(parents=True)
        os.mkfifo(pipe)
    running = start("train", "--all", "--jobs", "2", cwd=tmp_path)
    writing = [_when_read(pipe) for pipe in pipes]
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=120)
    assert running.returncode == 130
    assert "Interrupted" in said
    for descriptor in writing:
        assert _is_left_alone(descriptor)
        os.close(descriptor)


# The command waits ten minutes for an answer to each request; an interrupt does not wait for it.
@pytest.mark.parametrize("services", [(), ("-s", "frontend,cart")])
def test_ctrl_c_while_prometheus_does_not_answer_ends_in_words(tmp_path: Path, services: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        running = start(
            "collect", "--history", "2h", "--prometheus", url, *services, cwd=tmp_path, MORA_PROMETHEUS_TIMEOUT="10m"
        )
        silent.settimeout(120)
        connection, _ = silent.accept()
        with connection:
            running.send_signal(signal.SIGINT)
            _, said = running.communicate(timeout=120)
    assert running.returncode == 130
    assert "Interrupted. What was finished is kept" in said
    assert "Traceback" not in said
    assert not list(tmp_path.rglob("*.csv"))


SLOW_TO_END = """
import signal, time
from mora.cli import front
signal.signal(signal.SIGINT, front._as_interrupt)
try:
    print("ready", flush=True)
    time.sleep(600)
except KeyboardInterrupt:
    time.sleep(600)
"""


def test_a_second_ctrl_c_does_not_wait_for_what_is_slow_to_end(tmp_path: Path) -> None:
    running = subprocess.Popen(
        [sys.executable, "-c", SLOW_TO_END], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    assert running.stderr is not None
    assert running.stdout.readline() == "ready\n"
    running.send_signal(signal.SIGINT)
    assert "Ctrl-C again leaves at once" in running.stderr.readline()
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=120)
    assert running.returncode == 130


def start(*arguments: str, cwd: Path, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mora", *arguments]
    variables = {**os.environ, **environment}
    return subprocess.Popen(command, cwd=cwd, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _is_left_alone(descriptor: int) -> bool:
    """Whether nobody reads a pipe any more, or will not within two minutes."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            os.write(descriptor, b"x")
        except BrokenPipeError:
            return True
        time.sleep(0.05)
    return False


def _when_read(pipe: Path) -> int:
    """The writing end of a pipe, as soon as somebody reads it."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            time.sleep(0.02)
    raise TimeoutError(f"Nobody read {pipe}.")


def test_ctrl_c_while_training_leaves_the_old_model(home: Path) -> None:
    card = home / "models" / "frontend" / "card.json"
    before = card.read_bytes()
    running = subprocess.Popen(
        [sys.executable, "-m", "mora", "train", "frontend", "--seed", "5"],
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stderr is not None
    assert running.stderr.readline()  # it trains: its first words are of that
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=120)
    assert running.returncode == 130
    assert "Interrupted" in said
    assert "Traceback" not in said
    assert card.read_bytes() == before
    assert sorted(path.name for path in (home / "models").iterdir()) == ["frontend"]
