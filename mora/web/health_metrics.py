"""The health of every service as Prometheus metrics: text that is made when the board changes, never for a scrape.

While a new text is made, a scrape gets the one before.

It is written here and not by prometheus_client's families: of 10,000 services it has a few hundred thousand lines.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from mora.health.board import Board, Shown, Status
from mora.health.events import State
from mora.health.watch import ERROR_EDGES

# Of a score's contributions the largest are exported: each metric is a series of its own.
_MOST_CONTRIBUTIONS = 3

# name -> type and what it is, in the order of the page.
FAMILIES: Mapping[str, tuple[str, str]] = {
    "mora_anomaly_score": ("gauge", "How abnormal the newest sample is, in the detector's own unit."),
    "mora_anomaly_threshold": ("gauge", "The score from which on a sample is abnormal, in the same unit."),
    "mora_anomaly": ("gauge", "1 where the newest sample is abnormal, 0 where it is not; no sample where unknown."),
    "mora_health_score": ("gauge", "The score in thresholds: above 1 is abnormal, whatever the detector."),
    "mora_health_threshold": ("gauge", "The score that 1 stands for, in the detector's own unit."),
    "mora_health_state": ("gauge", "1 for the state that holds: healthy, abnormal, starting, unknown."),
    "mora_health_contribution_ratio": ("gauge", "Share of the score that a metric carries; the largest three."),
    "mora_health_alarms_total": ("counter", "Runs of abnormal samples since the watcher began."),
    "mora_health_last_score_timestamp_seconds": ("gauge", "The moment of the newest sample that has a score."),
    "mora_health_drift_ratio": ("gauge", "The threshold now over the one that was learnt: how far usual has moved."),
    "mora_health_model_age_seconds": ("gauge", "Time since the detector was trained."),
    "mora_reconstruction_error": ("histogram", "Errors of the detectors that reconstruct samples."),
    "mora_health_watch_timestamp_seconds": ("gauge", "When the watcher last looked."),
    "mora_health_watch_failing": ("gauge", "1 where the last look could not read from Prometheus."),
    "mora_health_services": ("gauge", "Services in each state."),
}
ALIAS = "anomaly_score"
"""The plain name of mora_anomaly_score, by option."""


@dataclass(slots=True)
class HealthMetrics:
    """The text of a board. has_alias: whether the score also has its plain name."""

    board: Board
    has_alias: bool = False
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)
    _version: int = field(init=False, default=-1)
    _good_until: datetime = field(init=False, default=datetime.max.replace(tzinfo=UTC))
    _text: bytes = field(init=False, default=b"")

    def text(self) -> bytes:
        """What is known now, made before: no scrape waits while it is made anew.

        Only where the watcher looks no more, a verdict that goes stale makes it new, once.
        """
        if self._version < 0 or self.now() > self._good_until:
            self.refresh()
        return self._text

    def refresh(self) -> None:
        """Make the text of what is known now, where that is not the text that there is."""
        with self._lock:
            now, shown = self.now(), self.board.shown()
            if shown.version != self._version or now > self._good_until:
                self._text = render(shown, now, has_alias=self.has_alias)
                self._version, self._good_until = shown.version, _good_until(shown, now)


def render(shown: Shown, now: datetime, *, has_alias: bool = False) -> bytes:
    """The metrics of all services as they are known at a moment."""
    lines: dict[str, list[str]] = {name: [] for name in FAMILIES}
    counts = dict.fromkeys(State, 0)
    for _, status in sorted(shown.statuses.items()):
        one = status.as_of(now)
        counts[one.state] += 1
        for name, labels, value in _samples(one, now):
            lines[name].append(f"{labels} {value:.10g}")
        if one.errors is not None:
            lines["mora_reconstruction_error"] += _histogram(one)
    lines["mora_health_watch_timestamp_seconds"].append(f" {shown.at.timestamp() if shown.at else 0.0:.10g}")
    lines["mora_health_watch_failing"].append(f" {int(shown.problem is not None)}")
    lines["mora_health_services"] += [f'{{state="{state}"}} {count}' for state, count in counts.items()]
    text: list[str] = []
    for name, (kind, about) in FAMILIES.items():
        text += [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
        text += [f"{name}{line}" for line in lines[name]]
        if name == "mora_anomaly_score" and has_alias:
            text += [f"# HELP {ALIAS} The same as mora_anomaly_score.", f"# TYPE {ALIAS} gauge"]
            text += [f"{ALIAS}{line}" for line in lines[name]]
    return ("\n".join(text) + "\n").encode()


def _samples(one: Status, now: datetime) -> Iterator[tuple[str, str, float]]:
    place = f'namespace="{_escaped(one.namespace)}",service="{_escaped(one.service)}"'
    labels = f'{{{place},detector="{_escaped(one.detector)}"}}'
    for state in State:
        yield "mora_health_state", f'{{{place},state="{state}"}}', float(state == one.state)
    yield "mora_health_alarms_total", f"{{{place}}}", one.alarms
    if one.trained_at is not None:
        age = max(0.0, (now - one.trained_at).total_seconds())
        yield "mora_health_model_age_seconds", labels, age
    if one.drift is not None:
        yield "mora_health_drift_ratio", labels, one.drift
    reading = one.reading
    has_verdict = one.state in (State.HEALTHY, State.ABNORMAL)
    if not has_verdict or reading is None or reading.score is None or reading.threshold is None:
        return
    yield "mora_anomaly_score", labels, reading.score
    yield "mora_anomaly_threshold", labels, reading.threshold
    yield "mora_health_threshold", labels, reading.threshold
    yield "mora_health_last_score_timestamp_seconds", f"{{{place}}}", reading.at.timestamp()
    yield "mora_anomaly", labels, float(one.state == State.ABNORMAL)
    if reading.ratio is not None:
        yield "mora_health_score", labels, reading.ratio
    for metric, share in list(reading.contributions.items())[:_MOST_CONTRIBUTIONS]:
        yield "mora_health_contribution_ratio", f'{{{place},metric="{_escaped(metric)}"}}', share


def _histogram(one: Status) -> Iterator[str]:
    assert one.errors is not None  # noqa: S101  # asked by the caller
    counts, total = one.errors
    place = f'namespace="{_escaped(one.namespace)}",service="{_escaped(one.service)}"'
    labels = f'{place},detector="{_escaped(one.detector)}"'
    so_far = 0
    for edge, count in zip((*(f"{edge:g}" for edge in ERROR_EDGES), "+Inf"), counts, strict=True):
        so_far += count
        yield f'_bucket{{{labels},le="{edge}"}} {so_far}'
    yield f"_sum{{{labels}}} {total:.10g}"
    yield f"_count{{{labels}}} {so_far}"


def _good_until(shown: Shown, now: datetime) -> datetime:
    """The first moment at which a verdict that is current now no longer is."""
    ends = [one.stale_at for one in shown.statuses.values() if one.reading is not None and one.is_current(now)]
    return min(ends, default=datetime.max.replace(tzinfo=UTC))


def _escaped(value: str) -> str:
    r"""A label value in the text format.

    >>> print(_escaped('a"b\n'))
    a\"b\n
    """
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
