"""Units of clouds, and what may be asked for."""

from __future__ import annotations

import pytest

from mora.errors import BadInput
from mora.sources.cloud.signals import MEASURES, Scope, Signal, factor_of


def test_every_signal_has_a_unit_and_takes_one_of_each_cloud() -> None:
    assert set(MEASURES) == set(Signal)
    assert [factor_of(Signal.MEMORY, unit) for unit in ("By", "Bytes", "Megabytes", "MiBy")] == [1, 1, 1e6, 2**20]
    assert [factor_of(Signal.CPU, unit) for unit in ("s{CPU}/s", "MilliCores", "NanoCores")] == [1, 1e-3, 1e-9]
    assert [factor_of(Signal.DB_CPU, unit) for unit in ("10^2.%", "Percent", "1")] == [1, 0.01, 1]
    assert factor_of(Signal.RECEIVED, "Bytes/Second") == factor_of(Signal.RECEIVED, "BytesPerSecond") == 1


def test_a_unit_of_something_else_is_never_guessed() -> None:
    assert factor_of(Signal.CPU, "By") is None
    assert factor_of(Signal.MEMORY, "") is None
    assert factor_of(Signal.DB_CPU, "Count") is None


@pytest.mark.parametrize("name", ['shop" OR true', "a/b", "-n"])
def test_no_name_enters_a_query_that_kubernetes_would_not_accept(name: str) -> None:
    with pytest.raises(BadInput):
        Scope(name)
    with pytest.raises(BadInput):
        Scope("shop", name)
