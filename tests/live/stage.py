"""A namespace of its own on some Kubernetes API server, kubectl that talks to it, and the advice that is applied there.

Pods may never run there: nothing waits for one.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from mora import pipeline
from mora.clusters.kubernetes import KubernetesCluster
from mora.clusters.objects import read_resources
from mora.domain import Recommendation, Resources, Workload
from tests.outputs import examples
from tests.outputs.kubectl import newest

ROOT = Path(__file__).parents[2]
_VPA_CRD = "verticalpodautoscalers.autoscaling.k8s.io"


@dataclass(frozen=True)
class Stage:
    """namespace: made for one test. kubeconfig: as $KUBECONFIG. home: where kubectl may keep its caches."""

    namespace: str
    kubeconfig: str
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "KUBECONFIG": self.kubeconfig, "HOME": str(self.home)}

    def kubectl(
        self, *arguments: str, stdin: str | None = None, fails: bool = False, namespaced: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """The real kubectl in the namespace; it has to end well, or (fails) has to fail."""
        command = [str(newest().path), *(("-n", self.namespace) if namespaced else ()), *arguments]
        done = subprocess.run(
            command, env=self.environment, input=stdin, capture_output=True, text=True, timeout=120, check=False
        )
        assert (done.returncode != 0) == fails, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done

    def eventually(self, *arguments: str) -> None:
        """kubectl until it ends well: an API server takes a moment to know a new Role or binding."""
        deadline = time.monotonic() + 30
        while True:
            try:
                self.kubectl(*arguments)
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
            else:
                return

    def shell(self, script: str) -> str:
        """A script of MOrA's with the kubectl that the tests use."""
        tools = f"{newest().path.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        done = subprocess.run(
            ["sh", "-c", script],
            env={**self.environment, "PATH": tools},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def apply(self, *manifests: dict[str, Any]) -> None:
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(manifests))

    def get(self, kind: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "-o", "json").stdout)
        return found

    def cluster(self) -> KubernetesCluster:
        return KubernetesCluster(kubeconfig=self.kubeconfig)

    def here(self, recommendation: Recommendation) -> Recommendation:
        """The advice for a workload of that name in this namespace."""
        workload = recommendation.workload
        return replace(recommendation, workload=Workload(self.namespace, workload.name, workload.kind))

    def deploy(self, *recommendations: Recommendation) -> list[Recommendation]:
        """Workloads as they stood before the advice, in this namespace; the advice for them."""
        found = [self.here(one) for one in recommendations]
        self.apply(*(examples.manifest(one) for one in found))
        return found

    def resources(self, workload: Workload) -> dict[str, Resources]:
        """Container -> requests and limits that the API server has, read without MOrA's own client."""
        manifest = self.get(workload.kind.lower(), workload.name)
        spec = manifest["spec"]
        if workload.kind == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        pod = spec["template"]["spec"]
        return {one["name"]: read_resources(one) for one in [*pod["containers"], *(pod.get("initContainers") or [])]}

    def versions(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """(major, minor) of kubectl and of the server."""
        said = json.loads(self.kubectl("version", "-o", "json", namespaced=False).stdout)
        kubectl, server = ((said[one]["major"], said[one]["minor"]) for one in ("clientVersion", "serverVersion"))
        return (int(kubectl[0]), _minor(kubectl[1])), (int(server[0]), _minor(server[1]))


def _minor(text: str) -> int:
    return int("".join(letter for letter in text if letter.isdigit()))


def wanted(recommendation: Recommendation) -> dict[str, Resources]:
    """Container -> requests and limits as the advice wants them; those of the template alone."""
    return {one.name: one.resources for one in recommendation.target.containers if not one.is_injected}


def state(recommendation: Recommendation) -> dict[str, Resources]:
    """Container -> requests and limits before the advice."""
    return {one.name: one.resources for one in recommendation.current.containers if not one.is_injected}


def rendered(output: str, recommendations: Sequence[Recommendation]) -> str:
    return pipeline.render(list(recommendations), output)


@contextmanager
def staged(kubeconfig: str, home: Path) -> Iterator[Stage]:
    """A new namespace, and its end, whatever happens in between."""
    stage = Stage(f"mora-test-{secrets.token_hex(4)}", kubeconfig, home)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": stage.namespace}}
    stage.kubectl("create", "-f", "-", stdin=yaml.safe_dump(namespace), namespaced=False)
    try:
        yield stage
    finally:
        stage.kubectl("delete", "namespace", stage.namespace, "--wait=false", namespaced=False)


@contextmanager
def with_vpas(stage: Stage) -> Iterator[None]:
    """The VPA's CRD for the time of a test: the server's own, else a small one that is taken away again."""
    if stage.kubectl("get", "crd", "-o", "name", namespaced=False).stdout.find(_VPA_CRD) >= 0:
        yield
        return
    stage.kubectl("apply", "-f", str(Path(__file__).with_name("vpa-crd.yaml")), namespaced=False)
    try:
        deadline = time.monotonic() + 30
        while _VPA_CRD not in stage.kubectl("api-resources", "-o", "name", "--cached=false", namespaced=False).stdout:
            assert time.monotonic() < deadline, "the CRD was not established"
            time.sleep(0.5)
        yield
    finally:
        stage.kubectl("delete", "crd", _VPA_CRD, namespaced=False)
