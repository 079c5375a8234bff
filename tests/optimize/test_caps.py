"""What the cluster and a quota leave for an answer."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest

from mora.optimize.solve import Terms
from mora.pipeline.optimising import cluster_terms
from mora.sources.prometheus import reserved
from mora.sources.prometheus.observe import PrometheusSource
from tests.optimize.fake_shop import FakeShop

ROOM = reserved.NodeRoom("n1", 4000, 8 * 2**30, 500, 2**30)


@pytest.mark.parametrize(("quota", "cores"), [(None, 2700), (1000, 1000), (3500, 2700)])
def test_a_cap_of_the_cluster_does_not_lift_what_a_quota_leaves(
    quota: int | None, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rooms(*_: Any) -> list[reserved.NodeRoom]:
        return [ROOM]

    monkeypatch.setattr(reserved, "read_rooms", rooms)
    monkeypatch.setattr(PrometheusSource, "wire", lambda _: nullcontext())
    place = replace(FakeShop().place, source=PrometheusSource("http://127.0.0.1:9090"))
    terms = cluster_terms(Terms(millicores=quota, cap_name="the quota team"), place, 0.8)
    assert terms.millicores == cores
    assert terms.memory_bytes == int(0.8 * 8 * 2**30) - 2**30
    assert ("the quota team" in terms.cap_name) == (quota is not None)
