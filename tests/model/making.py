"""Models that need no library to be made, for tests of how models are kept."""

from __future__ import annotations

import json
from functools import cache

from mora.model import ServiceModel, TrainSettings, train
from mora.model import folder as store
from mora.model.service import _assemble
from tests import fakes_learning as fakes

PLAIN = TrainSettings(weights={"naive": 1.0})


@cache
def plain_model() -> ServiceModel:
    """A model of the naive forecast alone, of four days of history."""
    return train(fakes.observed(days=4), {}, fakes.WORKLOAD, settings=PLAIN)


def weighing(name: str, number: int = 0) -> ServiceModel:
    """The same, all the weight on one of the plain forecasts (naive, last, yesterday, slots)."""
    card = {key: value for key, value in plain_model().card.items() if key not in ("files", "schema_version")}
    card = json.loads(json.dumps({**card, "rows": card["rows"] + number}))
    for targets in card["report"]["calibrations"].values():
        for calibration in targets.values():
            calibration["shares"] = {name: 1.0}
    return _assemble(store.seal(card, {}, {}))


def version(number: int) -> ServiceModel:
    """The same with another content, and so another digest, for each number."""
    card = {key: value for key, value in plain_model().card.items() if key not in ("files", "schema_version")}
    return _assemble(store.seal({**card, "rows": card["rows"] + number}, {}, {}))
