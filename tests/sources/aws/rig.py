"""CloudWatch, RDS and EC2 on loopback: moto's server, with what AWS does beside it (throttles, pages, refuses)."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.running import answering

REGION, CLUSTER = "eu-west-1", "prod"
STEP = timedelta(minutes=5)
Refusal = tuple[int, str, str]
"""Status, code, message."""


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        return None


@dataclass
class Aws:
    """The server. refuse: gets the name of each operation, and what to answer in its place, or None. page_size: points
    of one page of GetMetricData, as AWS cuts at 100,800; None for all. asked: (operation, body) of every request."""

    url: str = ""
    refuse: Callable[[str], Refusal | None] = lambda operation: None
    page_size: int | None = None
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        """What a process needs to ask this server: its address and a key that no AWS has."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "AKIAMADEUP",
            "AWS_SECRET_ACCESS_KEY": "not-a-secret-of-anyone",
            "AWS_CONFIG_FILE": "/nonexistent",
            "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def calls(self, operation: str) -> int:
        """How many requests of an operation came."""
        return sum(name == operation for name, _ in self.asked)

    def client(self, service: str) -> Any:
        """boto3, to put something into the server."""
        import boto3

        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id="AKIAMADEUP",
            aws_secret_access_key="not-a-secret-of-anyone",
        )

    def put(self, space: str, data: Iterable[Mapping[str, Any]]) -> None:
        """Points into CloudWatch, as the agent of a node does."""
        client, rows = self.client("cloudwatch"), list(data)
        for first in range(0, len(rows), 1000):
            client.put_metric_data(Namespace=space, MetricData=rows[first : first + 1000])


class _Aws:
    """The WSGI application: AWS's own behaviour around moto's."""

    def __init__(self, aws: Aws) -> None:
        self._aws, self._moto = aws, DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if environ.get("HTTP_CONTENT_ENCODING") == "gzip":  # boto3 packs what is long
            body = gzip.decompress(body)
            environ = {name: value for name, value in environ.items() if name != "HTTP_CONTENT_ENCODING"}
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        is_json = bool(target)
        operation = target.rpartition(".")[2] or dict(
            pair.split("=", 1) for pair in body.decode().split("&") if "=" in pair
        ).get("Action", "")
        asked = json.loads(body) if is_json and body else {}
        self._aws.asked.append((operation, asked))
        if (refusal := self._aws.refuse(operation)) is not None:
            status, code, message = refusal
            start_response(f"{status} refused", [("Content-Type", "application/x-amz-json-1.0")])
            if is_json:
                return [json.dumps({"__type": f"com.amazonaws#{code}", "message": message}).encode()]
            return [
                f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error>"
                "<RequestId>r</RequestId></ErrorResponse>".encode()
            ]
        page = None
        if operation == "GetMetricData" and self._aws.page_size is not None:
            page = int(base64.b64decode(asked.pop("NextToken", "MA==")))
            body = json.dumps(asked).encode()
        environ = {**environ, "wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        if page is None:
            return self._moto(environ, start_response)  # type: ignore[no-any-return]  # moto is untyped
        answered: list[Any] = []
        whole = b"".join(self._moto(environ, lambda *given: answered.extend(given)))
        start_response("200 OK", [(k, v) for k, v in answered[1] if k.lower() != "content-length"])
        return [json.dumps(_page(json.loads(whole), page, self._aws.page_size or 1)).encode()]


def _page(answer: dict[str, Any], number: int, size: int) -> dict[str, Any]:
    """One page of an answer, as CloudWatch cuts them: some points of each metric, and PartialData until the last."""
    results, is_more = [], False
    for one in answer["MetricDataResults"]:
        cut = slice(number * size, (number + 1) * size)
        has_more = len(one["Values"]) > (number + 1) * size
        is_more = is_more or has_more
        part = {name: one[name][cut] for name in ("Timestamps", "Values")}
        results.append({**one, **part, "StatusCode": "PartialData" if has_more else "Complete"})
    token = {"NextToken": base64.b64encode(str(number + 1).encode()).decode()} if is_more else {}
    return {**answer, "MetricDataResults": results, **token}


@contextmanager
def aws_server() -> Iterator[Aws]:
    """An AWS. What moto knows, it knows for the whole process: two servers of one process know the same."""
    aws = Aws()
    server = make_server("127.0.0.1", 0, _Aws(aws), threaded=True, request_handler=_Quiet)
    aws.url = f"http://127.0.0.1:{server.port}"
    with answering(server):
        yield aws


@dataclass(frozen=True)
class Pod:
    """A pod as Container Insights tells of it, on a node of 4 cores and 16 GiB. cpu: millicores of each container at
    each moment; memory: MiB."""

    name: str
    pod_name: str
    cpu: Mapping[str, Sequence[float]]
    memory: Mapping[str, Sequence[float]]
    namespace: str = "shop"
    restarts: Sequence[int] = ()
    oom_killed: Sequence[int] = ()
    requests: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)


