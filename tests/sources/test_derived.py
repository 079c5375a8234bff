"""The derived columns are what the functions of mora.metrics say, row by row, and never an answer to a missing one."""

from __future__ import annotations

import math

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from mora import metrics
from mora.sources.derived import with_derived

INPUTS = (
    "cpu_cores_value",
    "mem_bytes_value",
    "net_rx_bytes_value",
    "net_tx_bytes_value",
    "pod_restarts_value",
    "replica_count_value",
    "node_cpu_util_value",
    "node_mem_util_value",
    "cpu_cores_total",
    "cpu_limit_cores",
    "mem_limit_bytes",
)
# A limit is at least a millicore or a byte; 0 and NaN stand for none.
amounts = st.one_of(st.floats(min_value=1e-3, max_value=1e12), st.sampled_from([0.0, math.nan]))


@given(st.lists(st.fixed_dictionaries(dict.fromkeys(INPUTS, amounts)), min_size=1, max_size=20))
def test_every_row_is_what_the_scalar_functions_say(rows: list[dict[str, float]]) -> None:
    derived = with_derived(pd.DataFrame(rows))
    for row, (_, got) in zip(rows, derived.iterrows(), strict=True):
        received, sent, replicas = (row[f"{name}_value"] for name in ("net_rx_bytes", "net_tx_bytes", "replica_count"))
        expected = {
            "network_activity_rate_value": (
                metrics.network_activity_rate(received, sent, replicas),
                (received, sent, replicas),
            ),
            "processing_intensity_value": (
                metrics.processing_intensity(row["cpu_cores_total"], received, sent),
                (row["cpu_cores_total"], received, sent),
            ),
            "service_stability_value": (
                metrics.service_stability(row["pod_restarts_value"], replicas),
                (row["pod_restarts_value"], replicas),
            ),
        }
        for name, (value, needed) in expected.items():
            if any(math.isnan(number) for number in needed):
                assert math.isnan(got[name]), name
            else:
                assert got[name] == value, name
        pressures = {
            "node_cpu": row["node_cpu_util_value"],
            "node_mem": row["node_mem_util_value"],
            "cpu": row["cpu_cores_value"] / row["cpu_limit_cores"] if row["cpu_limit_cores"] else math.nan,
            "mem": row["mem_bytes_value"] / row["mem_limit_bytes"] if row["mem_limit_bytes"] else math.nan,
        }
        pressure = metrics.resource_pressure(pressures)
        assert got["resource_pressure_value"] == pressure or (
            math.isnan(pressure) and math.isnan(got["resource_pressure_value"])
        )


def test_a_frame_is_not_changed_and_a_missing_column_is_unknown() -> None:
    frame = pd.DataFrame({"pod_restarts_value": [2.0], "replica_count_value": [2.0], "node_cpu_util_value": [0.4]})
    derived = with_derived(frame)
    assert list(frame.columns) == ["pod_restarts_value", "replica_count_value", "node_cpu_util_value"]
    assert derived["service_stability_value"].iloc[0] == math.exp(-1)
    assert derived["resource_pressure_value"].iloc[0] == 0.4
    assert derived[["network_activity_rate_value", "processing_intensity_value"]].isna().all(axis=None)
