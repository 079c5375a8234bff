"""The client: what is not there, and clouds with addresses of their own."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from mora.errors import SourceUnavailable
from mora.sources.azure.client import AzureClient
from mora.sources.cloud.patience import Patience
from tests.sources.azure.conftest import patient
from tests.sources.azure.monitor import CLUSTER, STEP, Azure, last_end


def test_what_is_not_there_is_an_error_that_says_where_ids_are(azure: Azure) -> None:
    with pytest.raises(SourceUnavailable, match="no such resource") as refused:
        AzureClient(azure.url, patience=patient()).resource(CLUSTER + "x", "2024-09-01")
    assert "az aks list" in str(refused.value.hint)


def test_a_server_that_is_not_there_is_an_error(azure: Azure) -> None:
    with pytest.raises(SourceUnavailable, match="is not reached"):
        AzureClient("https://127.0.0.1:9", patience=patient()).logs(CLUSTER, "Perf")


def test_a_sovereign_cloud_has_its_own_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.us/")
    assert AzureClient()._logs == "https://api.loganalytics.us"


def test_each_way_that_was_tried_in_vain_is_no_line_on_stderr(
    azure: Azure, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger("azure"), "level", logging.NOTSET)
    azure.refuse = lambda kind: (400, "invalid_client", "wrong secret") if kind == "token" else None
    with pytest.raises(SourceUnavailable, match="no Azure credentials that work"):
        AzureClient(azure.url, patience=patient()).logs(CLUSTER, "Perf")
    assert [record for record in caplog.records if record.name.startswith("azure")] == []


def test_the_wait_that_azure_asks_for_is_kept_by_logs_and_by_metrics(azure: Azure) -> None:
    azure.retry_after = 37
    refusals = {kind: iter([(429, "TooManyRequests", "slow down")]) for kind in ("logs", "metrics")}
    azure.refuse = lambda kind: next(refusals.get(kind, iter(())), None)
    waited: list[float] = []
    client = AzureClient(azure.url, patience=Patience(tries=3, backoff_seconds=0.0, sleep=waited.append))
    start = (last_end() - timedelta(hours=1)).isoformat()
    query = f"Perf | where TimeGenerated >= datetime({start}) and TimeGenerated < datetime({last_end().isoformat()})"
    assert client.logs(CLUSTER, query).rows
    assert waited == [37.0]
    assert client.metrics(
        "westeurope",
        CLUSTER,
        ["node_cpu_usage_percentage"],
        space="Microsoft.ContainerService/managedClusters",
        start=last_end() - 3 * STEP,
        end=last_end(),
        step=STEP,
        aggregation="Average",
    )
    assert waited == [37.0, 37.0]


def test_a_wait_that_is_too_long_is_an_error_that_tells_it(azure: Azure) -> None:
    azure.retry_after = 3600
    azure.refuse = lambda kind: (429, "TooManyRequests", "slow down") if kind == "logs" else None
    with pytest.raises(SourceUnavailable, match=r"slow down\. It asks to wait for 3600 s"):
        AzureClient(azure.url, patience=patient()).logs(CLUSTER, "Perf")
    assert azure.calls("logs") == 1
