"""Odd answers of a Kubernetes API, on every road that asks one."""

from __future__ import annotations

import json
import random
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.clusters import connection
from mora.clusters.connection import Api
from mora.clusters.discovery import find_prometheus
from mora.clusters.inventory import KubernetesInventory
from mora.clusters.kubernetes import KubernetesCluster
from mora.clusters.lease import KubernetesLease
from mora.clusters.preflight import examine
from mora.clusters.rights import Right, is_allowed
from mora.clusters.vpa import KubernetesVpas
from mora.domain import Workload
from mora.errors import ClusterError, MoraError
from mora.vpa.objects import asks_for, read_vpa
from tests.clusters.fake_api import FakeApi, FakeCluster, serving
from tests.clusters.kinds import ROLLOUT, VPA
from tests.clusters.odd import ODD_VALUES, changed, paths, samples
from tests.fuzz.budget import budget

WEB = Workload("shop", "web")
# Lists without which there are workloads; what a workload's reasons say where they cannot be read.
UNKNOWN = {
    "replicasets": "pods-unknown",
    "pods": "pods-unknown",
    "horizontalpodautoscalers": "autoscalers-unknown",
    "verticalpodautoscalers": "vpas-unknown",
    "limitranges": "limit-range-unknown",
    "resourcequotas": "quota-unknown",
}
OPTIONAL = (*UNKNOWN, "cronjobs", "jobs", "rollouts")
VERSIONS = {
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "ReplicaSet": "apps/v1",
    "CronJob": "batch/v1",
    "Job": "batch/v1",
    "Rollout": "argoproj.io/v1alpha1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "VerticalPodAutoscaler": "autoscaling.k8s.io/v1",
    "Lease": "coordination.k8s.io/v1",
}


@dataclass(repr=False)
class OddCluster(FakeCluster):
    """A cluster whose answers are changed on their way. change: the path and the answer in, what is sent out."""

    change: Callable[[str, Any], Any] = staticmethod(lambda path, answer: answer)  # noqa: RUF009

    def __repr__(self) -> str:
        return "an odd cluster"

    def answer(self, method: str, path: str, *rest: Any, **more: Any) -> Any:
        return self.change(path, super().answer(method, path, *rest, **more))


def a_cluster() -> OddCluster:
    """One object of every kind, put there as real servers answer it."""
    cluster = OddCluster()
    cluster.resources += [ROLLOUT, VPA]
    plurals = {one.kind: one.plural for one in cluster.resources}
    for kind, item in samples().items():
        if kind in plurals:
            namespace = item["metadata"].get("namespace", "")
            whole = {"apiVersion": VERSIONS.get(kind, "v1"), "kind": kind, **item}
            cluster.objects[plurals[kind], namespace, item["metadata"]["name"]] = whole
    return cluster


class Roads:
    """Every question that MOrA asks a Kubernetes API, by the name of the road."""

    def __init__(self, config: Path) -> None:
        self._config = config

    def ask(self, road: str) -> object:
        return getattr(self, road)()

    def inventory(self) -> object:
        return KubernetesInventory(self._config).states("shop")

    def everywhere(self) -> object:
        return KubernetesInventory(self._config).states()

    def prometheus(self) -> object:
        return find_prometheus(self._config)

    def allocation(self) -> object:
        cluster = KubernetesCluster(kubeconfig=self._config)
        return cluster.services("shop"), cluster.allocation(WEB), cluster.injected_sidecars(WEB)

    def applied(self) -> None:
        cluster = KubernetesCluster(kubeconfig=self._config)
        cluster.apply(WEB, cluster.allocation(WEB))
        return None

    def preflight(self) -> object:
        cluster = KubernetesCluster(kubeconfig=self._config)
        return [str(one) for one in examine(cluster, targets=[WEB], measured=[WEB], most_replicas=5)]

    def vpas(self) -> object:
        listed = KubernetesVpas(kubeconfig=self._config).list_vpas("shop")
        return [read_vpa(one) for one in listed if asks_for(one, "mora")]

    def lease(self) -> object:
        return KubernetesLease("shop", "mora", kubeconfig=self._config).read()

    def rights(self) -> object:
        return is_allowed(Api(kubeconfig=self._config), Right("list", "pods"), "shop")


ROADS = [name for name in vars(Roads) if not name.startswith("_") and name != "ask"]


