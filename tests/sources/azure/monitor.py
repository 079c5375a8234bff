"""Azure on loopback, by TLS: tokens, resources, the logs of a cluster and its metrics, in the shapes of its APIs."""

from __future__ import annotations

import datetime as dates
import ipaddress
import json
import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.running import answering

STEP = timedelta(minutes=5)
_GROUP = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop/providers"
CLUSTER = f"{_GROUP}/Microsoft.ContainerService/managedClusters/prod"
DATABASE = f"{_GROUP}/Microsoft.DBforPostgreSQL/flexibleServers/orders"
MYSQL = f"{_GROUP}/Microsoft.DBforMySQL/flexibleServers/users"
# Each provider has versions of its own, and refuses those of others.
_VERSIONS = {CLUSTER: "2024-09-01", DATABASE: "2022-12-01", MYSQL: "2023-12-30"}
POD, NODE = "web-7d4b9c8f6d-x2klp", "aks-pool-1-vmss000000"
NODE_NANOCORES, NODE_BYTES = 4e9, 16.0 * 2**30
Refusal = tuple[int, str, str]


@dataclass
class Azure:
    """The server. refuse: gets the kind of each request (token, resource, logs, metrics), and what to answer instead.

    retry_after: seconds that a refusal asks to wait for. most_rows: an answer of the logs with more is cut, as Azure
    cuts at 500,000. change: edits each row of Perf.
    """

    url: str = ""
    ca_file: Path = Path()
    refuse: Callable[[str], Refusal | None] = lambda kind: None
    retry_after: int | None = None
    most_rows: int = 500_000
    change: Callable[[list[Any]], list[Any] | None] = lambda row: row
    asked: list[tuple[str, Any]] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        """What azure-identity finds: an application of a made-up tenant."""
        return {
            "AZURE_AUTHORITY_HOST": self.url,
            "AZURE_TENANT_ID": "00000000-0000-0000-0000-000000000009",
            "AZURE_CLIENT_ID": "00000000-0000-0000-0000-000000000007",
            "AZURE_CLIENT_SECRET": "not-a-secret-of-anyone",
            "REQUESTS_CA_BUNDLE": str(self.ca_file),
        }

    def calls(self, kind: str) -> int:
        """How many requests of a kind came."""
        return sum(one == kind for one, _ in self.asked)


def last_end() -> datetime:
    """The end of the last whole step."""
    seconds = datetime.now(UTC).timestamp()
    return datetime.fromtimestamp(seconds - seconds % STEP.total_seconds(), UTC)


