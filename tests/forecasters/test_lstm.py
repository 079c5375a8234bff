"""The network: fitted by TensorFlow, read by numpy, the same both ways."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from mora.domain import Load, Target
from mora.domain.learning import AfterWindow, AtLoad, Experiments, Segment
from mora.errors import NotEnoughData
from mora.features import MIN_TARGET_STEPS, TARGETS, MinMaxScaler, Pairs, segments
from mora.forecasters import keras_fit as room
from mora.forecasters.keras_fit import LstmSettings
from mora.forecasters.lstm import LstmForecaster, WindowLstm, known_columns, window_pairs
from mora.forecasters.network import Network
from mora.metrics import METRIC_COLUMNS
from mora.seams import Reporter, Silent
from tests import fakes_learning as fakes

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


@pytest.fixture(scope="module")
def fitted() -> tuple[WindowLstm, Pairs]:
    pieces = segments(fakes.driven(repeats=1)[0])
    made = fit(pieces[:12], pieces[12:])
    return made, window_pairs(pieces[12:], made.columns, TARGETS, min_target=MIN_TARGET_STEPS)


@pytest.mark.slow
def test_the_numpy_forward_pass_is_keras_to_a_hundred_thousandth(fitted: tuple[WindowLstm, Pairs]) -> None:
    made, pairs = fitted
    network = made.network
    keras = room._keras()
    model = room._build(keras, pairs.inputs.shape[1:], network.targets, np.zeros(6))
    _pour(model, network)
    scaled = network.inputs.scale(pairs.inputs)
    expected = model.predict(scaled.astype(np.float32), verbose=0)
    assert len(pairs) > 100
    np.testing.assert_allclose(network.forward(scaled), expected, atol=1e-5)


def _pour(model: object, network: Network) -> None:
    """Our weights into a Keras model of the same shape."""
    w = network.weights

    def put(layer: str, *names: str) -> None:
        model.get_layer(layer).set_weights([w[f"{layer}_{name}"] for name in names])  # type: ignore[attr-defined]

    for layer in ("first", "second"):
        put(layer, "kernel", "recurrent", "bias")
    for target in network.targets:
        put(f"{target.value}_hidden", "kernel", "bias")
        put(target.value, "kernel", "bias")


@pytest.mark.slow
@pytest.mark.parametrize("is_first", [True, False])
def test_the_same_seed_gives_the_same_weights_in_a_first_fit_and_after_another(
    fitted: tuple[WindowLstm, Pairs], is_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later fit takes over what TensorFlow traced for an earlier one, and nothing of what that learnt."""
    pieces = segments(fakes.driven(repeats=1)[0])
    if is_first:
        monkeypatch.setattr(room, "_traced", {})
    else:
        fit(pieces[6:], pieces[:6], settings=replace(QUICK, learning_rate=0.01))
        assert room._traced
    again = fit(pieces[:12], pieces[12:])
    for name, weight in fitted[0].network.weights.items():
        np.testing.assert_array_equal(weight, again.network.weights[name])


@pytest.mark.slow
def test_what_other_threads_draw_at_random_changes_no_weight(fitted: tuple[WindowLstm, Pairs]) -> None:
    pieces = segments(fakes.driven(repeats=1)[0])
    ended = threading.Event()

    def draw() -> None:
        while not ended.wait(0.0001):
            random.random()

    others = threading.Thread(target=draw)
    others.start()
    try:
        again = fit(pieces[:12], pieces[12:])
    finally:
        ended.set()
        others.join()
    for name, weight in fitted[0].network.weights.items():
        np.testing.assert_array_equal(weight, again.network.weights[name])


@pytest.mark.slow
def test_the_inputs_of_driven_data_are_the_twelve_metrics_and_the_plan(fitted: tuple[WindowLstm, Pairs]) -> None:
    assert fitted[0].columns == (*METRIC_COLUMNS, "replica_count", "load_users")
    assert fitted[1].inputs.shape[1:] == (30, 14)


@pytest.mark.slow
def test_a_target_that_never_changed_is_forecast_exactly(fitted: tuple[WindowLstm, Pairs]) -> None:
    made, pairs = fitted
    index = TARGETS.index(Target.REPLICAS)
    predicted = made.network.predict(pairs.inputs, pairs.levels)[:, index]
    np.testing.assert_allclose(predicted[:, 0], pairs.levels[:, index], rtol=1e-12)
    np.testing.assert_allclose(predicted[:, 1], pairs.levels[:, index], rtol=1e-12)


@pytest.mark.slow
def test_where_it_is_validated_it_is_no_worse_than_the_naive_forecast(fitted: tuple[WindowLstm, Pairs]) -> None:
    made, pairs = fitted
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


@pytest.mark.slow
def test_fitting_reports_progress_and_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    advanced: list[tuple[str, float, float]] = []

    class Listener:
        def advance(self, task: str, done: float, total: float, note: str = "") -> None:
            advanced.append((task, done, total))

    pieces = segments(fakes.driven(repeats=1)[0])
    fit(pieces[:4], pieces[4:6], Listener())
    assert advanced == [("LSTM", epoch, 3) for epoch in (1, 2, 3)]
    assert capfd.readouterr() == ("", "")


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


def test_saved_arrays_give_the_same_numbers_to_the_last_bit() -> None:
    network = random_network()
    again = Network.from_arrays(network.arrays())
    windows = np.random.default_rng(1).random((5, 30, 12))
    levels = np.ones((5, 3))
    np.testing.assert_array_equal(network.predict(windows, levels), again.predict(windows, levels))


def test_one_window_alone_is_forecast_as_it_is_among_many() -> None:
    network = random_network()
    windows = np.random.default_rng(1).random((40, 30, 12))
    levels = np.ones((40, 3))
    together = network.predict(windows, levels)
    alone = np.concatenate([network.predict(windows[i : i + 1], levels[i : i + 1]) for i in range(40)])
    np.testing.assert_allclose(together, alone, rtol=1e-12)


def test_the_high_level_is_never_below_the_mean_nor_either_below_zero() -> None:
    network = random_network()
    levels = network.predict(np.random.default_rng(1).random((50, 30, 12)), np.full((50, 3), 0.01))
    assert (levels >= 0).all()
    assert (levels[:, :, 1] >= levels[:, :, 0]).all()


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


def test_reading_a_network_does_not_import_tensorflow() -> None:
    code = (
        "import sys, numpy as np; from tests.forecasters.test_lstm import random_network;"
        "random_network().predict(np.zeros((1, 30, 12)), np.zeros((1, 3)));"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
