"""Incidents whose cause is certain: what must come together, and what stays where a part of it is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.domain import ContainerHistory, FailingCalls, ImageUse, Recommendation, Window, Workload, WorkloadState
from mora.fleet.certain import causes_of, leaks_of, mended, no_causes
from mora.fleet.settings import FleetSettings
from mora.fleet.stream import stream
from mora.quantities import MIB
from tests.fleet.making import (
    AT_ONCE,
    DAY,
    SAMPLES,
    STEP,
    WINDOW,
    annotated,
    codes,
    container_history,
    history,
    state,
    steady,
    words,
)

HOUR = 12
KILL = SAMPLES - 1 - 5 * DAY
BEGIN = KILL - 31 * HOUR
CHANGE = KILL + 2 * HOUR
CERTAIN = replace(AT_ONCE, certain=True)


def at(row: int) -> Any:
    return WINDOW.start + row * STEP


def image(name: str, first: int, last: int, container: str = "server") -> ImageUse:
    return ImageUse(container, name, at(first), at(last))


MENDED = (image("shop/web:1.0", 0, CHANGE), image("shop/web:1.1", CHANGE, SAMPLES - 1))


def leaking(*kills: int, top: float = 500.0, hours: int = 31, **fields: Any) -> ContainerHistory:
    """200 MiB, and before each kill a rise to `top` MiB."""
    memory = steady(200 * MIB, seed=2)
    for kill in kills:
        rise = np.linspace(0, (top - 200) * MIB, hours * HOUR)
        memory[kill - hours * HOUR : kill] += rise
    given: dict[str, Any] = {
        "mem_bytes": memory,
        "oom_kills": len(kills),
        "oom_rows": kills,
        "oom_limit_bytes": 512.0 * MIB if kills else None,
        "restarts": len(kills),
    }
    return container_history(**(given | fields))


class Told:
    """A source that tells of images, and how often it was asked."""

    def __init__(self, *images: ImageUse, calls: tuple[FailingCalls, ...] = ()) -> None:
        self.known, self.calls, self.asked = images, calls, 0

    def images(self, workload: Workload, window: Window) -> tuple[ImageUse, ...]:
        self.asked += 1
        return self.known

    def failing_calls(self, workload: Workload, window: Window) -> tuple[FailingCalls, ...]:
        return self.calls


def sized(
    seen: ContainerHistory,
    source: Told | None = None,
    of: WorkloadState | None = None,
    settings: FleetSettings = CERTAIN,
) -> Recommendation:
    causes = no_causes if source is None else causes_of(source)
    (advice,) = stream([of or state()], [history(seen)], WINDOW, settings, causes=causes)
    return advice


def found(seen: ContainerHistory, images: Sequence[ImageUse] = MENDED) -> int:
    return len(mended(leaks_of(seen), seen, images, WINDOW))


def test_a_leak_that_a_new_image_mended_is_left_out_with_its_cause_and_both_numbers() -> None:
    source = Told(*MENDED)
    usual, whole, less = sized(container_history()), sized(leaking(KILL)), sized(leaking(KILL), source)
    assert (less.main.memory_request.value or 0) < (whole.main.memory_request.value or 0)
    assert less.main.memory_request.value == pytest.approx(usual.main.memory_request.value, rel=0.02)
    assert f"left in it would be {(whole.main.memory_request.value or 0) // MIB}Mi" in words(less.main.memory_request)
    text = words(less)
    assert "memory of server rose for 31h from" in text
    assert "to an OOM kill at 2026-11-15 12:00 UTC" in text
    assert "the image changed at 2026-11-15 14:00 UTC from shop/web:1.0 to shop/web:1.1" in text
    assert "1 OOM kill in it did not raise memory" in text
    assert source.asked == 1


def test_it_is_done_only_where_it_is_asked_for_and_nothing_is_read_before() -> None:
    source = Told(*MENDED)
    assert sized(leaking(KILL), source, settings=AT_ONCE) == sized(leaking(KILL), settings=AT_ONCE)
    assert source.asked == 0
    by_annotation = sized(leaking(KILL), source, state(annotations=annotated(incidents="certain")), AT_ONCE)
    assert "incidents-left-out" in codes(by_annotation)
    assert source.asked == 1


def test_images_are_asked_for_only_where_memory_rose_to_a_kill() -> None:
    source = Told(*MENDED)
    sized(container_history(), source)
    sized(leaking(KILL, oom_rows=(), oom_kills=0), source)
    assert source.asked == 0


@pytest.mark.parametrize(
    ("seen", "images"),
    [
        pytest.param(leaking(KILL, oom_rows=(), oom_kills=0), MENDED, id="a leak alone"),
        pytest.param(container_history(oom_rows=(KILL,), oom_kills=1), MENDED, id="a kill and an image, no leak"),
        pytest.param(leaking(KILL), (), id="images are not known"),
        pytest.param(leaking(KILL), (image("shop/web:1.0", 0, SAMPLES - 1),), id="no new image"),
        pytest.param(
            leaking(KILL),
            (image("shop/web:1.0", 0, SAMPLES - 1), image("shop/web:1.1", CHANGE, CHANGE + DAY)),
            id="rolled back",
        ),
        pytest.param(
            leaking(KILL),
            (image("shop/web:1.0", 0, KILL - DAY), image("shop/web:1.1", KILL - DAY, SAMPLES)),
            id="before",
        ),
        pytest.param(
            leaking(KILL),
            (image("shop/web:1.0", 0, KILL + 3 * DAY), image("shop/web:1.1", KILL + 3 * DAY, SAMPLES - 1)),
            id="days later",
        ),
        pytest.param(
            leaking(SAMPLES - 15 * HOUR, hours=12),
            (image("shop/web:1.0", 0, SAMPLES - 13 * HOUR), image("shop/web:1.1", SAMPLES - 13 * HOUR, SAMPLES)),
            id="not yet a day ago",
        ),
        pytest.param(leaking(KILL, KILL + 3 * DAY), MENDED, id="it leaks on"),
        pytest.param(leaking(KILL, oom_rows=(KILL, SAMPLES - 10), oom_kills=2), MENDED, id="it is killed again"),
        pytest.param(leaking(KILL, top=280), MENDED, id="a small rise"),
        pytest.param(
            leaking(KILL, cpu_cores=np.where(np.arange(SAMPLES) < CHANGE, 2, 1) * steady()),
            MENDED,
            id="less load since",
        ),
        pytest.param(leaking(KILL, cpu_cores=np.full(SAMPLES, np.nan)), MENDED, id="the load is not known"),
    ],
)
def test_nothing_is_left_out_where_a_part_is_missing(seen: ContainerHistory, images: Sequence[ImageUse]) -> None:
    assert found(leaking(KILL)) == 1
    assert found(seen, images) == 0


def test_a_step_in_memory_is_no_leak() -> None:
    memory = steady(200 * MIB, seed=2)
    memory[KILL - 12 * HOUR : KILL] += 300 * MIB
    assert leaks_of(leaking(KILL, mem_bytes=memory)) == []
    level = np.full(SAMPLES, 200.0 * MIB)
    level[KILL - 12 * HOUR : KILL] = 500 * MIB
    assert leaks_of(leaking(KILL, mem_bytes=level)) == []


def test_a_leak_that_came_again_until_the_new_image_is_left_out_each_time() -> None:
    kills = (KILL - 2 * 32 * HOUR, KILL - 32 * HOUR, KILL)
    seen = leaking(*kills)
    incidents = mended(leaks_of(seen), seen, MENDED, WINDOW)
    assert [one.span.end for one in incidents] == [at(kill) for kill in kills]
    # One a week before has nothing to do with it.
    early = leaking(KILL - 7 * DAY, KILL)
    (one,) = mended(leaks_of(early), early, MENDED, WINDOW)
    assert one.span.end == at(KILL)


def test_only_the_image_of_the_container_that_leaked_counts() -> None:
    sidecar = [replace(one, container="proxy") for one in MENDED]
    source = Told(image("shop/web:1.0", 0, SAMPLES - 1), *sidecar)
    assert "incidents-left-out" not in codes(sized(leaking(KILL), source))


@given(
    kills=st.lists(st.integers(0, SAMPLES - 1), max_size=4, unique=True),
    change=st.integers(1, SAMPLES - 2),
    holes=st.lists(st.integers(0, SAMPLES - 1), max_size=30),
    hours=st.integers(1, 60),
)
def test_what_is_left_out_always_ends_in_a_kill_before_the_new_image(
    kills: list[int], change: int, holes: list[int], hours: int
) -> None:
    memory = steady(200 * MIB, seed=2)
    for kill in kills:
        begin = max(0, kill - hours * HOUR)
        memory[begin:kill] += np.linspace(0, 300 * MIB, kill - begin)
    memory[holes] = np.nan
    seen = leaking(mem_bytes=memory, oom_rows=tuple(sorted(kills)), oom_kills=len(kills))
    images = (image("shop/web:1.0", 0, change), image("shop/web:1.1", change, SAMPLES - 1))
    incidents = mended(leaks_of(seen), seen, images, WINDOW)
    assert all(one.span.end in {at(kill) for kill in kills} for one in incidents)
    assert all(one.span.start < one.span.end < at(change) for one in incidents)
    assert all(one.span.end <= other.span.start for one, other in pairwise(incidents))
    assert not incidents or WINDOW.end - at(change) >= timedelta(days=1)
