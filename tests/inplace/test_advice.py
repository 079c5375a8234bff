"""The numbers of a renewal: final ones, of the namespace's own workloads; an empty namespace has none."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mora.fleet.settings import FleetSettings
from mora.inplace.advice import from_history
from mora.settings import KubernetesAccess
from tests.clusters.fake_api import FakeApi


class NoHistory:
    """A source that knows of no workload any history."""

    asked: tuple[Any, ...] = ()

    def states(self, namespace: str | None) -> list[Any]:
        raise AssertionError("the cluster is asked for the workloads")

    def histories(self, states: Any, window: Any, *, reporter: Any = None) -> Any:
        self.asked = (tuple(one.workload.name for one in states), window)
        return iter(())


@pytest.mark.parametrize(("namespace", "names"), [("shop", ("web",)), ("empty", ())])
def test_the_workloads_of_the_namespace_are_asked_for(
    api: FakeApi, tmp_path: Path, namespace: str, names: tuple[str, ...]
) -> None:
    api.cluster.add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "empty"}})
    source = NoHistory()
    access = KubernetesAccess(kubeconfig=api.kubeconfig(tmp_path / "kubeconfig"))
    advise = from_history(
        source,  # type: ignore[arg-type]  # no more of a source than is asked of it
        namespace=namespace,
        history=timedelta(days=1),
        settings=FleetSettings(),
        access=access,
    )
    assert all(not one.containers or one.main.cpu_request.value is None for one in advise())
    assert (source.asked[0] if source.asked else ()) == names
