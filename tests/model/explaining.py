"""A model of an observed history that was not fitted but made up, so that no test waits for a fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mora.dataset import write_experiment
from mora.domain import Target
from mora.domain.learning import DAY_SECONDS
from mora.features import MinMaxScaler
from mora.forecasters.curve import Curve, Season
from mora.forecasters.horizon_lstm import HorizonLstm
from mora.forecasters.naive import FittedNaive
from mora.forecasters.network import Network
from mora.forecasters.prophet import FittedProphet
from mora.metrics import SCALE_FREE_COLUMNS
from mora.model import facts, learners
from mora.model import folder as store
from mora.model.calibration import Calibration
from mora.model.observed import HorizonModel
from mora.model.service import ServiceModel
from tests import fakes_learning as fakes

BOTH = (Target.CPU, Target.MEMORY)
BLEND: Mapping[str, float] = {"prophet": 0.4, "lstm": 0.5, "slots": 0.1}


def network(channels: int, seed: int = 0) -> Network:
    """An LSTM with weights that were drawn."""
    rng = np.random.default_rng(seed)
    first, second, hidden = 4, 3, 5
    shapes = {
        "first_kernel": (channels, 4 * first),
        "first_recurrent": (first, 4 * first),
        "first_bias": (4 * first,),
        "second_kernel": (first, 4 * second),
        "second_recurrent": (second, 4 * second),
        "second_bias": (4 * second,),
    }
    for target in BOTH:
        shapes |= {f"{target.value}_hidden_kernel": (second, hidden), f"{target.value}_hidden_bias": (hidden,)}
        shapes |= {f"{target.value}_kernel": (hidden, 2), f"{target.value}_bias": (2,)}
    return Network(
        columns=tuple(f"input {number}" for number in range(channels)),
        targets=BOTH,
        inputs=MinMaxScaler(np.full(channels, -1.0), np.full(channels, 2.0)),
        changes=MinMaxScaler(np.full(4, -0.3), np.full(4, 0.6)),
        weights={name: rng.normal(size=shape) for name, shape in shapes.items()},
        deviations=np.ones(2),
    )


def lstm(steps: int) -> HorizonLstm:
    """The LSTM of a horizon of so many steps, with what came a day ago beside its window."""
    lags = (DAY_SECONDS,)
    idle = dict.fromkeys(SCALE_FREE_COLUMNS, 1e-3)
    return HorizonLstm(network(len(SCALE_FREE_COLUMNS) + 2), BOTH, SCALE_FREE_COLUMNS, lags, idle, steps)


def prophet(start_seconds: float) -> FittedProphet:
    """Curves with a trend and two seasons."""
    seasons = (Season("daily", 1.0, (0.2, -0.1, 0.05, 0.02)), Season("weekly", 7.0, (0.1, 0.03)))
    curve = Curve(start_seconds, 14 * DAY_SECONDS, 0.4, 0.3, 0.4, (0.2, 0.5), (0.1, -0.3), 0.05, seasons)
    memory = Curve(start_seconds, 14 * DAY_SECONDS, 3e8, 0.1, 0.6, (0.3,), (0.2,), 0.02, seasons[:1])
    return FittedProphet({Target.CPU: curve, Target.MEMORY: memory})


def model(frame: pd.DataFrame, shares: Mapping[str, float] = BLEND) -> ServiceModel:
    """A model of a day and of an hour ahead, whose blend has these shares."""
    start = float(frame["timestamp"].iloc[0].timestamp())
    calibrations = {target: Calibration(target, shares, 1.3, 20, False, 18, 20, 0.9) for target in BOTH}
    horizons = {
        seconds: HorizonModel(float(seconds), {"lstm": lstm(steps)}, calibrations, {}, {}, {})
        for seconds, steps in ((3600, 12), (86_400, 24))
    }
    return ServiceModel(
        workload=fakes.WORKLOAD,
        card={
            "driven": False,
            "last_sample": facts.last_sample(frame).isoformat(),
            "settings": {"horizon_seconds": DAY_SECONDS},
        },
        digest="0" * 64,
        forecasters={"prophet": prophet(start), "naive": FittedNaive()},
        response=None,
        calibrations={},
        files={},
        horizons=horizons,
    )


def home_of(folder: Path, frame: pd.DataFrame, shares: Mapping[str, float] = BLEND) -> Path:
    """A folder with the history of a service (data/) and the folder of such a model (models/)."""
    made = model(frame, shares)
    documents, arrays = learners.save_all({"prophet": made.forecasters["prophet"]})
    for seconds, horizon in made.horizons.items():
        arrays = {**arrays, **learners.save_all(horizon.forecasters, seconds)[1]}
    calibrations = {
        str(seconds): {target.value: one.to_dict() for target, one in horizon.calibrations.items()}
        for seconds, horizon in made.horizons.items()
    }
    plain: dict[str, Any] = {"forecasters": ["lstm"], "errors": {}, "learned_weights": {}, "bound_costs": {}}
    card: dict[str, Any] = {
        "mora_version": "test",
        "service": made.workload.name,
        "namespace": made.workload.namespace,
        "kind": made.workload.kind,
        "driven": False,
        "experiments": [str(frame["experiment_id"].iloc[0])],
        "scenarios": ["observed"],
        "rows": len(frame),
        "samples_filled": 0,
        "windowed": [],
        "data_sha256": facts.fingerprint(frame),
        "last_sample": facts.last_sample(frame).isoformat(),
        "measured": facts.current_state(frame, {}),
        "runs": {},
        "settings": {
            "seed": 0,
            "weights": {"prophet": 0.4, "lstm": 0.6},
            "learn_weights": False,
            "horizon_seconds": DAY_SECONDS,
            "slo_p95_seconds": 0.3,
            "slo_error_ratio": 0.01,
        },
        "forecasters": ["prophet"],
        "inputs": {},
        "packages": {},
        "report": {
            "next_steps": {},
            "horizons": dict.fromkeys(calibrations, plain),
            "calibrations": calibrations,
            "reasons": [],
        },
    }
    store.write(folder / "models" / "frontend", store.seal(card, documents, arrays).files)
    named = {
        "schema_version": 1,
        "experiment_id": card["experiments"][0],
        "service": "frontend",
        "namespace": "default",
        "kind": "Deployment",
        "container": "server",
        "scenario": "observed",
    }
    write_experiment(folder / "data", frame, named)
    return folder
