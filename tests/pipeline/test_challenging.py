"""A challenger beside the champion, from files: started, scored, taken over, gone back, stopped."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mora import dataset
from mora.config import load_settings
from mora.errors import BadDataset, BadInput, BadModel, MoraError
from mora.model import ServiceModel, versions
from mora.model.trial_record import read_trial
from mora.pipeline.challenging import Place, challenged, look, look_all, score_challengers, start_trial, stop_trial
from mora.pipeline.versions import rollback
from tests import fakes_learning as fakes
from tests.model.making import weighing
from tests.pipeline.test_tracking import Notebook

AT = datetime(2026, 10, 1, tzinfo=UTC)


def collect(place: Place, first_day: float, last_day: float) -> None:
    """What was observed between two days, as a collection of its own."""
    frame = fakes.observed(days=8)
    days = (frame["timestamp"] - frame["timestamp"].min()) / timedelta(days=1)
    name = f"{place.service}_observed_{int(100 * first_day)}"
    rows = frame[(days >= first_day) & (days < last_day)].assign(experiment_id=name, service=place.service)
    card = {"experiment_id": name, "service": place.service, "scenario": "observed", "kind": "Deployment"}
    dataset.write_experiment(place.data_dir, rows.reset_index(drop=True), card)


def prepared(
    folder: Path, champion: str = "naive", challenger: str | None = "slots", service: str = "frontend"
) -> Place:
    """Four days of data, and two versions that have learned from them."""
    place = Place(service, folder / "data", folder / "models")
    collect(place, 0, 4)
    versions.keep(place.folder, weighing(champion), at=AT)
    if challenger is not None:
        versions.keep(place.folder, weighing(challenger), at=AT + timedelta(hours=1), as_challenger=True)
    return place


def test_a_better_challenger_takes_over_and_one_command_goes_back(tmp_path: Path) -> None:
    place = prepared(tmp_path)
    assert challenged(place.models_dir) == ["frontend"]
    first = look(place, at=AT)
    assert first.standing is not None
    assert {side.windows for side in first.standing.sides} == {0}
    collect(place, 4, 7.5)
    found = look(place, at=AT)
    assert found.to_dict()["outcome"] == "takeover"
    assert ServiceModel.load(place.folder).digest == weighing("slots").digest
    turn = versions.known_versions(place.folder).turns[-1]
    assert turn.why.startswith(f"took over from {weighing('naive').digest[:12]}: it forecasts better 1h ahead, and")
    assert challenged(place.models_dir) == []
    # The test is over: to look again shows how it ended, and changes nothing.
    assert look(place, at=AT).to_dict()["outcome"] == "takeover"
    rollback("frontend", at=AT, models_dir=place.models_dir)
    assert ServiceModel.load(place.folder).digest == weighing("naive").digest


def test_a_worse_challenger_is_sent_away_and_kept_as_a_version(tmp_path: Path) -> None:
    place = prepared(tmp_path, "slots", "naive")
    collect(place, 4, 7.5)
    assert look(place, at=AT).to_dict()["outcome"] == "kept"
    known = versions.known_versions(place.folder)
    assert (known.champion, known.challenger) == (weighing("slots").digest, None)
    assert weighing("naive").digest in known.trained


def test_a_dry_look_writes_nothing(tmp_path: Path) -> None:
    place = prepared(tmp_path)
    collect(place, 4, 7.5)
    before = sorted((path, path.stat().st_mtime_ns) for path in place.folder.rglob("*"))
    assert look(place, at=AT, is_dry=True).to_dict()["outcome"] == "takeover"
    assert sorted((path, path.stat().st_mtime_ns) for path in place.folder.rglob("*")) == before


def test_a_test_that_is_started_counts_windows_from_the_data_of_now_on(tmp_path: Path) -> None:
    """Who chooses a challenger by how it did on some days may not count these days."""
    place = prepared(tmp_path)
    stop_trial(place, at=AT)
    collect(place, 4, 6)
    found = start_trial(place, at=AT, longest=timedelta(days=7), alpha=0.1)
    assert found.begins == fakes.observed(days=6)["timestamp"].max().timestamp() + 300
    assert (found.needed, found.longest_days) == (20, 7)
    assert versions.known_versions(place.folder).challenger == found.challenger == weighing("slots").digest
    assert look(place, at=AT).to_dict()["errors"][0]["windows"] == 0
    collect(place, 6, 6.5)
    assert look(place, at=AT).to_dict()["errors"][0]["windows"] == 12


def test_a_plain_training_ends_a_test_and_another_challenger_waits(tmp_path: Path) -> None:
    place = prepared(tmp_path)
    waiting = versions.keep(place.folder, weighing("last"), at=AT, as_challenger=True)
    assert waiting.challenger == weighing("slots").digest
    versions.keep(place.folder, weighing("yesterday"), at=AT)
    with pytest.raises(BadInput, match="No challenger of 'frontend' is tried"):
        look(place, at=AT)


def test_a_test_that_a_training_ended_is_not_shown_as_running(tmp_path: Path) -> None:
    place = prepared(tmp_path)
    look(place, at=AT)
    versions.keep(place.folder, weighing("yesterday"), at=AT + timedelta(days=1))
    found = look(place, at=AT + timedelta(days=2)).to_dict()
    assert found["outcome"] == "stopped"
    assert found["why"].startswith(f"version {weighing('yesterday').digest[:12]} became the champion")


@pytest.mark.parametrize(
    ("champion", "challenger", "outcome"), [("naive", "slots", "takeover"), ("slots", "naive", "kept")]
)
def test_a_decision_whose_process_was_killed_is_carried_out(
    tmp_path: Path, champion: str, challenger: str, outcome: str
) -> None:
    """Between its record and the champion's file."""
    place = prepared(tmp_path, champion, challenger)
    start_trial(place, at=AT, longest=timedelta(days=9), alpha=0.1)
    collect(place, 4, 7.5)
    before = (place.folder / "versions.json").read_text()
    decided = look(place, at=AT)
    assert decided.trial is not None
    (place.folder / "versions.json").write_text(before)
    again = look(place, at=AT + timedelta(hours=1))
    assert (again.to_dict()["outcome"], again.trial) == (outcome, decided.trial)
    assert again.trial is not None
    assert (again.trial.alpha, again.trial.longest_days) == (0.1, 9)
    known = versions.known_versions(place.folder)
    assert known.challenger is None
    assert known.champion == weighing(challenger if outcome == "takeover" else champion).digest


