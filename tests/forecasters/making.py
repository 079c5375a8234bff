"""Networks for tests: fitted quickly, or drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mora.domain.learning import Experiments, Segment
from mora.features import TARGETS, MinMaxScaler
from mora.forecasters.keras_fit import LstmSettings
from mora.forecasters.lstm import LstmForecaster, WindowLstm
from mora.forecasters.network import Network
from mora.metrics import METRIC_COLUMNS
from mora.seams import Reporter, Silent

QUICK = LstmSettings(max_epochs=3)


def fit(
    training: Sequence[Segment],
    validation: Sequence[Segment],
    reporter: Reporter | None = None,
    settings: LstmSettings = QUICK,
) -> WindowLstm:
    data = Experiments(training, validation, TARGETS)
    made = LstmForecaster(settings).fit(data, seed=1, reporter=reporter or Silent())
    assert isinstance(made, WindowLstm)
    return made


def random_network(columns: tuple[str, ...] = METRIC_COLUMNS, seed: int = 0) -> Network:
    """Weights as they would be, drawn: for tests of the forward pass that need no fit."""
    rng = np.random.default_rng(seed)
    count = len(columns)
    shapes = {
        "first_kernel": (count, 256),
        "first_recurrent": (64, 256),
        "first_bias": (256,),
        "second_kernel": (64, 128),
        "second_recurrent": (32, 128),
        "second_bias": (128,),
    }
    for target in TARGETS:
        shapes |= {
            f"{target.value}_hidden_kernel": (32, 16),
            f"{target.value}_hidden_bias": (16,),
            f"{target.value}_kernel": (16, 2),
            f"{target.value}_bias": (2,),
        }
    weights = {name: rng.normal(0, 0.1, shape).astype(np.float32).astype(np.float64) for name, shape in shapes.items()}
    return Network(
        columns,
        TARGETS,
        MinMaxScaler(np.zeros(count), np.ones(count)),
        MinMaxScaler(np.zeros(6), np.ones(6)),
        weights,
        np.ones(3),
    )
