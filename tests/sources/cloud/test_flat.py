"""The flat frame of Helios from placed series."""

from __future__ import annotations

import pytest

from mora.sources.cloud.flat import COLUMNS, flat_frame
from mora.sources.cloud.histories import by_workload
from mora.sources.cloud.placing import Placed, placed
from mora.sources.cloud.signals import Signal
from tests.sources.cloud.made_up import WEB, WEB_PODS, MadeUpReader, of, page, shop, window


def test_a_share_that_no_cloud_measures_is_use_over_limit() -> None:
    service = by_workload(placed(shop().pages, window()))[WEB]
    frame, remarks = flat_frame(service, Placed(), "web", window())
    assert tuple(frame.columns) == COLUMNS
    assert frame["cpu_utilization"].tolist() == pytest.approx([0.3] * 12)
    assert frame["memory_utilization"].tolist() == pytest.approx([100e6 / 2**28] * 12)
    assert remarks == (
        "The frame is of the container server: the only container beside injected sidecars.",
        "These columns are empty: db_cpu, db_memory, db_connections.",
    )


def test_without_a_limit_there_is_no_utilization_and_a_remark() -> None:
    pages = MadeUpReader(page(Signal.CPU, [1.0] * 12, of(WEB, WEB_PODS[0]))).pages
    frame, remarks = flat_frame(placed(pages, window()), Placed(), "web", window())
    assert frame["cpu_utilization"].isna().all()
    assert "A utilization is the share of a limit, and the container has none, or its points are missing." in remarks


def test_what_a_cloud_measured_wins_where_it_is_known() -> None:
    pages = [*shop().pages, page(Signal.CPU_SHARE, [0.5] * 6, of(WEB, WEB_PODS[0]), unit="1")]
    frame, _ = flat_frame(by_workload(placed(pages, window()))[WEB], Placed(), "web", window())
    assert frame["cpu_utilization"].tolist() == pytest.approx([0.5] * 6 + [0.3] * 6)
