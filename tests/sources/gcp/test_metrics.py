"""The filters that are sent, and what of a name they accept."""

from __future__ import annotations

import pytest
from google.cloud.monitoring_v3 import types
from hypothesis import given
from hypothesis import strategies as st

from mora.errors import BadInput
from mora.sources.cloud.signals import Scope, Signal, factor_of
from mora.sources.gcp.metrics import METRICS, filter_of


def test_every_metric_that_the_issue_names_is_read() -> None:
    read = {asked.metric for asked in METRICS.values()}
    of_use = ("cpu/core_usage_time", "cpu/limit_utilization", "memory/used_bytes", "memory/limit_utilization")
    of_amounts = ("cpu/request_cores", "cpu/limit_cores", "memory/request_bytes", "memory/limit_bytes")
    assert {f"kubernetes.io/container/{name}" for name in (*of_use, *of_amounts, "restart_count")} <= read
    of_databases = ("cpu/utilization", "memory/utilization", "postgresql/num_backends")
    assert {f"cloudsql.googleapis.com/database/{name}" for name in of_databases} <= read


@pytest.mark.parametrize("signal", METRICS)
def test_each_is_aligned_by_what_the_api_has_in_a_unit_of_its_signal(signal: Signal) -> None:
    asked = METRICS[signal]
    assert asked.aligner in types.Aggregation.Aligner.__members__
    assert asked.reducer in types.Aggregation.Reducer.__members__
    assert factor_of(signal, asked.unit) == 1
    assert len(asked.group_by) == len(set(asked.group_by))


def test_a_filter_names_the_project_s_cluster_the_namespace_and_the_workload() -> None:
    assert filter_of(Signal.CPU, Scope("shop", "web"), project="p", cluster="eu") == (
        'metric.type = "kubernetes.io/container/cpu/core_usage_time" AND resource.type = "k8s_container" AND '
        'resource.labels.cluster_name = "eu" AND resource.labels.namespace_name = "shop" AND '
        'resource.labels.pod_name = starts_with("web")'
    )
    assert filter_of(Signal.NODE_CPU, Scope("shop", "web"), project="p", cluster="eu").endswith('cluster_name = "eu"')
    assert filter_of(Signal.NODE_CPU, Scope(), project="p", cluster="europe-west1/eu").endswith(
        'resource.labels.location = "europe-west1" AND resource.labels.cluster_name = "eu"'
    )


@pytest.mark.parametrize(("database", "written"), [("shop-db", "p:shop-db"), ("other:db", "other:db")])
def test_a_database_is_one_of_the_project_or_named_in_full(database: str, written: str) -> None:
    asked = filter_of(Signal.DB_CPU, Scope(database=database), project="p", cluster="eu")
    assert asked.endswith(f'resource.labels.database_id = "{written}"')
    assert "cluster_name" not in asked


@given(st.text(max_size=30))
def test_no_name_ends_a_string_of_a_filter_early(name: str) -> None:
    try:
        asked = filter_of(Signal.DB_CPU, Scope(database=name), project="p", cluster=None)
    except BadInput:
        return
    assert asked.count('"') == 6
    assert "\\" not in asked
