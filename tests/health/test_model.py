"""A health model learns what is usual, judges samples, and comes back from its folder the same."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mora.detectors.lstm_autoencoder import LstmAutoencoder
from mora.errors import BadInput, BadModel, MoraError, NotEnoughData
from mora.health.events import State
from mora.health.model import HealthModel, Judgement, train
from tests.health.made import START, healthy, with_fault

NAMES = [("robust-z", "quantile"), ("context-distance", "tracking")]


@pytest.fixture(scope="module", params=NAMES, ids=lambda names: names[0])
def model(request: pytest.FixtureRequest) -> HealthModel:
    detector, threshold = request.param
    return train(healthy(2000), service="web", detector=detector, threshold=threshold)


def state_at(judged: Judgement, row: int) -> State:
    return State(judged.frame["state"].iloc[row])


def test_a_fault_is_an_event_with_its_metric_and_a_healthy_day_is_none(model: HealthModel) -> None:
    later = healthy(2000, seed=2)
    assert model.judge(later).flagged_share < 0.008
    event = max(model.judge(with_fault(later, 1500), gap=timedelta(minutes=2)).events, key=lambda one: one.peak)
    assert next(iter(event.metrics)) == "latency_p95_seconds"
    assert later["timestamp"][1500] <= event.start < later["timestamp"][1510]


def test_what_is_saved_judges_the_same(model: HealthModel, tmp_path: Path) -> None:
    model.save(tmp_path / "default" / "web")
    again = HealthModel.load(tmp_path / "default" / "web")
    samples = with_fault(healthy(2000, seed=3), 1500)
    pd.testing.assert_frame_equal(again.judge(samples).frame, model.judge(samples).frame, rtol=1e-6)
    assert again.judge(samples).events[0].start == model.judge(samples).events[0].start
    assert (again.step, again.metrics, again.card) == (model.step, model.metrics, model.card)


def test_judging_changes_nothing_of_the_model(model: HealthModel) -> None:
    samples = with_fault(healthy(1000, seed=3), 700)
    pd.testing.assert_frame_equal(model.judge(samples).frame, model.judge(samples).frame)


def test_the_future_changes_no_verdict(model: HealthModel) -> None:
    samples = with_fault(healthy(1500, seed=4), 1200)
    whole, part = model.judge(samples).frame, model.judge(samples[:1210]).frame
    assert whole["state"][:1210].tolist() == part["state"].tolist()
    np.testing.assert_allclose(whole["threshold"][:1210], part["threshold"], rtol=1e-7)


def test_a_folder_that_is_torn_forged_or_of_another_service_is_refused(model: HealthModel, tmp_path: Path) -> None:
    folder = tmp_path / "default" / "web"
    model.save(folder)
    whole = (folder / "detector.json").read_bytes()
    (folder / "detector.json").write_bytes(whole[:-9])
    with pytest.raises(BadModel, match=r"detector\.json.*torn"):
        HealthModel.load(folder)
    (folder / "detector.json").unlink()
    with pytest.raises(BadModel, match=r"mora health train web"):
        HealthModel.load(folder)
    model.save(folder)
    folder.rename(tmp_path / "default" / "cart")
    with pytest.raises(BadModel, match="is the detector of default/web"):
        HealthModel.load(tmp_path / "default" / "cart")


def test_without_data_a_service_is_unknown_and_never_healthy(model: HealthModel) -> None:
    samples = healthy(1000, seed=5)
    samples.loc[600:639, list(model.metrics)] = np.nan
    judged = model.judge(samples)
    assert {state_at(judged, row) for row in range(600, 640)} == {State.UNKNOWN}
    assert any("no verdict" in remark for remark in judged.remarks)


def test_a_start_up_has_no_verdict_even_where_it_is_far_from_usual(model: HealthModel) -> None:
    samples = with_fault(healthy(1000, seed=6), 600, rows=10, factor=50)
    samples.loc[590:599, "replica_count_value"] = 0
    judged = model.judge(samples)
    assert {state_at(judged, row) for row in range(600, 620)} == {State.STARTING}
    assert all(event.peak < 10 for event in judged.events)
    assert any("after a cold start" in remark for remark in judged.remarks)


def test_padding_is_a_remark_and_lowers_the_weight() -> None:
    model = train(healthy(2000), service="web")
    context = model.detector.context
    assert context > 0
    short = healthy(context // 3, seed=7)
    without, padded = model.judge(short), model.judge(short, pads=True)
    assert set(without.frame["state"]) == {State.UNKNOWN}
    assert padded.state == State.HEALTHY
    assert padded.frame["weight"].iloc[-1] == pytest.approx(len(short) / (context + 1))
    assert any("weigh less" in remark for remark in padded.remarks)


def test_a_metric_that_lacks_is_named_with_what_may_be_its_new_name(model: HealthModel) -> None:
    renamed = healthy(1000, seed=8).rename(columns={"latency_p95_seconds": "latency_p99_seconds"})
    with pytest.raises(BadInput, match=r"lack the metric latency_p95_seconds(.|\n)*Is it latency_p99_seconds now"):
        model.judge(renamed)
    judged = model.judge(renamed, fill_missing=True)
    assert judged.state in (State.HEALTHY, State.UNKNOWN)
    assert judged.frame["weight"].iloc[-1] == pytest.approx(2 / 3)
    assert any("latency_p95_seconds" in remark for remark in judged.remarks)
    with pytest.raises(BadInput, match="lack the metrics"):
        model.judge(healthy(50).rename(columns=str.upper).rename(columns={"TIMESTAMP": "timestamp"}), fill_missing=True)


def test_another_step_is_averaged_or_refused(model: HealthModel) -> None:
    finer = healthy(4000, step=timedelta(seconds=5), seed=9)
    judged = model.judge(finer)
    assert len(judged.frame) == pytest.approx(4000 / 3, abs=2)
    with pytest.raises(BadInput, match="every 1m, and every 15s is needed"):
        model.judge(healthy(100, step=timedelta(minutes=1)))


def test_a_metric_of_one_s_own_is_looked_at_beside_those_of_health() -> None:
    frame = healthy(400)
    frame["queue"] = frame["cpu_cores_value"] * 7
    own = {"queue": "sum(queue_length)"}
    found = train(frame, service="web", detector="robust-z", own=own).metrics
    assert found == ("cpu_cores_value", "mem_bytes_value", "latency_p95_seconds", "queue")
    one = train(frame, service="web", detector="robust-z", own=own, metrics=["cpu_cores_value"])
    assert one.metrics == ("cpu_cores_value", "queue")


def test_known_faults_are_not_learnt_from() -> None:
    frame = with_fault(healthy(2000), 300, rows=600, factor=20)
    window = (frame["timestamp"][300].to_pydatetime(), frame["timestamp"][899].to_pydatetime())
    told = train(frame, service="web", detector="robust-z", threshold="quantile", excluded=[window])
    untold = train(frame, service="web", detector="robust-z", threshold="quantile")
    assert told.card["rows"] == 1400
    fault = with_fault(healthy(2000, seed=2), 1500, factor=1.5)
    assert told.judge(fault).frame["score"][1505] > untold.judge(fault).frame["score"][1505]


def test_too_little_is_refused_with_what_is_needed_and_an_unknown_detector_named() -> None:
    with pytest.raises(NotEnoughData):
        train(healthy(8), service="web")
    with pytest.raises(MoraError, match="There is no 'crystal-ball' among the detectors"):
        train(healthy(100), service="web", detector="crystal-ball")
    with pytest.raises(BadInput, match="nothing of error_ratio"):
        train(healthy(100), service="web", metrics=["error_ratio"])
    with pytest.raises(NotEnoughData, match="Nothing is known"):
        train(healthy(100).assign(cpu_cores_value=np.nan)[["timestamp", "cpu_cores_value"]], service="web")


def test_samples_that_the_first_verdicts_look_back_to_have_none_themselves(model: HealthModel) -> None:
    samples = with_fault(with_fault(healthy(1500, seed=4), 1200), 300)
    begin = samples["timestamp"][1000].to_pydatetime()
    whole, part = model.judge(samples), model.judge(samples, begin=begin)
    assert len(part.frame) == len(part.shares) == 500
    pd.testing.assert_frame_equal(part.frame, whole.frame[1000:].reset_index(drop=True))
    assert all(event.start >= begin for event in part.events)
    assert part.events[-1].peak == whole.events[-1].peak


def test_a_threshold_that_is_given_goes_on_where_it_stood() -> None:
    model = train(healthy(2000), service="web", detector="robust-z")
    samples = with_fault(healthy(1200, seed=5), 500, rows=100)
    whole = model.judge(samples).frame["threshold"]
    follower = model.new_threshold()
    first = model.judge(samples[:700], threshold=follower).frame["threshold"]
    second = model.judge(samples[700:].reset_index(drop=True), threshold=follower).frame["threshold"]
    np.testing.assert_allclose(np.concatenate([first, second]), whole, rtol=1e-7)


def test_the_card_says_what_it_was_trained_on() -> None:
    model = train(healthy(400), service="web", namespace="shop", detector="robust-z", source="made up")
    assert model.card["first_sample"] == "2026-03-02T00:00:00Z"
    assert model.step == timedelta(seconds=15)
    assert model.card["calibration_rows"] == 100
    assert model.card["source"] == "made up"
    assert model.trained_at > START


def test_samples_of_the_time_of_training_and_a_detector_that_is_old_are_remarks() -> None:
    model = train(healthy(400), service="web", namespace="shop", detector="robust-z")
    assert (
        "400 of 400 samples lie in the time range that the detector was trained on."
        in model.judge(healthy(400)).remarks
    )
    later = healthy(400).assign(timestamp=healthy(400)["timestamp"] + pd.Timedelta(days=45))
    (remark,) = model.judge(later).remarks
    assert "up to 45d before these" in remark
    assert "mora health train web -n shop" in remark


@pytest.mark.slow
def test_samples_outside_fixed_bounds_are_counted_in_a_remark() -> None:
    bounds = {"cpu_cores_value": (0.0, 1.0), "mem_bytes_value": (0.0, 2e9), "latency_p95_seconds": (0.0, 0.5)}
    detector = LstmAutoencoder(window=8, units=(4,), epochs=1, bounds=bounds)
    model = train(healthy(200), service="web", detector=detector)
    usual = model.judge(healthy(100, seed=2))
    assert not any("Clipped" in remark for remark in usual.remarks)
    odd = model.judge(with_fault(healthy(100, seed=2), 60, factor=20.0))
    assert "Clipped, since they lie outside the bounds of lstm-autoencoder: 20 of latency_p95_seconds." in odd.remarks
