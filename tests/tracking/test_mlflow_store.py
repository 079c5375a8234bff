"""MLflow: a folder, a real server on loopback, and servers that are down or refuse."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from mora.errors import MoraError
from mora.tracking import run_of
from mora.tracking.mlflow_store import MlflowTracker, without_secrets
from mora.tracking.run import TrainingRun
from tests.model.making import version
from tests.running import until


def run(number: int, alias: str = "champion") -> TrainingRun:
    model = version(number)
    return run_of(model.card, model.digest, model.files, alias=alias, report="fine")


def champion_files(uri: str, folder: Path) -> tuple[str, dict[str, bytes]]:
    """The digest of the registered champion, and its files, as whoever uses MLflow reads them."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    found = client.get_model_version_by_alias("default.frontend", "champion")
    path = Path(client.download_artifacts(str(found.run_id), "model", str(folder)))
    return found.tags["mora.version"], {file.name: file.read_bytes() for file in path.iterdir()}


def aliases(uri: str) -> dict[str, str]:
    """Alias -> the number of its version, of the registered model."""
    from mlflow.tracking import MlflowClient

    found = MlflowClient(tracking_uri=uri, registry_uri=uri).get_registered_model("default.frontend").aliases
    return {name: str(number) for name, number in found.items()}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """MLflow's own server, over a folder."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = ["server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    where = ["--backend-store-uri", (tmp_path / "store").as_uri(), "--artifacts-destination", str(tmp_path / "files")]
    environment = {**os.environ, "MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *words, *where], cwd=tmp_path, env=environment, stdout=log, stderr=log
        )
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None, (tmp_path / "log").read_text()
        try:
            return requests.get(f"{address}/health", timeout=5).ok
        except requests.RequestException:
            return False

    try:
        until(answers, "MLflow's server", seconds=300)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=60)


def test_a_real_server_has_the_run_the_files_and_the_champion(server: str, tmp_path: Path) -> None:
    tracker = MlflowTracker({"MLFLOW_TRACKING_URI": server})
    assert tracker.log(run(1)).endswith("default.frontend version 1")
    tracker.log(run(2))
    digest, files = champion_files(server, tmp_path)
    assert (digest, files) == (version(2).digest, dict(version(2).files))
    tracker.mark("default.frontend", version(1).digest, "champion")
    assert champion_files(server, tmp_path)[0] == version(1).digest
    tracker.mark("default.frontend", version(2).digest, "challenger")
    assert aliases(server) == {"champion": "1", "challenger": "2"}
    tracker.unmark("default.frontend", "challenger")
    assert aliases(server) == {"champion": "1"}
    tracker.unmark("default.frontend", "challenger")
    tracker.unmark("default.nonesuch", "challenger")
    found = requests.post(
        f"{server}/api/2.0/mlflow/runs/search", json={"experiment_ids": experiment_ids(server)}, timeout=30
    ).json()["runs"]
    assert {one["info"]["status"] for one in found} == {"FINISHED"}
    metrics = {metric["key"]: metric["value"] for metric in found[0]["data"]["metrics"]}
    assert metrics["cpu.3600s.naive.error_of_mean"] == run(2).metrics["cpu.3600s.naive.error_of_mean"]


def experiment_ids(server: str) -> list[str]:
    found = requests.post(f"{server}/api/2.0/mlflow/experiments/search", json={"max_results": 10}, timeout=30).json()
    return [one["experiment_id"] for one in found["experiments"] if one["name"] == "mora"]


def test_without_a_server_a_folder_here_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tracker = MlflowTracker({})
    tracker.log(run(1))
    tracker.log(run(3, alias=""))
    assert champion_files((tmp_path / "mlruns").as_uri(), tmp_path)[0] == version(1).digest
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".pkl", ".pickle")]
    with pytest.raises(MoraError, match="never logged there"):
        tracker.mark("default.frontend", version(2).digest, "champion")


def test_the_error_of_a_server_that_is_down_has_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    tracker = MlflowTracker({"MLFLOW_TRACKING_URI": f"http://me:hush@127.0.0.1:{port}"})
    with pytest.raises(MoraError, match="does not take it") as caught:
        tracker.log(run(1))
    assert f"//***@127.0.0.1:{port}" in str(caught.value)
    assert "hush" not in f"{caught.value}{caught.value.__cause__}"


def test_a_store_that_cannot_be_written_gives_an_error_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "mlruns").write_text("no folder")
    with pytest.raises(MoraError, match="same facts are in the model's card"):
        MlflowTracker({"MLFLOW_TRACKING_URI": (tmp_path / "mlruns").as_uri()}).log(run(1))


def test_a_database_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    address = f"sqlite:///{tmp_path / 'mlflow.db'}"
    tracker = MlflowTracker({"MLFLOW_TRACKING_URI": address})
    assert tracker.log(run(1)).endswith("default.frontend version 1")
    tracker.log(run(2, alias="challenger"))
    assert champion_files(address, tmp_path) == (version(1).digest, dict(version(1).files))
    assert aliases(address) == {"champion": "1", "challenger": "2"}
    tracker.unmark("default.frontend", "challenger")
    assert aliases(address) == {"champion": "1"}
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        assert {one for (one,) in database.execute("SELECT status FROM runs")} == {"FINISHED"}


def test_a_server_that_is_away_is_asked_once_in_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    came: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            with suppress(OSError):
                while True:
                    connection = server.accept()[0]
                    came.append(connection.recv(20))
                    connection.close()

        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        tracker = MlflowTracker({"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{server.getsockname()[1]}"})
        with pytest.raises(MoraError, match="does not take it"):
            tracker.log(run(1))
        asked = len(came)
        assert asked >= 1
        with pytest.raises(MoraError, match="was not reached before, and is not asked again now"):
            tracker.log(run(2))
        with pytest.raises(MoraError, match="was not reached before"):
            tracker.mark("default.frontend", version(1).digest, "champion")
        assert len(came) == asked
        server.shutdown(socket.SHUT_RDWR)
    thread.join(timeout=30)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://me:pa/ss@mlflow.local", "Invalid url: http://me:pa/ss@mlflow.local/api"),
        ("http://me:p@ss@mlflow.local", "no answer from 'http://me:p@ss@mlflow.local/api'"),
        ("postgresql://me:hu%2Fsh@db", "the server refuses the password hu/sh"),
        ("sqlite:///db?password=hush&timeout=3", "cannot open sqlite:///db?password=hush&timeout=3"),
    ],
)
def test_no_password_of_an_address_is_in_the_words(address: str, words: str) -> None:
    said = without_secrets(words, {"MLFLOW_TRACKING_URI": address})
    assert not any(secret in said for secret in ("pa/ss", "ss@", "hu/sh", "hu%2Fsh", "hush"))
    assert MlflowTracker({"MLFLOW_TRACKING_URI": address}).place.count("***") == 1


def test_no_credential_is_in_the_words() -> None:
    known = {"MLFLOW_TRACKING_TOKEN": "t0ken", "MLFLOW_TRACKING_PASSWORD": "hush"}
    assert without_secrets("401 for Bearer t0ken or hush", known) == "401 for Bearer *** or ***"
