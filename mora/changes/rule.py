"""What a change rule may be set to, and the rules for each way of applying.

The figures of the rules by pace were chosen on recorded traces: experiments/benchmarks/renewal.py prints the tables.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mora.changes.windows import MaintenanceWindow
from mora.errors import BadInput

DAY_SECONDS = 86_400.0
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class ChangeRule:
    """When a new number is worth a change. Spans in seconds, deadbands as shares of what is set, or of the usual."""

    deadband_up: float = 0.20
    """A raise by a smaller share is deferred, unless more is needed at once (`least` of decide())."""
    deadband_down: float = 0.30
    """A cut by a smaller share is deferred."""
    usual_share: float = 1.0
    """Where what is set is less than so many times the usual number (the mean of those recommended of late), the
    deadbands are shares of that: at idle times, small numbers double and halve for nothing. 0: of what is set alone."""
    usual_half_life_seconds: float = 1.5 * DAY_SECONDS
    """A number recommended so long ago counts half in the usual one."""
    settle_up_seconds: float = 0.0
    settle_down_seconds: float = 0.0
    """For how long a change in one direction must have been wanted, without a break. A cut then goes to the highest
    number that was wanted in that time. 0: at once."""
    changes_per_day: int | None = None
    """The most changes of one container in any 24 hours; None: no limit."""
    startup_seconds: float = 0.0
    """A container that is younger is not changed."""
    low_confidence_step: float = 0.0
    """Where confidence is c, a raise goes further by (1 - c) times this share of itself, and a cut must be larger by
    (1 - c) times this share of what is set: unsure numbers are followed less often, and with room."""
    window: MaintenanceWindow | None = None
    """Outside of it nothing is changed; None: any time."""
    backoff_seconds: float = 6 * _HOUR
    """How long changes in one direction wait after one of them had to be undone; twice as long every time in a row."""
    longest_backoff_seconds: float = 7 * DAY_SECONDS

    def __post_init__(self) -> None:
        """Refuse what cannot be meant, naming it."""
        for name in (
            "deadband_up",
            "deadband_down",
            "usual_share",
            "usual_half_life_seconds",
            "settle_up_seconds",
            "settle_down_seconds",
            "startup_seconds",
            "low_confidence_step",
            "backoff_seconds",
        ):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise BadInput(f"{_words(name)} must be a finite number of at least 0, not {value}.")
        if not self.usual_half_life_seconds:
            raise BadInput("Usual half life seconds must be more than 0.")
        if self.deadband_down >= 1:
            raise BadInput(
                f"A deadband of {self.deadband_down:.0%} for cuts allows none: no cut is as large as what is set.",
                hint="Give a share below 100%.",
            )
        if self.changes_per_day is not None and self.changes_per_day < 1:
            raise BadInput(f"Changes per day must be at least 1, not {self.changes_per_day}.")
        if self.longest_backoff_seconds < self.backoff_seconds:
            raise BadInput("The longest back-off must not be shorter than the first.")

    def backoff(self, undone: int) -> float:
        """Seconds to wait after so many changes in a row had to be undone.

        >>> [ChangeRule().backoff(undone) / 3600 for undone in (1, 2, 3, 40)]
        [6.0, 12.0, 24.0, 168.0]
        """
        # Far enough to reach any longest back-off; more would only grow a number.
        return min(self.backoff_seconds * 2.0 ** min(max(undone, 1) - 1, 60), self.longest_backoff_seconds)


def _words(name: str) -> str:
    return name.removesuffix("_seconds").replace("_", " ").capitalize()


FOLLOW_ALL = ChangeRule(deadband_up=0.0, deadband_down=0.0)
"""Every number is followed as it comes: what a backtest without a rule replays."""

RULES: Mapping[str, ChangeRule] = {
    "git-weekly": ChangeRule(0.05, 0.10, changes_per_day=1),
    "git-daily": ChangeRule(0.05, 0.10, changes_per_day=1),
    "template-daily": ChangeRule(0.10, 0.15, changes_per_day=1),
    "vpa": ChangeRule(0.10, 0.15),
    "in-place": ChangeRule(0.20, 0.30, low_confidence_step=0.5, changes_per_day=48, startup_seconds=300.0),
}
"""Way of applying -> its rule. A change of a template replaces every pod, a resize in place keeps them running; the
VPA's updater evicts by rules of its own, once a target has moved."""
