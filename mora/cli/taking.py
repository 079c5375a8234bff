"""A command takes the options of a dataclass as its own: one declaration of them serves several commands."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from copy import copy
from dataclasses import MISSING, fields
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

from typer.models import ArgumentInfo

Options = TypeVar("Options")

WHAT, SOURCES = "What", "Sources"


def takes(options: type[Options]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command all fields of a dataclass as its own options, before those it has; it gets them as one value."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        declared: tuple[Any, ...] = fields(options)  # type: ignore[arg-type]  # a dataclass, which TypeVar cannot say
        hints = get_type_hints(options, include_extras=True)
        shared = [
            inspect.Parameter(
                one.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if one.default is MISSING else one.default,
                annotation=_in_panel(hints[one.name], WHAT if one.name == "namespace" else SOURCES),
            )
            for one in declared
        ]
        own_hints = get_type_hints(command, include_extras=True)
        own = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=own_hints[parameter.name])
            for parameter in list(inspect.signature(command).parameters.values())[1:]
        ]

        def wrapped(**given: Any) -> None:
            asked = options(**{one.name: given.pop(one.name) for one in declared})
            command(asked, **given)

        wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
        wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in (*shared, *own)}
        wrapped.__signature__ = inspect.Signature([*shared, *own])  # type: ignore[attr-defined]  # typer reads it
        return wrapped

    return decorate


def _in_panel(hint: Any, panel: str) -> Any:
    """An option that other commands have as well, in a panel of this help page; as it is where it has one."""
    kind, option = get_args(hint)
    if isinstance(option, ArgumentInfo) or option.rich_help_panel:
        return hint
    option = copy(option)
    option.rich_help_panel = panel
    return Annotated[kind, option]
