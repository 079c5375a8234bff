"""Who writes: one instance at a time, by a Lease of coordination.k8s.io.

The rules are those of client-go's leaderelection, so that `kubectl get lease` reads as ever. Whether another's lease
has run out is judged by how long its record has not changed on this machine's own steady clock, never by comparing two
machines' wall clocks. A leader that could not renew for `renew_deadline` stops writing before others may begin, since
that is shorter than `duration`. Whoever ends politely gives the lease back, and the next one need not wait.

The Kubernetes client brings an election of its own. It is not used: it ends the process's work only by a callback after
the deadline, lets errors of the connection end the thread, takes the default client's configuration alone, counts no
leaseTransitions and never releases (kubernetes 37, leaderelection/leaderelection.py).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from mora.errors import BadInput, MoraError
from mora.quantities import format_duration, format_moment


class Leases(Protocol):
    """Where the lease stands; mora.clusters.lease.KubernetesLease, in a cluster."""

    def read(self) -> dict[str, Any] | None:
        """The Lease object; None where there is none yet."""

    def create(self, spec: Mapping[str, Any]) -> dict[str, Any] | None:
        """The created object; None where somebody was faster."""

    def replace(self, lease: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any] | None:
        """The object with another spec; None where it changed since it was read."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How long a lease lasts, how long its holder tries to renew it, how often; as client-go's defaults."""

    duration: timedelta = timedelta(seconds=15)
    renew_deadline: timedelta = timedelta(seconds=10)
    retry: timedelta = timedelta(seconds=2)

    def __post_init__(self) -> None:
        if not timedelta(0) < self.retry < self.renew_deadline < self.duration:
            raise BadInput(
                f"A lease of {format_duration(self.duration)} must be longer than the "
                f"{format_duration(self.renew_deadline)} in which it is renewed, and those longer than the "
                f"{format_duration(self.retry)} between two tries."
            )
        if self.duration < timedelta(seconds=1):
            raise BadInput("A lease lasts a second at least: its API counts whole ones.")


@dataclass(frozen=True, slots=True)
class Observed:
    """A lease's spec as it was last seen to change, and when that was (steady clock, seconds)."""

    spec: Mapping[str, Any]
    since: float


def is_free(observed: Observed, identity: str, now: float, fallback_seconds: float) -> bool:
    """Whether `identity` may take a lease: its own, given back, or unchanged for as long as it lasts.

    >>> held = Observed({"holderIdentity": "a", "leaseDurationSeconds": 15}, since=100.0)
    >>> is_free(held, "b", 114.9, 15), is_free(held, "b", 115.1, 15), is_free(held, "a", 101.0, 15)
    (False, True, True)
    """
    holder = observed.spec.get("holderIdentity") or ""
    lasts = observed.spec.get("leaseDurationSeconds") or fallback_seconds
    return holder in ("", identity) or now - observed.since > float(lasts)


def taken(spec: Mapping[str, Any], identity: str, now: datetime, terms: Terms) -> dict[str, Any]:
    """The spec with `identity` as its holder; the time of taking over, and the count of changes, kept on a renewal."""
    moment = format_moment(now, "microseconds")
    is_renewal = spec.get("holderIdentity") == identity
    transitions = int(spec.get("leaseTransitions") or 0)
    return {
        **spec,
        "holderIdentity": identity,
        "leaseDurationSeconds": max(1, round(terms.duration.total_seconds())),
        "acquireTime": spec.get("acquireTime") or moment if is_renewal else moment,
        "renewTime": moment,
        "leaseTransitions": transitions if is_renewal or not spec else transitions + 1,
    }


