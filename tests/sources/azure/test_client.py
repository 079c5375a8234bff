"""The client: what is not there, and clouds with addresses of their own."""

from __future__ import annotations

import logging

import pytest

from mora.errors import SourceUnavailable
from mora.sources.azure.client import AzureClient
from tests.sources.azure.conftest import patient
from tests.sources.azure.monitor import CLUSTER, Azure


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
