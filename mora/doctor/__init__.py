"""What is here and what is missing: programs, packages, rights, metrics, data, models.

Each check reports what it found and, where something is wrong, what to do. Nothing is changed. The only things made
are a cgroup and a few queries; the cgroup is removed at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from mora.doctor import cluster, files, machine, prometheus
from mora.doctor.finding import Check, State
from mora.doctor.prometheus import metrics_at
from mora.doctor.sources import source_at
from mora.errors import MoraError

if TYPE_CHECKING:
    from mora.settings import Settings

__all__ = ["Check", "State", "examine", "metrics_at", "source_at"]


def examine(settings: Settings) -> list[Check]:
    """Everything that MOrA can find out about where it runs, in the order in which a person would fix it."""
    examinations: tuple[tuple[str, Callable[[Settings], Iterator[Check]]], ...] = (
        ("settings", _check_settings),
        ("python", machine.check_python),
        ("packages", machine.check_packages),
        ("extras", machine.check_extras),
        ("prometheus", machine.check_programs),
        ("limits", machine.check_limits),
        ("disk", machine.check_disk),
        ("metrics", prometheus.check_metrics),
        ("cluster", cluster.check_cluster),
        ("data", files.check_data),
        ("models", files.check_models),
        ("sandboxes", machine.check_sandboxes),
    )
    checks: list[Check] = []
    for name, examination in examinations:
        try:
            checks += examination(settings)
        except MoraError as error:
            # One thing that is broken must not hide the state of the others.
            checks.append(Check(name, State.MISSING, error.message, error.hint or ""))
    return checks


def _check_settings(settings: Settings) -> Iterator[Check]:
    given = sorted(set(settings.origins.values()))
    yield Check("settings", State.OK, f"from {', '.join(given)}" if given else "all defaults; no mora.toml here")
