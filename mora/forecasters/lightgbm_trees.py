"""Gradient-boosted trees by LightGBM (boosted.py says what they learn)."""

from __future__ import annotations

from typing import Any

from mora.domain.learning import Floats
from mora.errors import ToolMissing
from mora.forecasters.boosted import BoostedSettings, Grow, Grown
from mora.forecasters.boosted_forecaster import BoostedForecaster
from mora.trees import of_lightgbm

_BINS = 63
# Rounds without a smaller error after which no more trees are grown.
_PATIENCE = 25


class LightgbmForecaster(BoostedForecaster):
    """LightGBM on the table of a history. Needs the extra `models` to fit, nothing to forecast."""

    name = "lightgbm"
    title = "LightGBM"

    @property
    def grow(self) -> Grow:
        """What grows trees with LightGBM."""
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
    try:
        import lightgbm
    except OSError as failure:  # its wheel brings no OpenMP library
        raise ToolMissing(
            f"LightGBM cannot be loaded: {failure}.", hint="Install the OpenMP library: apt-get install libgomp1"
        ) from failure

    options: dict[str, Any] = {
        "objective": "regression_l1" if quantile == 0.5 else "quantile",
        "max_depth": settings.depth,
        "num_leaves": 2**settings.depth,
        "learning_rate": settings.learning_rate,
        "min_data_in_leaf": max(1, round(settings.least_rows * len(wanted))),
        "bagging_fraction": settings.rows_drawn,
        "bagging_freq": 1,
        "feature_fraction": settings.features_drawn,
        "lambda_l2": settings.ridge,
        "max_bin": _BINS,
        # Forecasts begin at the anchor.
        "boost_from_average": False,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }
    if quantile != 0.5:
        options["alpha"] = quantile
    data = lightgbm.Dataset(table, wanted, weight=worth, params=options, free_raw_data=True)
    if checks is None:
        booster, best = lightgbm.train(options, data, count), count
    else:
        checking = lightgbm.Dataset(checks[0], checks[1], weight=checks[2], reference=data, params=options)
        stop = lightgbm.early_stopping(_PATIENCE, verbose=False)
        booster = lightgbm.train(options, data, count, valid_sets=[checking], callbacks=[stop])
        best = booster.best_iteration
    text = booster.model_to_string(num_iteration=best)
    return Grown(of_lightgbm(text), text.encode())
