"""mora collect from Google Cloud Monitoring, by the real client: unified CSVs, and the layout helios."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from mora import dataset
from tests.running import mora
from tests.sources.gcp.monitoring import Monitoring, service_account, serving
from tests.sources.gcp.shop import shop

HELIOS = ("collect", "--source", "gcp", "--layout", "helios", "-n", "shop")


@pytest.fixture(scope="module")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Variables that lead to a Cloud Monitoring with the last two hours of a shop."""
    end = datetime.fromtimestamp(time.time() // 300 * 300, UTC)
    with serving(Monitoring(shop(start=end - timedelta(hours=2)), page_points=50)) as server:
        key = service_account(tmp_path_factory.mktemp("key"), server.token_address)
        yield {"GOOGLE_APPLICATION_CREDENTIALS": str(key), "MORA_GCP_ENDPOINT": server.address}


def test_the_history_of_a_cloud_becomes_unified_csvs(tmp_path: Path, google: dict[str, str]) -> None:
    asked = ("collect", "--source", "gcp", "--history", "1h", "--step", "5m", "-n", "shop", "-s", "frontend")
    done = mora(*asked, cwd=tmp_path, **google)
    assert done.returncode == 0, done.stderr
    rows = dataset.read_dataset("frontend", tmp_path / "data", namespace="shop", include_flagged=True)
    assert len(rows) >= 11
    assert rows["cpu_cores_value"].iloc[-1] == pytest.approx(0.35)
    assert rows["mem_limit_bytes"].iloc[-1] == 2**29
    (card,) = dataset.read_cards("frontend", tmp_path / "data", namespace="shop").values()
    assert "core_usage_time" in card["queries"]["cpu"]
    assert "token" not in (tmp_path / done.stdout.strip()).with_suffix(".json").read_text()


def test_without_a_step_the_points_of_the_cloud_are_read_as_they_are(tmp_path: Path, google: dict[str, str]) -> None:
    done = mora("collect", "--source", "gcp", "--history", "30m", "-n", "shop", "-s", "redis", cwd=tmp_path, **google)
    assert done.returncode == 0, done.stderr
    (card,) = dataset.read_cards("redis", tmp_path / "data", namespace="shop").values()
    assert card["window"]["step_seconds"] == 60
    asked = ("collect", "--source", "gcp", "--history", "30m", "--step", "15s", "-n", "shop", "-s", "redis")
    refused = mora(*asked, "--data", "other", cwd=tmp_path, **google)
    assert refused.returncode == 1
    assert "has a point every 1m" in refused.stderr


def test_a_service_beside_its_database_is_one_table(tmp_path: Path, google: dict[str, str]) -> None:
    done = mora(*HELIOS, "-s", "frontend", cwd=tmp_path, **google)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(io.StringIO(done.stdout))
    assert len(table) == 289  # 24 hours at 5 minutes, both ends
    assert table.iloc[-1, 1:].tolist() == pytest.approx([120e6, 0.35, 120e6 / 2**29, 0.25, 0.5, 10])
    written = mora(*HELIOS, "-s", "frontend", "--out", "helios.csv", cwd=tmp_path, **google)
    assert written.stdout.strip() == "helios.csv"
    assert len(pd.read_csv(tmp_path / "helios.csv")) == 289


def test_what_would_be_sent_is_shown_without_sending_it(tmp_path: Path, google: dict[str, str]) -> None:
    done = mora(*HELIOS, "-s", "frontend", "--dry-run", cwd=tmp_path, **google)
    assert 'resource.labels.pod_name = starts_with("frontend")' in done.stdout
    assert "cloudsql.googleapis.com/database/cpu/utilization" in done.stdout


def test_wrong_options_are_refused_with_what_to_do(tmp_path: Path, google: dict[str, str]) -> None:
    for arguments, words in (
        (HELIOS, "is of one service, and 0 are named"),
        (("collect", "--layout", "helios", "-s", "a", "--source", "csv:."), "the source csv does not read"),
        (("collect", "--layout", "flat"), "There is no layout 'flat'"),
        (("collect", "--history", "1h", "--out", "x.csv"), "--out goes with --layout helios"),
        (("collect", "--source", "gcp"), "says not how much of it to read"),
        (
            ("collect", "--source", "gcp", "--history", "2h", "--prometheus", "http://127.0.0.1:9"),
            "--prometheus and --source gcp both name a source.",
        ),
    ):
        done = mora(*arguments, cwd=tmp_path, **google)
        assert done.returncode == 1
        assert words in done.stderr
    assert list(tmp_path.iterdir()) == []
