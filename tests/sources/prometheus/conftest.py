"""A server with scripted answers, a real Prometheus with a shop, and what is read of that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from mora.domain import WorkloadHistory, WorkloadState
from tests.fleet import rig
from tests.sources.prometheus.scripted import Answer, Scripted, serving
from tests.sources.prometheus.shop import FLEET, days, fleet_at, read


@pytest.fixture
def scripted() -> Iterator[Callable[..., Scripted]]:
    """Starts a server with the answers that are given, one a request; it runs until the test ends."""
    with ExitStack() as servers:

        def start(*answers: Answer | Callable[[], Answer]) -> Scripted:
            return servers.enter_context(serving(*answers))

        yield start


@pytest.fixture(scope="package")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus with two weeks of the shop."""
    with rig.serving(tmp_path_factory.mktemp("fleet"), FLEET) as address:
        yield address


@pytest.fixture(scope="package")
def states(url: str) -> dict[str, WorkloadState]:
    """The state of every workload of the shop, by name."""
    return {state.workload.name: state for state in fleet_at(url).states("shop")}


@pytest.fixture(scope="package")
def histories(url: str) -> dict[str, WorkloadHistory]:
    """Two weeks of every workload of the shop, by name."""
    return read(fleet_at(url), days(14))
