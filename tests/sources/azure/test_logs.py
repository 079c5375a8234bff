"""The queries of the logs, and what owns a pod there."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mora.errors import BadInput, SourceUnavailable
from mora.sources.azure import logs
from mora.sources.azure.client import Table
from mora.sources.cloud.signals import Scope
from tests.sources.azure.conftest import window


@pytest.mark.parametrize(
    ("pod", "kind", "controller", "owner"),
    [
        ("web-7d4b9c8f6d-x2klp", "ReplicaSet", "web-7d4b9c8f6d", ("Deployment", "web")),
        ("odd-x2klp", "ReplicaSet", "odd", ("ReplicaSet", "odd")),
        ("backup-29183520-x2klp", "Job", "backup-29183520", ("CronJob", "backup")),
        ("migrate-x2klp", "Job", "migrate", ("Job", "migrate")),
        ("redis-0", "StatefulSet", "redis", ("StatefulSet", "redis")),
        ("agent-x2klp", "DaemonSet", "agent", ("DaemonSet", "agent")),
    ],
)
def test_the_owner_of_a_pod_is_its_controllers(pod: str, kind: str, controller: str, owner: tuple[str, str]) -> None:
    found = logs._owner("shop", pod, kind, controller)
    assert found is not None
    assert (found.kind, found.name) == owner


def test_a_name_that_is_none_never_enters_a_query() -> None:
    with pytest.raises(BadInput):
        logs.inventory(Scope('shop" or 1 == 1'), window(), timedelta(minutes=5))


def test_a_window_is_cut_so_that_answers_stay_small() -> None:
    parts = list(logs.pieces(window(), logs.ROWS_IN_AN_ANSWER // 2))
    assert [part.sample_count for part in parts] == [2, 2, 2]
    assert (parts[0].start, parts[-1].end) == (window().start, window().end)


def test_an_answer_without_a_column_or_with_a_time_that_is_none_is_an_error() -> None:
    with pytest.raises(SourceUnavailable, match="lack Series"):
        list(logs.rows_of(Table(("Other",), [[1]]), "Series"))
    assert list(logs.rows_of(Table((), []), "Series")) == []
    with pytest.raises(SourceUnavailable, match="a time that cannot be read"):
        logs._seconds("yesterday")
