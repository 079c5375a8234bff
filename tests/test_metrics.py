"""The table of columns is the data contract, and the derived metrics keep to their bounds."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora import metrics as m

TRAFFIC = st.floats(0, 1e11)
CORES = st.floats(0, 1e4)
REPLICAS = st.floats(0, 1e3)
RESTARTS = st.floats(0, 1e4)


def test_the_first_eighteen_columns_stand_in_the_agreed_order() -> None:
    assert ",".join(m.CORE_COLUMNS) == (
        "experiment_id,service,scenario,replica_count,load_users,timestamp,"
        "cpu_cores_value,mem_bytes_value,net_rx_bytes_value,net_tx_bytes_value,pod_restarts_value,replica_count_value,"
        "node_cpu_util_value,node_mem_util_value,network_activity_rate_value,processing_intensity_value,"
        "service_stability_value,resource_pressure_value"
    )


def test_every_column_has_its_own_name_a_unit_and_a_meaning() -> None:
    every = m.METRICS + m.EXTRA_METRICS
    assert len(m.ALL_COLUMNS) == len(set(m.ALL_COLUMNS)) == len(m.CONTEXT_COLUMNS) + len(every)
    assert all(metric.unit and metric.meaning for metric in every)


def test_eight_metrics_are_measured_and_four_derived() -> None:
    assert len(m.METRIC_COLUMNS) == 12
    assert len(m.MEASURED_COLUMNS) == 8


# The values that promtool gave for the same formulas on synthetic series (FIELD.md 5.3).
def test_the_derived_metrics_give_the_reference_values() -> None:
    assert m.service_stability(1, 2) == pytest.approx(0.6065, abs=5e-5)
    assert m.service_stability(1, 1) == pytest.approx(0.368, abs=5e-4)
    assert m.processing_intensity(0.35, 1.5e6, 1.0e6) == pytest.approx(0.5833, abs=5e-5)
    assert m.network_activity_rate(1.5e6, 1.0e6, 2) == pytest.approx(0.753, abs=5e-4)
    assert m.resource_pressure({"node_cpu": 0.2, "node_mem": 0.75}) == 0.75


@given(TRAFFIC, TRAFFIC, REPLICAS, CORES, RESTARTS)
def test_the_derived_metrics_stay_between_0_and_1(
    rx: float, tx: float, replicas: float, cores: float, restarts: float
) -> None:
    values = (
        m.network_activity_rate(rx, tx, replicas),
        m.processing_intensity(cores, rx, tx),
        m.service_stability(restarts, replicas),
        m.resource_pressure({"node_cpu": cores, "node_mem": math.nan}),
    )
    assert all(0 <= value <= 1 for value in values)


@given(TRAFFIC, TRAFFIC, REPLICAS, st.floats(0, 1e11))
def test_more_traffic_is_never_less_activity_and_never_more_intensity(
    rx: float, tx: float, replicas: float, extra: float
) -> None:
    assert m.network_activity_rate(rx + extra, tx, replicas) >= m.network_activity_rate(rx, tx, replicas)
    assert m.processing_intensity(1.0, rx + extra, tx) <= m.processing_intensity(1.0, rx, tx)


def test_a_service_at_rest_is_silent_idle_and_stable() -> None:
    assert m.network_activity_rate(0, 0, 0) == m.processing_intensity(0, 0, 0) == 0
    assert m.service_stability(0, 0) == 1


def test_pressure_is_not_known_where_no_ratio_is() -> None:
    assert math.isnan(m.resource_pressure({}))
    assert math.isnan(m.resource_pressure({"cpu_limit": math.nan}))
