"""Data that no longer describes what runs is refused, or used with a reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from mora import pipeline
from mora.domain import (
    Allocation,
    Container,
)
from mora.errors import StaleAnswer
from mora.model import ServiceModel
from mora.quantities import MIB
from tests.pipeline.making import LAST, SEEN, model, running


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
        (running(image="shop:2"), "runs image shop:2; the data is of shop:1"),
        (running(replace(SEEN, cpu_limit_millicores=None)), "CPU limit is not set; it was 180m when"),
        (running(replace(SEEN, memory_limit_bytes=64 * MIB)), "memory limit is 64Mi; it was 512Mi when"),
    ],
)
def test_a_service_that_changed_since_is_refused(current: Allocation, words: str) -> None:
    with pytest.raises(StaleAnswer, match=words) as refused:
        check(model(), current, days=0)
    assert "--stale-ok" in str(refused.value)


def test_a_container_that_is_gone_is_refused() -> None:
    renamed = Allocation(2, (Container("web", SEEN, "shop:1", is_main=True),))
    with pytest.raises(StaleAnswer, match="no container 'server', which the data is of; there are: web"):
        check(model(), renamed, days=0)


def test_requests_may_change_since_they_do_not_change_what_was_measured() -> None:
    assert check(model(), running(replace(SEEN, cpu_request_millicores=500)), days=0) == []


def test_a_stale_answer_has_the_reasons_why_it_is_one() -> None:
    changed = running(replace(SEEN, memory_limit_bytes=None), image="shop:2")
    assert check(model(is_driven=False), changed, days=30, stale_ok=True) == [
        "stale-data",
        "image-changed",
        "limits-changed",
    ]


def test_without_a_cluster_the_state_is_the_one_that_was_measured() -> None:
    state = pipeline.measured_allocation(model())
    assert state.replicas == 2
    assert state.main is not None
    assert state.main.resources == SEEN
