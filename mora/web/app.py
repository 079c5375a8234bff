"""The paths of `mora serve`: the page, the API, metrics and health. Everything only reads.

What is asked often is made once for each answer and shared; questions to the record run in threads. Nothing waits for
a refresh.
"""

from __future__ import annotations

import difflib
import gzip
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from mora.errors import BadInput, MoraError, NotEnoughData
from mora.quantities import parse_duration
from mora.record.reading import reading
from mora.web import documents, schema
from mora.web.body import Body, NotThere, TooMuch
from mora.web.health import HealthPart, add_health
from mora.web.live import Live, Shown
from mora.web.metrics import Telemetry

_FRESH = MappingProxyType({"cache-control": "no-store"})
_NO_PAGE = "default-src 'none'; frame-ancestors 'none'"


@dataclass(frozen=True, slots=True)
class Served:
    """What the paths answer from.

    record: the file of the record. unhealthy: why to restart the process. page: the page of what is shown, of a cluster
    and a namespace. health: of services, where they are watched. run: tells the answers of this process from those of
    the one before it.
    """

    live: Live
    telemetry: Telemetry
    record: Path
    unhealthy: Callable[[], str | None]
    page: Callable[[Shown, str | None, str | None], str]
    health: HealthPart | None = None
    now: Callable[[], float] = time.time
    run: str = field(default_factory=lambda: secrets.token_hex(4))


def application(served: Served) -> FastAPI:
    """The application, for an ASGI server."""
    app = described("Recommendations for requests, limits and replicas, each with its confidence and its reasons.")
    _answers(app, served)
    _record(app, served)
    _page(app, served)
    health = served.health
    add_probes(
        app,
        served.unhealthy,
        served.live.unready,
        lambda: served.telemetry.text() + (b"" if health is None else health.metrics.text()),
    )
    if health is not None:
        add_health(app, health)
    return app


def health_application(
    health: HealthPart, unhealthy: Callable[[], str | None], unready: Callable[[], str | None]
) -> FastAPI:
    """The application of a watcher alone: health, without recommendations."""
    app = described("The health of services: scores, states, and which metric is off.")
    add_probes(app, unhealthy, unready, health.metrics.text)
    add_health(app, health)
    return app


def described(summary: str) -> FastAPI:
    """An application without paths of its own whose errors are documents."""
    from mora import __version__

    app = FastAPI(
        title="MOrA",
        version=__version__,
        summary=summary,
        openapi_url="/api/v1/openapi.json",
        # Their pages load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
    )
    _errors(app)
    return app


def _errors(app: FastAPI) -> None:
    @app.exception_handler(MoraError)
    async def refused(request: Request, problem: Exception) -> Response:
        assert isinstance(problem, MoraError)  # noqa: S101  # what the handler is for
        status = 400 if isinstance(problem, BadInput | NotEnoughData) else 503
        return Body(documents.error(problem.message, problem.hint), status=status)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, problem: Exception) -> Response:
        assert isinstance(problem, RequestValidationError)  # noqa: S101  # what the handler is for
        words = " ".join(_invalid(one) for one in problem.errors())
        return Body(documents.error(words, "See /api/v1/openapi.json for what may be asked."), status=422)

    @app.exception_handler(HTTPException)
    async def missing(request: Request, problem: Exception) -> Response:
        assert isinstance(problem, HTTPException)  # noqa: S101  # what the handler is for
        if problem.status_code != 404 or isinstance(problem, NotThere):
            # The rest of a body that is not read must not keep the connection busy.
            more = {"connection": "close"} if isinstance(problem, TooMuch) else {}
            return Body(documents.error(str(problem.detail)), status=problem.status_code, headers=more)
        paths = [route.path for route in app.routes if hasattr(route, "path")]
        return Body(documents.error("There is nothing at this path.", f"There is: {', '.join(paths)}."), status=404)

    @app.exception_handler(Exception)
    async def bug(request: Request, problem: Exception) -> Response:
        words = f"This is a bug in MOrA: {type(problem).__name__}."
        return Body(documents.error(words, "The log has the details: please report it."), status=500)


def add_probes(
    app: FastAPI,
    unhealthy: Callable[[], str | None],
    unready: Callable[[], str | None],
    metrics: Callable[[], bytes],
) -> None:
    """/healthz and /readyz, 200 or 503 with the reason, and /metrics."""

    def probe(reason: str | None) -> Response:
        return Body(f"{reason or 'ok'}\n".encode(), status=200 if reason is None else 503, media_type="text/plain")

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> Response:
        return probe(unhealthy())

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> Response:
        return probe(unready())

    @app.get("/metrics", include_in_schema=False)
    def shown() -> Response:
        return Body(metrics(), media_type=CONTENT_TYPE_LATEST)


