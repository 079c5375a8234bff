"""Whether one source of metrics can be read, and what is missing where not: `mora doctor --source NAME`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from mora.doctor.finding import Check, State
from mora.errors import MoraError

if TYPE_CHECKING:
    from mora.settings import Settings

_MOST_NAMED = 10


def source_at(named: str, settings: Settings) -> list[Check]:
    """The checks of one source as a command would open it: what its own `check` tries, and the services it knows.

    Raises BadInput for a name that is none; other failures are checks.
    """
    from mora import pipeline, registry
    from mora.doctor.prometheus import metrics_at

    name, _, address = named.partition(":")
    registry.load("sources", name)
    if name == "prometheus":
        url = address or settings.prometheus.url
        if url is None:
            return [Check("prometheus url", State.MISSING, "none is set", "Name it: --prometheus URL")]
        try:
            return metrics_at(url, settings)
        except MoraError as error:
            return [_failed("prometheus url", error)]
    try:
        source: Any = pipeline.open_source(settings, named)
        checks = list(_tried(source.check())) if hasattr(source, "check") else []
    except MoraError as error:
        return [_failed(name, error)]
    if any(check.state is State.MISSING for check in checks):
        return checks
    return [*checks, _services(source, settings.namespace)]


def _tried(tried: Iterable[Any]) -> Iterable[Check]:
    """What a cloud tried (mora.sources.cloud.reader.Tried) as checks."""
    for one in tried:
        state = State.OK if one.is_ok else State.MISSING if one.is_needed else State.WARNING
        yield Check(one.name, state, one.words, one.remedy)


def _services(source: Any, namespace: str) -> Check:
    try:
        services = source.services(namespace)
    except MoraError as error:
        return _failed("services", error)
    if not services:
        words = f"no workload in namespace {namespace}"
        return Check("services", State.WARNING, words, "Is it another namespace? Name it: -n NAMESPACE")
    named = ", ".join(services[:_MOST_NAMED]) + (", ..." if len(services) > _MOST_NAMED else "")
    return Check("services", State.OK, f"{len(services)} in namespace {namespace}: {named}")


def _failed(name: str, error: MoraError) -> Check:
    return Check(name, State.MISSING, error.message, error.hint or "")
