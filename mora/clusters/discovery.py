"""The Prometheus of a cluster, found by the names and labels of its Service, and reached through the API server.

The API server's proxy takes the kubeconfig's credentials and forwards requests to the Service: nothing is exposed and
no port-forward is needed. It knows the Services of kube-prometheus-stack and the Prometheus operator, the prometheus
chart, VictoriaMetrics (operator and chart), Thanos and Mimir.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mora.clusters import kinds
from mora.clusters.connection import Api
from mora.clusters.kubeconfig import Context
from mora.clusters.objects import has_name
from mora.clusters.rights import Right, is_allowed
from mora.clusters.shapes import Unreadable
from mora.errors import ClusterError

_SERVICE_ACCOUNT_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_QUERY_LABELS = ("prometheus", "vmsingle", "victoria-metrics-single", "thanos-query", "thanos-query-frontend")
# Services beside a Prometheus with the same labels that answer no queries.
_OTHERS = re.compile(r"alertmanager|operator|exporter|pushgateway|kube-state-metrics|adapter|grafana|ruler|agent")
_NAMES = re.compile(
    r"(.+-)?(kube-prometheus-stack-prometheus|kube-prometheus-prometheus|kube-prometheus-stac-prometheus"
    r"|prometheus-operated|prometheus-k8s|prometheus-server|prometheus|vmsingle(-.+)?|victoria-metrics-single-server"
    r"|thanos-query(-frontend)?|mimir-(nginx|gateway))"
)
_PORT_NAMES = ("http-web", "web", "http", "http-query", "http-metrics", "https-web", "https")
_PORTS = (9090, 8428, 8429, 10902, 80, 8080)


@dataclass(frozen=True, slots=True)
class FoundPrometheus:
    """A Prometheus behind the API server. url: its base address; the rest are the API server's credentials."""

    url: str
    service: str
    context: Context
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    ca_file: Path | None = None
    client_certificate: tuple[Path, Path] | None = None
    verify_tls: bool = True

    def __str__(self) -> str:
        return f"Service {self.service}, through the API server of {self.context}"


@dataclass(frozen=True, slots=True)
class _Candidate:
    namespace: str
    name: str
    port: str
    scheme: str
    is_headless: bool
    path: str = ""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}:{self.port}"


def find_prometheus(kubeconfig: Path | str | None = None, context: str | None = None) -> FoundPrometheus:
    """The one Prometheus of the cluster that a kubeconfig points at, and how to reach it.

    ClusterError where there is none, where there are several (it lists them), or where listing services or the proxy is
    not allowed (it gives the rule that allows it).
    """
    api = Api(kubeconfig=kubeconfig, context=context)
    services = api.pages("/api/v1/services", shape=kinds.SERVICE, odd=_pass_by)
    found = [one for item in services if has_name(item) and (one := _candidate(item)) is not None]
    # The operator's headless Service leads to the same pods as the ordinary one.
    chosen = [one for one in found if not one.is_headless or one.namespace not in {o.namespace for o in _open(found)}]
    if not chosen:
        raise ClusterError(
            "No Service of this cluster looks like a Prometheus.",
            hint="Give its address: --prometheus URL. For one in the cluster: "
            "kubectl port-forward -n NAMESPACE svc/NAME 9090, then --prometheus http://127.0.0.1:9090",
        )
    if len(chosen) > 1:
        first = chosen[0]
        raise ClusterError(
            f"This cluster has several Prometheus servers: {', '.join(map(str, chosen))}.",
            hint=f"Choose one: kubectl port-forward -n {first.namespace} svc/{first.name} 9090:{first.port}, "
            "then --prometheus http://127.0.0.1:9090",
        )
    (one,) = chosen
    _check_allowed(api, one)
    return _reached(api, one)


def _pass_by(error: Unreadable) -> None:
    """A Service that cannot be read is none that could be asked."""


def _open(found: list[_Candidate]) -> list[_Candidate]:
    return [one for one in found if not one.is_headless]


def _candidate(service: Mapping[str, Any]) -> _Candidate | None:
    """A Service as a Prometheus; None where it does not look like one."""
    meta, spec = service["metadata"], service["spec"]
    labels, name = meta.get("labels") or {}, meta["name"]
    parts = " ".join((name, labels.get("app.kubernetes.io/component", "")))
    is_named = _NAMES.fullmatch(name) is not None
    is_labelled = labels.get("app.kubernetes.io/name") in _QUERY_LABELS or labels.get("app") == "prometheus"
    if not (is_named or is_labelled) or (_OTHERS.search(parts) and name != "prometheus-operated"):
        return None
    ports = [port for port in spec.get("ports") or [] if port.get("protocol", "TCP") == "TCP"]
    port = min(ports, key=_port_rank, default=None)
    if port is None or _port_rank(port) == _unknown_port():
        return None
    return _Candidate(
        namespace=meta["namespace"],
        name=name,
        port=str(port["port"]),
        scheme="https" if str(port.get("name", "")).startswith("https") else "http",
        is_headless=spec.get("clusterIP") == "None",
        path="/prometheus" if "mimir" in name else "",
    )


def _unknown_port() -> tuple[int, int]:
    return len(_PORT_NAMES), len(_PORTS)


def _port_rank(port: Mapping[str, Any]) -> tuple[int, int]:
    name, number = port.get("name"), port["port"]
    return (
        _PORT_NAMES.index(name) if name in _PORT_NAMES else len(_PORT_NAMES),
        _PORTS.index(number) if number in _PORTS else len(_PORTS),
    )


def _check_allowed(api: Api, one: _Candidate) -> None:
    """The proxy's GET is the verb get, its POST (long queries) the verb create."""
    for right in (Right("get", "services/proxy"), Right("create", "services/proxy")):
        if not is_allowed(api, right, one.namespace, f"{one.scheme}:{one.name}:{one.port}"):
            raise ClusterError(
                f"Service {one} looks like a Prometheus, but you are not allowed to {right} in its namespace.",
                hint=f"A Role in {one.namespace!r} with this rule allows it: {right.rule}. Or: "
                f"kubectl port-forward -n {one.namespace} svc/{one.name} 9090:{one.port}, "
                "then --prometheus http://127.0.0.1:9090",
            )


def _reached(api: Api, one: _Candidate) -> FoundPrometheus:
    """The address behind the proxy, with the client's own credentials."""
    settings = api.client.configuration
    header = (settings.auth_settings().get("BearerToken") or {}).get("value") or ""
    context = api.context()
    is_in_cluster = context.cluster == "its own" and _SERVICE_ACCOUNT_TOKEN.is_file()
    pair = settings.cert_file, settings.key_file
    proxy = f"/api/v1/namespaces/{one.namespace}/services/{one.scheme}:{one.name}:{one.port}/proxy"
    return FoundPrometheus(
        url=f"{api.host}{proxy}{one.path}",
        service=str(one),
        context=context,
        token=None if is_in_cluster or not header else header.removeprefix("Bearer "),
        token_file=_SERVICE_ACCOUNT_TOKEN if is_in_cluster else None,
        ca_file=Path(settings.ssl_ca_cert) if settings.ssl_ca_cert else None,
        client_certificate=(Path(pair[0]), Path(pair[1])) if all(pair) else None,
        verify_tls=bool(settings.verify_ssl),
    )
