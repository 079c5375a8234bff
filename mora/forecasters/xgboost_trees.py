"""Gradient-boosted trees by XGBoost (boosted.py says what they learn)."""

from __future__ import annotations

import json
from typing import Any

from mora.domain.learning import Floats
from mora.forecasters.boosted import BoostedSettings, Grow, Grown
from mora.forecasters.boosted_forecaster import BoostedForecaster
from mora.trees import of_xgboost

# A quarter of the time that XGBoost's 256 take.
_BINS = 64
# Rounds without a smaller error after which no more trees are grown.
_PATIENCE = 25


class XgboostForecaster(BoostedForecaster):
    """XGBoost on the table of a history. Needs the extra `models` to fit, nothing to forecast."""

    name = "xgboost"
    title = "XGBoost"

    @property
    def grow(self) -> Grow:
        """What grows trees with XGBoost."""
        return _grow


def _grow(
    table: Floats,
    wanted: Floats,
    worth: Floats,
    checks: tuple[Floats, Floats, Floats] | None,
    *,
    quantile: float,
    count: int,
    settings: BoostedSettings,
    seed: int,
) -> Grown:
    import xgboost

    options: dict[str, Any] = {
        "objective": "reg:absoluteerror" if quantile == 0.5 else "reg:quantileerror",
        "max_depth": settings.depth,
        "eta": settings.learning_rate,
        "min_child_weight": max(1.0, settings.least_rows * len(wanted)),
        "subsample": settings.rows_drawn,
        "colsample_bytree": settings.features_drawn,
        "lambda": settings.ridge,
        "tree_method": "hist",
        "max_bin": _BINS,
        # Forecasts begin at the anchor.
        "base_score": 0.0,
        "seed": seed,
        "nthread": 1,
    }
    if quantile != 0.5:
        options["quantile_alpha"] = quantile
    data = xgboost.QuantileDMatrix(table, wanted, weight=worth, nthread=1, max_bin=_BINS)
    if checks is None:
        booster = xgboost.train(options, data, count)
    else:
        checking = xgboost.DMatrix(checks[0], checks[1], weight=checks[2], nthread=1)
        booster = xgboost.train(
            options, data, count, evals=[(checking, "check")], early_stopping_rounds=_PATIENCE, verbose_eval=False
        )
        booster = booster[: booster.best_iteration + 1]
    model = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]
    return Grown(of_xgboost(model["trees"]), bytes(booster.save_raw("ubj")))
