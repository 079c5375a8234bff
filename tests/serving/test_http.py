"""What a kubelet and a Prometheus are told, over real HTTP."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mora.errors import BadInput, MoraError
from mora.serving.http import Endpoints, parse_address
from mora.vpa.loop import PassReport
from mora.vpa.telemetry import Telemetry


class Told:
    """A Telemetry with its clock and its leadership in the test's hands."""

    def __init__(self) -> None:
        self.seconds, self.leads, self.answers, self.votes = 50.0, True, True, True
        self.telemetry = Telemetry(
            leads=lambda: self.leads,
            answers=lambda: self.answers,
            votes=lambda: self.votes,
            steady=lambda: self.seconds,
        )


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def url(told: Told) -> Iterator[str]:
    with Endpoints(("127.0.0.1", 0), told.telemetry) as endpoints:
        yield f"http://127.0.0.1:{endpoints.port}"


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  # loopback
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def samples(url: str) -> dict[str, float]:
    return {
        sample.name + "".join(f"{{{value}}}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(get(url + "/metrics")[1])
        for sample in family.samples
        if "le" not in sample.labels
    }


def test_a_loop_that_moves_is_well_and_one_that_hangs_is_not(told: Told, url: str) -> None:
    assert get(url + "/healthz") == (200, "ok\n")
    told.seconds += 901
    assert get(url + "/healthz") == (503, "the loop has not moved for 15m\n")
    told.telemetry.beat()
    assert get(url + "/healthz")[0] == 200


def test_an_election_that_a_bug_has_ended_is_not_well(told: Told, url: str) -> None:
    told.votes = False
    assert get(url + "/healthz") == (503, "the leader election has ended\n")


def test_a_leader_is_ready_after_a_pass_that_went_well(told: Told, url: str) -> None:
    assert get(url + "/readyz") == (503, "the first pass has not ended\n")
    told.telemetry.passed(PassReport(vpas=2, with_number=2))
    assert get(url + "/readyz") == (200, "ok\n")
    told.telemetry.passed(PassReport(errors=Counter(write=2)))
    assert get(url + "/readyz") == (503, "the last pass failed: write 2\n")


def test_a_follower_is_ready_while_it_can_read_the_lease(told: Told, url: str) -> None:
    told.leads = False
    assert get(url + "/readyz")[0] == 200
    told.answers = False
    assert get(url + "/readyz") == (503, "the lease cannot be read\n")


def test_metrics_count_passes_and_tell_the_age_of_the_last(told: Told, url: str) -> None:
    assert samples(url)["mora_recommender_last_pass_age_seconds"] == float("inf")
    told.telemetry.passed(PassReport(seconds=1.5, vpas=3, with_number=2, written=2, errors=Counter(write=1)))
    told.telemetry.passed(PassReport(seconds=0.5, vpas=3, with_number=2))
    told.seconds += 7
    found = samples(url)
    assert found["mora_recommender_passes_total{ok}"] == found["mora_recommender_passes_total{failed}"] == 1
    assert found["mora_recommender_pass_seconds_sum"] == 2.0
    assert found["mora_recommender_errors_total{write}"] == 1
    assert found["mora_recommender_status_writes_total"] == 2
    assert (found["mora_recommender_vpas{true}"], found["mora_recommender_vpas{false}"]) == (2, 1)
    assert found["mora_recommender_last_pass_age_seconds"] == 7
    assert found["mora_recommender_is_leader"] == 1


def test_whoever_follows_counts_no_objects_so_that_a_sum_is_right(told: Told, url: str) -> None:
    told.telemetry.passed(PassReport(vpas=3, with_number=2))
    told.leads = False
    found = samples(url)
    assert (found["mora_recommender_vpas{true}"], found["mora_recommender_vpas{false}"]) == (0, 0)
    assert found["mora_recommender_is_leader"] == 0


def test_another_path_says_what_there_is(url: str) -> None:
    assert get(url + "/") == (404, "There is /healthz, /readyz and /metrics.\n")


def test_a_port_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(MoraError, match="Cannot listen"):
        Endpoints(taken.getsockname(), Telemetry())


@pytest.mark.parametrize("text", ["8942", ":8942", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000"])
def test_an_address_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="not an address"):
        parse_address(text)