def given_back(spec: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The spec with no holder, as client-go's ReleaseOnCancel leaves it."""
    return {**spec, "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": format_moment(now, "microseconds")}


class Election:
    """Takes part in the election in a thread of its own, from start() to stop().

    leads(): whether this instance may write now; ask before every write. say: hears what changed, in words ("leads",
    "follows ...", "lost the lease"); an error of the API is said once a spell. leases must not wait longer for an
    answer than the terms' retry does, so that a leader that is cut off notices in time.
    """

    def __init__(
        self,
        leases: Leases,
        identity: str,
        *,
        terms: Terms | None = None,
        say: Callable[[str], None] = lambda words: None,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.identity = identity
        self._leases = leases
        self._terms = terms if terms is not None else Terms()
        self._say = say
        self._steady = steady
        self._observed: Observed | None = None
        self._renewed_at: float | None = None
        self._answered_at: float | None = None
        self._stopping = threading.Event()
        self._ending = threading.Lock()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="mora-lease", daemon=True)
        self._said = ""

    def start(self) -> None:
        self._thread.start()

    def leads(self) -> bool:
        """Whether the lease was renewed within the deadline, so that nobody else can hold it yet."""
        renewed = self._renewed_at
        return renewed is not None and self._steady() - renewed < self._terms.renew_deadline.total_seconds()

    def is_alive(self) -> bool:
        """Whether the thread runs, or has not begun; one that a bug has ended will never lead again."""
        return self._thread.ident is None or self._thread.is_alive()

    def answers(self) -> bool:
        """Whether the API server has answered about the lease within its duration."""
        answered = self._answered_at
        return answered is not None and self._steady() - answered < self._terms.duration.total_seconds()

    def wait(self, timeout: float) -> bool:
        """Wait until this instance leads, at most `timeout` seconds; whether it does."""
        with self._changed:
            return self._changed.wait_for(self.leads, timeout)

    def stop(self) -> None:
        """End the thread and give the lease back where this instance holds it."""
        with self._ending:
            self._stopping.set()
            if self._thread.is_alive():
                self._thread.join(2 * self._terms.renew_deadline.total_seconds())
            if not self.leads():
                return
            self._renewed_at = None
            try:
                self._give_back()
            except MoraError as error:
                self._tell(f"could not give the lease back, so it runs out: {error.message}")
            else:
                self._tell("gave the lease back")

    def _give_back(self) -> None:
        lease = self._leases.read()
        spec = (lease or {}).get("spec") or {}
        if lease is not None and spec.get("holderIdentity") == self.identity:
            self._leases.replace(lease, given_back(spec, datetime.now(UTC)))

    def _run(self) -> None:
        retry = self._terms.retry.total_seconds()
        while not self._stopping.is_set():
            self._try()
            # Two that started together must not go on asking together.
            self._stopping.wait(retry * (1.0 + 0.2 * random.random()))  # noqa: S311  # spreads requests, hides nothing

    def _try(self) -> None:
        # Counted from before the request: the answer may be late, the lease then began earlier.
        began = self._steady()
        had = self._renewed_at is not None
        try:
            holder = self._take(began)
        except MoraError as error:
            holder, words = None, f"cannot reach the lease: {error.message}"
        else:
            self._answered_at, words = began, f"follows {holder}" if holder else "follows whoever was faster"
        if holder == self.identity:
            words = "leads"
            with self._changed:
                self._renewed_at = began
                self._changed.notify_all()
        elif holder is not None or not self.leads():
            # Somebody else holds it for sure, or the deadline has passed.
            self._renewed_at = None
            words = "lost the lease" if had else words
        self._tell(words)

    def _take(self, began: float) -> str | None:
        """Read the lease, and take or renew it where that is allowed; who holds it now, None where that is not sure."""
        now = datetime.now(UTC)
        lease = self._leases.read()
        if lease is None:
            return self.identity if self._leases.create(taken({}, self.identity, now, self._terms)) else None
        spec = lease.get("spec") or {}
        if self._observed is None or self._observed.spec != spec:
            self._observed = Observed(spec, began)
        if not is_free(self._observed, self.identity, self._steady(), self._terms.duration.total_seconds()):
            return str(spec["holderIdentity"])
        return self.identity if self._leases.replace(lease, taken(spec, self.identity, now, self._terms)) else None

    def _tell(self, words: str) -> None:
        if words != self._said:
            self._said = words
            self._say(words)
