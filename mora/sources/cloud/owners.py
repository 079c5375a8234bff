"""Whose a pod is, where a cloud names the pod alone: by the form of the names that Kubernetes' controllers give."""

from __future__ import annotations

import re

from mora.domain import Workload, is_name

# Kubernetes draws the random parts of names from these 27 characters, so that no words come out.
# https://github.com/kubernetes/apimachinery/blob/master/pkg/util/rand/rand.go
_DRAWN = "[bcdfghjklmnpqrstvwxz2456789]"
# A ReplicaSet is named by a hash of its template: as many drawn characters as a 32-bit number has digits.
_OF_REPLICA_SET = re.compile(rf"(.+)-{_DRAWN}{{6,10}}-{_DRAWN}{{5}}")
# A CronJob's Jobs are named by the minute they are due at: eight digits since 1989.
_OF_CRON_JOB = re.compile(rf"(.+)-\d{{8}}-{_DRAWN}{{5}}")
_OF_STATEFUL_SET = re.compile(r"(.+)-\d{1,5}")
_OF_DAEMON_SET = re.compile(rf"(.+)-{_DRAWN}{{5}}")
_FORMS = (
    (_OF_CRON_JOB, "CronJob"),
    (_OF_REPLICA_SET, "Deployment"),
    (_OF_STATEFUL_SET, "StatefulSet"),
    (_OF_DAEMON_SET, "DaemonSet"),
)
# What clouds call the kinds of what owns pods, in small letters -> Kubernetes' own.
_KINDS = {
    kind.lower(): kind
    for kind in ("Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", "Rollout", "ReplicaSet", "Pod")
}


def owner_by_name(namespace: str, pod: str) -> Workload | None:
    """The workload that a pod's name tells of; None for a name that Kubernetes would not accept.

    >>> [str(owner_by_name("shop", pod).kind) for pod in ("web-7d4b9c8f6d-x2klp", "redis-0", "agent-x2klp", "lone")]
    ['Deployment', 'StatefulSet', 'DaemonSet', 'Pod']
    """
    if not (is_name(namespace) and is_name(pod)):
        return None
    for form, kind in _FORMS:
        if (match := form.fullmatch(pod)) and is_name(match[1]):
            return Workload(namespace, match[1], kind)
    return Workload(namespace, pod, "Pod")


def owner_named(namespace: str, name: str, kind: str) -> Workload | None:
    """The workload by the name and kind that a cloud gives; None where either cannot be.

    >>> owner_named("shop", "web", "deployment").kind, owner_named("shop", "web", "--what")
    ('Deployment', None)
    """
    known = _KINDS.get(kind.lower())
    return Workload(namespace, name, known) if known and is_name(namespace) and is_name(name) else None
