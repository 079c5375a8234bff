"""An init container that requests more than all that runs after it: said, with its name and both amounts."""

from __future__ import annotations

from dataclasses import replace

from mora.domain import Resources, Role
from mora.quantities import GIB, MIB
from tests.fleet.making import advised, codes, container, state, words


def with_init(cpu: int, memory: int) -> str:
    server = container(cpu_request_millicores=2000, memory_request_bytes=2 * GIB, memory_limit_bytes=2 * GIB)
    warmup = container("warmup", Role.INIT, cpu_request_millicores=cpu, memory_request_bytes=memory)
    advice = advised(state(server, warmup))
    return words(advice) if "init-request-rules" in codes(advice) else ""


def test_the_init_container_is_named_that_keeps_a_cut_from_freeing_anything() -> None:
    said = with_init(2000, 100 * MIB)
    assert "each pod reserves 2 cores of CPU for its init container warmup" in said
    assert "request less CPU for warmup too" in said
    assert "less memory for warmup" not in said


def test_where_the_pod_itself_requests_it_is_the_place_to_request_less() -> None:
    now = state()
    own = replace(now, allocation=replace(now.allocation, pod=Resources(2000)))
    said = words(advised(own))
    assert "each pod reserves 2 cores of CPU, which the pod itself requests" in said
    assert codes(advised(own)).count("pod-request-rules") == 1


def test_an_init_container_that_requests_less_than_what_runs_is_not_spoken_of() -> None:
    assert with_init(50, 50 * MIB) == ""
