"""Health: samples of a service in, a detector out; and the verdict on samples."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mora.domain import Workload
from mora.errors import BadInput, BadModel, MoraError, NotEnoughData
from mora.health import folder as store
from mora.quantities import counted
from mora.seams import Reporter, Silent

if TYPE_CHECKING:
    import pandas as pd

    from mora.health.known import Known
    from mora.health.model import HealthModel, Judgement
    from mora.health.reading import Samples
    from mora.sources.prometheus.observe import PrometheusSource

# A score looks at so much, or so many samples where that is less, unless told.
SCORED_SPAN = timedelta(hours=24)
# Services that a process of its own is started for, beside this one.
_WORTH_A_PROCESS = 16


@dataclass(frozen=True, slots=True)
class Learning:
    """How a detector is trained. metrics: by default those of health that are known.

    excluded: known faults; labels: a CSV of more (mora/health/known.py). own: metrics of one's own, name -> PromQL.
    span: of a Prometheus's history. only_if_due: keep a detector that still fits; learn no incident of
    the last day, and nothing of the last hour. A new one then is of the same kind, with the same options and metrics of
    one's own, unless `changes_kind`: another kind than the one that is there is due, too.
    """

    detector: str = "context-distance"
    threshold: str = "tracking"
    metrics: tuple[str, ...] | None = None
    step: timedelta | None = None
    start_up: timedelta | None = None
    excluded: tuple[Known, ...] = ()
    labels: Path | None = None
    own: Mapping[str, str] | None = None
    span: timedelta = timedelta(days=14)
    include_flagged: bool = False
    only_if_due: bool = False
    changes_kind: bool = False


@dataclass(frozen=True, slots=True)
class HealthTrained:
    """The outcome of one service: a model, or the error. kept: why the detector that was there stays."""

    service: str
    model: HealthModel | None
    error: MoraError | None
    seconds: float
    kept: str = ""


def is_file(named: str) -> bool:
    """Whether an argument names a file and not a service.

    >>> is_file("metrics.csv"), is_file("./metrics"), is_file("frontend")
    (True, True, False)
    """
    return Path(named).suffix.lower() in (".csv", ".parquet") or "/" in named


def name_of_file(path: Path, service: str | None) -> str:
    """The service that a file is of: as named, or by the file's name where that can be one."""
    from mora.domain import is_name

    if path.suffix.lower() not in (".csv", ".parquet"):
        raise BadInput(
            f"{path} is neither a .csv nor a .parquet file.",
            hint="Is it a service of another namespace? Name that by -n NAMESPACE.",
        )
    if service is not None:
        return service
    name = path.stem.lower().replace("_", "-").replace(" ", "-")
    if not is_name(name):
        raise BadInput(f"{path.name!r} gives no name of a service.", hint="Name it: --service NAME.")
    return name


def health_samples(
    named: str,
    *,
    namespace: str,
    data_dir: Path | str,
    source: PrometheusSource | None = None,
    learning: Learning | None = None,
    time_column: str | None = None,
    include_flagged: bool = True,
) -> Samples:
    """The samples of a file, or of a service: from a Prometheus where one is given, else from its CSVs."""
    from mora.health import reading

    learning = Learning() if learning is None else learning
    if is_file(named):
        return reading.read_file(Path(named), time_column=time_column)
    workload = Workload(namespace, named)
    if source is not None:
        return reading.read_prometheus(source, workload, span=learning.span, step=learning.step, own=learning.own)
    return reading.read_service(named, data_dir, namespace=namespace, include_flagged=include_flagged)


def train_health(
    named: str,
    *,
    service: str | None = None,
    namespace: str = "default",
    data_dir: Path | str = "data",
    health_dir: Path | str = "health",
    models_dir: Path | str = "models",
    source: PrometheusSource | None = None,
    learning: Learning | None = None,
    time_column: str | None = None,
    reporter: Reporter | None = None,
) -> HealthModel:
    """Learn what is usual of a service, or of the service that a file is of, and save the folder of its detector.

    With `learning.only_if_due`, the detector that is there stays where it still fits. models_dir: of trained models,
    whose forecasts the detector forecast-residual takes.
    """
    return _trained(
        named,
        service,
        namespace=namespace,
        data_dir=data_dir,
        health_dir=health_dir,
        models_dir=models_dir,
        source=source,
        learning=learning,
        time_column=time_column,
        reporter=reporter,
    )[0]


