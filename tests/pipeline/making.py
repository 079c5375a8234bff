"""A model as its freshness is judged by, and a workload that fits it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from mora.domain import (
    Allocation,
    Container,
    Resources,
    Workload,
)
from mora.model import ServiceModel
from mora.quantities import MIB

SEEN = Resources(100, 180, 512 * MIB, 512 * MIB)
LAST = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Learnt:
    """Of a model, what freshness is judged by."""

    workload: Workload = field(default_factory=lambda: Workload("default", "frontend"))
    card: dict[str, Any] = field(
        default_factory=lambda: {
            "driven": True,
            "last_sample": LAST.isoformat(),
            "experiments": ["frontend_checkout_replicas_2_users_40"],
            "scenarios": ["checkout"],
            "rows": 60,
            "report": {"next_steps": {}, "calibrations": {}},
            "measured": {
                "container": "server",
                "image": "shop:1",
                "replicas": 2,
                "resources": {name: getattr(SEEN, name) for name in SEEN.__dataclass_fields__},
            },
        }
    )

    @property
    def is_driven(self) -> bool:
        return bool(self.card["driven"])


def model(*, is_driven: bool = True) -> ServiceModel:
    learnt = Learnt()
    learnt.card["driven"] = is_driven
    return cast(ServiceModel, learnt)


def running(resources: Resources = SEEN, image: str = "shop:1") -> Allocation:
    return Allocation(2, (Container("server", resources, image, is_main=True),))
