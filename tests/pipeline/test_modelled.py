"""What a trained model answers: for which load, within which replicas, and for which container."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, cast

import pandas as pd
import pytest

from mora import pipeline
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
)
from mora.errors import StaleAnswer
from mora.model import ServiceModel
from mora.policies import PolicySettings
from mora.quantities import MIB
from tests.pipeline.making import LAST, SEEN, Learnt, running


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


def test_a_container_without_a_name_is_marked_as_a_guess() -> None:
    unnamed = Asked()
    unnamed.card["measured"]["container"] = None
    advice = advise(unnamed)
    assert advice.main.container == "frontend"
    assert advice.reasons[0].code == "container-guessed"
    assert "container-guessed" not in [reason.code for reason in advise(unnamed, current=running()).reasons]
