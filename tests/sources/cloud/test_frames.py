"""Observations from placed series: the columns of the unified CSV."""

from __future__ import annotations

import numpy as np
import pytest

from mora.domain import Observation
from mora.metrics import MEASURED_COLUMNS
from mora.sources.cloud.frames import index_of, observation
from mora.sources.cloud.placing import Placed, placed
from mora.sources.cloud.signals import Of, Scope, Signal
from tests.sources.cloud.made_up import WEB, WEB_PODS, MadeUpReader, of, page, shop, window


def seen(reader: MadeUpReader, rows: int = 12) -> Observation:
    found = placed(reader.pages_of(Scope("shop", "web")), window(rows))
    return observation(found, WEB, window(rows), known=reader.signals, queries={"all": "made up"})


def test_the_hottest_pod_is_what_is_sized_and_the_totals_have_all() -> None:
    metrics = seen(shop()).metrics
    assert set(MEASURED_COLUMNS) <= set(metrics.columns)
    last = metrics.iloc[-1]
    assert (last["cpu_cores_value"], last["mem_bytes_value"]) == pytest.approx((0.3, 100e6))
    assert (last["cpu_cores_total"], last["mem_bytes_total"]) == pytest.approx((0.45, 190e6))
    assert last["net_rx_bytes_value"] == 1500
    assert last["replica_count_value"] == 2


def test_of_the_nodes_only_those_count_that_run_the_service() -> None:
    assert seen(shop()).metrics["node_cpu_util_value"].tolist() == pytest.approx([0.4] * 12)


def test_restarts_count_for_an_hour() -> None:
    reader = shop(rows=20)
    assert seen(reader, 20).metrics["pod_restarts_value"].tolist() == [0.0] + [2.0] * 12 + [0.0] * 7


def test_the_other_containers_stand_beside() -> None:
    one = seen(shop())
    assert (one.main_container, one.main_container_chosen_by) == (
        "server",
        "the only container beside injected sidecars",
    )
    assert set(one.containers["container"]) == {"istio-proxy"}
    assert one.containers["cpu_cores"].tolist() == pytest.approx([0.05] * 12)


def test_a_warning_says_whether_the_cloud_never_has_a_metric_or_has_no_points_now() -> None:
    told = " ".join(seen(shop()).warnings)
    assert "net_tx_bytes_value is empty: this cloud does not measure it." in told
    assert "node_mem_util_value is empty: this cloud does not measure it." in told
    lonely = " ".join(seen(MadeUpReader(page(Signal.CPU, [1.0] * 12, of(WEB, WEB_PODS[0])))).warnings)
    assert "cpu_limit_cores is empty: it is not set on the main container, or the cloud has no points of it." in lonely
    assert "node_cpu_util_value is empty: there are no points of node cpu of its nodes in this time range." in lonely


def test_a_series_of_the_hottest_pod_alone_has_no_total() -> None:
    metrics = seen(MadeUpReader(page(Signal.CPU, [1.0] * 12, Of(WEB, container="web")))).metrics
    assert metrics["cpu_cores_value"].tolist() == [1.0] * 12
    assert metrics["cpu_cores_total"].isna().all()
    assert metrics["replica_count_value"].isna().all()


def test_nothing_is_made_up_where_nothing_is_known() -> None:
    empty = observation(Placed(), WEB, window(3), known=frozenset(Signal), queries={})
    assert empty.main_container is None
    assert empty.metrics.isna().to_numpy().all()
    assert str(index_of(window(3)).tz) == "UTC"
    assert not np.isinf(empty.metrics.to_numpy()).any()
