"""What a drive says of classes and services, by the names that steps have in the journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from mora.harness.drive import Driven, Moment, Offer
from mora.optimize.attribution import p95_bounds
from mora.optimize.journal import Measured
from mora.optimize.solve import LoadClass

BROKEN_ERRORS = 0.5
"""A step in which so many requests fail is ended early; a baseline, too, is none."""


def offer_of(one: LoadClass, scenario_file: Path, count: int) -> Offer:
    """So many of a class, as a load to drive."""
    if one.is_rate:
        return Offer.at_rate(one.scenario, scenario_file, float(count))
    return Offer(one.scenario, scenario_file, count)


def quiet(runs: Sequence[Measured]) -> Sequence[Measured]:
    """The runs that nothing else on the machines could have changed; all where there is no such run."""
    return [one for one in runs if not one.contended] or runs


def quiet_steps(steps: Mapping[str, Measured], service: str) -> list[tuple[str, Measured]]:
    """The squeezed steps of a service, without the contended ones where others are left."""
    own = [(name, one) for name, one in steps.items() if size_of(name, service) is not None]
    return [(name, one) for name, one in own if not one.contended] or own


def step_name(service: str, millicores: int) -> str:
    """The name of a squeezed step in the journal."""
    return f"{service} at {millicores}m"


def size_of(name: str, service: str) -> int | None:
    """The millicores of a squeezed step of this service; None for any other step.

    >>> size_of(step_name("cart", 40), "cart"), size_of("baseline", "cart"), size_of(step_name("cart", 40), "web")
    (40, None, None)
    """
    prefix = f"{service} at "
    rest = name.removeprefix(prefix)
    return int(rest[:-1]) if name.startswith(prefix) and rest[:-1].isdigit() else None


def read_driven(driven: Driven) -> Measured:
    """What a drive says of every class and service."""
    p95, upper, errors = {}, {}, {}
    for load in driven.loads:
        counted: Counter[float] = Counter()
        for second in load.record.seconds:
            if driven.window.start.timestamp() < second.time - 0.5 <= driven.window.end.timestamp():
                counted.update(second.milliseconds)
        bounds = p95_bounds(counted)
        scenario = load.offer.scenario
        p95[scenario] = load.figures.latency_p95_seconds
        upper[scenario] = None if bounds is None else bounds[2]
        errors[scenario] = load.figures.error_ratio
    start = pd.Timestamp(driven.window.start)
    cores, memory, throttled = {}, {}, {}
    for workload, observation in driven.observations.items():
        metrics = observation.metrics.loc[observation.metrics.index >= start]
        used = metrics["cpu_cores_total"] if "cpu_cores_total" in metrics else metrics["cpu_cores_value"]
        cores[workload.name] = _mean(used)
        memory[workload.name] = int(metrics["mem_bytes_value"].fillna(0.0).max()) if len(metrics) else 0
        throttled[workload.name] = _mean(metrics["throttled_ratio"]) if "throttled_ratio" in metrics else 0.0
    return Measured(
        users={load.offer.scenario: round(load.offer.requests_per_second or load.offer.users) for load in driven.loads},
        p95_seconds=p95,
        p95_upper_seconds=upper,
        error_ratio=errors,
        requests_per_second={load.offer.scenario: load.figures.requests_per_second or 0.0 for load in driven.loads},
        cores=cores,
        memory_bytes=memory,
        throttled_ratio=throttled,
        was_cut=driven.was_cut,
        contended=driven.contention.reasons,
        remarks=tuple(remark for load in driven.loads for remark in load.remarks()),
    )


def _mean(values: pd.Series) -> float:
    known = values.dropna()
    return float(known.mean()) if len(known) else 0.0


def is_broken(measured: Measured, one: LoadClass) -> bool:
    """Whether a class missed its SLO in a run; a run without any answer did."""
    p95, errors = measured.p95_seconds.get(one.scenario), measured.error_ratio.get(one.scenario)
    return p95 is None or errors is None or p95 > one.slo.p95_seconds or errors > one.slo.error_ratio


def is_beyond_doubt(moment: Moment, offers: Sequence[Offer], slos: Mapping[str, float]) -> bool:
    """Whether a class's p95 so far lies above its SLO even at its lower bound, or most of its requests fail."""
    assert moment.window is not None  # noqa: S101  (asked by the caller)
    begin = moment.window.start.timestamp()
    for offer, load in zip(offers, moment.loads, strict=True):
        seconds = [second for second in load.record().seconds if second.time - 0.5 > begin]
        if len(seconds) < 2:
            continue
        counted = sum((second.milliseconds for second in seconds[1:]), start=seconds[0].milliseconds.copy())
        bounds = p95_bounds(counted)
        requests = seconds[-1].requests - seconds[0].requests
        failures = seconds[-1].failures - seconds[0].failures
        if bounds is not None and bounds[0] > slos[offer.scenario]:
            return True
        if requests >= 20 and failures > BROKEN_ERRORS * requests:
            return True
    return False