@pytest.fixture(scope="module")
def odd() -> OddCluster:
    return a_cluster()


@pytest.fixture(scope="module")
def server(odd: OddCluster) -> Iterator[FakeApi]:
    with serving(odd) as running:
        yield running


@pytest.fixture(scope="module")
def roads(server: FakeApi, tmp_path_factory: pytest.TempPathFactory) -> Roads:
    return Roads(server.kubeconfig(tmp_path_factory.mktemp("kube") / "config"))


@pytest.mark.parametrize("road", ROADS)
def test_the_answers_that_are_changed_below_are_good_ones(road: str, roads: Roads, odd: OddCluster) -> None:
    odd.change = lambda path, answer: answer
    roads.ask(road)


def mutation(seed: int, answered: list[str]) -> Callable[[str, Any], Any]:
    """Changes one answer of a run in one to three places, or puts something else in its place."""
    chance = random.Random(seed)  # repeatable, hides nothing
    wanted = chance.randrange(12)

    def change(path: str, answer: Any) -> Any:
        answered.append(path)
        if len(answered) - 1 != wanted:
            return answer
        if chance.random() < 0.1:
            return chance.choice(ODD_VALUES)
        for _ in range(chance.randint(1, 3)):
            every = list(paths(answer))
            if not every:
                break
            is_removed = chance.random() < 0.25
            answer = changed(answer, chance.choice(every), chance.choice(ODD_VALUES), is_removed=is_removed)
        return answer

    return change


@budget(150)
@given(road=st.sampled_from(ROADS), seed=st.integers(0, 2**32))
def test_a_changed_answer_is_read_or_refused_with_an_error(road: str, seed: int, roads: Roads, odd: OddCluster) -> None:
    odd.change = mutation(seed, [])
    with suppress(MoraError):
        roads.ask(road)


@budget(60)
@given(seed=st.integers(0, 2**32))
def test_an_odd_object_never_hides_the_others(seed: int, roads: Roads, odd: OddCluster) -> None:
    """Whatever one Deployment looks like, the other five workloads have their rows."""
    chance = random.Random(seed)  # repeatable, hides nothing
    web = samples()["Deployment"]
    at, value = chance.choice(list(paths(web))), chance.choice(ODD_VALUES)

    def change(path: str, answer: Any) -> Any:
        if not path.endswith("/deployments"):
            return answer
        return {**answer, "items": [changed(web, at, value, is_removed=chance.random() < 0.25)]}

    odd.change = change
    states = roads.inventory()
    assert isinstance(states, list)
    assert {"db", "agent", "nightly", "import", "canary"} <= {state.workload.name for state in states}


@budget(40)
@given(
    plural=st.sampled_from(OPTIONAL), answer=st.sampled_from([[], 5, {}, {"items": "x"}, {"items": [], "metadata": 5}])
)
def test_a_list_that_is_none_is_unknown_and_ends_no_run(
    plural: str, answer: Any, roads: Roads, odd: OddCluster
) -> None:
    odd.change = lambda path, real: answer if path.endswith(f"/{plural}") else real
    states = roads.inventory()
    assert isinstance(states, list)
    assert {"web", "db", "agent"} <= {state.workload.name for state in states}
    web = next(state for state in states if state.workload.name == "web")
    known = {reason.code for reason in web.reasons}
    assert UNKNOWN.get(plural) is None or UNKNOWN[plural] in known


# --- what is no JSON, or never ends ----------------------------------------------------------------------------------


