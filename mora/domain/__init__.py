"""The nouns of MOrA: workloads, observations, advice.

Inside the house CPU requests and limits are int millicores, memory is int bytes, time is an aware UTC datetime. Plain
*use* (what was measured or is forecast) is float cores and float bytes, as in the unified CSV. None means "not set" or
"not known" and always comes with a reason beside it; NaN never leaves an array.
"""

from __future__ import annotations

from mora.domain.advice import Advice, ContainerAdvice, Demand, Recommendation, TargetDemand
from mora.domain.kinds import API_VERSIONS, JOB_KINDS, RUN_KINDS, is_written, stem_of_run, where_set
from mora.domain.observations import (
    MOST_LEFT_OUT,
    ContainerHistory,
    CrashLoop,
    Evidence,
    Experiment,
    LeftOut,
    Load,
    Observation,
    PodSpread,
    PodUse,
    Quality,
    Slo,
    Window,
    WorkloadHistory,
)
from mora.domain.question import Question
from mora.domain.workloads import (
    INJECTED_SIDECARS,
    KEDA_PREFIX,
    Allocation,
    AmountRange,
    Autoscaler,
    Container,
    Quota,
    Reason,
    Resources,
    Role,
    Target,
    VerticalScaler,
    Workload,
    WorkloadState,
    check_name,
    choose_main_container,
    is_jvm_image,
    is_name,
    owned_by_keda,
    set_by_vpas,
)

__all__ = [
    "API_VERSIONS",
    "INJECTED_SIDECARS",
    "JOB_KINDS",
    "KEDA_PREFIX",
    "MOST_LEFT_OUT",
    "RUN_KINDS",
    "Advice",
    "Allocation",
    "AmountRange",
    "Autoscaler",
    "Container",
    "ContainerAdvice",
    "ContainerHistory",
    "CrashLoop",
    "Demand",
    "Evidence",
    "Experiment",
    "LeftOut",
    "Load",
    "Observation",
    "PodSpread",
    "PodUse",
    "Quality",
    "Question",
    "Quota",
    "Reason",
    "Recommendation",
    "Resources",
    "Role",
    "Slo",
    "Target",
    "TargetDemand",
    "VerticalScaler",
    "Window",
    "Workload",
    "WorkloadHistory",
    "WorkloadState",
    "check_name",
    "choose_main_container",
    "is_jvm_image",
    "is_name",
    "is_written",
    "owned_by_keda",
    "set_by_vpas",
    "stem_of_run",
    "where_set",
]
