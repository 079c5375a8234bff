"""The queries of a mesh are PromQL that a Prometheus takes, and names in them end where they should."""

from __future__ import annotations

from datetime import timedelta

from mora.domain import Workload
from mora.sources.prometheus.mesh import mesh_queries, own_query

MINUTE = timedelta(minutes=1)


def test_what_was_received_is_taken_before_what_was_sent() -> None:
    text = mesh_queries(Workload("shop", "web"), MINUTE)["requests_per_second"]
    assert text.index('reporter="destination"') < text.index(" or ") < text.index('reporter="source"')
    assert text.count('destination_workload="web",destination_workload_namespace="shop"') == 2
    assert "[60s]" in text


def test_every_placeholder_of_one_s_own_query_is_put_in_place() -> None:
    text = own_query("rate(x{a='$namespace/$service'}[$window]) > $other", Workload("shop", "web"), MINUTE)
    assert text == "rate(x{a='shop/web'}[60s]) > $other"
