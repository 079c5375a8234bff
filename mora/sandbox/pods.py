"""Deployments, ReplicaSets and pods as Kubernetes names and replaces them; no processes here."""

from __future__ import annotations

import hashlib
import random
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from mora.domain import Resources
from mora.sandbox.spec import ServiceSpec

# The letters of Kubernetes' generated names (apimachinery, util/rand): no vowels, nothing that reads like another.
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_BACK_OFF_SECONDS = (1.0, 2.0, 4.0, 8.0)
# A container that has run so long starts again without waiting long.
_BACK_OFF_RESET_SECONDS = 60.0


class Phase(StrEnum):
    """What a pod's container does."""

    WAITING = "waiting"  # not started, or in back-off after it ended
    STARTING = "starting"
    READY = "ready"
    TERMINATING = "terminating"


@dataclass(slots=True, eq=False)
class Pod:
    """One replica. Times are of time.monotonic(), `created_at` of time.time()."""

    service: str
    name: str
    replica_set: str
    resources: Resources
    image: str
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))
    created_at: float = field(default_factory=time.time)
    phase: Phase = Phase.WAITING
    process: subprocess.Popen[bytes] | None = None
    port: int | None = None
    door: socket.socket | None = None
    started_at: float = 0.0
    start_after: float = 0.0
    terminating_since: float | None = None
    is_signalled: bool = False
    is_admitted: bool = False
    restarts: int = 0
    quick_failures: int = 0
    last_terminated_reason: str | None = None
    seen_oom_kills: int = 0

    @property
    def container_id(self) -> str:
        return hashlib.sha256(self.uid.encode()).hexdigest()

    @property
    def is_ready(self) -> bool:
        return self.phase is Phase.READY

    @property
    def is_leaving(self) -> bool:
        return self.phase is Phase.TERMINATING

    def note_end(self, reason: str, now: float) -> None:
        """The container has ended by itself or was killed: it starts again after a back-off."""
        lived = now - self.started_at
        self.quick_failures = 0 if lived > _BACK_OFF_RESET_SECONDS else self.quick_failures
        self.start_after = now + _BACK_OFF_SECONDS[min(self.quick_failures, len(_BACK_OFF_SECONDS) - 1)]
        self.quick_failures += 1
        self.restarts += 1
        self.last_terminated_reason = reason
        self.phase, self.process, self.port = Phase.WAITING, None, None


@dataclass(slots=True, eq=False)
class Deployment:
    """What is wanted of a service, and its pods."""

    spec: ServiceSpec
    resources: Resources
    replicas: int = 1
    generation: int = 1
    restart_count: int = 0
    pods: list[Pod] = field(default_factory=list)
    # Of pods that are gone: a service's history does not shrink when it is scaled down.
    past_restarts: int = 0
    past_oom_kills: int = 0

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def replica_set(self) -> str:
        """The ReplicaSet of the pod template as it stands; another template has another one."""
        template = f"{self.spec.image}|{self.resources}|{self.restart_count}"
        return f"{self.name}-{_letters(template, 10)}"

    @property
    def replica_sets(self) -> list[str]:
        return sorted({self.replica_set, *(pod.replica_set for pod in self.pods)})

    @property
    def current(self) -> list[Pod]:
        return [pod for pod in self.pods if pod.replica_set == self.replica_set and not pod.is_leaving]

    @property
    def outdated(self) -> list[Pod]:
        return [pod for pod in self.pods if pod.replica_set != self.replica_set and not pod.is_leaving]

    @property
    def available(self) -> int:
        return sum(pod.is_ready for pod in self.pods)

    @property
    def is_settled(self) -> bool:
        """Every replica asked for is ready, and none that is not asked for is left."""
        return len(self.pods) == self.replicas == sum(pod.is_ready for pod in self.current)

    def new_pod(self) -> Pod:
        name = f"{self.replica_set}-{_random_letters(5)}"
        return Pod(self.name, name, self.replica_set, self.resources, self.spec.image)

    def surplus(self) -> Iterator[Pod]:
        """Pods that have to go: outdated ones once the new ones are ready, and those beyond the wanted number.

        Of the latter the ones that are not ready go first, then the youngest, as with a ReplicaSet.
        """
        current = self.current
        if sum(pod.is_ready for pod in current) >= self.replicas:
            yield from self.outdated
        excess = len(current) - self.replicas
        if excess > 0:
            yield from sorted(current, key=lambda pod: (pod.is_ready, -pod.created_at))[:excess]


def _letters(text: str, count: int) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[:count])


def _random_letters(count: int) -> str:
    return "".join(random.SystemRandom().choices(_LETTERS, k=count))
