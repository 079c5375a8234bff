"""One instance writes: taking, renewing, losing and releasing a lease, by the rules of client-go."""

from __future__ import annotations

import itertools
from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest

from mora.errors import BadInput, ClusterError
from mora.serving.lease import Election, Terms

TERMS = Terms(timedelta(seconds=15), timedelta(seconds=10), timedelta(seconds=2))


class Store:
    """Leases in memory: versions, and an API that may be away."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.is_away = False
        self._versions = itertools.count(1)

    def read(self) -> dict[str, Any] | None:
        self._answer()
        return deepcopy(self.lease)

    def create(self, spec: Any) -> dict[str, Any] | None:
        self._answer()
        if self.lease is not None:
            return None
        self.lease = {"version": next(self._versions), "spec": dict(spec)}
        return deepcopy(self.lease)

    def replace(self, lease: Any, spec: Any) -> dict[str, Any] | None:
        self._answer()
        if self.lease is None or lease["version"] != self.lease["version"]:
            return None
        self.lease = {"version": next(self._versions), "spec": dict(spec)}
        return deepcopy(self.lease)

    def _answer(self) -> None:
        if self.is_away:
            raise ClusterError("The API server cannot be reached.")


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Candidate:
    """An instance whose tries the test makes by hand."""

    def __init__(self, store: Store, name: str, clock: Clock) -> None:
        self.reported: list[str] = []
        self.election = Election(store, name, terms=TERMS, say=self.reported.append, steady=clock)

    def tries(self) -> bool:
        self.election._try()
        return self.election.leads()


def two(store: Store, clock: Clock) -> tuple[Candidate, Candidate]:
    return Candidate(store, "a", clock), Candidate(store, "b", clock)


def test_the_first_instance_leads_and_the_second_follows() -> None:
    store = Store()
    a, b = two(store, Clock())
    assert a.tries()
    assert not b.tries()
    assert store.lease is not None
    spec = store.lease["spec"]
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"], spec["leaseTransitions"]) == ("a", 15, 0)
    assert (a.reported, b.reported) == (["leads"], ["follows a"])


def test_a_renewal_keeps_acquire_time_and_reports_nothing() -> None:
    store, clock = Store(), Clock()
    a = Candidate(store, "a", clock)
    a.tries()
    assert store.lease is not None
    first = store.lease["spec"]
    clock.seconds += 2
    assert a.tries()
    second = store.lease["spec"]
    assert second["acquireTime"] == first["acquireTime"]
    assert second["renewTime"] > first["renewTime"]
    assert a.reported == ["leads"]


def test_a_lease_that_is_not_renewed_is_taken_over_after_its_duration_and_counted() -> None:
    store, clock = Store(), Clock()
    a, b = two(store, clock)
    a.tries()
    b.tries()
    clock.seconds += 14.9
    assert not b.tries()
    clock.seconds += 0.2
    assert b.tries()
    assert store.lease is not None
    assert (store.lease["spec"]["holderIdentity"], store.lease["spec"]["leaseTransitions"]) == ("b", 1)


def test_a_leader_that_loses_its_connection_stops_before_another_may_begin() -> None:
    store, clock = Store(), Clock()
    a, b = two(store, clock)
    a.tries()
    b.tries()
    store.is_away = True
    for _ in range(8):
        clock.seconds += 2
        a.tries()
        store.is_away = False
        b.tries()
        store.is_away = True
        assert not (a.election.leads() and b.election.leads())
    assert b.election.leads()
    assert a.reported == [
        "leads",
        "cannot read or renew the lease: The API server cannot be reached.",
        "lost the lease",
    ] + ["cannot read or renew the lease: The API server cannot be reached."] * (len(a.reported) - 3)


def test_a_wall_clock_that_differs_changes_nothing() -> None:
    store, clock = Store(), Clock()
    _, b = two(store, clock)
    store.create({"holderIdentity": "a", "leaseDurationSeconds": 15, "renewTime": "2001-01-01T00:00:00.000000Z"})
    assert not b.tries()
    assert b.reported == ["follows a"]


def test_the_duration_that_the_holder_wrote_counts() -> None:
    store, clock = Store(), Clock()
    b = Candidate(store, "b", clock)
    store.create({"holderIdentity": "a", "leaseDurationSeconds": 60})
    b.tries()
    clock.seconds += 30
    assert not b.tries()
    clock.seconds += 31
    assert b.tries()


def test_the_faster_of_two_leads() -> None:
    store, clock = Store(), Clock()
    a, b = two(store, clock)

    class Late(Store):
        """Answers b's read before a takes the lease, and b's write after."""

        def read(self) -> dict[str, Any] | None:
            found = super().read()
            if self.lease is not None and self.lease["spec"]["holderIdentity"] == "":
                a.tries()
            return found

    late = Late()
    late.create({"holderIdentity": "", "leaseDurationSeconds": 1, "leaseTransitions": 3})
    b.election._leases = late
    a.election._leases = store_of(late)
    assert not b.tries()
    assert a.election.leads()
    assert b.reported == ["follows another instance"]


def store_of(late: Store) -> Store:
    """The same lease, read without the trick."""
    plain = Store()
    plain.__dict__ = late.__dict__
    return plain


def test_a_released_lease_is_free_at_once() -> None:
    store, clock = Store(), Clock()
    a, b = two(store, clock)
    a.tries()
    b.tries()
    a.election.stop()
    assert not a.election.leads()
    assert store.lease is not None
    assert store.lease["spec"]["holderIdentity"] == ""
    assert b.tries()


def test_the_lease_of_another_instance_is_not_released() -> None:
    store, clock = Store(), Clock()
    a, b = two(store, clock)
    a.tries()
    assert store.lease is not None
    store.lease["spec"]["holderIdentity"] = "c"
    a.election.stop()
    b.election.stop()
    assert store.lease["spec"]["holderIdentity"] == "c"


def test_an_api_that_does_not_answer_at_shutdown_is_reported() -> None:
    store = Store()
    a = Candidate(store, "a", Clock())
    a.tries()
    store.is_away = True
    a.election.stop()
    assert a.reported[-1].startswith("could not release the lease")


def test_threads_take_turns() -> None:
    store = Store()
    quick = Terms(timedelta(seconds=1), timedelta(seconds=0.5), timedelta(seconds=0.02))
    a, b = (Election(store, name, terms=quick) for name in ("a", "b"))
    a.start()
    assert a.wait(10)
    b.start()
    a.stop()
    try:
        assert b.wait(10)
        assert not a.leads()
        assert b.is_alive()
        assert b.answers()
    finally:
        b.stop()


@pytest.mark.parametrize(
    "seconds", [(10, 15, 2), (15, 10, 10), (15, 10, 0), (0.9, 0.5, 0.1)], ids=["renew", "retry", "zero", "short"]
)
def test_terms_that_would_let_two_lead_are_refused(seconds: tuple[float, float, float]) -> None:
    with pytest.raises(BadInput):
        Terms(*(timedelta(seconds=one) for one in seconds))