def _trained(
    named: str,
    service: str | None = None,
    *,
    namespace: str = "default",
    data_dir: Path | str = "data",
    health_dir: Path | str = "health",
    models_dir: Path | str = "models",
    source: PrometheusSource | None = None,
    learning: Learning | None = None,
    time_column: str | None = None,
    reporter: Reporter | None = None,
    samples: Samples | None = None,
) -> tuple[HealthModel, str]:
    """The detector, and why the one that was there is kept."""
    from mora.health.known import read_known, windows_of
    from mora.health.model import train
    from mora.health.renewal import renewal_of

    learning = Learning() if learning is None else learning
    name = name_of_file(Path(named), service) if is_file(named) else named
    folder = store.detector_folder(health_dir, name, namespace)
    known = list(learning.excluded)
    if learning.labels is not None:
        known += read_known(learning.labels, namespace=namespace, service=name)
    before = _readable(folder) if learning.only_if_due else None
    if before is not None:
        learning = _as_before(learning, before)
    if samples is None or not set(learning.own or ()) <= set(samples.frame):
        samples = health_samples(
            named,
            namespace=namespace,
            data_dir=data_dir,
            source=source,
            learning=learning,
            time_column=time_column,
            include_flagged=learning.include_flagged,
        )
    remarks = samples.remarks
    if before is not None:
        renewal = renewal_of(before, samples.frame, now=datetime.now(UTC))
        is_another = before.card["asked"] != {"detector": learning.detector, "threshold": learning.threshold}
        if not renewal.is_due and not is_another:
            return before, renewal.why
        known += renewal.unlearnt
        more = f"{counted(len(renewal.incidents), 'event')} of the last day and the last hour are not learnt from."
        why = renewal.why if renewal.is_due else "Another kind of detector, or of threshold, is asked for."
        remarks = (*remarks, why, *((more,) if renewal.unlearnt else ()))
    forecast, without = _own_forecast(learning.detector, name, namespace, models_dir)
    model = train(
        samples.frame,
        service=name,
        namespace=namespace,
        detector=learning.detector,
        threshold=learning.threshold,
        metrics=learning.metrics,
        step=learning.step,
        start_up=learning.start_up,
        excluded=windows_of(known),
        own=learning.own,
        source=samples.source,
        remarks=(*remarks, *without),
        forecast=forecast,
        reporter=reporter,
    )
    model.save(folder)
    return model, ""


def _own_forecast(detector: str, *of: Any) -> tuple[object | None, tuple[str, ...]]:
    """What the service's own model forecasts, where the detector takes that and trains none; else why there is none."""
    from mora import registry
    from mora.model.hours import forecast_of

    kind, options = registry.named("detectors", detector)
    return (None, ()) if kind != "forecast-residual" or options.get("train") else forecast_of(*of)


def _as_before(learning: Learning, before: HealthModel) -> Learning:
    """How a detector is renewed: as it was trained, where nothing else is asked for."""
    asked = before.card["asked"]
    own = learning.own or before.card["own"] or None
    if learning.changes_kind:
        return replace(learning, own=own)
    return replace(learning, detector=asked["detector"], threshold=asked["threshold"], own=own)


def _readable(folder: Path) -> HealthModel | None:
    from mora.health.model import HealthModel

    try:
        return HealthModel.load(folder)
    except MoraError:
        return None


