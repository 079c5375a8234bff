"""What is freed is what pods reserve: requests times replicas, and a price an hour times the hours of a month."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from mora.domain import Advice, Allocation, Container, Recommendation, Resources, Role, Workload
from mora.errors import BadInput
from mora.quantities import GIB
from mora.savings import HOURS_PER_MONTH, Prices, line, savings, words
from tests.outputs import examples


def advised(now: Resources, then: Resources, *, replicas: int | None = 4, to: int | None = None) -> Recommendation:
    advice = examples.other("server", Role.APP, now, then)
    return replace(
        examples.frontend(),
        workload=Workload("shop", "web"),
        current=Allocation(replicas, (Container("server", now, is_main=True),)),
        containers=(replace(advice, is_main=True),),
        replicas=Advice(replicas, to, reasons=()),
    )


HALVED = advised(Resources(1000, None, 2 * GIB, None), Resources(500, None, GIB, None))


def test_cores_and_gib_are_those_of_all_replicas() -> None:
    freed = savings([HALVED])
    assert (freed.cores, freed.memory_gib, freed.cores_now, freed.memory_gib_now) == (2.0, 4.0, 4.0, 8.0)
    assert freed.money_per_month is None


def test_a_month_has_730_hours_and_the_window_has_no_part_in_the_price() -> None:
    prices = Prices(cpu_per_core_hour=0.04, memory_per_gib_hour=0.005)
    expected = round((2.0 * 0.04 + 4.0 * 0.005) * 730, 2)
    assert HOURS_PER_MONTH == 730
    for days in (1, 14, 400):
        seen = replace(examples.EVIDENCE, start=examples.AS_OF - timedelta(days=days), samples=days * 2880)
        assert savings([examples.with_main(HALVED, evidence=seen)], prices).money_per_month == expected


def test_the_default_prices_are_those_that_opencost_ships() -> None:
    assert (Prices().cpu_per_core_hour, Prices().memory_per_gib_hour, Prices().currency) == (0.031611, 0.004237, "USD")


def beside(*more: Container, overhead: Resources | None = None) -> Recommendation:
    """The workload whose one container is halved, with these beside it in each pod."""
    server = HALVED.current.containers[0]
    return replace(HALVED, current=Allocation(4, (server, *more), overhead=overhead or Resources()))


def test_one_replica_less_frees_all_of_its_containers() -> None:
    proxy = Container("istio-proxy", Resources(100, None, GIB, None), is_injected=True, role=Role.SIDECAR)
    setup = Container("setup", Resources(400, None, GIB, None), role=Role.INIT)
    server = HALVED.current.containers[0]
    halved = examples.with_main(
        HALVED,
        cpu_request=replace(HALVED.main.cpu_request, value=1000),
        memory_request=replace(HALVED.main.memory_request, value=2 * GIB),
    )
    fewer = replace(halved, current=Allocation(4, (server, proxy, setup)), replicas=Advice(4, 3, reasons=()))
    freed = savings([fewer])
    assert (round(freed.cores, 9), round(freed.memory_gib, 9), freed.held_by_init) == (1.1, 3.0, 0)


def test_where_an_init_container_requests_as_much_savings_say_that_nothing_is_freed() -> None:
    """kubernetes/kubernetes#119547: the scheduler reserves max(init containers, sum of the others)."""
    freed = savings([beside(Container("warmup", Resources(1000, None, 2 * GIB, None), role=Role.INIT))], Prices())
    assert (freed.cores, freed.memory_gib, freed.cores_now, freed.money_per_month) == (0.0, 0.0, 4.0, 0.0)
    assert freed.held_by_init == 1
    assert "The pods of 1 workload reserve what an init container or the pod itself requests" in line(freed)


def test_a_cut_below_what_an_init_container_requests_frees_the_part_above_it() -> None:
    freed = savings([beside(Container("warmup", Resources(700, None, GIB, None), role=Role.INIT))])
    assert (round(freed.cores, 9), freed.memory_gib) == (1.2, 4.0)


def test_a_native_sidecar_that_starts_before_an_init_container_counts_with_it() -> None:
    proxy = Container("proxy", Resources(200, None, 0, None), role=Role.NATIVE_SIDECAR)
    setup = Container("setup", Resources(900, None, 0, None), role=Role.INIT)
    # Before: max(1000 + 200, 200 + 900) = 1200; after: max(500 + 200, 200 + 900) = 1100.
    assert round(savings([beside(proxy, setup)]).cores, 9) == 0.4
    # Where it starts after, it does not: max(500 + 200, 900) = 900.
    assert round(savings([beside(setup, proxy)]).cores, 9) == 1.2


