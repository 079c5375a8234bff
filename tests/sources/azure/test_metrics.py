"""Databases of Azure, by azure-monitor-querymetrics."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mora.domain import Workload
from mora.errors import BadInput
from mora.sources.azure import metrics
from mora.sources.azure.client import AzureClient
from mora.sources.cloud.signals import OF_DATABASES, Remark, Scope, Series, Signal
from tests.sources.azure.conftest import patient, source, window
from tests.sources.azure.monitor import CLUSTER, DATABASE, MYSQL, Azure


def test_a_database_is_read_in_shares(azure: Azure) -> None:
    read = source(azure)._reader.read(OF_DATABASES, Scope(database=DATABASE), window())
    found = {one.signal: one for one in read if isinstance(one, Series)}
    assert (found[Signal.DB_CPU].unit, set(found[Signal.DB_CPU].values)) == ("Percent", {25.0})
    assert set(found[Signal.DB_CONNECTIONS].values) == {7.0}
    assert found[Signal.DB_MEMORY].seconds[-1] == window().end.timestamp()


def test_another_kind_of_resource_is_refused(azure: Azure) -> None:
    client = AzureClient(azure.url, patience=patient())
    with pytest.raises(BadInput, match="managedClusters' is not a kind of database"):
        list(metrics.database_series(client, "westeurope", CLUSTER, OF_DATABASES, window()))


def test_the_grain_is_one_that_azure_has() -> None:
    steps = (timedelta(minutes=1), timedelta(minutes=7), timedelta(minutes=20), timedelta(hours=2))
    assert [metrics.grain_of(step) // timedelta(minutes=1) for step in steps] == [1, 1, 5, 60]


def test_every_kind_of_database_is_found_by_the_api_of_its_provider(azure: Azure) -> None:
    """MySQL's has no version that is called as PostgreSQL's."""
    for database in (DATABASE, MYSQL):
        read = source(azure)._reader.read(OF_DATABASES, Scope(database=database), window())
        assert {one.signal for one in read if isinstance(one, Series)} == set(OF_DATABASES)


def test_without_a_database_it_says_how_to_name_one(azure: Azure) -> None:
    (told,) = source(azure)._reader.read(OF_DATABASES, Scope(), window())
    assert isinstance(told, Remark)
    assert "--database" in told.words


def test_what_would_be_asked_of_a_database_is_named_without_asking(azure: Azure) -> None:
    told = source(azure).flat_queries(Workload("shop", "web"), window())
    assert told["memory_percent"].startswith("Maximum of Microsoft.DBforPostgreSQL/flexibleServers/memory_percent of")
    assert azure.asked == []