def _answers(app: FastAPI, served: Served) -> None:
    kept = documents.Kept()

    @app.get("/api/v1/recommendations", responses={200: {"model": schema.Recommendations}}, tags=["recommendations"])
    def recommendations(request: Request, asked: Annotated[schema.AskedWorkloads, Query()]) -> Response:
        """Every recommendation, or those of a cluster, a namespace, a kind, a name."""
        shown = served.live.shown()
        given = asked.model_dump()
        return _shared(
            request,
            served,
            shown,
            lambda: kept.get(
                shown.version,
                tuple(given.values()),
                lambda: documents.recommendations(shown, shown.entries(**given)),
            ),
        )

    @app.get(
        "/api/v1/explain",
        responses={200: {"model": schema.Explanations}, 404: {"model": schema.Refused}},
        tags=["recommendations"],
    )
    def explain(request: Request, asked: Annotated[schema.AskedWorkload, Query()]) -> Response:
        """How each number of a workload is derived: arithmetic, samples, peaks, queries."""
        shown = served.live.shown()
        given = asked.model_dump()
        found = shown.entries(**given)
        if not found:
            raise _no_workload(shown, asked)
        return _shared(request, served, shown, lambda: documents.explanations(found))

    @app.get("/api/v1/status", responses={200: {"model": schema.Status}}, tags=["state"])
    async def status() -> Response:
        """How old the answer of each cluster is, and what is wrong."""
        return Body(documents.status(served.live.shown(), served.now()), headers=_FRESH)


def _record(app: FastAPI, served: Served) -> None:
    @app.get("/api/v1/history", responses={200: {"model": schema.History}}, tags=["record"])
    def history(asked: Annotated[schema.AskedWorkload, Query()]) -> Response:
        """What was recommended for a workload and when, what was applied, whether it has covered the use since."""
        with reading(served.record) as read:
            found = read.history(asked.namespace, asked.workload, kind=asked.kind, cluster=asked.cluster)
        return Body(documents.history(found), headers=_FRESH)

    @app.get("/api/v1/changes", responses={200: {"model": schema.Changes}}, tags=["record"])
    def changes(asked: Annotated[schema.AskedSince, Query()]) -> Response:
        """What is recommended otherwise than then, and which settings were changed since."""
        since = served.now() - parse_duration(asked.since).total_seconds()
        with reading(served.record) as read:
            moved = read.moved_since(since, cluster=asked.cluster, namespace=asked.namespace)
            ended = read.ended_since(since, cluster=asked.cluster, namespace=asked.namespace)
        return Body(documents.changes(moved, ended, since), headers=_FRESH)

    @app.get("/api/v1/trend", responses={200: {"model": schema.Trend}}, tags=["record"])
    def trend(asked: Annotated[schema.AskedSince, Query()]) -> Response:
        """What was reserved, wasted and lacking over time: are you getting better?"""
        since = served.now() - parse_duration(asked.since).total_seconds()
        with reading(served.record) as read:
            found = read.trend(since=since, cluster=asked.cluster, namespace=asked.namespace)
        return Body(documents.trend(found), headers=_FRESH)


def _page(app: FastAPI, served: Served) -> None:
    kept = documents.Kept(most=16)

    @app.get("/", include_in_schema=False)
    def page(request: Request, asked: Annotated[schema.Asked, Query()]) -> Response:
        shown = served.live.shown()
        # The page says which answers are no longer current; that changes without a new version.
        key = (asked.cluster, asked.namespace, shown.stale(served.now()))
        return _shared(
            request,
            served,
            shown,
            lambda: kept.get(
                shown.version,
                key,
                lambda: gzip.compress(served.page(shown, asked.cluster, asked.namespace).encode(), 6),
            ),
            is_page=True,
        )


def _shared(
    request: Request,
    served: Served,
    shown: Shown,
    make: Callable[[], bytes],
    *,
    is_page: bool = False,
) -> Response:
    """An answer that changes only with what is served, and as that gets stale: who has it already gets no body."""
    now = served.now()
    tag = f'W/"{served.run}-{shown.version}.{shown.stale(now)}"'
    age = shown.oldest(now)
    headers = {"etag": tag, "cache-control": "no-cache"} | ({} if age is None else {"age": str(int(age))})
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    if not is_page:
        return Body(make(), headers={**headers, "content-security-policy": _NO_PAGE})
    body = make()
    headers |= {"content-security-policy": "frame-ancestors 'none'", "vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Body(body, media_type="text/html", headers={**headers, "content-encoding": "gzip"})
    return Body(gzip.decompress(body), media_type="text/html", headers=headers)


def _invalid(found: Mapping[str, Any]) -> str:
    """What is wrong with a parameter."""
    name = ".".join(map(str, found["loc"][1:]))
    if found["type"] == "extra_forbidden":
        return f"{name!r} is an unknown parameter."
    return f"{name!r} must be given." if found["type"] == "missing" else f"{name!r}: {found['msg']}."


def _no_workload(shown: Shown, asked: schema.AskedWorkload) -> HTTPException:
    there = sorted({entry.workload for _, entry in shown.entries(namespace=asked.namespace)})
    near = difflib.get_close_matches(asked.workload, there, n=3)
    known = f" Did you mean {', '.join(near)}?" if near else ""
    if not there:
        known = f" There are: {', '.join(shown.namespaces)}." if shown.namespaces else " There is no answer yet."
    return NotThere(f"There is no workload {asked.workload!r} in namespace {asked.namespace!r}.{known}")
