"""A Cloud Monitoring on loopback, credentials for it, and a source that asks it without waiting between tries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mora.sources.cloud.patience import Patience
from mora.sources.cloud.source import CloudSource
from mora.sources.gcp.client import MonitoringClient
from mora.sources.gcp.reader import GcpReader
from tests.sources.gcp.monitoring import Monitoring, service_account, serving
from tests.sources.gcp.shop import END, shop


@pytest.fixture
def monitoring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Monitoring]:
    """The server, and the Application Default Credentials of a service account that it knows."""
    with serving(Monitoring(shop(), accepted={f"token-{number}" for number in range(1, 9)})) as server:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(service_account(tmp_path, server.token_address)))
        yield server


@pytest.fixture
def client(monitoring: Monitoring) -> MonitoringClient:
    return MonitoringClient(endpoint=monitoring.address, patience=Patience(tries=4, sleep=lambda _: None))


@pytest.fixture
def source(client: MonitoringClient) -> CloudSource:
    return CloudSource(GcpReader(client), now=lambda: END)
