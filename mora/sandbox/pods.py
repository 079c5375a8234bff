"""Deployments, ReplicaSets and pods of the sandbox: their names, states and replacement, as in Kubernetes."""

from __future__ import annotations

import hashlib
import random
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from mora.domain import Resources
from mora.errors import BadInput
from mora.sandbox.spec import CONTAINER, ServiceSpec

# The letters of generated names in Kubernetes (apimachinery, util/rand): no vowels, none that look like another.
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_BACK_OFF_SECONDS = (1.0, 2.0, 4.0, 8.0)
# A container that has run this long restarts with the shortest back-off.
_BACK_OFF_RESET_SECONDS = 60.0


class Phase(StrEnum):
    """The state of a pod's container."""

    WAITING = "waiting"  # not started, or in back-off after it ended
    STARTING = "starting"
    READY = "ready"
    TERMINATING = "terminating"


@dataclass(slots=True, eq=False)
class Pod:
    """One replica. Times are those of time.monotonic(); `created_at` is that of time.time()."""

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
    entry_socket: socket.socket | None = None
    started_at: float = 0.0
    start_after: float = 0.0
    terminating_since: float | None = None
    is_signalled: bool = False
    is_admitted: bool = False
    restarts: int = 0
    quick_failures: int = 0
    last_terminated_reason: str | None = None
    seen_oom_kills: int = 0
    oom_killed_at: float | None = None
    ready_since: float = field(default_factory=time.time)
    wanted: Resources | None = None
    """What a resize in place asks for, as long as the pod does not have it."""
    resize_problem: str = ""
    version: int = 1
    """Counts what is asked of the pod: a resize names the one that it is based on."""

    @property
    def container_id(self) -> str:
        """The id of its container, as a container runtime would write it."""
        return hashlib.sha256(self.uid.encode()).hexdigest()

    @property
    def is_ready(self) -> bool:
        """Whether it takes requests."""
        return self.phase is Phase.READY

    @property
    def is_leaving(self) -> bool:
        """Whether it is being ended."""
        return self.phase is Phase.TERMINATING

    def note_end(self, reason: str, now: float) -> None:
        """Record that the container has ended by itself or was killed; it restarts after a back-off."""
        lived = now - self.started_at
        self.quick_failures = 0 if lived > _BACK_OFF_RESET_SECONDS else self.quick_failures
        self.start_after = now + _BACK_OFF_SECONDS[min(self.quick_failures, len(_BACK_OFF_SECONDS) - 1)]
        self.quick_failures += 1
        self.restarts += 1
        self.last_terminated_reason = reason
        self.phase, self.process, self.port = Phase.WAITING, None, None
        self.ready_since = time.time()
        if reason == "OOMKilled":
            self.oom_killed_at = time.time()

    def status(self) -> dict[str, Any]:
        """What it is and has, as plain JSON values. resources: what is asked for; actual: what it runs with."""
        return {
            "name": self.name,
            "uid": self.uid,
            "version": self.version,
            "phase": str(self.phase),
            "pid": self.process.pid if self.process else None,
            "restarts": self.restarts,
            "last_terminated_reason": self.last_terminated_reason,
            "oom_killed_at": self.oom_killed_at,
            "ready_since": self.ready_since,
            "created_at": self.created_at,
            "replica_set": self.replica_set,
            "resources": asdict(self.wanted or self.resources),
            "actual": asdict(self.resources),
            "resize_problem": self.resize_problem,
        }


@dataclass(slots=True, eq=False)
class Deployment:
    """The desired state of a service, and its pods."""

    spec: ServiceSpec
    resources: Resources
    replicas: int = 1
    generation: int = 1
    restart_count: int = 0
    pods: list[Pod] = field(default_factory=list)
    # Of removed pods: the counts of a service do not shrink when it is scaled down.
    past_restarts: int = 0
    past_oom_kills: int = 0

    @property
    def name(self) -> str:
        """The name of the service."""
        return self.spec.name

    @property
    def replica_set(self) -> str:
        """The ReplicaSet of the current pod template; every template has its own."""
        template = f"{self.spec.image}|{self.resources}|{self.restart_count}"
        return f"{self.name}-{_letters(template, 10)}"

    @property
    def replica_sets(self) -> list[str]:
        """The current ReplicaSet and those of pods that are still there, sorted."""
        return sorted({self.replica_set, *(pod.replica_set for pod in self.pods)})

    @property
    def current(self) -> list[Pod]:
        """Pods of the current template that are not being ended."""
        return [pod for pod in self.pods if pod.replica_set == self.replica_set and not pod.is_leaving]

    @property
    def outdated(self) -> list[Pod]:
        """Pods of an earlier template that are not being ended."""
        return [pod for pod in self.pods if pod.replica_set != self.replica_set and not pod.is_leaving]

    @property
    def available(self) -> int:
        """How many pods are ready."""
        return sum(pod.is_ready for pod in self.pods)

    @property
    def is_settled(self) -> bool:
        """Whether the desired replicas are ready, and no other pod is left."""
        return len(self.pods) == self.replicas == sum(pod.is_ready for pod in self.current)

    def status(self) -> dict[str, Any]:
        """Desired and current state as plain JSON values; see SandboxHandle.status."""
        resources = self.resources
        return {
            "replicas": self.replicas,
            "ready": self.available,
            "is_settled": self.is_settled,
            "generation": self.generation,
            "restarts": self.past_restarts + sum(pod.restarts for pod in self.pods),
            "oom_kills": self.past_oom_kills + sum(pod.seen_oom_kills for pod in self.pods),
            "container": CONTAINER,
            "image": self.spec.image,
            "resources": {
                "cpu_request_millicores": resources.cpu_request_millicores,
                "cpu_limit_millicores": resources.cpu_limit_millicores,
                "memory_request_bytes": resources.memory_request_bytes,
                "memory_limit_bytes": resources.memory_limit_bytes,
            },
            "pods": [pod.status() for pod in self.pods],
        }

    def new_pod(self) -> Pod:
        """A pod of the current template, not yet started."""
        name = f"{self.replica_set}-{_random_letters(5)}"
        return Pod(self.name, name, self.replica_set, self.resources, self.spec.image)

    def surplus(self) -> Iterator[Pod]:
        """The pods to end: outdated ones once the new ones are ready, and those above the desired number.

        Of the latter, pods that are not ready come first, then the youngest, as in a ReplicaSet.
        """
        current = self.current
        if sum(pod.is_ready for pod in current) >= self.replicas:
            yield from self.outdated
        excess = len(current) - self.replicas
        if excess > 0:
            yield from sorted(current, key=lambda pod: (pod.is_ready, -pod.created_at))[:excess]


def check_resources(resources: Resources) -> None:
    """Raise BadInput where an amount is not positive, or a request is above its limit."""
    pairs = (
        ("CPU", resources.cpu_request_millicores, resources.cpu_limit_millicores),
        ("memory", resources.memory_request_bytes, resources.memory_limit_bytes),
    )
    for what, request, limit in pairs:
        if any(amount is not None and amount <= 0 for amount in (request, limit)):
            raise BadInput(f"A {what} request or limit must be positive: {request}, {limit}.")
        if request is not None and limit is not None and request > limit:
            raise BadInput(f"The {what} request ({request}) is above its limit ({limit}).")


def _letters(text: str, count: int) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[:count])


def _random_letters(count: int) -> str:
    return "".join(random.SystemRandom().choices(_LETTERS, k=count))
