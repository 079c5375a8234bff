"""Time ranges that are left out of a history."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from mora.domain import (
    Window,
)
from mora.errors import BadInput
from mora.fleet.spans import left_out, parse_span
from tests.fleet.making import NOW


def test_the_samples_that_touch_a_span_are_left_out() -> None:
    window = Window(NOW, NOW + timedelta(hours=1), timedelta(minutes=5))

    def taken(text: str) -> list[int]:
        return np.flatnonzero(left_out(window, [parse_span(text)])).tolist()

    assert taken("2026-11-20T12:10/2026-11-20T12:20") == [2, 3, 4]  # the last tells of the five minutes before it
    assert taken("2026-11-20T12:11/2026-11-20T12:21") == [3, 4, 5]
    assert taken("2026-11-01/2026-11-02") == []
    assert taken("2026-11-01/2026-12-01") == list(range(13))


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-01", "2026-11-02/2026-11-01", "a/b", "2026-11-01/b/c"])
def test_a_span_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse_span(text)
