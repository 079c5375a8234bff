"""Tasks on the workers of a Dask cluster.

A task is a function of a module and plain arguments; its name is the first of them. What a worker needs is MOrA itself,
of the same versions: the client reads the data, sends it along, and writes what comes back, so no folder is shared.
What travels are Python's pickles, over Dask's own connections and never to a disk: who may reach the scheduler may run
code on its workers, which is why it belongs on a private network or behind TLS (docs/scaling.md).
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from mora.errors import BadInput, ClusterError
from mora.extras import require

if TYPE_CHECKING:
    from distributed import Client

T = TypeVar("T")
LOCAL, DASK = "loky", "dask"
BACKENDS = (LOCAL, DASK)
_SCHEMES = ("tcp", "tls")
_CONNECT_SECONDS = 5.0
_FIRST_WORKER_SECONDS = 10.0
# A cluster that grows on demand takes this long to bring a node up; after it none is on the way.
_NO_WORKER_SECONDS = 120.0
# What numbers depend on: the same data and seed give the same model only where these are the same.
_SAME = ("mora-rightsizing", "numpy", "pandas", "scikit-learn", "prophet", "tensorflow", "keras")


def check_address(text: str) -> str:
    """A scheduler's address as Dask writes it; BadInput where it is none.

    >>> check_address("tcp://127.0.0.1:8786"), check_address("scheduler.shop:8786")
    ('tcp://127.0.0.1:8786', 'tcp://scheduler.shop:8786')
    """
    address = text if "://" in text else f"tcp://{text}"
    parts = urlsplit(address)
    try:
        is_whole = parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port is not None
    except ValueError:  # a port that is no number
        is_whole = False
    if not is_whole or parts.path or parts.query or parts.username is not None:
        shown = text.rpartition("@")[2]
        raise BadInput(f"{shown!r} is not the address of a Dask scheduler.", hint="Write it like tcp://10.0.0.7:8786.")
    return address


def installed() -> Mapping[str, str | None]:
    """Versions of what numbers depend on, here; None for what is not installed."""
    return {"python": ".".join(platform.python_version_tuple()[:2])} | {name: _version(name) for name in _SAME}


def _version(name: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


@contextmanager
def connect(
    address: str,
    *,
    answer_seconds: float = _CONNECT_SECONDS,
    first_worker_seconds: float = _FIRST_WORKER_SECONDS,
    no_worker_seconds: float = _NO_WORKER_SECONDS,
) -> Iterator[Cluster]:
    """The workers behind a scheduler, for as long as the context lasts.

    answer_seconds: how long the scheduler is given to answer. first_worker_seconds: how long one without workers is
    given to get one. no_worker_seconds: how long a run waits when every worker has gone.
    Raises ToolMissing without dask, ClusterError where the scheduler does not answer, has no worker, or a worker has
    other versions than this machine.
    """
    address = check_address(address)
    require("dask", by="--backend dask")
    with _quiet(), _client(address, answer_seconds) as client:
        _check_workers(client, address, first_worker_seconds)
        yield Cluster(client, address, no_worker_seconds)


class Cluster:
    """A scheduler that answers, and has workers that fit this machine."""

    def __init__(self, client: Client, address: str, no_worker_seconds: float) -> None:
        self._client = client
        self._address = address
        self._no_worker_seconds = no_worker_seconds

    @property
    def workers(self) -> int:
        """Processes that take tasks, now."""
        return len(self._client.nthreads())  # type: ignore[no-untyped-call]  # distributed is typed in part

    def run(self, function: Callable[..., T], tasks: Iterable[Sequence[Any]]) -> Iterator[tuple[str, T | ClusterError]]:
        """function(*task) on some worker for each task, as they end: the task's name with what came back.

        A worker that goes takes nothing with it: its tasks begin again on another. A task that takes every worker down
        that tries it comes back as a ClusterError, and the others go on. tasks: read as far as the workers keep up.
        Raises ClusterError where the scheduler goes, or every worker for too long; what a task raises is raised.
        """
        import dask

        from mora.scaleout.backend import Run

        run = Run(self._client, self._address, self._no_worker_seconds)
        # A service's history travels inside its task, so that it is not lost with the worker that had it.
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1GiB"}):
            yield from run.outcomes(function, tasks)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the traceback that Dask logs when a connection ends: a ClusterError has it."""
    import distributed  # noqa: F401  its import sets the levels

    logger = logging.getLogger("distributed.client")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _client(address: str, answer_seconds: float) -> Client:
    from distributed import Client

    try:
        return Client(  # type: ignore[no-untyped-call]  # distributed is typed in part
            address, timeout=answer_seconds, set_as_default=False, name="mora"
        )
    except OSError as failure:
        raise ClusterError(
            f"No Dask scheduler answers at {address} within {answer_seconds:g} s.",
            hint=f"Is it running, and not behind a firewall? Start one: dask scheduler --port {urlsplit(address).port}",
        ) from failure
    except (TypeError, ValueError) as failure:  # what Dask raises for tls:// without certificates
        raise ClusterError(
            f"{address} cannot be connected to: {failure}.",
            hint="A tls:// address needs certificates in Dask's own configuration (distributed.comm.tls).",
        ) from failure


def _check_workers(client: Client, address: str, first_worker_seconds: float) -> None:
    try:
        client.wait_for_workers(1, timeout=first_worker_seconds)
    except TimeoutError as failure:
        raise ClusterError(
            f"The Dask scheduler at {address} has no worker.",
            hint=f"Start some where MOrA is installed: dask worker {address}",
        ) from failure
    here = installed()
    for worker, there in client.run(installed, on_error="return").items():
        if not isinstance(there, Mapping):
            raise ClusterError(
                f"The worker {worker} cannot run MOrA: {there}.",
                hint=f"Install it there: pip install 'mora-rightsizing[dask]=={here['mora-rightsizing']}'",
            )
        other = [
            f"{name} {there.get(name)} (here {version})" for name, version in here.items() if there.get(name) != version
        ]
        if other:
            raise ClusterError(
                f"The worker {worker} has other versions, and other versions give other numbers: {', '.join(other)}.",
                hint="Give the workers and this machine the same packages; one image for all does.",
            )
