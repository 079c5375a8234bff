"""Instant questions about the state: what is not finite or negative is no value, amounts are rounded up."""

from __future__ import annotations

import math

import pytest

from mora.sources.prometheus.asking import Asking, amount_of, is_known
from mora.sources.prometheus.fleet_promql import Scope
from tests.sources.prometheus.test_inventory_names import NOW, wire


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0])
def test_what_cannot_be_meant_is_a_series_without_a_value(value: float) -> None:
    ask = Asking(wire({"up": [({"pod": "a"}, value), ({"pod": "b"}, 1.0)]}), Scope(("shop",)), NOW)
    assert not is_known(value)
    assert ask.values("up") == [({"pod": "b"}, 1.0)]
    assert ask.labels("up") == [{"pod": "a"}, {"pod": "b"}]


def test_amounts_are_whole_and_rounded_up() -> None:
    assert (amount_of("cpu", 0.1234), amount_of("requests.cpu", 2.0), amount_of("memory", 10.5)) == (124, 2000, 11)
