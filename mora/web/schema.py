"""The API's documents as types, for its OpenAPI description. Answers are made without them; tests compare both."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

_NAME = Field(default=None, max_length=253)


class Document(BaseModel):
    """An object of an answer; new fields may come at any time."""

    model_config = ConfigDict(extra="allow")


class Asked(BaseModel):
    """What every question may be narrowed to; an unknown parameter is refused: a misspelt one would answer all."""

    model_config = ConfigDict(extra="forbid")

    cluster: str | None = _NAME
    namespace: str | None = _NAME


class AskedWorkloads(Asked):
    """Which workloads."""

    workload: str | None = _NAME
    kind: str | None = Field(default=None, max_length=63, description="Any case: Deployment, deployment.")


class AskedWorkload(AskedWorkloads):
    """One workload."""

    namespace: str = Field(max_length=253)
    workload: str = Field(max_length=253)


class AskedSince(Asked):
    """Since when: a span back from now."""

    since: str = Field(default="24h", max_length=32, description="A span: 24h, 7d.")


class Reason(Document):
    """Why a number is what it is: a stable code for programs, the text for people."""

    code: str
    text: str


class Number(Document):
    """One number: millicores, bytes or replicas. value: null without a recommendation; goal: after the last step."""

    now: int | None
    value: int | None
    goal: int | None
    quantity: str | None = None
    is_unset: bool
    change_ratio: float | None
    confidence: float | None
    windows: int
    summary: str
    reasons: list[Reason]


class Container(Document):
    """The four numbers of a container, and what they rest on."""

    name: str
    role: str
    is_main: bool
    is_injected: bool
    cpu_request_millicores: Number
    cpu_limit_millicores: Number
    memory_request_bytes: Number
    memory_limit_bytes: Number
    reasons: list[Reason]
    evidence: dict[str, Any] | None


class Recommendation(Document):
    """One workload, as in `mora recommend -o json`; the fields of its main container stand in it as well."""

    namespace: str
    service: str
    kind: str
    container: str
    as_of: str
    basis: str
    replicas: Number
    reasons: list[Reason]
    containers: list[Container]


class Problem(Document):
    """What is wrong since when, and what to do."""

    message: str
    hint: str | None
    since: str


class Cluster(Document):
    """A cluster: when its answer was made, and why there is no newer one. record_problem: why it is not recorded."""

    name: str
    as_of: str | None
    problem: Problem | None
    record_problem: Problem | None


class ClusterState(Cluster):
    """A cluster, and how old its answer is."""

    age_seconds: float | None
    is_stale: bool
    workloads: int
    notes: list[str]


class Recommendations(Document):
    """The recommendations that match; the header Age says how old the oldest answer is, in seconds."""

    schema_version: int
    clusters: list[Cluster]
    recommendations: list[Recommendation]
    savings: dict[str, Any]


class Explanation(Document):
    """How each number of a workload is derived: the text of `mora explain`, and the same numbers as data."""

    cluster: str
    namespace: str
    kind: str
    workload: str
    text: str
    recommendation: Recommendation


class Explanations(Document):
    """One for each workload that matches; several where kinds or clusters share a name."""

    explanations: list[Explanation]


class Status(Document):
    """The state of every cluster."""

    clusters: list[ClusterState]


class _OfNumber(Document):
    cluster: str
    namespace: str
    kind: str
    workload: str
    container: str = Field(description="Empty for replicas.")
    number: str


class Point(Document):
    """What was recommended from a moment on."""

    at: str
    recommended: int


class Recorded(_OfNumber):
    """A recommendation from its first moment to what became of it: open, applied, partly, otherwise or gone."""

    set_before: int | None
    recommended: int
    confidence: float | None
    first_at: str
    last_at: str
    outcome: str
    set_after: int | None
    changed_at: str | None
    covered: bool | None
    needed_since: float | None
    samples_since: int | None
    oom_kills_since: int | None
    points: list[Point]


class History(Document):
    """All that was recommended for a workload, oldest first."""

    history: list[Recorded]


class Moved(_OfNumber):
    """A recommendation that is another than it was; recommended_before is null for a new one."""

    now: int | None
    recommended_before: int | None
    recommended: int


class Changes(Document):
    """What is recommended otherwise than at a moment, and which settings were changed since."""

    since: str
    recommendations: list[Moved]
    settings: list[Recorded]


class Moment(Document):
    """The sums over all replicas at a moment. waste: reserved beyond need; lack: missing from requests."""

    at: str
    reserved_cpu_cores: float
    waste_cpu_cores: float
    lack_cpu_cores: float
    reserved_memory_bytes: int
    waste_memory_bytes: int
    lack_memory_bytes: int


class Trend(Document):
    """What was reserved, wasted and lacking over time, oldest first."""

    trend: list[Moment]


class Refused(Document):
    """Why there is no answer: `error` with a message and a hint."""

    error: dict[str, str | None]
