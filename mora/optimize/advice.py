"""The answer as recommendations, so that every output of `mora recommend` can write it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime

from mora.domain import Advice, Allocation, ContainerAdvice, Load, Reason, Recommendation, Workload
from mora.errors import BadInput
from mora.optimize.solve import Chosen, Solution
from mora.policies import PolicySettings


def recommendations(
    solution: Solution, now: Mapping[Workload, Allocation], *, as_of: datetime, policy: PolicySettings, proven: str
) -> list[Recommendation]:
    """A recommendation for each service. now: how they stand. proven: what the confirmation showed, as a sentence."""
    found: list[Recommendation] = []
    chosen = {one.service: one for one in solution.chosen}
    served = [(one, round(one.users * share)) for one, share in zip(solution.classes, solution.shares, strict=True)]
    load = " and ".join(one.words(users) for one, users in served)
    # An output names one load; where there are several, each reason does.
    single = Load(served[0][0].scenario, served[0][1]) if len(served) == 1 and not served[0][0].is_rate else None
    for workload, allocation in now.items():
        one, main = chosen[workload.name], allocation.main
        if main is None:
            raise BadInput(f"{workload.name} has no container to size.")
        why = Reason("optimized", f"{_why(one, solution)} at {load}")
        proof = Reason("proven", proven)
        is_unset = policy.cpu_limit == "unset"
        size, was = one.option.millicores, main.resources
        limit = size if policy.cpu_limit == "request" else max(size, was.cpu_limit_millicores or size)
        memory = one.option.memory_bytes
        container = ContainerAdvice(
            container=main.name,
            cpu_request=_advice(was.cpu_request_millicores, size, why, proof),
            cpu_limit=Advice(
                was.cpu_limit_millicores,
                None if is_unset else limit,
                is_unset=is_unset,
                reasons=(Reason("limit-unset", "no CPU limit: it may use what is idle; it was proven without that"),)
                if is_unset
                else (why,),
            ),
            memory_request=_advice(
                was.memory_request_bytes, memory, Reason("peak", "the highest use in the experiments, and a buffer")
            ),
            memory_limit=_advice(
                was.memory_limit_bytes, memory, Reason("limit-equals-request", "memory cannot be overcommitted")
            ),
            role=main.role,
            is_main=True,
            written=main.written,
            sections=main.sections,
        )
        found.append(
            Recommendation(
                workload=workload,
                current=allocation,
                load=single,
                as_of=as_of,
                containers=(container,),
                replicas=_advice(allocation.replicas, one.option.replicas, why),
                hpa_average_value_millicores=max(math.ceil(one.utilisation * size), 1),
                hpa_min_replicas=min(one.option.replicas, allocation.replicas or 1),
                hpa_max_replicas=2 * one.option.replicas,
                reasons=(proof,),
                basis="experiments",
            )
        )
    return found


def _advice(now: int | None, value: int, *reasons: Reason) -> Advice:
    return Advice(now=now, value=value, reasons=reasons, summary=reasons[0].text)


def _why(one: Chosen, solution: Solution) -> str:
    parts = [
        f"{delay * 1000:.0f} ms of the p95 of {of.scenario}"
        for of, delay in zip(solution.classes, one.delay_seconds, strict=True)
    ]
    return f"{one.utilisation:.0%} of it in use, adds {' and '.join(parts)},"
