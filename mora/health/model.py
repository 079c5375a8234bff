"""HealthModel: a fitted detector with its threshold and what it was trained on; it judges samples, and is a folder."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mora import __version__, registry, sealed
from mora.detectors.frames import TIMESTAMP, matrix_of
from mora.detectors.levels import paced
from mora.domain.learning import Saved
from mora.errors import BadInput, BadModel, NotEnoughData
from mora.health import folder as store
from mora.health.events import (
    SAME_EVENT,
    Event,
    Flags,
    Floats,
    State,
    excess_of,
    find_events,
    known_share,
    starting_rows,
    states,
    usual_start_up,
    weights,
)
from mora.health.frames import REPLICAS, HealthFrame, health_columns, moment_of, on_grid
from mora.quantities import counted, format_duration, format_moment
from mora.seams import Detector, Reporter, Threshold

# The last quarter of what is known calibrates the threshold: scores of samples that the detector was not fitted on.
_CALIBRATION_SHARE = 0.25
# What is usual of a service changes in so much time.
_OLD = timedelta(days=30)


USUAL_DETECTOR, USUAL_THRESHOLD = "context-distance", "tracking"
"""What is taken unless another is named."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on each sample. frame: timestamp, score, threshold, state, weight (0..1), a row a sample.

    shares: how much of each score a metric carries, a column a metric. events: in the order of time. remarks: what a
    reader must know of the samples, a sentence each.
    """

    frame: pd.DataFrame
    shares: pd.DataFrame
    events: tuple[Event, ...]
    remarks: tuple[str, ...] = ()

    def with_remarks(self, remarks: Iterable[str]) -> Judgement:
        """The same, with more remarks before its own."""
        return replace(self, remarks=(*remarks, *self.remarks))

    @property
    def state(self) -> State:
        """That of the last row."""
        return State(self.frame["state"].iloc[-1])

    @property
    def flagged_share(self) -> float:
        """The share of abnormal samples among those with a verdict; 0 where none has one."""
        judged = self.frame["state"].isin([State.HEALTHY, State.ABNORMAL])
        return float((self.frame["state"] == State.ABNORMAL).sum() / judged.sum()) if judged.any() else 0.0


@dataclass(frozen=True, slots=True)
class HealthModel:
    """A fitted detector and its threshold. Made by train() or load(). card: plain JSON about what it was trained on."""

    namespace: str
    service: str
    detector: Detector
    threshold: Saved
    card: Mapping[str, Any]
    files: Mapping[str, bytes]

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that it looks at."""
        return self.detector.columns

    @property
    def step(self) -> timedelta:
        """The distance of two samples that it was trained on."""
        return timedelta(seconds=self.card["step_seconds"])

    @property
    def start_up(self) -> timedelta:
        """How long after a cold start there is no verdict."""
        return timedelta(seconds=self.card["start_up_seconds"])

    @property
    def trained_on(self) -> tuple[datetime, datetime]:
        """The moments of the first and the last sample that it was trained on."""
        first, last = (datetime.fromisoformat(self.card[name]) for name in ("first_sample", "last_sample"))
        return first.astimezone(UTC), last.astimezone(UTC)

    @property
    def trained_at(self) -> datetime:
        """When it was trained."""
        return datetime.fromisoformat(self.card["trained_at"]).astimezone(UTC)

    def new_threshold(self) -> Threshold:
        """Its threshold as it was trained, an object of its own that may follow scores."""
        made: Threshold = registry.load("thresholds", self.card["threshold"])()
        made.restore(self.threshold)
        return made

    def prepared(
        self, samples: pd.DataFrame, *, now: datetime | None = None, fill_missing: bool = False
    ) -> HealthFrame:
        """Samples on the grid of this model, with its metrics (and the replicas, where they are known).

        fill_missing: a metric that lacks counts as not known, with a remark; without it, it is BadInput. So are samples
        that are coarser than those it was trained on.
        """
        lacking = [name for name in self.metrics if name not in samples]
        remarks: tuple[str, ...] = ()
        if lacking and (not fill_missing or len(lacking) == len(self.metrics)):
            raise self._lacks(lacking, samples)
        if lacking:
            samples = samples.assign(**dict.fromkeys(lacking, np.nan))
            remarks = (
                f"Not known, since the samples lack {'it' if len(lacking) == 1 else 'them'}: {', '.join(lacking)}.",
            )
        more = [REPLICAS] if REPLICAS in samples and REPLICAS not in self.metrics else []
        found = on_grid(samples, step=self.step, columns=[*self.metrics, *more], now=now)
        return replace(found, remarks=(*remarks, *found.remarks))

    def judge(
        self,
        samples: pd.DataFrame | HealthFrame,
        *,
        now: datetime | None = None,
        started: Sequence[datetime] = (),
        pads: bool = False,
        fill_missing: bool = False,
        gap: timedelta = SAME_EVENT,
        threshold: Threshold | None = None,
        begin: datetime | None = None,
    ) -> Judgement:
        """The verdict on every sample, and the events.

        now: samples of later moments are dropped. started: cold starts that are known otherwise. pads: where too little
        stands before the first, the samples themselves, mirrored, stand there: a batch is judged as a whole. That
        is a remark, and the verdicts weigh less. gap: alarms no further apart are one event. threshold: the one that
        follows the scores, which it changes; by default one of its own, as it was trained. begin: samples before it are
        what the first verdicts look back to, and have none themselves. See prepared() for fill_missing and what is
        raised.
        """
        if isinstance(samples, HealthFrame):
            remarks, samples = samples.remarks, samples.frame
        else:
            remarks = ()
        prepared = self.prepared(samples, now=now, fill_missing=fill_missing)
        frame, remarks = prepared.frame, (*remarks, *prepared.remarks, *self._clipped(prepared.frame))
        known = known_share(frame, self.metrics)
        starting = starting_rows(frame, self.metrics, step=self.step, start_up=self.start_up, started=started)
        scores, shares, padded = self._scored(frame, pads=pads)
        # What a start-up scores is no evidence of what is usual.
        follower = self.new_threshold() if threshold is None else threshold
        thresholds = follower.follow(np.where(starting, np.nan, scores))
        weight = weights(known, self.detector.context)
        support = weights(np.concatenate([np.ones(padded), known > 0]), self.detector.context)[padded:]
        found = states(scores, thresholds, known, starting, support)
        verdicts = pd.DataFrame(
            {TIMESTAMP: frame[TIMESTAMP], "score": scores, "threshold": thresholds, "state": found, "weight": weight}
        )
        first = 0 if begin is None else min(int((frame[TIMESTAMP] < begin).sum()), len(frame) - 1)
        verdicts, shares = (one.iloc[first:].reset_index(drop=True) for one in (verdicts, shares))
        scores, thresholds, weight = (one[first:] for one in (scores, thresholds, weight))
        found = found[first:]
        abnormal: Flags = found == State.ABNORMAL
        excess = excess_of(scores, thresholds)
        events = find_events(verdicts[TIMESTAMP], abnormal, excess=excess, shares=shares, weight=weight, gap=gap)
        return Judgement(verdicts, shares, events, (*remarks, *self._remarks(verdicts[TIMESTAMP], found, padded)))

    def save(self, folder: Path | str) -> None:
        """Write the folder, whole or not at all; a detector that was there is replaced."""
        store.write(Path(folder), self.files)

    @classmethod
    def load(cls, folder: Path | str) -> HealthModel:
        """Read and verify a folder; BadModel where it is half-written, edited, or from a newer MOrA.

        Raises BadInput or MoraError where its detector is one of another package that is not installed.
        """
        path = Path(folder)
        contents, detector, threshold = store.read(path)
        card = contents.card
        if (path.parent.name, path.name) != (card["namespace"], card["service"]):
            raise BadModel(
                f"{path} is the detector of {card['namespace']}/{card['service']}.",
                hint="Put it back into the folder of that name.",
            )
        made: Detector = registry.load("detectors", card["detector"])()
        try:
            made.restore(detector)
            registry.load("thresholds", card["threshold"])().restore(threshold)
        except sealed.UNREADABLE as failure:
            raise BadModel(
                f"{path} cannot be understood ({sealed.in_words(failure)}).",
                hint=f"Train it again: {store.KIND.again(path)}",
            ) from failure
        if list(made.columns) != card["metrics"] or made.context != card["context"]:
            raise BadModel(
                f"The detector of {path} is not the one that its card describes.",
                hint=f"Train it again: {store.KIND.again(path)}",
            )
        return cls(card["namespace"], card["service"], made, threshold, card, contents.files)

    def _scored(self, frame: pd.DataFrame, *, pads: bool) -> tuple[Floats, pd.DataFrame, int]:
        """Scores, contributions, and how many rows were put before the first."""
        lacking = self.detector.context
        if not pads or not lacking:
            return self.detector.score(frame), self.detector.contributions(frame), 0
        # Not the first row again and again: what never moves is far from usual itself.
        mirrored = np.pad(np.arange(len(frame)), (lacking, 0), mode="symmetric")[:lacking]
        before = frame.iloc[mirrored].reset_index(drop=True)
        steps = pd.to_timedelta(np.arange(lacking, 0, -1) * self.step.total_seconds(), unit="s")
        before[TIMESTAMP] = (frame[TIMESTAMP].iloc[0] - steps).as_unit("us")
        whole = pd.concat([before, frame], ignore_index=True)
        shares = self.detector.contributions(whole).iloc[lacking:].reset_index(drop=True)
        return self.detector.score(whole)[lacking:], shares, lacking

    def _clipped(self, frame: pd.DataFrame) -> list[str]:
        """A sentence on the samples that lie outside the bounds of a detector that has some."""
        count = getattr(self.detector, "clipped", None)
        found = {} if count is None else count(frame)
        if not found:
            return []
        metrics = ", ".join(f"{number:,} of {name}" for name, number in found.items())
        return [f"Clipped, since they lie outside the bounds of {self.detector.name}: {metrics}."]

    def _remarks(self, times: pd.Series, found: np.ndarray, padded: int) -> list[str]:
        remarks = []
        first, last = self.trained_on
        if seen := int(((times >= first) & (times <= last)).sum()):
            remarks.append(
                f"{seen:,} of {counted(len(found), 'sample')} lie in the time range that the detector was trained on."
            )
        if (age := moment_of(times.iloc[-1]) - last) > _OLD:
            remarks.append(
                f"The detector was trained on samples up to {format_duration(age, about=True)} before these. What is "
                f"usual may have changed: {store.KIND.again(Path(self.namespace) / self.service)}"
            )
        if padded:
            remarks.append(
                f"Of {counted(padded, 'sample')} before the first nothing is known: in their place stand the samples "
                "themselves, mirrored, so the verdicts weigh less."
            )
        if unknown := int((found == State.UNKNOWN).sum()):
            remarks.append(f"{unknown:,} of {counted(len(found), 'sample')} have no verdict: too little is known.")
        if starting := int((found == State.STARTING).sum()):
            remarks.append(
                f"{counted(starting, 'sample')} in the first {format_duration(self.start_up)} after a cold start have "
                "no verdict."
            )
        return remarks

    def _lacks(self, lacking: Sequence[str], samples: pd.DataFrame) -> BadInput:
        there = [str(name) for name in samples.columns if name not in self.metrics]
        near = [found[0] for name in lacking if (found := difflib.get_close_matches(name, there, n=1, cutoff=0.7))]
        hint = f"Is it {near[0]} now? Then rename it, or train" if near else "Give it, or train"
        return BadInput(
            f"The samples of {self.service!r} lack {'the metric' if len(lacking) == 1 else 'the metrics'} "
            f"{', '.join(lacking)}, which its detector was trained on.",
            hint=f"{hint} again: {store.KIND.again(Path(self.namespace) / self.service)}",
        )


