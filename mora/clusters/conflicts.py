"""What a write to an object that others write to, too, can run into: it was changed, or it was deleted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mora.errors import ClusterError


class ChangedMeanwhile(ClusterError):
    """The object was changed by another client since it was read. Read it again."""


class GoneMeanwhile(ClusterError):
    """The object was deleted since it was read."""


@contextmanager
def conflicts() -> Iterator[None]:
    """Raises ChangedMeanwhile for a 409 and GoneMeanwhile for a 404 of a named object; other errors pass."""
    try:
        yield
    except ClusterError as error:
        refusal: Any = error.__cause__
        status = getattr(refusal, "status", None)
        if status == 409:
            raise ChangedMeanwhile("The object was changed by another client since it was read.") from error
        if status == 404 and names_object(refusal.body):
            raise GoneMeanwhile("The object was deleted since it was read.") from error
        raise


def names_object(body: str | bytes | None) -> bool:
    """Whether a 404 is of an object, and not of a path that the server does not serve."""
    try:
        answer = json.loads(body or "")
    except (ValueError, RecursionError):
        return False
    details = answer.get("details") if isinstance(answer, dict) else None
    return isinstance(details, dict) and bool(details.get("name"))