NODE_MILLICORES, NODE_BYTES = 4000.0, 16.0 * 2**30
_MIB = 2**20


def pod_points(pod: Pod, times: Sequence[datetime], *, cluster: str = CLUSTER) -> Iterator[dict[str, Any]]:
    """What the agent writes of a pod, one point of each metric at each moment, and what it adds up for the cluster."""
    of = {"ClusterName": cluster, "Namespace": pod.namespace, "PodName": pod.pod_name, "FullPodName": pod.name}
    for row, at in enumerate(times):
        cpu = sum(values[row] for values in pod.cpu.values())
        memory = sum(values[row] for values in pod.memory.values()) * _MIB
        told: list[tuple[str, float, str, dict[str, str]]] = [
            ("pod_cpu_usage_total", cpu, "None", of),
            ("pod_cpu_utilization", cpu / NODE_MILLICORES * 100, "Percent", of),
            ("pod_memory_working_set", memory, "Bytes", of),
            ("pod_memory_utilization", memory / NODE_BYTES * 100, "Percent", of),
            ("pod_network_rx_bytes", 1000.0, "Bytes/Second", of),
            ("pod_network_tx_bytes", 500.0, "Bytes/Second", of),
        ]
        if pod.restarts:
            told.append(("pod_number_of_container_restarts", pod.restarts[row], "Count", of))
        if pod.oom_killed:
            told.append(("pod_container_status_terminated_reason_oom_killed", pod.oom_killed[row], "Count", of))
        for name in pod.cpu:
            mine = {**of, "ContainerName": name}
            told.append(("container_cpu_utilization", pod.cpu[name][row] / NODE_MILLICORES * 100, "Percent", mine))
            used = pod.memory[name][row] * _MIB / NODE_BYTES * 100
            told.append(("container_memory_utilization", used, "Percent", mine))
            for what, amounts in (("request", pod.requests), ("limit", pod.limits)):
                if name in amounts:
                    told.append((f"container_cpu_{what}", amounts[name][0], "None", mine))
                    told.append((f"container_memory_{what}", amounts[name][1] * _MIB, "Bytes", mine))
        for metric, value, unit, dimensions in told:
            yield point(metric, value, unit, dimensions, at)
            if unit != "Percent":
                yield point(metric, value, unit, {"ClusterName": cluster}, at)


def point(name: str, value: float, unit: str, dimensions: Mapping[str, str], at: datetime) -> dict[str, Any]:
    """One point, as PutMetricData takes it; its dimensions sorted, since moto does not know them in another order."""
    return {
        "MetricName": name,
        "Dimensions": [{"Name": key, "Value": text} for key, text in sorted(dimensions.items())],
        "Timestamp": at,
        "Value": float(value),
        "Unit": unit,
    }


def cluster_point(at: datetime, *, cluster: str = CLUSTER) -> dict[str, Any]:
    """That a cluster is there."""
    return point("cluster_node_count", 1.0, "Count", {"ClusterName": cluster}, at)


def last_steps(count: int, *, step: timedelta = STEP, now: datetime | None = None) -> list[datetime]:
    """The beginnings of the last whole steps, on the grid of the step."""
    seconds = step.total_seconds()
    moment = (now or datetime.now(UTC)).timestamp()
    end = datetime.fromtimestamp(moment - moment % seconds, UTC)
    return [end - (count - row) * step for row in range(count)]