def train(
    samples: pd.DataFrame | HealthFrame,
    *,
    service: str,
    namespace: str = "default",
    detector: str | Detector | None = None,
    threshold: str | Threshold | None = None,
    metrics: Sequence[str] | None = None,
    step: timedelta | None = None,
    start_up: timedelta | None = None,
    excluded: Iterable[tuple[datetime, datetime]] = (),
    own: Mapping[str, str] | None = None,
    source: str | None = None,
    remarks: Sequence[str] = (),
    forecast: object | None = None,
    now: datetime | None = None,
    reporter: Reporter | None = None,
) -> HealthModel:
    """Learn what is usual of a service: the detector from the first three quarters, its threshold from the last.

    detector, threshold: registered names, with options as registry.named() reads them, or objects that are not fitted.
    metrics: those that are looked at; by default those of health_columns(). excluded: windows, such as known faults,
    whose samples are not learnt from. own: PromQL of metrics of one's own, which are looked at beside `metrics` and
    kept on the card, as are source (where the samples are from) and remarks (what a reader must know of them).
    forecast: the service's own (mora/model/hours.py), for a detector that compares samples with one.
    reporter: for detectors that fit for longer than a moment. Raises NotEnoughData, BadInput.
    """
    made = _made("detectors", USUAL_DETECTOR if detector is None else detector)
    if reporter is not None and hasattr(made, "reporter"):
        made.reporter = reporter
    if forecast is not None and hasattr(made, "forecast"):
        made.forecast = forecast
    judge = _made("thresholds", USUAL_THRESHOLD if threshold is None else threshold)
    at = datetime.now(UTC) if now is None else now
    given = samples if isinstance(samples, HealthFrame) else on_grid(samples, step=step, now=at)
    columns = list(health_columns(given.frame) if metrics is None else metrics)
    # Who asks for a metric of their own wants it looked at.
    columns += [name for name in own or {} if name not in columns]
    if absent := [name for name in columns if name not in given.frame or not given.frame[name].notna().any()]:
        raise BadInput(
            f"The samples of {service!r} have nothing of {', '.join(absent)}.",
            hint=f"They have: {', '.join(health_columns(given.frame)) or 'nothing'}.",
        )
    if not columns:
        raise NotEnoughData(f"Nothing is known of {service!r}.", hint="Is it running, and is it scraped?")
    grid = HealthFrame(given.frame[[TIMESTAMP, *columns]], given.step, given.remarks).without(excluded)
    known: Flags = np.asarray(np.isfinite(matrix_of(grid.frame, columns)).any(axis=1))
    cut = _cut(known, service)
    made.fit(grid.frame.iloc[:cut].reset_index(drop=True))
    first = max(cut - made.context, 0)
    usual = made.score(grid.frame.iloc[first:].reset_index(drop=True))[cut - first :]
    if not np.isfinite(usual).any():
        raise NotEnoughData(
            f"The detector {made.name} says nothing of the last quarter of the samples of {service!r}: it needs "
            f"{made.context} samples in a row before one, and there are {int(known[cut:].sum())}.",
            hint="Give a longer history, or one without gaps.",
        )
    paced(judge, grid.step.total_seconds()).fit(usual)
    saved, trained = made.save(), judge.save()
    flagged = usual[np.isfinite(usual)] > judge.level
    times = grid.frame[TIMESTAMP]
    card = {
        "namespace": namespace,
        "service": service,
        "detector": made.name,
        "threshold": judge.name,
        # With their options, for the next training.
        "asked": {
            "detector": detector if isinstance(detector, str) else made.name,
            "threshold": threshold if isinstance(threshold, str) else judge.name,
        },
        "metrics": list(made.columns),
        "step_seconds": grid.step.total_seconds(),
        "start_up_seconds": (usual_start_up(grid.step) if start_up is None else start_up).total_seconds(),
        "context": int(made.context),
        "trained_at": format_moment(at, "seconds"),
        "first_sample": format_moment(times.iloc[0], "shortest"),
        "last_sample": format_moment(times.iloc[-1], "shortest"),
        "rows": int(known.sum()),
        "calibration_rows": int(np.isfinite(usual).sum()),
        "known_share": float(known_share(grid.frame, made.columns)[known].mean()),
        "flagged_share": float(flagged.mean()),
        "usual_score": float(np.nanmedian(usual)),
        "reasons": [*remarks, *grid.remarks, *made.reasons],
        "own": dict(own or {}),
        "source": source,
        "mora": __version__,
    }
    contents = store.seal(card, saved, trained)
    return HealthModel(namespace, service, made, trained, contents.card, contents.files)


def _cut(known: Flags, service: str) -> int:
    """The row that ends the first three quarters of the known rows."""
    rows = np.flatnonzero(known)
    if len(rows) < 2:
        raise NotEnoughData(f"Nothing is known of {service!r}.", hint="Is it running, and is it scraped?")
    return int(rows[int(len(rows) * (1 - _CALIBRATION_SHARE))])


def _made(seam: str, named: Any) -> Any:
    return registry.make(seam, *registry.named(seam, named)) if isinstance(named, str) else named