@contextmanager
def speaking(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server whose answers are raw bytes; its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    is_over = threading.Event()

    def serve() -> None:
        while not is_over.is_set():
            with suppress(OSError):
                client, _ = listener.accept()
                with client, suppress(OSError):
                    client.recv(65536)
                    answer(client)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        is_over.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def head(status: str = "200 OK", **headers: object) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{lines}\r\n".encode()


def whole(body: bytes, status: str = "200 OK", **headers: object) -> bytes:
    return head(status, Content_Length=len(body), **headers) + body


BODIES: Mapping[str, bytes] = {
    "empty": whole(b""),
    "null": whole(b"null"),
    "a number": whole(b"7"),
    "a list": whole(b"[]"),
    "a page": whole(b"<html>log in</html>"),
    "no items": whole(b"{}"),
    "items that are text": whole(b'{"items": "x"}'),
    "deep": whole(b'{"items":' + b"[" * 200_000),
    "a long number": whole(b'{"items": [' + b"9" * 10_000 + b"]}"),
    "not text": whole(b'{"items": "\xff\xfe"}'),
    "204": head("204 No Content"),
    "304": head("304 Not Modified"),
    "301": whole(b"", "301 Moved Permanently", Location="http://127.0.0.1:1/elsewhere"),
    "300 without a place": whole(b"", "300 Multiple Choices"),
    "418": whole(b'{"message": {"not": "text"}, "details": []}', "418 I'm a teapot"),
    "a long message": whole(json.dumps({"message": "x" * 100_000}).encode(), "500 Internal Server Error"),
    "a deep message": whole(b"[" * 200_000, "500 Internal Server Error"),
    "cut off": head(Content_Length=1000) + b'{"items": [',
    "bad chunks": head(Transfer_Encoding="chunked") + b"zz\r\n{}",
    "bad gzip": whole(b"no gzip", Content_Encoding="gzip"),
    "no end of a line": b"0" * 60_000 + b"\r\n",
    "no http": b"SSH-2.0-OpenSSH_9.2\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("name", BODIES)
def test_an_answer_that_is_no_list_is_an_error_that_says_so(name: str, tmp_path: Path) -> None:
    def answer(client: socket.socket) -> None:
        client.sendall(BODIES[name])
        client.shutdown(socket.SHUT_WR)

    with speaking(answer) as port:
        api = Api(kubeconfig=kubeconfig(tmp_path, port), backoff=None)
        with pytest.raises(ClusterError) as refused:
            list(api.pages("/api/v1/pods", shape=lambda value, where: value, odd=lambda error: None))
    assert len(str(refused.value)) < 1500
    assert "bug" not in str(refused.value)


def test_an_answer_without_an_end_is_left_when_it_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_LARGEST_ANSWER_BYTES", 2**20)

    def answer(client: socket.socket) -> None:
        client.sendall(head(Transfer_Encoding="chunked"))
        while True:
            client.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")

    with (
        speaking(answer) as port,
        pytest.raises(ClusterError, match=r"an answer is larger than 1 MiB"),
    ):
        Api(kubeconfig=kubeconfig(tmp_path, port), backoff=None).get("/api/v1/pods")


@pytest.mark.parametrize("part", [b"{},", b"[],", b'"a",'])
def test_an_answer_of_too_many_parts_is_left_before_it_takes_memory(
    part: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_MOST_OBJECTS", 1000)
    monkeypatch.setattr(connection, "_MOST_VALUES", 1000)
    body = whole(b'{"items": [' + part * 2000 + b"{}]}")
    with speaking(lambda client: client.sendall(body)) as port, pytest.raises(ClusterError, match="1,000 parts"):
        Api(kubeconfig=kubeconfig(tmp_path, port), backoff=None).get("/api/v1/pods")


@pytest.mark.parametrize(
    "first",
    [b"", b"HTTP/1.1 200 OK\r\nX-Long: ", head(Content_Length=10**9), head(Transfer_Encoding="chunked")],
    ids=["status", "header", "body", "chunk"],
)
def test_an_answer_that_drips_is_left_at_its_deadline(
    first: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_LONGEST_ANSWER_SECONDS", 0.3)

    def answer(client: socket.socket) -> None:
        client.sendall(first)
        while True:
            client.sendall(b"0")
            threading.Event().wait(0.01)

    for backoff in (None, timedelta(milliseconds=1)):
        with speaking(answer) as port, pytest.raises(ClusterError, match="does not finish its answer within 300ms"):
            Api(kubeconfig=kubeconfig(tmp_path, port), backoff=backoff).get("/api/v1/pods")


def test_a_list_that_never_ends_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_MOST_PAGES", 5)
    cluster, pages = OddCluster(), iter(range(10**6))
    cluster.change = lambda path, answer: {**answer, "metadata": {"continue": str(next(pages))}}
    with serving(cluster) as running:
        api = Api(kubeconfig=running.kubeconfig(tmp_path / "config"), backoff=None)
        with pytest.raises(ClusterError, match="the list /api/v1/pods never ends"):
            list(api.pages("/api/v1/pods", shape=lambda value, where: value, odd=lambda error: None))


def kubeconfig(folder: Path, port: int) -> Path:
    fake = FakeApi(FakeCluster())
    fake.server_close()
    return fake.kubeconfig(folder / "config", port=port)
