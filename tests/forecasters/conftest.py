"""A network fitted once."""

from __future__ import annotations

import pytest

from mora.features import MIN_TARGET_STEPS, TARGETS, Pairs, segments
from mora.forecasters.lstm import WindowLstm, window_pairs
from tests import fakes_learning as fakes
from tests.forecasters.making import fit


@pytest.fixture(scope="session")
def fitted_lstm() -> tuple[WindowLstm, Pairs]:
    pieces = segments(fakes.driven(repeats=1)[0])
    made = fit(pieces[:12], pieces[12:])
    return made, window_pairs(pieces[12:], made.columns, TARGETS, min_target=MIN_TARGET_STEPS)
