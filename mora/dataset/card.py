"""The shape of an experiment's JSON: what MOrA reads of it is what it should be, and amounts are possible ones."""

from __future__ import annotations

from mora.documents import fields, flag, items, moment, number, optional, pair, text, whole
from mora.metrics import MOST

MOST_CARD_BYTES = 16 * 2**20
_LOAD_TEST = {
    name: optional(number(0, MOST[name]))
    for name in (
        "requests_per_second",
        "latency_p50_seconds",
        "latency_p95_seconds",
        "latency_p99_seconds",
        "error_ratio",
    )
}
_SECONDS = number(0, MOST["latency_p95_seconds"])
_RESOURCES = {
    "cpu_request_millicores": optional(whole(0, int(MOST["cpu_request_cores"]) * 1000)),
    "cpu_limit_millicores": optional(whole(0, int(MOST["cpu_limit_cores"]) * 1000)),
    "memory_request_bytes": optional(whole(0, int(MOST["mem_request_bytes"]))),
    "memory_limit_bytes": optional(whole(0, int(MOST["mem_limit_bytes"]))),
}
_STARTUP = {
    "cpu_cores": optional(number(0, MOST["cpu_cores_value"])),
    "mem_bytes": optional(number(0, MOST["mem_bytes_value"])),
}
_QUALITY = {"is_complete": flag, "is_steady": flag, "flags": items(text)}
_WINDOW = {"start": moment, "end": moment, "step_seconds": number(0.001, 86400)}

CARD = fields(
    {
        "experiment_id": optional(text),
        "service": optional(text),
        "namespace": optional(text),
        "kind": optional(text),
        "scenario": optional(text),
        "container": optional(text),
        "container_chosen_by": optional(text),
        "image": optional(text),
        "quality": optional(fields(_QUALITY, needed=("is_complete",))),
        "load_test": optional(
            fields({**_LOAD_TEST, "latency_p95_interval_seconds": optional(pair(_SECONDS, _SECONDS))}, needed=())
        ),
        "resources": optional(fields(_RESOURCES, needed=())),
        "startup": optional(fields(_STARTUP, needed=())),
        "standing_replicas": optional(whole(0, int(MOST["replica_count"]))),
        "window": optional(fields(_WINDOW)),
    },
    needed=(),
)
"""Of fields that MOrA does not read nothing is asked."""
