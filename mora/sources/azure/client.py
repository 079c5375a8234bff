"""Azure's APIs through its own libraries: resources, logs and metrics; clear errors for what Azure refuses.

The only importer of azure.*. Credentials are those that every Azure tool finds (environment, workload identity, managed
identity, az login); none is kept or printed here.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any

from mora.errors import MoraError, SourceUnavailable
from mora.extras import require
from mora.sources.cloud.patience import Failure, Patience, retry_after

ROLE = "Monitoring Reader"
_MOST_SHOWN = 300
_BUSY_STATUS = (408, 429, 500, 502, 503, 504)
# Login host of a sovereign cloud -> its APIs of resources, logs and metrics. https://learn.microsoft.com/azure/
_PUBLIC = ("https://management.azure.com", "https://api.loganalytics.io", "metrics.monitor.azure.com")
_SOVEREIGN = {
    "login.microsoftonline.us": (
        *("https://management.usgovcloudapi.net", "https://api.loganalytics.us"),
        "metrics.monitor.azure.us",
    ),
    "login.chinacloudapi.cn": (
        *("https://management.chinacloudapi.cn", "https://api.loganalytics.azure.cn"),
        "metrics.monitor.azure.cn",
    ),
}


@dataclass(frozen=True, slots=True)
class Table:
    """The rows that a query of logs answered. is_partial: whether some are missing."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]]
    is_partial: bool = False


class AzureClient:
    """The APIs of one cloud. endpoint: of all three, in place of Azure's own (a private cloud, a proxy)."""

    def __init__(self, endpoint: str | None = None, *, patience: Patience | None = None) -> None:
        require("cloud-azure", by="The source azure")
        self._endpoint = endpoint.rstrip("/") if endpoint else None
        self._patience = patience or Patience()
        self._lock = Lock()
        self._credential: Any = None
        self._pipelines: dict[str, Any] = {}
        host = os.environ.get("AZURE_AUTHORITY_HOST", "").removeprefix("https://").strip("/")
        self._arm, self._logs, self._metrics = _SOVEREIGN.get(host, _PUBLIC)

    def resource(self, resource: str, version: str) -> dict[str, Any]:
        """A resource as the Resource Manager describes it. version: of its API."""
        base = self._endpoint or self._arm
        found: dict[str, Any] = self._send(
            "GET", base, self._arm, f"{resource}?api-version={version}", None, f"read of {resource}"
        )
        return found

    def logs(self, resource: str, query: str) -> Table:
        """The answer to a query of the logs of a resource, in the language of Log Analytics."""
        base = self._endpoint or self._logs
        answer = self._send("POST", base, self._logs, f"/v1{resource}/query", {"query": query}, "the logs")
        tables = answer.get("tables") or [{}]
        columns = tuple(str(column.get("name")) for column in tables[0].get("columns", ()))
        return Table(columns, tables[0].get("rows", ()), is_partial=bool(answer.get("error")))

    def metrics(
        self,
        region: str,
        resource: str,
        names: Sequence[str],
        *,
        space: str,
        start: datetime,
        end: datetime,
        step: timedelta,
        aggregation: str,
        by: str | None = None,
    ) -> list[Any]:
        """The metrics of a resource (azure.monitor.querymetrics.Metric), split by the values of a dimension."""

        def send() -> list[Any]:
            from azure.monitor.querymetrics import MetricsClient

            endpoint = self._endpoint or f"https://{region}.{self._metrics}"
            with MetricsClient(
                endpoint, self._credentials(), retry_total=0, audience=f"https://{self._metrics}"
            ) as client:
                found = client.query_resources(
                    resource_ids=[resource],
                    metric_namespace=space,
                    metric_names=list(names),
                    timespan=(start, end),
                    granularity=step,
                    aggregations=[aggregation],
                    filter=None if by is None else f"{by} eq '*'",
                    max_results=None if by is None else 5000,
                )
            return [metric for one in found for metric in one.metrics]

        answer: list[Any] = self._ask(send, "Microsoft.Insights/metrics/read")
        return answer

    # --- below ---

    def _send(
        self, method: str, base: str, audience: str, path: str, body: Mapping[str, Any] | None, what: str
    ) -> dict[str, Any]:
        def send() -> dict[str, Any]:
            from azure.core.exceptions import HttpResponseError
            from azure.core.rest import HttpRequest

            request = HttpRequest(method, base + path, json=body, headers={"Prefer": "wait=180"})
            response = self._pipeline(base, audience).send_request(request)
            if response.status_code >= 400:
                raise HttpResponseError(response=response)
            found: dict[str, Any] = response.json()
            return found

        answer: dict[str, Any] = self._ask(send, what)
        return answer

    def _ask(self, send: Callable[[], Any], what: str) -> Any:
        return self._patience.ask(
            send,
            meaning=_meaning,
            explained=lambda error: _explained(error, what),
            renew=self._forget,
            asked_wait=_asked_wait,
        )

    def _pipeline(self, base: str, audience: str) -> Any:
        from azure.core import PipelineClient
        from azure.core.pipeline import policies

        credential = self._credentials()
        with self._lock:
            if audience not in self._pipelines:
                self._pipelines[audience] = PipelineClient(
                    base,
                    policies=[
                        policies.UserAgentPolicy("mora"),
                        policies.HeadersPolicy(),
                        policies.BearerTokenCredentialPolicy(credential, f"{audience}/.default"),
                    ],
                )
            return self._pipelines[audience]

    def _credentials(self) -> Any:
        from azure.identity import DefaultAzureCredential

        with self._lock:
            if self._credential is None:
                # It warns of each way that it tries in vain; the error says what to do.
                logging.getLogger("azure").setLevel(logging.ERROR)
                # A private cloud is one that Microsoft's own directory of clouds does not know.
                is_private = self._endpoint is not None
                self._credential = DefaultAzureCredential(disable_instance_discovery=is_private, retry_total=1)
            return self._credential

    def _forget(self) -> None:
        """Find the credentials again at the next request."""
        with self._lock:
            self._credential, self._pipelines = None, {}


