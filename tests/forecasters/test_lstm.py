"""The LSTM on load experiments: its inputs, and what it forecasts after a window."""

from __future__ import annotations

import numpy as np
import pytest

from mora.domain import Load, Target
from mora.domain.learning import AfterWindow, AtLoad
from mora.errors import NotEnoughData
from mora.features import TARGETS, MinMaxScaler, Pairs, segments
from mora.forecasters.lstm import WindowLstm, known_columns
from mora.forecasters.network import Network
from mora.metrics import METRIC_COLUMNS
from tests import fakes_learning as fakes
from tests.forecasters.making import fit, random_network


@pytest.mark.slow
def test_the_inputs_of_driven_data_are_the_twelve_metrics_and_the_plan(fitted_lstm: tuple[WindowLstm, Pairs]) -> None:
    assert fitted_lstm[0].columns == (*METRIC_COLUMNS, "replica_count", "load_users")
    assert fitted_lstm[1].inputs.shape[1:] == (30, 14)


@pytest.mark.slow
def test_a_target_that_never_changed_is_forecast_exactly(fitted_lstm: tuple[WindowLstm, Pairs]) -> None:
    made, pairs = fitted_lstm
    index = TARGETS.index(Target.REPLICAS)
    predicted = made.network.predict(pairs.inputs, pairs.levels)[:, index]
    np.testing.assert_allclose(predicted[:, 0], pairs.levels[:, index], rtol=1e-12)
    np.testing.assert_allclose(predicted[:, 1], pairs.levels[:, index], rtol=1e-12)


@pytest.mark.slow
def test_where_it_is_validated_it_is_no_worse_than_the_naive_forecast(fitted_lstm: tuple[WindowLstm, Pairs]) -> None:
    made, pairs = fitted_lstm
    predicted = made.network.predict(pairs.inputs, pairs.levels)
    ours = ((predicted - pairs.futures) ** 2).mean(axis=0)
    naive = ((pairs.levels[:, :, None] - pairs.futures) ** 2).mean(axis=0)
    assert (ours <= naive * (1 + 1e-9)).all()


@pytest.mark.slow
def test_inputs_that_some_experiments_lack_are_left_out_with_a_reason() -> None:
    pieces = segments(fakes.driven(repeats=1)[0].assign(node_mem_util_value=np.nan))
    made = fit(pieces[:4], pieces[4:6])
    assert len(made.columns) == 13
    assert made.reasons[0].text.startswith("the LSTM does without node_mem_util_value")


def test_an_unknown_load_is_no_input() -> None:
    pieces = segments(fakes.observed(days=1))
    assert known_columns(pieces) == METRIC_COLUMNS
    (levels,) = WindowLstm(random_network()).levels([AfterWindow(pieces[0])])
    assert all(mean <= high for mean, high in levels.values())


def test_of_a_load_it_has_no_forecast_and_the_others_keep_their_order() -> None:
    piece = segments(fakes.observed(days=1))[0]
    made = WindowLstm(random_network())
    alone = made.levels([AfterWindow(piece)])[0]
    assert made.levels([AtLoad(Load("browsing", 10), 1), AfterWindow(piece)]) == [{}, alone]


def test_a_network_that_has_learned_nothing_forecasts_what_the_naive_forecast_does() -> None:
    network = random_network()
    silent = Network(
        network.columns,
        network.targets,
        network.inputs,
        MinMaxScaler(np.zeros(6), np.zeros(6)),
        network.weights,
        network.deviations,
    )
    piece = segments(fakes.observed(days=1))[0]
    (levels,) = WindowLstm(silent).levels([AfterWindow(piece)])
    assert levels[Target.CPU][0] == pytest.approx(piece.values["cpu_cores_value"][-30:].mean())


def test_a_window_without_a_known_input_is_refused_by_its_name() -> None:
    piece = segments(fakes.observed(days=1))[0]
    made = WindowLstm(random_network((*METRIC_COLUMNS, "load_users")))
    with pytest.raises(NotEnoughData, match="trained on load_users, which frontend_observed"):
        made.levels([AfterWindow(piece)])


def test_a_short_history_is_refused_with_numbers() -> None:
    piece = segments(fakes.observed(days=1))[0].cut(0, 12)
    with pytest.raises(NotEnoughData, match=r"looks at 30 samples; .* has 12"):
        WindowLstm(random_network()).levels([AfterWindow(piece)])
    with pytest.raises(NotEnoughData, match="0 windows to learn from"):
        fit([piece], [piece])
