"""mora collect on the sandbox and from history, as a user runs it."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pandas as pd
import pytest

from mora.model.catalogue import model_folder
from tests.drift import making
from tests.pipeline.test_drifting import put
from tests.running import interrupt, mora, start


def test_a_dry_run_prints_experiments_and_queries_and_starts_nothing(tmp_path: Path) -> None:
    done = mora("collect", "--plan", "quick", "--dry-run", cwd=tmp_path, MORA_SANDBOX_HOME=str(tmp_path / "sandboxes"))
    assert done.returncode == 0, done.stderr
    assert re.match(r"12 experiments, about [\d.]+m,", done.stdout)
    assert "container_cpu_usage_seconds_total" in done.stdout
    assert not list(tmp_path.glob("data*"))
    assert not (tmp_path / "sandboxes").exists() or not list((tmp_path / "sandboxes").iterdir())


def test_a_misspelt_plan_is_refused_before_a_sandbox_starts(tmp_path: Path) -> None:
    done = mora("collect", "--plan", "nope", cwd=tmp_path, MORA_SANDBOX_HOME=str(tmp_path / "sandboxes"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "There is no plan 'nope'" in done.stderr
    assert "Starting" not in done.stderr


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


# The command waits ten minutes for an answer to each request; an interrupt does not wait for it.
@pytest.mark.parametrize("services", [(), ("-s", "frontend,cart")])
def test_ctrl_c_while_prometheus_does_not_answer_exits_with_130(tmp_path: Path, services: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        running = start(
            "collect", "--history", "2h", "--prometheus", url, *services, cwd=tmp_path, MORA_PROMETHEUS_TIMEOUT="10m"
        )
        silent.settimeout(120)
        connection, _ = silent.accept()
        with connection:
            interrupt(running)
            _, said = running.communicate(timeout=120)
    assert running.returncode == 130
    assert "Interrupted. Finished work is kept" in said
    assert "Traceback" not in said
    assert not list(tmp_path.rglob("*.csv"))


def test_a_collected_history_is_compared_with_the_model_of_its_service(tmp_path: Path) -> None:
    frame = making.history("level")
    frame["timestamp"] += pd.Timestamp.now(tz="UTC").floor("5min") - frame["timestamp"].iloc[-1]
    making.trained(frame, until_days=22).save(model_folder(tmp_path / "models", "frontend"))
    put(tmp_path / "other", frame)
    asked = ("collect", "--history", "25d", "--step", "5m", "--source", "csv:other/data", "-s", "frontend")
    done = mora(*asked, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "frontend has drifted from its model: CPU is 1." in done.stderr
    assert "More: mora drift frontend" in done.stderr
    assert list((tmp_path / "data" / "frontend").glob("*.csv"))