def test_the_overhead_of_a_runtime_class_is_reserved_before_and_after() -> None:
    freed = savings([beside(overhead=Resources(250, None, GIB, None))])
    assert (freed.cores, freed.cores_now, freed.memory_gib, freed.memory_gib_now) == (2.0, 5.0, 4.0, 12.0)


def test_where_the_pod_itself_requests_its_containers_free_nothing() -> None:
    alone = beside()
    freed = savings([replace(alone, current=replace(alone.current, pod=Resources(1500, None, None, None)))])
    assert (freed.cores, freed.cores_now, freed.held_by_init) == (0.0, 6.0, 1)
    assert (freed.memory_gib, freed.memory_gib_now) == (4.0, 8.0)


def test_a_request_that_is_new_beside_a_larger_init_container_reserves_nothing_anew() -> None:
    fresh = advised(Resources(), Resources(250, None, GIB, None))
    setup = Container("setup", Resources(300, None, 2 * GIB, None), role=Role.INIT)
    held = replace(fresh, current=replace(fresh.current, containers=(*fresh.current.containers, setup)))
    found = savings([held])
    assert (found.without_request, found.new_cores, found.new_memory_gib) == (1, 0.0, 0.0)


def test_what_is_injected_keeps_its_request_whatever_is_advised() -> None:
    web = examples.meshed()
    without = examples.with_others(web, *(other for other in web.others if other.container != "istio-proxy"))
    assert savings([web]) == savings([without])


def test_more_resources_are_written_as_more() -> None:
    more = savings([advised(Resources(100, None, GIB, None), Resources(300, None, GIB, None))], Prices())
    assert more.cores == pytest.approx(-0.8)
    assert line(more).startswith("Adds 0.8 cores to 0.4 (200%), keeps 4 GiB: 18.46 USD a month more at ")


def test_a_step_and_the_goal_behind_it_are_both_in_the_line() -> None:
    in_steps = examples.with_main(
        HALVED,
        cpu_request=replace(HALVED.main.cpu_request, goal=125),
        memory_request=replace(HALVED.main.memory_request, goal=GIB // 2),
    )
    text = words([in_steps], Prices())
    assert text.startswith("Frees 2 of 4 cores (50%), frees 4 of 8 GiB (50%): 58.52 USD a month less at ")
    assert text.endswith(
        " That is this step; after all steps: frees 3.5 of 4 cores (88%), frees 6 of 8 GiB (75%): 99.32 USD a month "
        "less."
    )
    assert words([HALVED]) == line(savings([HALVED]))


def test_what_requests_nothing_now_is_counted_apart() -> None:
    fresh = savings([advised(Resources(), Resources(250, None, GIB, None))], Prices())
    assert (fresh.cores, fresh.memory_gib, fresh.without_request) == (0, 0, 1)
    assert (fresh.new_cores, fresh.new_memory_gib, fresh.money_per_month) == (1.0, 4.0, 0.0)
    assert "1 container without a request is not counted; setting one reserves 1 core and 4 GiB anew." in line(fresh)


def test_jobs_and_unknown_replicas_are_counted_apart() -> None:
    apart = savings(
        [
            examples.nightly(),
            examples.migration(),
            replace(HALVED, current=replace(HALVED.current, replicas=None), replicas=Advice(None, None)),
        ]
    )
    assert (apart.cores, apart.without_replicas) == (0, 3)
    assert (
        "3 workloads are not counted: they do not run all the time, or their replicas or requests are not known."
        in line(apart)
    )


def test_the_savings_of_many_are_the_sum_of_each() -> None:
    fleet = examples.fleet()
    each = [savings([recommendation], Prices()) for recommendation in fleet]
    all_ = savings(fleet, Prices())
    assert all_.cores == pytest.approx(sum(freed.cores for freed in each))
    assert all_.memory_gib == pytest.approx(sum(freed.memory_gib for freed in each))
    assert savings([]).cores == 0


@pytest.mark.parametrize("price", [-0.1, float("nan"), float("inf")])
def test_a_price_is_a_number_that_is_not_negative(price: float) -> None:
    with pytest.raises(BadInput, match="price per core-hour"):
        Prices(cpu_per_core_hour=price)
