"""The loop as a process would run it: the lease, two loops on one namespace, one round to its end."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest

from mora.clusters.lease import KubernetesLease
from mora.clusters.pods import KubernetesPods
from mora.errors import MoraError
from mora.inplace.guards import GuardSettings
from mora.inplace.journal import Journal
from mora.inplace.loop import LoopSettings, PassReport
from mora.inplace.service import ServiceSettings, rehearse, serve
from mora.serving.lease import Terms
from tests.clusters.fake_api import FakeApi
from tests.clusters.resizing import Kubelet
from tests.inplace.rig import Known, recommendation

QUICK = Terms(timedelta(seconds=1.2), timedelta(seconds=0.6), timedelta(seconds=0.1))
AT_ONCE = LoopSettings(
    guards=GuardSettings(canary_for=timedelta(0), watch_for=timedelta(0)), look=timedelta(seconds=0.02)
)


def one_round(
    api: FakeApi, folder: Path, name: str, *, is_dry: bool = False, terms: Terms | None = None
) -> PassReport | None:
    kubeconfig = api.kubeconfig(folder / f"{name}.kubeconfig")
    pods, journal = KubernetesPods("shop", kubeconfig=kubeconfig), Journal(folder / name, "shop")
    log = lambda level, message, **about: None  # noqa: E731
    if is_dry:
        dry = LoopSettings(is_dry=True)
        return rehearse(pods, lambda: [recommendation()], Known(), journal, loop=dry, log=log)
    lease = KubernetesLease("shop", "mora-in-place", kubeconfig=kubeconfig)
    settings = ServiceSettings(listen=("127.0.0.1", 0), terms=terms or Terms(), once=True)
    return serve(pods, lambda: [recommendation()], Known(), journal, lease, settings, loop=AT_ONCE, log=log)


def test_one_round_goes_to_its_end_and_gives_the_lease_back(api: FakeApi, tmp_path: Path) -> None:
    done = threading.Event()

    def kubelet() -> None:
        node = Kubelet(api.cluster.objects)
        while not done.wait(0.01):
            with api.lock:
                node.step()

    thread = threading.Thread(target=kubelet, daemon=True)
    thread.start()
    report = one_round(api, tmp_path, "a")
    done.set()
    thread.join()
    assert report is not None
    assert report.begun == 1
    pods = [api.cluster.get("Pod", f"web-abc-{number}")["spec"]["containers"][0] for number in range(3)]
    assert [one["resources"]["requests"]["cpu"] for one in pods] == ["200m"] * 3
    assert api.cluster.get("Lease", "mora-in-place")["spec"]["holderIdentity"] == ""


def test_a_second_loop_on_the_namespace_changes_nothing_and_says_why(api: FakeApi, tmp_path: Path) -> None:
    spec = {"holderIdentity": "first", "leaseDurationSeconds": 3600, "leaseTransitions": 0}
    meta = {"name": "mora-in-place", "namespace": "shop"}
    api.cluster.add({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": spec})
    with pytest.raises(MoraError, match="Another instance resizes pods of this namespace"):
        one_round(api, tmp_path, "b", terms=QUICK)
    assert not [one for one in api.cluster.changes if "/pods/" in one.path]


def test_a_rehearsal_takes_no_lease_and_leaves_no_audit_log(api: FakeApi, tmp_path: Path) -> None:
    report = one_round(api, tmp_path, "c", is_dry=True)
    assert report is not None
    assert len(report.plans) == 3
    assert not api.cluster.changes
    assert not (tmp_path / "c").exists()
