"""What a model's card says of the data it was learned from: checksum, end, the workload as it stood, start-up peaks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mora.dataset import last_resources

if TYPE_CHECKING:
    import pandas as pd


def fingerprint(frame: pd.DataFrame) -> str:
    """A checksum of the training data, the same on every machine."""
    text = frame.to_csv(index=False, date_format="%Y-%m-%dT%H:%M:%S.%fZ", lineterminator="\n")
    return hashlib.sha256(text.encode()).hexdigest()


def last_sample(frame: pd.DataFrame) -> datetime:
    """When the newest sample was taken, in UTC."""
    last: datetime = frame["timestamp"].max().to_pydatetime()
    return last.astimezone(UTC)


def current_state(frame: pd.DataFrame, cards: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The workload as it was when the newest experiment began; None for what neither card nor samples have."""
    newest = frame.groupby("experiment_id")["timestamp"].max().sort_values(kind="stable").index
    for name in reversed([str(name) for name in newest]):
        card = cards.get(name)
        if card:
            return {
                "container": card.get("container"),
                "image": card.get("image"),
                "replicas": card.get("standing_replicas"),
                "resources": dict(card.get("resources") or {}),
            }
    # Without a card only the samples show what was set.
    resources = asdict(last_resources(frame.sort_values("timestamp", kind="stable")))
    return {"container": None, "image": None, "replicas": None, "resources": resources}


def startups(frame: pd.DataFrame, cards: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float | None]]:
    """experiment -> the peaks of its first moments, where they were seen."""
    found = {}
    for name in sorted(str(name) for name in frame["experiment_id"].unique()):
        startup = (cards.get(name) or {}).get("startup")
        if startup:
            found[name] = {"cpu_cores": startup.get("cpu_cores"), "mem_bytes": startup.get("mem_bytes")}
    return found
