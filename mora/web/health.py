"""The paths of health: what is known of one service and of all, and scores of samples that are sent."""

from __future__ import annotations

import asyncio
import difflib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Path, Query, Request
from fastapi.responses import Response
from pydantic import ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from mora.health.board import Board, Shown
from mora.health.statuses import status_document
from mora.outputs.documents import printable_json
from mora.quantities import format_moment
from mora.web import schema
from mora.web.body import Body, NotThere, TooMuch, body_of
from mora.web.health_metrics import HealthMetrics
from mora.web.scoring import MOST_BYTES, Scoring

SCORE_PATH = "/v1/score"
POSTS = frozenset({SCORE_PATH})
_FRESH = {"cache-control": "no-store"}
# Scoring takes a processor; who comes while so many wait is asked to come again.
_MOST_WAITING = 8
_Name = Annotated[str, Path(max_length=253)]


@dataclass(frozen=True, slots=True)
class HealthPart:
    """What the paths of health answer from. scoring: None where nothing may be sent."""

    board: Board
    metrics: HealthMetrics
    scoring: Scoring | None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


class AskedHealth(schema.Document):
    """Which services."""

    model_config = ConfigDict(extra="forbid")

    namespace: str | None = Field(default=None, max_length=253)
    state: Literal["healthy", "abnormal", "starting", "unknown"] | None = None


def add_health(app: FastAPI, part: HealthPart) -> None:
    """The paths of health, on an application."""
    waiting = asyncio.Semaphore(_MOST_WAITING)

    @app.get("/health", tags=["health"])
    def every(asked: Annotated[AskedHealth, Query()]) -> Response:
        """Every watched service, or those of a namespace, or in a state."""
        shown, now = part.board.shown(), part.now()
        found = shown.find(namespace=asked.namespace, state=asked.state, now=now)
        return _answer(
            {"as_of": _moment(shown.at), "problem": shown.problem, "services": [status_document(one) for one in found]}
        )

    @app.get("/health/{namespace}/{service}", tags=["health"], responses={404: {"model": schema.Refused}})
    def one(namespace: _Name, service: _Name) -> Response:
        """The state of a service, its score and threshold, since when, and which metrics carry the score."""
        shown = part.board.shown()
        status = shown.statuses.get((namespace, service))
        if status is None:
            raise _not_watched(shown, namespace, service)
        return _answer(status_document(status.as_of(part.now())))

    if part.scoring is None:
        return
    scoring = part.scoring

    @app.post(SCORE_PATH, tags=["health"], responses={400: {"model": schema.Refused}, 413: {"model": schema.Refused}})
    async def score(request: Request) -> Response:
        """The scores of a batch of samples of one service, in the order of time, at the step of its detector."""
        if waiting.locked():
            raise TooMuch(503, "Many questions are being scored. Ask again in a second.")
        async with waiting:
            body = await body_of(request, MOST_BYTES)
            return await run_in_threadpool(lambda: _answer(scoring.answer(body)))


def _not_watched(shown: Shown, namespace: str, service: str) -> NotThere:
    there = sorted(name for space, name in shown.statuses if space == namespace)
    near = difflib.get_close_matches(service, there, n=3)
    if near:
        return NotThere(f"{namespace}/{service} is not watched. Did you mean {', '.join(near)}?")
    spaces = sorted({space for space, _ in shown.statuses})
    known = f" It watches services of: {', '.join(spaces[:20])}." if spaces else " No service is watched yet."
    return NotThere(f"{namespace}/{service} is not watched.{known}")


def _moment(at: datetime | None) -> str | None:
    return None if at is None else format_moment(at, "milliseconds")


def _answer(value: Any) -> Response:
    text = printable_json(json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")))
    return Body(text.encode() + b"\n", headers=_FRESH)
