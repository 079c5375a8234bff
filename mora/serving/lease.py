"""Leader election: one instance writes at a time, by a Lease of coordination.k8s.io.

The rules are those of client-go's leaderelection, so `kubectl get lease` shows what it shows elsewhere. A lease of
another instance has expired when its record has not changed for its duration on this machine's own steady clock; two
machines' wall clocks are never compared. A leader that could not renew for `renew_deadline` stops writing before others
may begin, since that is shorter than `duration`. An instance that shuts down releases the lease, so the next one does
not wait for it to expire.

The Kubernetes client has an election of its own. It is not used: it stops the process's work only by a callback after
the deadline, lets a connection error end the thread, takes only the default client's configuration, counts no
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
    """Where the lease is kept; in a cluster, mora.clusters.lease.KubernetesLease."""

    def read(self) -> dict[str, Any] | None:
        """The Lease object; None where there is none yet."""

    def create(self, spec: Mapping[str, Any]) -> dict[str, Any] | None:
        """The created object; None where another instance was faster."""

    def replace(self, lease: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any] | None:
        """The object with another spec; None where it changed since it was read."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How long a lease lasts, how long its holder tries to renew it, and how often. The defaults are client-go's."""

    duration: timedelta = timedelta(seconds=15)
    renew_deadline: timedelta = timedelta(seconds=10)
    retry: timedelta = timedelta(seconds=2)

    def __post_init__(self) -> None:
        if not timedelta(0) < self.retry < self.renew_deadline < self.duration:
            raise BadInput(
                f"The lease duration ({format_duration(self.duration)}) must be longer than the renew deadline "
                f"({format_duration(self.renew_deadline)}), and that longer than the retry period "
                f"({format_duration(self.retry)})."
            )
        if self.duration < timedelta(seconds=1):
            raise BadInput(
                "A lease must last at least 1s: the API takes whole seconds.", hint="Give --lease-duration 15s."
            )


@dataclass(frozen=True, slots=True)
class Observed:
    """A lease's spec as it was last seen to change, and when that was (steady clock, seconds)."""

    spec: Mapping[str, Any]
    since: float


def is_free(observed: Observed, identity: str, now: float, fallback_seconds: float) -> bool:
    """Whether `identity` may take a lease: its own, released, or unchanged for as long as it lasts.

    >>> seen = Observed({"holderIdentity": "a", "leaseDurationSeconds": 15}, since=100.0)
    >>> is_free(seen, "b", 114.9, 15), is_free(seen, "b", 115.1, 15), is_free(seen, "a", 101.0, 15)
    (False, True, True)
    """
    holder = observed.spec.get("holderIdentity") or ""
    lasts = observed.spec.get("leaseDurationSeconds") or fallback_seconds
    return holder in ("", identity) or now - observed.since > float(lasts)


def taken(spec: Mapping[str, Any], identity: str, now: datetime, terms: Terms) -> dict[str, Any]:
    """The spec with `identity` as its holder. A renewal keeps acquireTime and leaseTransitions."""
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


def released(spec: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The spec with no holder, as client-go's ReleaseOnCancel leaves it."""
    return {**spec, "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": format_moment(now, "microseconds")}


class Election:
    """Takes part in the election in a thread of its own, from start() to stop().

    leads(): whether this instance may write now; ask before every write. say: called with each change of state
    ("leads", "follows ...", "lost the lease"); an error of the API is reported once, until something else happens.
    leases must not wait longer for an answer than the terms' retry, so that a leader that loses its connection notices
    in time.
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
        self._reported = ""

    def start(self) -> None:
        """Begin to take part."""
        self._thread.start()

    def leads(self) -> bool:
        """Whether the lease was renewed within the deadline, so that no other instance can hold it yet."""
        renewed = self._renewed_at
        return renewed is not None and self._steady() - renewed < self._terms.renew_deadline.total_seconds()

    def is_alive(self) -> bool:
        """Whether the thread runs or has not begun. One that a bug has ended never leads again."""
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
        """End the thread, and release the lease where this instance holds it."""
        with self._ending:
            self._stopping.set()
            if self._thread.is_alive():
                self._thread.join(2 * self._terms.renew_deadline.total_seconds())
            if not self.leads():
                return
            self._renewed_at = None
            try:
                self._release()
            except MoraError as error:
                self._report(f"could not release the lease, so it expires by itself: {error.message}")
            else:
                self._report("released the lease")

    def _release(self) -> None:
        lease = self._leases.read()
        spec = (lease or {}).get("spec") or {}
        if lease is not None and spec.get("holderIdentity") == self.identity:
            self._leases.replace(lease, released(spec, datetime.now(UTC)))

    def _run(self) -> None:
        retry = self._terms.retry.total_seconds()
        while not self._stopping.is_set():
            self._try()
            # Instances that started together must not send their requests together for ever.
            self._stopping.wait(retry * (1.0 + 0.2 * random.random()))  # noqa: S311  # spreads requests, hides nothing

    def _try(self) -> None:
        # Counted from before the request: the answer may be late, the lease then began earlier.
        began = self._steady()
        had = self._renewed_at is not None
        try:
            holder = self._take(began)
        except MoraError as error:
            holder, words = None, f"cannot read or renew the lease: {error.message}"
        else:
            self._answered_at, words = began, f"follows {holder}" if holder else "follows another instance"
        if holder == self.identity:
            words = "leads"
            with self._changed:
                self._renewed_at = began
                self._changed.notify_all()
        elif holder is not None or not self.leads():
            # Another instance holds it for certain, or the deadline has passed.
            self._renewed_at = None
            words = "lost the lease" if had else words
        self._report(words)

    def _take(self, began: float) -> str | None:
        """Read the lease, and take or renew it where allowed; its holder now, None where that is not certain."""
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

    def _report(self, words: str) -> None:
        if words != self._reported:
            self._reported = words
            self._say(words)
