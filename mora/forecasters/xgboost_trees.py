"""Gradient-boosted trees by XGBoost (boosted.py says what they learn)."""

from __future__ import annotations

import json
from typing import Any

from mora.forecasters.boosted import Grown, Growth
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

    def grow(self, asked: Growth) -> Grown:
        """Grow trees with XGBoost."""
        import xgboost

        options: dict[str, Any] = {
            "objective": "reg:absoluteerror" if asked.quantile == 0.5 else "reg:quantileerror",
            "max_depth": asked.settings.depth,
            "eta": asked.settings.learning_rate,
            "min_child_weight": max(1.0, asked.settings.least_rows * len(asked.wanted)),
            "subsample": asked.settings.rows_drawn,
            "colsample_bytree": asked.settings.features_drawn,
            "lambda": asked.settings.ridge,
            "tree_method": "hist",
            "max_bin": _BINS,
            # Forecasts begin at the anchor.
            "base_score": 0.0,
            "seed": asked.seed,
            "nthread": 1,
        }
        if asked.quantile != 0.5:
            options["quantile_alpha"] = asked.quantile
        data = xgboost.QuantileDMatrix(asked.table, asked.wanted, weight=asked.worth, nthread=1, max_bin=_BINS)
        if asked.checks is None:
            booster = xgboost.train(options, data, asked.count)
        else:
            checking = xgboost.DMatrix(asked.checks[0], asked.checks[1], weight=asked.checks[2], nthread=1)
            booster = xgboost.train(
                options,
                data,
                asked.count,
                evals=[(checking, "check")],
                early_stopping_rounds=_PATIENCE,
                verbose_eval=False,
            )
            booster = booster[: booster.best_iteration + 1]
        model = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]
        return Grown(of_xgboost(model["trees"]), bytes(booster.save_raw("ubj")))