def _meaning(error: Exception) -> Failure:
    from azure.core.exceptions import ServiceResponseError

    status = getattr(error, "status_code", None)
    if status in _BUSY_STATUS or isinstance(error, ServiceResponseError):
        return Failure.BUSY
    return Failure.EXPIRED if status == 401 else Failure.FINAL


def _asked_wait(error: Exception) -> float | None:
    """The seconds that Azure asks to wait for, with 429 and 503 mostly."""
    headers = getattr(getattr(error, "response", None), "headers", None)
    return None if headers is None else retry_after(headers, datetime.now(UTC))


def _explained(error: Exception, what: str) -> MoraError:
    from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
    from azure.identity import CredentialUnavailableError

    status, said = getattr(error, "status_code", None), _said(error)
    if status == 403:
        return SourceUnavailable(
            f"Azure does not allow {what} to these credentials.",
            hint=f"Give them the role {ROLE} on the cluster (docs/clouds.md). Azure says: {said}",
        )
    if status == 401:
        return SourceUnavailable(
            "Azure does not accept the token: it has expired, or is for another tenant.",
            hint="Renew it (az login), and run the command again.",
        )
    if status == 404:
        return SourceUnavailable(
            f"Azure knows no such resource ({what}).", hint=f"Check its id: az aks list --query '[].id'. {said}"
        )
    if isinstance(error, (CredentialUnavailableError, ClientAuthenticationError)):
        return SourceUnavailable(
            "There are no Azure credentials that work.",
            hint="Log in (az login), or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or give the "
            "machine an identity. Try them: mora doctor --source azure",
        )
    if status in _BUSY_STATUS:
        wait = _asked_wait(error)
        asks = "" if not wait else f". It asks to wait for {wait:.0f} s"
        return SourceUnavailable(
            f"Azure limits the rate of requests, or is overloaded ({status}): {said}{asks}",
            hint="Run the command again in a minute, or ask for less: one namespace, a shorter --history.",
        )
    if isinstance(error, ServiceRequestError):
        return SourceUnavailable(
            f"Azure is not reached: {said}",
            hint="Is there a way to it from here (HTTPS_PROXY), and is its address right?",
        )
    return SourceUnavailable(f"Azure does not answer {what}: {said}", hint="See: mora doctor --source azure")


def _said(error: Exception) -> str:
    """What an error says, on one line and not longer than one reads."""
    inner = getattr(error, "error", None)
    text = str(getattr(inner, "message", None) or getattr(error, "message", None) or error)
    printable = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return printable[:_MOST_SHOWN].rstrip(".")
