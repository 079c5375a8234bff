"""A cluster of AKS, read through Azure's own libraries from a server on loopback."""

from __future__ import annotations

import numpy as np
import pytest

from mora.domain import Workload
from mora.errors import BadInput, NotEnoughData, SourceUnavailable
from mora.sources.azure.source import AzureSource
from mora.sources.cloud.reader import Tried
from mora.testing.sources import SourceContract, SourceStage
from tests.sources.azure.conftest import patient, source, window
from tests.sources.azure.monitor import CLUSTER, POD, Azure

WEB = Workload("shop", "web")


class TestContract(SourceContract):
    @pytest.fixture
    def stage(self, azure: Azure) -> SourceStage:
        return SourceStage(source(azure), WEB, window())


def test_a_container_is_observed_with_its_node_and_without_a_limit_that_is_the_nodes(azure: Azure) -> None:
    last = source(azure).observe(WEB, window()).metrics.iloc[-1]
    assert last["cpu_cores_value"] == pytest.approx(0.15)
    assert last["mem_bytes_value"] == 1e8  # the peak of the step, not the mean
    assert last["cpu_request_cores"] == 0.25
    assert np.isnan(last["cpu_limit_cores"])
    assert last["mem_limit_bytes"] == 2e8
    assert last["node_cpu_util_value"] == 0.25
    assert last["pod_restarts_value"] == 1


def test_states_and_histories_are_those_of_the_cluster(azure: Azure) -> None:
    there = source(azure)
    (state,) = there.states()
    assert state.workload == WEB
    assert state.allocation.containers[0].resources.memory_limit_bytes == 200_000_000
    (history,) = there.histories([state], window())
    web = history.containers["web"]
    assert (web.oom_kills, web.restarts, web.pods) == (1, 1, 1)
    assert next(iter(web.peak_pods.values())) == POD


def test_answers_that_azure_cuts_are_read_in_halves_and_throttling_is_waited_for(azure: Azure) -> None:
    whole = source(azure).observe(WEB, window()).metrics
    azure.most_rows, calls = 7, iter(range(1000))
    azure.refuse = lambda kind: (429, "TooManyRequests", "slow down") if next(calls) % 3 == 0 else None
    assert source(azure).observe(WEB, window()).metrics["cpu_cores_value"].equals(whole["cpu_cores_value"])
    azure.refuse, azure.most_rows = (lambda kind: None), 2
    with pytest.raises(SourceUnavailable, match="a part of the logs"):
        source(azure).observe(WEB, window())


def test_a_token_that_expires_is_renewed_once_and_then_an_error(azure: Azure) -> None:
    answers = iter([(401, "ExpiredAuthenticationToken", "The access token expiry UTC time is over")])
    azure.refuse = lambda kind: None if kind == "token" else next(answers, None)
    there = source(azure)
    assert there.services("shop") == ["web"]
    assert azure.calls("token") == 2
    azure.refuse = lambda kind: None if kind == "token" else (401, "ExpiredAuthenticationToken", "over")
    with pytest.raises(SourceUnavailable, match="does not accept the token"):
        there.services("shop")


def test_a_missing_right_and_missing_credentials_are_named(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    azure.refuse = lambda kind: None if kind == "token" else (403, "AuthorizationFailed", "no\x1b[31m")
    with pytest.raises(SourceUnavailable, match="does not allow") as refused:
        source(azure).services("shop")
    assert "Monitoring Reader" in str(refused.value.hint)
    assert "\x1b" not in str(refused.value)
    azure.refuse = lambda kind: (400, "invalid_client", "wrong secret") if kind == "token" else None
    with pytest.raises(SourceUnavailable, match="no Azure credentials that work") as refused:
        source(azure).services("shop")
    assert "not-a-secret-of-anyone" not in str(refused.value)


def test_gaps_order_and_units(azure: Azure) -> None:
    seen: dict[str, int] = {}

    def change(row: list[object]) -> list[object] | None:
        number = seen.setdefault(str(row[0]), len(seen))
        if number == 2:
            return None  # a gap
        if row[7] == "memoryWorkingSetBytes" and number > 3:
            return [*row[:7], "memoryWorkingSetKilobytes", 9e4, 1e5]
        return [*row[:7], "memoryLimitFurlongs", 1, 1] if row[7] == "memoryLimitBytes" else row

    azure.change = change
    seen_by = source(azure).observe(WEB, window())
    assert seen_by.metrics["cpu_cores_value"].isna().tolist() == [False, False, True, False, False, False]
    assert np.allclose(seen_by.metrics["mem_bytes_value"].dropna(), 1e8)
    assert seen_by.metrics["mem_limit_bytes"].isna().all()
    assert any("The unit of memory changed" in one for one in seen_by.warnings)
    assert any("'Furlongs'" in one for one in seen_by.warnings)


def test_an_empty_answer_names_what_there_is(azure: Azure) -> None:
    with pytest.raises(NotEnoughData, match="nonesuch") as unknown:
        source(azure).observe(Workload("shop", "nonesuch"), window())
    assert "web" in str(unknown.value.hint)
    azure.change = lambda row: None
    with pytest.raises(SourceUnavailable, match="no samples of containers"):
        source(azure).states()


def test_each_right_is_tried_by_its_name(azure: Azure) -> None:
    def check() -> list[Tried]:
        return list(source(azure).check())

    assert [one.is_ok for one in check()] == [True, True, True]
    azure.refuse = lambda kind: (403, "AuthorizationFailed", "no") if kind == "metrics" else None
    assert [(one.is_ok, one.is_needed) for one in check()] == [(True, True), (True, True), (False, False)]
    azure.refuse = lambda kind: (403, "AuthorizationFailed", "no") if kind == "resource" else None
    assert [one.is_ok for one in check()] == [False]


def test_without_a_cluster_it_asks_for_one(azure: Azure) -> None:
    with pytest.raises(BadInput, match="Which AKS cluster"):
        AzureSource(endpoint=azure.url, patience=patient()).states()
    gone = AzureSource(CLUSTER.replace("prod", "gone"), endpoint=azure.url, patience=patient())
    assert not next(iter(gone.check())).is_ok
