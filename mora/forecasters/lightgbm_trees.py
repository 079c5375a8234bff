"""Gradient-boosted trees by LightGBM (boosted.py says what they learn)."""

from __future__ import annotations

from typing import Any

from mora.errors import ToolMissing
from mora.forecasters.boosted import Grown, Growth
from mora.forecasters.boosted_forecaster import BoostedForecaster
from mora.trees import of_lightgbm

_BINS = 63
# Rounds without a smaller error after which no more trees are grown.
_PATIENCE = 25


class LightgbmForecaster(BoostedForecaster):
    """LightGBM on the table of a history. Needs the extra `models` to fit, nothing to forecast."""

    name = "lightgbm"
    title = "LightGBM"

    def grow(self, asked: Growth) -> Grown:
        """Grow trees with LightGBM."""
        try:
            import lightgbm
        except OSError as failure:  # its wheel brings no OpenMP library
            raise ToolMissing(
                f"LightGBM cannot be loaded: {failure}.", hint="Install the OpenMP library: apt-get install libgomp1"
            ) from failure

        options: dict[str, Any] = {
            "objective": "regression_l1" if asked.quantile == 0.5 else "quantile",
            "max_depth": asked.settings.depth,
            "num_leaves": 2**asked.settings.depth,
            "learning_rate": asked.settings.learning_rate,
            "min_data_in_leaf": max(1, round(asked.settings.least_rows * len(asked.wanted))),
            "bagging_fraction": asked.settings.rows_drawn,
            "bagging_freq": 1,
            "feature_fraction": asked.settings.features_drawn,
            "lambda_l2": asked.settings.ridge,
            "max_bin": _BINS,
            # Forecasts begin at the anchor.
            "boost_from_average": False,
            "seed": asked.seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "verbosity": -1,
        }
        if asked.quantile != 0.5:
            options["alpha"] = asked.quantile
        data = lightgbm.Dataset(asked.table, asked.wanted, weight=asked.worth, params=options, free_raw_data=True)
        if asked.checks is None:
            booster, best = lightgbm.train(options, data, asked.count), asked.count
        else:
            checking = lightgbm.Dataset(
                asked.checks[0], asked.checks[1], weight=asked.checks[2], reference=data, params=options
            )
            stop = lightgbm.early_stopping(_PATIENCE, verbose=False)
            booster = lightgbm.train(options, data, asked.count, valid_sets=[checking], callbacks=[stop])
            best = booster.best_iteration
        text = booster.model_to_string(num_iteration=best)
        return Grown(of_lightgbm(text), text.encode())
