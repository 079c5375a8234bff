"""What is known of services as text for a person, and as a document for programs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from mora.columns import columns
from mora.health.board import Status
from mora.quantities import format_moment


def status_document(one: Status) -> dict[str, Any]:
    """One service, as the API gives it."""
    reading = one.reading
    shares = {} if reading is None else reading.contributions
    return {
        "namespace": one.namespace,
        "service": one.service,
        "state": str(one.state),
        "since": _moment(one.since),
        "as_of": _moment(None if reading is None else reading.at),
        "score": None if reading is None else reading.score,
        "threshold": None if reading is None else reading.threshold,
        "score_in_thresholds": None if reading is None else reading.ratio,
        "contributions": [{"metric": name, "share": round(share, 4)} for name, share in shares.items()],
        "alarms": one.alarms,
        "detector": one.detector or None,
        "threshold_rule": one.threshold_rule or None,
        "trained_at": _moment(one.trained_at),
        "drift_ratio": one.drift,
        "problem": one.problem,
    }


def statuses_text(found: Sequence[Status]) -> str:
    """A row a service, then what is wrong with those of which nothing is known."""
    rows: list[tuple[str, ...]] = [("SERVICE", "STATE", "SCORE", "METRIC", "SINCE", "AS OF")]
    for one in found:
        reading = one.reading
        ratio = None if reading is None else reading.ratio
        metric = "-" if reading is None else next(iter(reading.contributions), "-")
        since, at = (
            "-" if moment is None else format_moment(moment, "seconds")
            for moment in (one.since, None if reading is None else reading.at)
        )
        score = "-" if ratio is None else f"{ratio:.2f}"
        rows.append((f"{one.namespace}/{one.service}", str(one.state), score, metric, since, at))
    is_right = (False, False, True, False, False, False)
    lines = [*columns(rows, is_right=is_right), "A score above 1.00, which is the threshold, is abnormal."]
    lines += [f"{one.namespace}/{one.service}: {one.problem}" for one in found if one.problem]
    return "\n".join(lines)


def _moment(at: datetime | None) -> str | None:
    return None if at is None else format_moment(at, "milliseconds")
