"""Forecasters whose best settings are known, under registered names."""

from __future__ import annotations

import pytest

from mora import registry


@pytest.fixture(autouse=True)
def known_forecasters(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, made in (("factor", "FactorForecaster"), ("right", "RightFactor"), ("failing", "FailingForecaster")):
        monkeypatch.setitem(registry.REGISTRY["forecasters"], name, f"tests.tuning.making:{made}")
