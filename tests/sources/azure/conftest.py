"""One Azure on loopback for all tests of the source."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mora.domain import Window
from mora.sources.azure.source import AzureSource
from mora.sources.cloud.patience import Patience
from tests.sources.azure.monitor import CLUSTER, DATABASE, STEP, Azure, azure_server, last_end

ROWS = 6


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azure]:
    """The server."""
    with azure_server(tmp_path_factory.mktemp("azure")) as azure:
        yield azure


@pytest.fixture
def azure(server: Azure, monkeypatch: pytest.MonkeyPatch) -> Iterator[Azure]:
    """The same, well-behaved, with credentials for it in the environment of this process."""
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    server.asked.clear()
    yield server
    server.refuse, server.most_rows, server.change = (lambda kind: None), 500_000, (lambda row: row)
    server.retry_after = None


def patient() -> Patience:
    """Three tries without a wait."""
    return Patience(tries=3, sleep=lambda seconds: None)


def source(azure: Azure) -> AzureSource:
    """The cluster as a source."""
    return AzureSource(CLUSTER, endpoint=azure.url, database=DATABASE, patience=patient())


def window() -> Window:
    """The last steps."""
    return Window(last_end() - (ROWS - 1) * STEP, last_end(), STEP)
