"""Options of a change rule, of the commands that have one: when a new number is followed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from mora.errors import BadInput

if TYPE_CHECKING:
    from mora.changes.rule import ChangeRule

_PANEL = "Following numbers"

Follow = Annotated[
    str | None,
    typer.Option(
        "--follow",
        help="The rule of a way of applying: git-weekly, git-daily, template-daily, vpa or in-place.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
Deadband = Annotated[
    str | None,
    typer.Option(
        "--deadband",
        help="Follow a number only where it moved by more, e.g. 30%.",
        show_default="the rule's",
        rich_help_panel=_PANEL,
    ),
]
DeadbandUp = Annotated[
    str | None,
    typer.Option("--deadband-up", help="The same, of raises alone.", show_default="--deadband", rich_help_panel=_PANEL),
]
DeadbandDown = Annotated[
    str | None,
    typer.Option("--deadband-down", help="The same, of cuts alone.", show_default="--deadband", rich_help_panel=_PANEL),
]
SettleDown = Annotated[
    str | None,
    typer.Option(
        "--settle-down",
        help="Cut only what has been wanted for so long, and to the highest number of that time.",
        show_default="the rule's",
        rich_help_panel=_PANEL,
    ),
]
ChangesPerDay = Annotated[
    int | None,
    typer.Option(
        "--changes-per-day",
        help="The most changes of one container in 24 hours.",
        show_default="the rule's",
        rich_help_panel=_PANEL,
    ),
]
MaintenanceWindow = Annotated[
    str | None,
    typer.Option(
        "--maintenance-window",
        help='Change nothing outside of it, e.g. "Mon-Fri 02:00-04:00" (UTC).',
        show_default="any time",
        rich_help_panel=_PANEL,
    ),
]


def change_rule_of(
    start: ChangeRule,
    *,
    follow: str | None = None,
    deadband: str | None = None,
    deadband_up: str | None = None,
    deadband_down: str | None = None,
    settle_down: str | None = None,
    changes_per_day: int | None = None,
    window: str | None = None,
) -> ChangeRule:
    """The rule that the options ask for. What none of them names is as in `start`, or as --follow's rule has it."""
    from mora.changes.rule import RULES
    from mora.changes.windows import parse_window
    from mora.quantities import parse_duration, parse_ratio

    if follow is not None and follow not in RULES:
        raise BadInput(f"There is no way of applying {follow!r}.", hint=f"Known: {', '.join(RULES)}.")
    rule = start if follow is None else RULES[follow]
    up, down = deadband_up or deadband, deadband_down or deadband
    if up is not None:
        rule = replace(rule, deadband_up=parse_ratio(up))
    if down is not None:
        rule = replace(rule, deadband_down=parse_ratio(down))
    if settle_down is not None:
        rule = replace(rule, settle_down_seconds=parse_duration(settle_down).total_seconds())
    if changes_per_day is not None:
        rule = replace(rule, changes_per_day=changes_per_day)
    return rule if window is None else replace(rule, window=parse_window(window))
