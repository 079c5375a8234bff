"""CloudSource over a made-up reader: the contract of sources, names, kinds, namespaces and errors."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from mora.domain import Window, Workload
from mora.errors import BadInput, NotEnoughData, SourceUnavailable
from mora.sources.cloud import source as module
from mora.sources.cloud.signals import Of, Signal
from mora.sources.cloud.source import CloudSource
from mora.testing.sources import SourceContract, SourceStage
from tests.sources.cloud.made_up import REDIS, START, WEB, WEB_PODS, MadeUpReader, of, page, shop, window


def now() -> datetime:
    return START + timedelta(minutes=55)


def source(reader: MadeUpReader | None = None) -> CloudSource:
    return CloudSource(reader or shop(), now=now)


class TestContract(SourceContract):
    @pytest.fixture
    def stage(self) -> SourceStage:
        return SourceStage(source(), WEB, window())


def test_a_workload_is_taken_by_its_name_where_it_is_of_another_kind() -> None:
    seen = source().observe(Workload("shop", "redis"), window())
    assert seen.workload == Workload("shop", "redis")
    assert seen.main_container == "redis"
    assert "redis is a StatefulSet, by what a made-up cloud tells of its pods." in seen.warnings


def test_of_two_workloads_of_one_name_the_kind_must_be_given() -> None:
    reader = MadeUpReader(
        *shop().pages, page(Signal.CPU, [1.0] * 12, of(Workload("shop", "redis", "DaemonSet"), "redis-x2klp"))
    )
    assert source(reader=reader).observe(REDIS, window()).main_container == "redis"
    with pytest.raises(NotEnoughData) as refused:
        source(reader=reader).observe(Workload("shop", "redis"), window())
    assert refused.value.hint == "Name one: daemonset/redis, statefulset/redis."


def test_another_namespace_names_those_there_are() -> None:
    with pytest.raises(NotEnoughData, match="in these namespaces: shop"):
        source().observe(Workload("live", "web"), window())
    with pytest.raises(SourceUnavailable, match="no samples of containers in namespace 'live'"):
        source().states("live")


def test_a_step_finer_than_the_points_is_refused_before_anything_is_read() -> None:
    reader = shop()
    with pytest.raises(BadInput, match="has a point every 1m"):
        CloudSource(reader).observe(WEB, Window(START, now(), timedelta(seconds=15)))
    with pytest.raises(BadInput):
        list(CloudSource(reader).histories([], Window(START, now(), timedelta(seconds=15))))
    assert reader.asked == []


def test_many_workloads_are_read_a_namespace_at_a_time() -> None:
    other = Workload("live", "api")
    reader = MadeUpReader(*shop().pages, page(Signal.CPU, [1.0] * 12, of(other, "api-7d4b9c8f6d-x2klp")))
    both = source(reader=reader)
    states = both.states()
    assert [state.workload for state in states] == [other, REDIS, WEB]
    assert [state.workload for state in both.states("shop")] == [REDIS, WEB]
    reader.asked.clear()
    histories = {one.workload: one for one in both.histories(states, window())}
    assert [scope.namespace for _, scope, _ in reader.asked] == ["live", "shop"]
    assert sorted(histories) == [other, REDIS, WEB]
    assert all(histories[state.workload].containers for state in states)


def test_a_state_that_has_no_samples_in_the_window_gets_an_empty_history() -> None:
    gone = replace(source().states("shop")[0], workload=Workload("shop", "gone"))
    (history,) = source().histories([gone], window())
    assert history.containers == {}


def test_series_with_hostile_names_are_left_out_and_told() -> None:
    reader = MadeUpReader(*shop().pages, page(Signal.CPU, [99.0] * 12, Of(WEB, "../../etc", "server")))
    seen = source(reader=reader).observe(WEB, window())
    assert seen.metrics["cpu_cores_value"].max() == pytest.approx(0.3)
    assert "1 series have a pod's name that Kubernetes would not accept: left out." in seen.warnings


def test_an_answer_without_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_SERIES", 3)
    with pytest.raises(SourceUnavailable, match="more than 3 series"):
        source().services("shop")


def test_only_what_the_cloud_can_know_is_asked_for() -> None:
    reader = shop()
    assert set(source(reader=reader).queries(WEB, window())) == {str(signal) for signal in reader.signals}
    assert WEB_PODS[0] not in repr(source(reader=reader))


def test_an_incomplete_answer_is_a_warning_of_one_line_without_control_characters() -> None:
    reader = MadeUpReader(*shop().pages, remarks=["The answer is incomplete: \x1b[2J" + "x" * 900, "Late."])
    told = [
        one for one in source(reader=reader).observe(WEB, window()).warnings if "incomplete" in one or one == "Late."
    ]
    assert len(told) == 2
    assert len(told[0]) < 510
    assert told[0].isprintable()
