"""Google Cloud Monitoring on loopback: a gRPC server of its MetricService, over the real request and answer messages.

It filters, aligns, reduces, pages, counts quotas and asks for tokens as the API's reference says. Tokens come from an
HTTP server beside it, to which google-auth sends a service account's signed request.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
from google.cloud.monitoring_v3 import types
from google.rpc import status_pb2

from tests.running import answering

Aggregation = types.Aggregation
_CLAUSE = re.compile(r'([\w.]+) = (?:"([^"]*)"|starts_with\("([^"]*)"\))')


@dataclass(frozen=True)
class Stored:
    """A raw time series as a cluster writes it: labels by their full names, points of (Unix seconds, value)."""

    metric: str
    resource: str
    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]
    unit: str = "1"
    is_whole: bool = False

    def label(self, name: str) -> str | None:
        return {"metric.type": self.metric, "resource.type": self.resource}.get(name) or self.labels.get(name)


@dataclass
class Monitoring:
    """What the server knows and how it fails. failures: status codes of the next requests, in order."""

    stored: list[Stored] = field(default_factory=list)
    page_points: int = 100_000
    failures: list[tuple[grpc.StatusCode, str]] = field(default_factory=list)
    incomplete: str = ""
    accepted: set[str] = field(default_factory=set)
    requests: list[Any] = field(default_factory=list)
    tokens: int = 0
    gives_tokens: bool = True
    keeps_units_apart: bool = False
    address: str = ""
    token_address: str = ""

    def list_time_series(self, request: Any, context: Any) -> Any:
        self._admit(context)
        self.requests.append(request)
        series = list(self._answer(request))
        at = int(request.page_token or 0)
        answer = types.ListTimeSeriesResponse()
        room = min(request.page_size or 100_000, self.page_points)
        # The pages of the real API, too, may end within a series, which the next page goes on with.
        skipped = 0
        for one in series:
            points = list(one.points)
            part = points[max(at - skipped, 0) : max(at - skipped, 0) + room] if at < skipped + len(points) else []
            skipped += len(points)
            if part and room:
                room -= len(part)
                page = types.TimeSeries(one)
                page.points = part
                answer.time_series.append(page)
                at += len(part)
        if at < sum(len(one.points) for one in series):
            answer.next_page_token = str(at)
        if self.incomplete:
            answer.execution_errors.append(status_pb2.Status(code=14, message=self.incomplete))
        return answer

    def _admit(self, context: Any) -> None:
        if self.accepted:
            given = dict(context.invocation_metadata()).get("authorization", "")
            if given.removeprefix("Bearer ") not in self.accepted:
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "Request had invalid authentication credentials.")
        if self.failures:
            context.abort(*self.failures.pop(0))

    def _answer(self, request: Any) -> Iterator[Any]:
        clauses = request.filter.split(" AND ")
        wanted = [one for one in self.stored if all(_matches(one, clause) for clause in clauses)]
        start, end = request.interval.start_time.timestamp(), request.interval.end_time.timestamp()
        period = request.aggregation.alignment_period.total_seconds()
        groups: dict[tuple[str, ...], list[Stored]] = defaultdict(list)
        for one in wanted:
            key = tuple(one.label(name) or "" for name in request.aggregation.group_by_fields)
            groups[(*key, one.unit if self.keeps_units_apart else "")].append(one)
        for whole_key, members in sorted(groups.items()):
            rows: dict[float, list[float]] = defaultdict(list)
            for one in members:
                for at, value in _aligned(one, start, end, period, request.aggregation.per_series_aligner):
                    rows[at].append(value)
            is_sum = request.aggregation.cross_series_reducer == Aggregation.Reducer.REDUCE_SUM
            values = {at: sum(found) if is_sum else max(found) for at, found in rows.items()}
            if values:
                yield _series(
                    members[0], dict(zip(request.aggregation.group_by_fields, whole_key, strict=False)), values
                )


def _matches(one: Stored, clause: str) -> bool:
    match = _CLAUSE.fullmatch(clause)
    assert match, f"this is no clause of a filter: {clause}"
    value = one.label(match[1])
    if match[3] is not None:
        return value is not None and value.startswith(match[3])
    return value == match[2]


def _aligned(one: Stored, start: float, end: float, period: float, aligner: Any) -> Iterator[tuple[float, float]]:
    """(end of the block, value) of each block that has points; blocks are counted back from the end."""
    blocks: dict[float, list[tuple[float, float]]] = defaultdict(list)
    for at, value in one.points:
        if start < at <= end:
            blocks[end - period * int((end - at) // period)].append((at, value))
    before = [point for point in one.points if point[0] <= start]
    last = before[-1] if before else None
    for at, found in sorted(blocks.items()):
        found = sorted(found)
        if aligner in (Aggregation.Aligner.ALIGN_RATE, Aggregation.Aligner.ALIGN_DELTA):
            first = last or found[0]
            grown = max(found[-1][1] - first[1], 0.0)
            seconds = max(found[-1][0] - first[0], 1.0)
            yield at, grown / seconds if aligner == Aggregation.Aligner.ALIGN_RATE else grown
        else:
            values = [value for _, value in found]
            is_max = aligner == Aggregation.Aligner.ALIGN_MAX
            yield at, max(values) if is_max else sum(values) / len(values)
        last = found[-1]


def _series(one: Stored, labels: Mapping[str, str], values: Mapping[float, float]) -> Any:
    kind = "int64_value" if one.is_whole else "double_value"
    points = [
        types.Point(
            interval=types.TimeInterval(end_time=datetime.fromtimestamp(at, UTC)),
            value={kind: round(value) if one.is_whole else value},
        )
        for at, value in sorted(values.items(), reverse=True)  # the newest first, as the API says
    ]
    return types.TimeSeries(
        metric={"type": one.metric},
        resource={
            "type": one.resource,
            "labels": {name.removeprefix("resource.labels."): v for name, v in labels.items() if "resource." in name},
        },
        metadata={
            "system_labels": {
                name.removeprefix("metadata.system_labels."): v
                for name, v in labels.items()
                if v and "metadata." in name
            }
        },
        points=points,
        unit=one.unit,
    )


@contextmanager
def serving(monitoring: Monitoring) -> Iterator[Monitoring]:
    """The server, on a free port of loopback; `address` and `token_address` say where."""
    handlers = {
        "ListTimeSeries": _handler(
            monitoring.list_time_series, types.ListTimeSeriesRequest, types.ListTimeSeriesResponse
        ),
    }
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("google.monitoring.v3.MetricService", handlers)]
    )
    port = server.add_secure_port("127.0.0.1:0", grpc.local_server_credentials())
    server.start()
    monitoring.address = f"http://127.0.0.1:{port}"
    with _tokens(monitoring):
        yield monitoring
    server.stop(None).wait()


def _handler(method: Any, request: Any, answer: Any) -> Any:
    return grpc.unary_unary_rpc_method_handler(
        method, request_deserializer=request.deserialize, response_serializer=answer.serialize
    )


@contextmanager
def _tokens(monitoring: Monitoring) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            monitoring.tokens += 1
            given = {"access_token": f"token-{monitoring.tokens}", "expires_in": 3600, "token_type": "Bearer"}
            refused = {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
            body = json.dumps(given if monitoring.gives_tokens else refused)
            self.send_response(200 if monitoring.gives_tokens else 400)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    monitoring.token_address = f"http://127.0.0.1:{server.server_port}/token"
    with answering(server):
        yield


@cache
def _key() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    return (
        rsa.generate_private_key(65537, 2048)
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        .decode()
    )


def service_account(folder: Path, token_address: str, *, project: str = "shop-prod") -> Path:
    """The key file of a service account that gets its tokens from an address."""
    path = folder / "service-account.json"
    path.write_text(
        json.dumps(
            {
                "type": "service_account",
                "project_id": project,
                "private_key_id": "1",
                "private_key": _key(),
                "client_email": f"mora@{project}.iam.gserviceaccount.com",
                "client_id": "1",
                "token_uri": token_address,
            }
        )
    )
    return path
