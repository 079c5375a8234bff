"""A model that several tests ask: trained once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from mora.backtest.history import history_of
from mora.drift.check import Drift, check
from mora.model import ServiceModel
from tests.drift import making
from tests.drift.making import Change


@pytest.fixture(scope="session")
def model() -> ServiceModel:
    """Of the first 22 of 24 days, before anything changes."""
    return making.trained(making.history(), until_days=22)


@pytest.fixture(scope="session")
def verdicts(model: ServiceModel) -> Callable[[Change], Drift]:
    """The verdict on the service with a change, each found once."""

    @cache
    def found(change: Change) -> Drift:
        return check(model, history_of(making.history(change), "frontend"))

    return found
