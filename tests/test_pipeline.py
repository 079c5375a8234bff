"""The use-cases: what is refused as stale, what a history's grid is, what one failing service does to the others."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest

from mora import dataset, pipeline
from mora.config import load_settings
from mora.domain import (
    Allocation,
    Autoscaler,
    Container,
    Demand,
    Load,
    Question,
    Recommendation,
    Resources,
    Target,
    TargetDemand,
    Workload,
)
from mora.errors import BadInput, BadModel, NotEnoughData, StaleAnswer
from mora.model import ServiceModel, TrainSettings
from mora.policies import PolicySettings
from mora.quantities import MIB
from tests.fakes_learning import driven

SEEN = Resources(100, 180, 512 * MIB, 512 * MIB)
LAST = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Learnt:
    """Of a model, what freshness is judged by."""

    workload: Workload = field(default_factory=lambda: Workload("default", "frontend"))
    card: dict[str, Any] = field(
        default_factory=lambda: {
            "driven": True,
            "last_sample": LAST.isoformat(),
            "experiments": ["frontend_checkout_replicas_2_users_40"],
            "scenarios": ["checkout"],
            "rows": 60,
            "report": {"next_steps": {}, "calibrations": {}},
            "measured": {
                "container": "server",
                "image": "shop:1",
                "replicas": 2,
                "resources": {name: getattr(SEEN, name) for name in SEEN.__dataclass_fields__},
            },
        }
    )


def model(*, is_driven: bool = True) -> ServiceModel:
    learnt = Learnt()
    learnt.card["driven"] = is_driven
    return cast(ServiceModel, learnt)


def running(resources: Resources = SEEN, image: str = "shop:1") -> Allocation:
    return Allocation(2, (Container("server", resources, image, is_main=True),))


def check(of: ServiceModel, current: Allocation | None, *, days: float, stale_ok: bool = False) -> list[str]:
    remarks = pipeline.check_fresh(of, current, now=LAST + timedelta(days=days), stale_ok=stale_ok)
    return [remark.code for remark in remarks]


def test_driven_data_does_not_age_by_itself() -> None:
    assert check(model(), running(), days=1000) == []


def test_observed_data_that_ended_long_ago_is_refused() -> None:
    assert check(model(is_driven=False), None, days=6.9) == []
    with pytest.raises(StaleAnswer, match="ends 30 days ago"):
        check(model(is_driven=False), None, days=30)


def test_a_history_that_was_collected_since_the_training_is_not_stale() -> None:
    watched = Asked()
    watched.card["driven"] = False
    later = LAST + timedelta(days=30)
    rows = pd.DataFrame({"scenario": ["observed", "browsing"], "timestamp": [later, later + timedelta(days=90)]})

    def ask(now: datetime) -> Recommendation:
        return pipeline.recommend("frontend", model=cast(ServiceModel, watched), frame=rows, now=now)

    assert [reason.code for reason in ask(later + timedelta(days=1)).reasons][:1] != ["stale-data"]
    with pytest.raises(StaleAnswer, match="ends 8 days ago"):
        ask(later + timedelta(days=8))


@pytest.mark.parametrize(
    ("current", "words"),
    [
        (running(image="shop:2"), "runs image shop:2, the data saw shop:1"),
        (running(replace(SEEN, cpu_limit_millicores=None)), "CPU limit is not set, the data saw 180m"),
        (running(replace(SEEN, memory_limit_bytes=64 * MIB)), "memory limit is 64Mi, the data saw 512Mi"),
    ],
)
def test_a_service_that_changed_since_is_refused(current: Allocation, words: str) -> None:
    with pytest.raises(StaleAnswer, match=words) as refused:
        check(model(), current, days=0)
    assert "--stale-ok" in str(refused.value)


def test_a_container_that_is_gone_is_refused() -> None:
    renamed = Allocation(2, (Container("web", SEEN, "shop:1", is_main=True),))
    with pytest.raises(StaleAnswer, match="no container 'server', which the data saw; there are: web"):
        check(model(), renamed, days=0)


def test_requests_may_change_since_they_do_not_change_what_was_measured() -> None:
    assert check(model(), running(replace(SEEN, cpu_request_millicores=500)), days=0) == []


def test_who_takes_a_stale_answer_is_told_why_it_is_one() -> None:
    changed = running(replace(SEEN, memory_limit_bytes=None), image="shop:2")
    assert check(model(is_driven=False), changed, days=30, stale_ok=True) == [
        "stale-data",
        "image-changed",
        "limits-changed",
    ]


@dataclass(frozen=True)
class Asked(Learnt):
    """A model that keeps what it was asked, and answers 100m and 64 MiB on two replicas."""

    digest: str = "sha"
    asked: dict[str, Any] = field(default_factory=dict)

    def demand(self, recent: pd.DataFrame, question: Question, *, current_replicas: int | None) -> Demand:
        self.asked.update(question=question, current_replicas=current_replicas)
        cpu, memory, replicas = (TargetDemand(need, need, need, 0.9, 9) for need in (0.1, 64.0 * MIB, 2.0))
        return Demand(self.workload, Load("browsing", 10), LAST, cpu, memory, replicas)


def advise(model: Asked, **options: Any) -> Recommendation:
    rows = pd.DataFrame({"experiment_id": ["one"]})
    return pipeline.recommend("frontend", model=cast(ServiceModel, model), frame=rows, **options)


def test_a_pod_is_sized_within_the_replicas_that_may_be() -> None:
    capped = Asked()
    advise(capped, policy=PolicySettings(max_replicas=3))
    assert (capped.asked["question"].max_replicas, capped.asked["current_replicas"]) == (3, 2)
    scaled = Asked()
    scaler = Autoscaler("frontend", Target.CPU, is_utilisation=True, target=70, min_replicas=1, max_replicas=6)
    advise(scaled, current=replace(running(), autoscaler=scaler), question=Question(min_replicas=2))
    assert (scaled.asked["question"].max_replicas, scaled.asked["current_replicas"]) == (6, 6)


def test_a_load_in_short_replaces_that_of_the_question_and_nothing_else() -> None:
    asked = Asked()
    advise(asked, question=Question(users=5, scenario="browsing", min_replicas=2), users=35)
    assert asked.asked["question"] == Question(users=35, scenario="browsing", min_replicas=2)


def test_without_a_question_the_policy_bounds_the_replicas() -> None:
    asked = Asked()
    advise(asked, policy=PolicySettings(min_replicas=2, max_replicas=4, target_utilisation=0.5))
    assert asked.asked["question"] == Question(min_replicas=2, max_replicas=4, target_utilisation=0.5)


def test_the_container_that_was_measured_gets_the_numbers() -> None:
    other = Container("cache", Resources(10, None, 16 * MIB, None), "cache:1", is_main=True)
    server = Container("server", SEEN, "shop:1")
    advice = advise(Asked(), current=Allocation(2, (other, server)))
    assert (advice.main.container, advice.main.cpu_request.now) == ("server", 100)


def test_a_container_that_nobody_named_is_said_to_be_a_guess() -> None:
    unnamed = Asked()
    unnamed.card["measured"]["container"] = None
    advice = advise(unnamed)
    assert advice.main.container == "frontend"
    assert advice.reasons[0].code == "container-guessed"
    assert "container-guessed" not in [reason.code for reason in advise(unnamed, current=running()).reasons]


def test_without_a_cluster_the_workload_stands_as_the_data_saw_it() -> None:
    state = pipeline.measured_allocation(model())
    assert state.replicas == 2
    assert state.main is not None
    assert state.main.resources == SEEN


def test_settings_reach_training() -> None:
    settings = load_settings({"train_prophet_weight": "0.3", "train_learn_weights": True}, {"MORA_HORIZON": "6h"})
    training = pipeline.train_settings(settings)
    assert training.weights == {"prophet": 0.3, "lstm": 0.7}
    assert (training.learn_weights, training.horizon) == (True, timedelta(hours=6))
    assert pipeline.train_settings(load_settings()) == TrainSettings()
    named = load_settings({"train_forecasters": "prophet,lstm,mine"}, {"MORA_TRAIN_PROPHET_WEIGHT": "0.5"})
    assert list(pipeline.train_settings(named).weights) == ["prophet", "lstm", "mine"]
    assert pipeline.train_settings(named).weights["mine"] == pytest.approx(1 / 3)
    assert pipeline.train_settings(named).weights["prophet"] == pytest.approx(1 / 3)


def test_settings_reach_the_policy_as_one_group() -> None:
    environ = {"MORA_POLICY_CPU_LIMIT": "keep", "MORA_POLICY_TOUCH_AUTOSCALED": "true", "MORA_REPLICAS_MIN": "2"}
    policy = load_settings({}, environ).policy
    assert policy == PolicySettings(cpu_limit="keep", touch_autoscaled=True, min_replicas=2)
    assert load_settings().policy == PolicySettings()


def test_a_history_is_read_on_a_round_grid_that_ends_in_the_past() -> None:
    now = datetime(2026, 11, 21, 12, 34, 56, tzinfo=UTC)
    window = pipeline.history_window(timedelta(days=60), now=now)
    assert window.step == timedelta(minutes=5)
    assert window.end <= now < window.end + window.step
    assert window.end.timestamp() % 300 == 0
    assert window.end - window.start == timedelta(days=60)


def test_a_services_name_cannot_leave_the_models_folder() -> None:
    with pytest.raises(BadInput):
        pipeline.model_folder("models", "../../etc")


def test_a_missing_model_names_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "cart").mkdir()
    (tmp_path / "cart" / "card.json").write_text("{}")
    (tmp_path / ".frontend.torn.new").mkdir()
    (tmp_path / ".frontend.torn.new" / "card.json").write_text("{}")
    with pytest.raises(BadModel, match="there are models of cart"):
        pipeline.load_model("frontend", models_dir=tmp_path)


def test_a_service_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    frame, cards = driven(scenarios=("browsing",), replicas=(1,), users=(10,), repeats=1)
    for name, rows in frame.groupby("experiment_id"):
        dataset.write_experiment(tmp_path, rows.reset_index(drop=True), cards[str(name)])
    done = pipeline.train_all(["frontend", "nope"], data_dir=tmp_path, models_dir=tmp_path / "models", jobs=1)
    assert isinstance(done[0].error, NotEnoughData)
    assert all(trained.model is None for trained in done)
    assert "mora collect" in pipeline.describe_training(done[0])