def test_a_stopped_challenger_that_is_trained_again_goes_on_with_its_test(tmp_path: Path) -> None:
    place = prepared(tmp_path)
    begun = start_trial(place, at=AT, longest=timedelta(days=9), alpha=0.1)
    stop_trial(place, at=AT)
    versions.keep(place.folder, weighing("slots"), at=AT, as_challenger=True)
    assert look(place, at=AT).trial == begun


def test_a_test_that_was_overtaken_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = prepared(tmp_path)
    look(place, at=AT)
    collect(place, 4, 7.5)
    record = (place.folder / "ab.json").read_bytes()
    known = versions.known_versions(place.folder)
    versions.keep(place.folder, weighing("yesterday"), at=AT)
    monkeypatch.setattr(versions, "known_versions", lambda folder: known)
    with pytest.raises(MoraError, match="Another process has changed"):
        look(place, at=AT)
    assert (place.folder / "ab.json").read_bytes() == record


def test_a_stopped_test_says_so(tmp_path: Path) -> None:
    place = prepared(tmp_path)
    look(place, at=AT)
    stop_trial(place, at=AT)
    recorded = read_trial(place.folder)
    assert recorded is not None
    assert recorded.ended is not None
    assert recorded.ended.outcome == "stopped"
    with pytest.raises(BadInput, match="No challenger"):
        stop_trial(place, at=AT)


def test_what_cannot_be_tried_is_refused_with_what_to_do(tmp_path: Path) -> None:
    place = prepared(tmp_path, challenger=None)
    with pytest.raises(BadInput, match="mora train frontend --challenger"):
        start_trial(place, at=AT, longest=None)
    with pytest.raises(BadInput, match="cannot challenge itself"):
        start_trial(place, at=AT, challenger=weighing("naive").digest[:9], longest=None)
    versions.keep(place.folder, weighing("slots"), at=AT, as_challenger=True)
    with pytest.raises(BadInput, match=r"a share between 0 and 0\.5, not 2"):
        start_trial(place, at=AT, longest=None, alpha=2)
    with pytest.raises(BadInput, match=r"0\.1 to 10,000 days of coming data, not 0\.0417"):
        start_trial(place, at=AT, longest=timedelta(hours=1))
    with pytest.raises(BadDataset, match="no data of 'frontend'"):
        look(Place("frontend", tmp_path / "nowhere", tmp_path / "models"), at=AT)
    (place.folder / "ab.json").write_text(json.dumps({}))
    with pytest.raises(BadModel, match="start again"):
        look(place, at=AT)


def test_one_service_without_data_does_not_stop_the_others(tmp_path: Path) -> None:
    place = prepared(tmp_path)
    bare = Place("cart", place.data_dir, place.models_dir)
    versions.keep(bare.folder, weighing("naive"), at=AT)
    versions.keep(bare.folder, weighing("slots"), at=AT, as_challenger=True)
    cart, frontend = look_all(place, challenged(place.models_dir), at=AT)
    assert cart.error is not None
    assert (frontend.error, frontend.service) == (None, "frontend")


def test_each_collection_scores_the_challengers_of_its_services(tmp_path: Path) -> None:
    place = prepared(tmp_path)
    settings = load_settings({"data_dir": place.data_dir, "models_dir": place.models_dir}, {}, tmp_path)
    assert score_challengers(settings, ["cart"]) == []
    collect(place, 4, 4.5)
    (line,) = score_challengers(settings, ["cart", "frontend"])
    assert line.endswith("24 forecasts are scored, nothing is decided")
    collect(place, 4.5, 7.5)
    (line,) = score_challengers(settings, ["frontend"])
    assert "has taken over: it forecasts better 1h ahead" in line
    assert score_challengers(settings, ["frontend"]) == []


def test_a_takeover_at_a_collection_moves_the_alias_of_the_tracker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = prepared(tmp_path)
    own = {"data_dir": place.data_dir, "models_dir": place.models_dir, "train_track": True}
    settings = load_settings(own, {}, tmp_path)
    notebook = Notebook()
    monkeypatch.setattr("mora.pipeline.tracking.open_tracker", lambda: notebook)
    collect(place, 4, 7.5)
    assert "has taken over" in score_challengers(settings, ["frontend"])[0]
    assert notebook.marks == [("default.frontend", weighing("slots").digest, "champion")]
