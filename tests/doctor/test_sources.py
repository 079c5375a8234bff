"""mora doctor --source: each source as a command would open it."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest

from mora.config import load_settings
from mora.doctor import Check, State, source_at
from mora.errors import BadInput
from mora.settings import Settings
from tests.running import mora
from tests.sources.gcp.monitoring import Monitoring, service_account, serving
from tests.sources.gcp.shop import shop

REFUSED = (grpc.StatusCode.PERMISSION_DENIED, "Permission monitoring.timeSeries.list denied.")


def test_google_is_tried_and_the_right_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = datetime.fromtimestamp(time.time() // 300 * 300, UTC)
    with serving(Monitoring(shop(start=end - timedelta(hours=2)))) as server:
        key = str(service_account(tmp_path, server.token_address))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", key)
        told = mora("doctor", "--source", "gcp", "-n", "shop", cwd=tmp_path, MORA_GCP_ENDPOINT=server.address)
        assert told.returncode == 0, told.stdout + told.stderr
        assert "ok       services               2 in namespace shop: frontend, redis" in told.stdout
        server.failures = [REFUSED]
        settings = load_settings({}, {"MORA_GCP_ENDPOINT": server.address})
        checks = source_at("gcp:shop-prod", settings)
    assert [check.state for check in checks] == [State.OK, State.MISSING]
    assert "the permission monitoring.timeSeries.list is missing" in checks[-1].words
    assert "roles/monitoring.viewer" in checks[-1].remedy


def test_a_folder_of_csv_files_is_a_source_like_any_other(tmp_path: Path) -> None:
    (check,) = source_at(f"csv:{tmp_path}", Settings())
    assert (check.name, check.state) == ("services", State.WARNING)
    assert source_at("csv", Settings())[0].state is State.MISSING


def test_prometheus_is_that_of_the_settings() -> None:
    assert source_at("prometheus", Settings()) == [
        Check("prometheus url", State.MISSING, "none is set", "Name it: --prometheus URL")
    ]
    settings = Settings()
    settings = replace(settings, prometheus=replace(settings.prometheus, url="http://127.0.0.1:9"))
    (check,) = source_at("prometheus", settings)
    assert check.state is State.MISSING
    assert "cannot be reached" in check.words


def test_a_source_that_is_none_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadInput, match="There is no 'nope' among the sources"):
        source_at("nope:x", Settings())