class _Handler(BaseHTTPRequestHandler):
    azure: Azure
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        return None

    def do_GET(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._answer(json.loads(raw) if raw[:1] == b"{" else raw.decode())

    def _answer(self, body: Any) -> None:
        path = self.path.partition("?")[0]
        if path.endswith("/openid-configuration"):
            tenant = f"{self.azure.url}/{path.split('/')[1]}"
            token, login = f"{tenant}/oauth2/v2.0/token", f"{tenant}/oauth2/v2.0/authorize"
            self._send(200, {"issuer": tenant, "token_endpoint": token, "authorization_endpoint": login})
            return
        kinds = (("/token", "token"), ("/query", "logs"), (":getBatch", "metrics"))
        kind = next((kind for end, kind in kinds if path.endswith(end)), "resource")
        self.azure.asked.append((kind, body))
        if (refusal := self.azure.refuse(kind)) is not None:
            status, code, message = refusal
            self._send(status, {"error": {"code": code, "message": message}})
        elif kind == "token":
            self._send(200, {"token_type": "Bearer", "expires_in": 3600, "access_token": "made-up-token"})
        elif not self.headers.get("Authorization", "").startswith("Bearer made-up-token"):
            self._send(401, {"error": {"code": "Unauthorized", "message": "no token"}})
        elif kind == "resource":
            version = self.path.partition("api-version=")[2]
            if path not in _VERSIONS:
                self._send(404, {"error": {"code": "ResourceNotFound", "message": "it was not found"}})
            elif version != _VERSIONS[path]:
                self._send(400, {"error": {"code": "InvalidResourceType", "message": f"not of version {version}"}})
            else:
                self._send(200, {"id": path, "location": "West Europe"})
        elif kind == "logs":
            self._send(200, _logs(self.azure, body["query"]))
        else:
            self._send(200, _metrics(self.path, body))

    def _send(self, status: int, document: Any) -> None:
        raw = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        if status >= 400 and self.azure.retry_after is not None:
            self.send_header("Retry-After", str(self.azure.retry_after))
        self.end_headers()
        self.wfile.write(raw)


def _logs(azure: Azure, query: str) -> dict[str, Any]:
    start, end = (datetime.fromisoformat(text) for text in re.findall(r"datetime\(([^)]+)\)", query)[:2])
    step = timedelta(seconds=int(found[1])) if (found := re.search(r"TimeGenerated, (\d+)s\)", query)) else STEP
    moments = [at for n in range(int((end - start) / step)) if (at := start + n * step) < last_end()]
    asked = re.search(r'Namespace == "([^"]+)"', query)
    moments = moments if asked is None or asked[1] == "shop" else []
    if "dcount(" in query:
        return _table(["Series"], [[6 if moments else 0]])
    if "K8SNode" in query:
        sizes = (("cpuCapacityNanoCores", NODE_NANOCORES), ("memoryCapacityBytes", NODE_BYTES))
        return _table(["Computer", "CounterName", "Size"], [[NODE, *one] for one in sizes])
    owner = ["shop", POD, "ReplicaSet", "web-7d4b9c8f6d"]
    names = ["TimeGenerated", "Namespace", "Name", "ControllerKind", "ControllerName", "Container"]
    if query.startswith("KubePodInventory"):
        half = len(moments) // 2
        rows: list[list[Any]] = [
            [at.isoformat().replace("+00:00", "Z"), *owner, "web", 3 + (n >= half), "OOMKilled" if n >= half else ""]
            for n, at in enumerate(moments)
        ]
        return _cut(azure, [*names, "Restarts", "Reason"], rows)
    told = (
        *(
            ("cpuUsageNanoCores", 1.5e8, 2e8),
            ("memoryWorkingSetBytes", 9e7, 1e8),
            ("cpuRequestNanoCores", 2.5e8, 2.5e8),
        ),
        *(("memoryLimitBytes", 2e8, 2e8), ("memoryRequestBytes", 1.5e8, 1.5e8)),
        ("cpuLimitNanoCores", NODE_NANOCORES, NODE_NANOCORES),  # no limit: the agent writes what the node has
    )
    perf = [[at.isoformat().replace("+00:00", "Z"), *owner, "web", NODE, *one] for at in moments for one in told]
    changed = [row for one in perf if (row := azure.change(one)) is not None]
    return _cut(azure, [*names, "Computer", "CounterName", "Mean", "Peak"], changed)


def _cut(azure: Azure, columns: list[str], rows: list[list[Any]]) -> dict[str, Any]:
    error = {"error": {"code": "PartialError", "message": "The results of this query exceed the set limit"}}
    return {**_table(columns, rows[: azure.most_rows]), **(error if len(rows) > azure.most_rows else {})}


def _table(columns: list[str], rows: list[list[Any]]) -> dict[str, Any]:
    return {
        "tables": [
            {"name": "PrimaryResult", "columns": [{"name": one, "type": "dynamic"} for one in columns], "rows": rows}
        ]
    }


def _metrics(path: str, body: Any) -> dict[str, Any]:
    from urllib.parse import parse_qs, urlsplit

    asked = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
    start = datetime.fromisoformat(asked["starttime"].replace("Z", "+00:00"))
    end = datetime.fromisoformat(asked["endtime"].replace("Z", "+00:00"))
    grain, name, how = timedelta(minutes=5), asked["metricnames"], asked["aggregation"].lower()
    level, unit = {"active_connections": (7.0, "Count")}.get(name, (25.0, "Percent"))
    metadata = [{"name": {"value": "node", "localizedValue": "node"}, "value": NODE}] if "filter" in asked else []
    data = [
        {"timeStamp": (start + n * grain).isoformat().replace("+00:00", "Z"), how: level}
        for n in range(int((end - start) / grain))
    ]
    metric = {
        "id": f"{body['resourceids'][0]}/providers/Microsoft.Insights/metrics/{name}",
        "type": "Microsoft.Insights/metrics",
        "name": {"value": name, "localizedValue": name},
        "displayDescription": name,
        "unit": unit,
        "timeseries": [{"metadatavalues": metadata, "data": data}],
    }
    one = {"starttime": asked["starttime"], "endtime": asked["endtime"], "interval": "PT5M", "value": [metric]}
    return {"values": [{**one, "resourceregion": "westeurope", "resourceid": body["resourceids"][0]}]}


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 for an hour, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dates.timedelta(minutes=5))
        .not_valid_after(now + dates.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "loopback.pem", folder / "loopback.key"
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    secret.write_bytes(key.private_bytes(encoding, form, plain))
    return certificate, secret


@contextmanager
def azure_server(folder: Path) -> Iterator[Azure]:
    """An Azure with one cluster and one database."""
    certificate, key = _certificate(folder)
    azure = Azure(ca_file=certificate)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"azure": azure}))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    azure.url = f"https://127.0.0.1:{server.server_address[1]}"
    with answering(server):
        yield azure
