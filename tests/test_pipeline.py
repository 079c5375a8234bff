"""The use-cases: what is refused as stale, what a history's grid is, what one failing service does to the others."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from mora import dataset, pipeline
from mora.domain import Allocation, Container, Resources, Workload
from mora.errors import BadInput, BadModel, NotEnoughData, StaleAnswer
from mora.model import ServiceModel
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
            "standing": {
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


def test_requests_may_change_since_they_do_not_change_what_was_measured() -> None:
    assert check(model(), running(replace(SEEN, cpu_request_millicores=500)), days=0) == []


def test_who_takes_a_stale_answer_is_told_why_it_is_one() -> None:
    changed = running(replace(SEEN, memory_limit_bytes=None), image="shop:2")
    assert check(model(is_driven=False), changed, days=30, stale_ok=True) == [
        "stale-data",
        "image-changed",
        "limits-changed",
    ]


def test_without_a_cluster_the_workload_stands_as_the_data_saw_it() -> None:
    standing = pipeline.standing_allocation(model())
    assert standing.replicas == 2
    assert standing.main is not None
    assert standing.main.resources == SEEN


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
