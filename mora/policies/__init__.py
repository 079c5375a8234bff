"""From what a service needs and what is set now to what should be set.

A policy is a composition of small pure pieces over a `Proposal`, written once for CPU and memory:

    need    upper bound, mean use x buffer, peaks, start-up, limit-bound use, OOM kills: the largest of them
    change  need -> rounded up -> floor -> cap -> step limit -> what the namespace allows

    settings   what a team may set, and what surrounds a container
    proposal   the value that the pieces pass on, and what differs between CPU and memory
    need       what must be covered, before any setting
    cache      memory that is page cache is no need
    change     how far to go from what is set now
    gate       what no believable use explains is refused
    limits     the limit that belongs to a request
    replicas   how many replicas, and what an HPA should be set to
    sizing     all of it put together: size() for a container, recommend() for a workload
    fit        the check of the whole pod: what LimitRanges, the pod itself and the nodes allow in all

Every piece that changes a number, or refuses one, leaves a Reason with a stable code and the arithmetic; the summary of
an Advice says in one line what decides it. The codes:

    sized                   the largest of the figures that must be covered
    oom-bump                an OOM kill raised the number; raised-limit-bound: limit-bound use did
    floor, cap              the settings, the pod or its nodes raised or lowered it
    cap-below-need          what settings, LimitRange, pod or nodes allow leaves no number that covers the need
    deferred                a cut or a raise too small for a rollout
    kept-limit-bound        a cut refused, since use is limit-bound
    whole-cores             rounded up to whole cores, which a static CPU manager gives Guaranteed pods for their own
    stepped                 a cut made in several changes
    limit-range             the namespace's LimitRange raised or lowered it, or gives a limit where none is set
    page-cache              page cache, which the kernel gives back, is no reason to raise memory
    crash-loop              a pod keeps restarting, so its use shows too little: nothing is cut
    deferred-abnormal       a cut that is deferred while the service is not itself
    killed                  killed near its memory limit, by whom is not known: memory is not cut
    runtime                 a runtime may take more memory than it does: not cut below that
    kept-jvm                memory that is not cut for what runs in it; the code is the caller's
    above-node, above-use, above-now    refused: above the largest node, far above all use, far above what is set now
    no-confidence           a number that no validation window speaks for
    no-number               nothing to size from; the reasons beside it say why
    limit-unset, limit-equals-request, limit-kept, limit-ratio, limit-raised, limit-unchanged    how a limit came to be
    autoscaler-utilisation  an HPA scales on the utilisation of this request; the way out is in the text
    vpa                     a VPA sets this request of the pods; what would do is in the text
    autoscaler-retarget     the same, where it was allowed: what the HPA's target must become
    replicas-for-load, replicas-floor, replicas-cap, replicas-by-autoscaler, replicas-by-nodes
    hpa-average-value       where the HPA's target comes from

Sources of the constants: DESIGN.md sections 3 and 4; the OOM bump is the VPA's (recommender, model/container.go).
"""

from mora.policies.fit import Part, PodBounds, fit
from mora.policies.gate import gated
from mora.policies.need import cpu_need, memory_need
from mora.policies.proposal import one_line
from mora.policies.replicas import Autoscaling, size_autoscaling, size_replicas
from mora.policies.settings import LimitPolicy, PolicySettings, Surroundings
from mora.policies.sizing import recommend, size

__all__ = [
    "Autoscaling",
    "LimitPolicy",
    "Part",
    "PodBounds",
    "PolicySettings",
    "Surroundings",
    "cpu_need",
    "fit",
    "gated",
    "memory_need",
    "one_line",
    "recommend",
    "size",
    "size_autoscaling",
    "size_replicas",
]
