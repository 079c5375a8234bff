"""The verdict on a window: what others did counts where it could have changed the figures, and only there."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.harness.contention import judge
from mora.harness.host import HostUse
from mora.harness.record import LoadFigures, LoopFigures

# 50 requests a second at a p95 of 100 ms; two cores, on which another program takes what is idle and no thread waits.
FIGURES = LoadFigures(3000, 0, 50.0, 0.04, 0.1, 0.2, 0.0)
LOOP = LoopFigures(late_p95_seconds=0.002, cpu_cores=0.2, waited_cores=0.01)
HOST = HostUse(
    cores=2,
    others_cores=1.4,
    others_memory_bytes=2**30,
    idle_cores=0.0,
    steal_cores=0.0,
    pressure_ratio=0.6,
    run_queue=3.0,
    target_cores=0.5,
    target_waited_cores=0.02,
)


def test_a_program_that_takes_only_what_is_idle_is_no_contention() -> None:
    found = judge(HOST, [(FIGURES, LOOP)])
    assert not found.is_contended
    assert found.others_cores == pytest.approx(1.2)


def test_what_locust_started_late_is_compared_with_the_p95_that_contains_it() -> None:
    late = replace(LOOP, late_p95_seconds=0.03)
    assert judge(HOST, [(FIGURES, late)]).reasons == ("Locust was 30 ms late, of a p95 of 100 ms",)
    slow = replace(FIGURES, latency_p95_seconds=0.29)
    assert not judge(HOST, [(slow, replace(LOOP, late_p95_seconds=0.028))]).is_contended


def test_a_p95_of_seconds_excuses_no_waiting_that_can_have_made_it() -> None:
    """Measured on a machine whose CPU others took: a p95 of 20 s, and 0.96 s of waiting in each request."""
    slow = replace(FIGURES, latency_p95_seconds=20.0, requests_per_second=2.0)
    host = replace(HOST, target_waited_cores=1.926)
    assert judge(host, [(slow, replace(LOOP, late_p95_seconds=0.66))]).reasons == (
        "Locust was 660 ms late, of a p95 of 20000 ms",
        "the services waited 963 ms for a CPU in each request, of a p95 of 20000 ms",
    )


def test_what_the_services_waited_counts_by_request() -> None:
    host = replace(HOST, target_waited_cores=0.75)
    assert judge(host, [(FIGURES, LOOP)]).reasons == (
        "the services waited 15 ms for a CPU in each request, of a p95 of 100 ms",
    )
    assert not judge(host, [(replace(FIGURES, requests_per_second=500.0), LOOP)]).is_contended


def test_what_locust_waited_counts_as_well() -> None:
    found = judge(HOST, [(FIGURES, replace(LOOP, waited_cores=0.6))])
    assert found.reasons == ("Locust waited 12 ms for a CPU in each request, of a p95 of 100 ms",)


def test_figures_just_under_a_round_number_and_large_nodes_are_written_without_an_exponent() -> None:
    figures = replace(FIGURES, latency_p95_seconds=0.0996)
    assert judge(HOST, [(figures, replace(LOOP, late_p95_seconds=0.0996))]).reasons == (
        "Locust was 100 ms late, of a p95 of 100 ms",
    )
    node = replace(HOST, cores=192, others_cores=128.4, target_waited_cores=None)
    assert judge(node, [(FIGURES, LOOP)]).reasons == ("other programs used 128 of 192 cores, and none were idle",)


def test_a_hypervisor_that_takes_the_cpu_is_named() -> None:
    assert judge(replace(HOST, steal_cores=0.2), [(FIGURES, LOOP)]).reasons == ("the hypervisor took 10% of the CPU",)


def test_where_waiting_is_not_counted_a_full_machine_decides() -> None:
    node = replace(HOST, target_waited_cores=None)
    assert judge(node, [(FIGURES, LOOP)]).reasons == ("other programs used 1.2 of 2 cores, and none were idle",)
    assert not judge(replace(node, idle_cores=0.5), [(FIGURES, LOOP)]).is_contended
    assert not judge(replace(node, others_cores=0.3), [(FIGURES, LOOP)]).is_contended


def test_nothing_known_is_no_contention_and_a_load_without_an_answer_no_division_by_zero() -> None:
    nothing = LoadFigures(0, 0, 0.0, None, None, None, None)
    assert not judge(None, [(FIGURES, None)]).is_contended
    assert not judge(HOST, [(nothing, LoopFigures(None, None, None))]).is_contended
    assert judge(None, []).others_cores is None


def test_of_several_loads_the_fastest_is_changed_first_and_their_waiting_adds_up() -> None:
    slow = replace(FIGURES, latency_p95_seconds=2.0)
    late = replace(LOOP, late_p95_seconds=0.05)
    assert judge(HOST, [(slow, late), (FIGURES, LOOP)]).is_contended
    assert judge(HOST, [(FIGURES, LOOP), (FIGURES, LOOP)]).load_waited_cores == pytest.approx(0.02)


def test_the_json_has_every_figure_and_the_verdict() -> None:
    plain = judge(replace(HOST, steal_cores=0.2), [(FIGURES, LOOP)]).to_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["is_contended"] is True
    assert plain["others_cores"] == pytest.approx(1.2)
    assert {"late_p95_seconds", "load_waited_cores", "pressure_ratio", "run_queue", "idle_cores"} <= plain.keys()
    assert judge(None, []).to_dict()["is_contended"] is False


@given(
    late=st.floats(0, 1), waited=st.floats(0, 2), steal=st.floats(0, 2), more=st.floats(0, 1), p95=st.floats(0.001, 10)
)
def test_more_waiting_never_makes_a_contended_window_quiet(
    late: float, waited: float, steal: float, more: float, p95: float
) -> None:
    figures = replace(FIGURES, latency_p95_seconds=p95)

    def contended(extra: float) -> bool:
        host = replace(HOST, target_waited_cores=waited + extra, steal_cores=steal + extra)
        return judge(host, [(figures, replace(LOOP, late_p95_seconds=late + extra))]).is_contended

    assert contended(more) >= contended(0)
