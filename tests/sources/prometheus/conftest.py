"""The scripted server that a test starts with the answers it names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.sources.prometheus.scripted import Answer, Scripted, serving


@pytest.fixture
def scripted() -> Iterator[Callable[..., Scripted]]:
    """Starts a server with the answers that are given, one a request; it runs until the test ends."""
    with ExitStack() as servers:

        def start(*answers: Answer | Callable[[], Answer]) -> Scripted:
            return servers.enter_context(serving(*answers))

        yield start
