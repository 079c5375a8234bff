from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from mora.errors import SourceUnavailable
from mora.record.reading import reading
from mora.record.store import InForce
from mora.web.compute import Failed
from mora.web.refresh import Compute
from mora.web.service import ServeSettings, refresh_once
from tests.web.making import MADE_AT, Logged, found


def settings(folder: Path) -> ServeSettings:
    return ServeSettings(("127.0.0.1", 0), folder / "record.sqlite", 900.0, 90.0)


def good(is_over: threading.Event) -> Compute:
    def compute(applied: Iterable[InForce]) -> dict[str, Any]:
        return found()

    return compute


def away(is_over: threading.Event) -> Compute:
    def compute(applied: Iterable[InForce]) -> dict[str, Any]:
        raise SourceUnavailable("Prometheus does not answer.", hint="Is it up?")

    return compute


def test_one_refresh_is_recorded_without_a_server(tmp_path: Path) -> None:
    refresh_once({"": good}, settings(tmp_path), log=Logged())
    with reading(tmp_path / "record.sqlite") as read:
        (state,) = read.refreshes()
        assert state.succeeded_at == MADE_AT
        assert read.recommended_since(0.0)


def test_of_several_clusters_the_one_that_answers_is_recorded_and_the_other_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="Prometheus does not answer") as refused:
        refresh_once({"a": away, "b": good}, settings(tmp_path), log=Logged())
    assert refused.value.hint == "Is it up?"
    with reading(tmp_path / "record.sqlite") as read:
        assert [(one.cluster, one.problem) for one in read.refreshes()] == [
            ("a", "Prometheus does not answer."),
            ("b", None),
        ]