def train_health_all(
    services: Sequence[str], *, jobs: int = 1, reporter: Reporter | None = None, **options: Any
) -> Iterator[HealthTrained]:
    """Train many services; one that fails does not stop the others. options: those of train_health().

    jobs: processes at a time, as far as there is work for them. Outcomes come as they end.
    """
    reporter = reporter or Silent()
    at_once = min(jobs, -(-len(services) // _WORTH_A_PROCESS))
    reporter.advance("train", 0, len(services))
    if len(services) == 1:
        options = {**options, "reporter": reporter}
    for done, outcome in enumerate(_outcomes(services, options, at_once), start=1):
        reporter.advance("train", done, len(services), outcome.service)
        yield outcome


def train_health_namespace(
    source: PrometheusSource,
    *,
    namespace: str,
    learning: Learning,
    health_dir: Path | str = "health",
    models_dir: Path | str = "models",
    reporter: Reporter | None = None,
) -> Iterator[HealthTrained]:
    """Train every service of a namespace, whose metrics are read together; outcomes come as they end."""
    from mora.health.reading import read_namespace

    reporter = reporter or Silent()
    known = source.services(namespace)
    reporter.advance("train", 0, len(known), f"reading {counted(len(known), 'service')}")
    seen = set()
    found = read_namespace(source, namespace, span=learning.span, step=learning.step)
    for done, (service, samples) in enumerate(found, start=1):
        seen.add(service)
        options = {
            "namespace": namespace,
            "health_dir": health_dir,
            "models_dir": models_dir,
            "learning": learning,
            "samples": samples,
            "source": source,  # for metrics of one's own, which are read by themselves
        }
        outcome = _train_one(service, options)
        reporter.advance("train", done, max(len(known), done), service)
        yield outcome
    for service in sorted(set(known) - seen):
        yield HealthTrained(service, None, NotEnoughData(f"Nothing is known of {namespace}/{service}."), 0.0)


def _outcomes(services: Sequence[str], options: Mapping[str, Any], at_once: int) -> Iterable[HealthTrained]:
    if at_once < 2:
        for service in services:
            yield _train_one(service, options)
        return
    from mora import workers
    from mora.files import scratch_folder

    with scratch_folder("health") as folder:
        yield from workers.run(_train_one, [(service, options) for service in services], jobs=at_once, folder=folder)


def _train_one(service: str, options: Mapping[str, Any]) -> HealthTrained:
    started = time.monotonic()
    try:
        model, kept = _trained(service, **options)
        return HealthTrained(service, model, None, time.monotonic() - started, kept)
    except MoraError as failure:
        return HealthTrained(service, None, failure, time.monotonic() - started)


def load_health(service: str, *, namespace: str = "default", health_dir: Path | str = "health") -> HealthModel:
    """The detector of a service; BadModel naming those there are where it has none."""
    from mora.health.model import HealthModel

    folder = store.detector_folder(health_dir, service, namespace)
    if not folder.is_dir():
        others = [name for _, name in store.list_detectors(health_dir, namespace)]
        raise BadModel(
            f"There is no detector of {service!r} in {folder.parent}"
            + (f"; there are those of {', '.join(others)}." if others else "."),
            hint=f"Train one: {store.KIND.again(folder)}",
        )
    return HealthModel.load(folder)


@dataclass(frozen=True, slots=True)
class Scored:
    """A judgement, with what made it, and the samples on its grid."""

    model: HealthModel
    judged: Judgement
    samples: pd.DataFrame


def score_health(
    named: str,
    *,
    service: str | None = None,
    namespace: str = "default",
    data_dir: Path | str = "data",
    health_dir: Path | str = "health",
    source: PrometheusSource | None = None,
    span: timedelta | None = None,
    gap: timedelta | None = None,
    time_column: str | None = None,
    pads: bool = False,
    fill_missing: bool = False,
    now: datetime | None = None,
) -> Scored:
    """Judge the samples of a service, or of a file, by the detector of the service.

    span: of a Prometheus's history that is judged, by default a day or 20,160 samples; the samples that the detector
    looks back to are read before it. now: by default that of the clock. See HealthModel.judge() for the rest, and for
    what is raised.
    """
    from mora.detectors.frames import TIMESTAMP
    from mora.health.events import SAME_EVENT
    from mora.health.frames import moment_of
    from mora.health.reading import MOST_SAMPLES

    now = datetime.now(UTC) if now is None else now
    name = name_of_file(Path(named), service) if is_file(named) else named
    model = load_health(name, namespace=namespace, health_dir=health_dir)
    asked = min(SCORED_SPAN, MOST_SAMPLES * model.step) if span is None else span
    learning = Learning(
        step=model.step, span=asked + model.detector.context * model.step, own=model.card.get("own") or None
    )
    samples = health_samples(
        named, namespace=namespace, data_dir=data_dir, source=source, learning=learning, time_column=time_column
    )
    # In a Prometheus, a metric without any sample may be quiet: latency without requests. A remark names it.
    is_read = source is not None and not is_file(named)
    judged = model.judge(
        samples.frame,
        now=now,
        pads=pads,
        fill_missing=fill_missing or is_read,
        gap=SAME_EVENT if gap is None else gap,
        begin=None if not is_read else moment_of(samples.frame[TIMESTAMP].iloc[-1]) - asked,
    )
    prepared = model.prepared(samples.frame, now=now, fill_missing=fill_missing or is_read).frame
    shown = prepared[prepared[TIMESTAMP] >= judged.frame[TIMESTAMP].iloc[0]].reset_index(drop=True)
    return Scored(model, judged.with_remarks(samples.remarks), shown)


def list_health(health_dir: Path | str, namespace: str | None = None) -> list[tuple[str, str, HealthModel | MoraError]]:
    """Namespace, service, and the detector or why it cannot be read, of every folder there is."""
    found: list[tuple[str, str, HealthModel | MoraError]] = []
    for space, service in store.list_detectors(health_dir, namespace):
        try:
            found.append((space, service, load_health(service, namespace=space, health_dir=health_dir)))
        except MoraError as failure:
            found.append((space, service, failure))
    return found
