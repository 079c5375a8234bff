"""Pass after pass against a strict API server, through the real Kubernetes client and real HTTP."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mora.clusters.vpa import KubernetesVpas
from mora.domain import Recommendation, Workload
from mora.errors import BadInput, SourceUnavailable
from mora.quantities import MIB
from mora.vpa.advice import Advise, Adviser
from mora.vpa.loop import Backoff, PassReport, Recommender
from mora.vpa.status import PROVIDED
from mora.vpa.telemetry import Telemetry
from tests.vpa.fake_vpa import FakeVpaApi, serving
from tests.vpa.making import container, manifest, recommendation


@pytest.fixture
def api() -> Iterator[FakeVpaApi]:
    with serving() as server:
        yield server


class Rig:
    """A recommender on the fake API; advice of 180m and 230 MiB for every workload unless a test says otherwise."""

    def __init__(self, api: FakeVpaApi, folder: Path, *, namespace: str | None = None, **options: Any) -> None:
        self.asked: list[list[Workload]] = []
        self.lines: list[tuple[str, str, dict[str, object]]] = []
        self.advise: Advise = lambda workloads: (recommendation(workload=one) for one in workloads)
        self.seconds = 0.0
        self.telemetry = Telemetry()
        self.adviser = Adviser(self._advise, refresh=timedelta(minutes=15), steady=lambda: self.seconds)
        self.vpas = KubernetesVpas(kubeconfig=api.kubeconfig(folder / "kubeconfig"))
        self.recommender = Recommender(
            self.vpas,
            self.adviser,
            name="mora",
            namespace=namespace,
            log=lambda level, message, **about: self.lines.append((level, message, about)),
            observer=self.telemetry,
            **options,
        )

    def _advise(self, workloads: Sequence[Workload]) -> Iterable[Recommendation]:
        self.asked.append(list(workloads))
        return self.advise(workloads)

    def run_pass(self) -> PassReport:
        return self.recommender.run_pass()

    def said(self, level: str) -> str:
        return " ".join(f"{message} {about}" for found, message, about in self.lines if found == level)


@pytest.fixture
def rig(api: FakeVpaApi, tmp_path: Path) -> Rig:
    return Rig(api, tmp_path)


def provided(api: FakeVpaApi, name: str) -> str:
    status = api.status(name)
    return next(str(one["status"]) for one in status["conditions"] if one["type"] == PROVIDED)


def target(api: FakeVpaApi, name: str = "web") -> dict[str, str]:
    listed = api.status(name)["recommendation"]["containerRecommendations"]
    return dict(listed[0]["target"])


def test_a_pass_writes_the_numbers_through_the_status_subresource(api: FakeVpaApi, rig: Rig) -> None:
    api.add(manifest("web"))
    report = rig.run_pass()
    assert (report.vpas, report.with_number, report.written, report.is_ok) == (1, 1, 1, True)
    assert target(api) == {"cpu": "180m", "memory": str(230 * MIB)}
    (patch,) = api.patches()
    assert patch.path == "/apis/autoscaling.k8s.io/v1/namespaces/shop/verticalpodautoscalers/web/status"
    assert patch.content_type == "application/merge-patch+json"
    assert set(patch.body) == {"metadata", "status"}


def test_a_second_pass_writes_nothing_and_asks_for_nothing(api: FakeVpaApi, rig: Rig) -> None:
    api.add(manifest("web"))
    rig.run_pass()
    report = rig.run_pass()
    assert (report.written, report.unchanged, len(api.patches())) == (0, 1, 1)
    assert len(rig.asked) == 1


def test_numbers_are_computed_again_after_the_refresh_and_written_where_they_changed(api: FakeVpaApi, rig: Rig) -> None:
    api.add(manifest("web"))
    rig.run_pass()
    rig.advise = lambda workloads: [recommendation(container("server", 260), workload=one) for one in workloads]
    assert rig.run_pass().written == 0
    rig.seconds += 901
    assert rig.run_pass().written == 1
    assert target(api)["cpu"] == "260m"


def test_a_new_vpa_and_a_new_policy_are_seen_at_once(api: FakeVpaApi, rig: Rig) -> None:
    api.add(manifest("web"))
    rig.run_pass()
    api.add(manifest("cart"))
    api.vpas["shop", "web"]["spec"]["resourcePolicy"] = {
        "containerPolicies": [{"containerName": "*", "maxAllowed": {"cpu": "100m"}}]
    }
    assert rig.run_pass().written == 2
    assert target(api)["cpu"] == "100m"
    assert rig.asked == [[Workload("shop", "web")], [Workload("shop", "cart")]]


def test_only_vpas_that_name_the_recommender_are_touched(api: FakeVpaApi, rig: Rig) -> None:
    api.add(manifest("web", recommenders=()))
    api.add(manifest("cart", recommenders=("other",)))
    assert rig.run_pass().vpas == 0
    assert (api.patches(), rig.asked) == ([], [])


def test_the_recommender_can_be_limited_to_one_namespace(api: FakeVpaApi, tmp_path: Path) -> None:
    api.add(manifest("web"))
    api.add(manifest("web", namespace="other"))
    assert Rig(api, tmp_path, namespace="other").run_pass().written == 1
    assert api.requests[0].path.startswith("/apis/autoscaling.k8s.io/v1/namespaces/other/")
    assert "status" not in api.vpas["shop", "web"]


def test_many_pages_are_read_to_the_end(api: FakeVpaApi, rig: Rig) -> None:
    api.page = 3
    for number in range(8):
        api.add(manifest(f"web-{number}"))
    assert rig.run_pass().written == 8


def test_an_old_crd_without_a_status_subresource_is_patched_as_a_whole(api: FakeVpaApi, rig: Rig) -> None:
    api.has_subresource = False
    api.add(manifest("web"))
    api.add(manifest("cart"))
    assert rig.run_pass().is_ok
    assert target(api, "web") == target(api, "cart")
    # Found out once, remembered for the rest.
    assert [r.path.rpartition("/")[2] for r in api.patches()] == ["status", "cart", "web"]


def test_one_bad_vpa_never_stops_the_others(api: FakeVpaApi, rig: Rig) -> None:
    api.add(manifest("bad-policy", policies=[{"containerName": "*", "maxAllowed": {"cpu": "lots"}}]))
    api.add(manifest("bad-target", target={"apiVersion": "v1", "kind": "Pod", "name": "web"}))
    api.add(manifest("refused"))
    api.add(manifest("gone"))
    api.add(manifest("web"))

    def advise(workloads: Sequence[Workload]) -> Iterable[Recommendation]:
        if any(one.name == "refused" for one in workloads):
            raise BadInput("mora.dev/cpu-flor is no annotation of MOrA.", hint="Did you mean cpu-floor?")
        return [recommendation(workload=one) for one in workloads if one.name != "gone"]

    rig.advise = advise
    report = rig.run_pass()
    assert (report.vpas, report.with_number, report.written, report.is_ok) == (5, 1, 5, True)
    assert target(api)["cpu"] == "180m"
    by_name = {name: api.status(name)["conditions"] for name in ("bad-policy", "bad-target", "refused", "gone")}
    assert {name: found[0]["type"] for name, found in by_name.items()} == {
        "bad-policy": "ConfigUnsupported",
        "bad-target": "ConfigUnsupported",
        "refused": "RecommendationProvided",
        "gone": "NoPodsMatched",
    }
    assert "Did you mean cpu-floor?" in by_name["refused"][0]["message"]


def test_a_vpa_object_that_cannot_be_read_is_logged_and_stops_no_other(api: FakeVpaApi, rig: Rig) -> None:
    api.add(manifest("web"))
    torn = manifest("torn")
    torn["spec"]["targetRef"] = ["web"]
    api.add(torn)
    report = rig.run_pass()
    assert (report.vpas, report.written, report.errors["object"], report.is_ok) == (1, 1, 1, False)
    assert "spec.targetRef is a list, not an object" in rig.said("error")
    assert "'torn' in namespace 'shop'" in rig.said("error")


def test_a_bug_in_one_namespaces_numbers_is_logged_and_stops_no_other(api: FakeVpaApi, rig: Rig) -> None:
    api.add(manifest("web"))
    api.add(manifest("web", namespace="other"))

    def advise(workloads: Sequence[Workload]) -> Iterable[Recommendation]:
        if workloads[0].namespace == "other":
            raise ZeroDivisionError("division by zero")
        return [recommendation(workload=one) for one in workloads]

    rig.advise = advise
    report = rig.run_pass()
    assert (report.written, dict(report.errors), report.is_ok) == (1, {"bug": 1}, False)
    assert "ZeroDivisionError: division by zero" in rig.said("error")


def test_a_bug_in_every_namespaces_numbers_ends_the_pass_so_that_the_next_waits_longer(
    api: FakeVpaApi, rig: Rig
) -> None:
    api.add(manifest("web"))

    def advise(workloads: Sequence[Workload]) -> Iterable[Recommendation]:
        raise ZeroDivisionError("division by zero")

    rig.advise = advise
    assert rig.run_pass().stopped == "there are no recommendations for any namespace"


def test_a_prometheus_that_does_not_answer_leaves_the_statuses_and_fails_the_pass(api: FakeVpaApi, rig: Rig) -> None:
    api.add(manifest("web"))
    rig.run_pass()
    before = api.status("web")
    rig.seconds += 901

    def advise(workloads: Sequence[Workload]) -> Iterable[Recommendation]:
        raise SourceUnavailable("Prometheus does not answer.", hint="Is it up?")

    rig.advise = advise
    report = rig.run_pass()
    assert (report.stopped, dict(report.errors)) == ("there are no recommendations for any namespace", {"numbers": 1})
    assert api.status("web") == before
    assert rig.telemetry.unready() == "the last pass failed: there are no recommendations for any namespace"
    assert "Is it up?" in rig.said("error")


@pytest.mark.parametrize(
    ("verb", "resource", "rule"),
    [
        ("list", "verticalpodautoscalers", 'verbs: ["list"]'),
        ("patch", "verticalpodautoscalers/status", 'resources: ["verticalpodautoscalers/status"], verbs: ["patch"]'),
    ],
)
def test_a_missing_right_is_named_with_the_rule_that_grants_it(
    api: FakeVpaApi, rig: Rig, verb: str, resource: str, rule: str
) -> None:
    api.add(manifest("web"))
    api.forbidden.add((verb, resource))
    assert not rig.run_pass().is_ok
    assert rule in rig.said("error")


def test_for_a_cluster_without_vpas_the_error_says_what_to_install(api: FakeVpaApi, rig: Rig) -> None:
    api.has_crd = False
    assert rig.run_pass().stopped == "VPA objects cannot be listed"
    assert "Install the VPA" in rig.said("error")


def test_a_vpa_that_changed_meanwhile_is_written_by_the_next_pass(api: FakeVpaApi, rig: Rig) -> None:
    api.add(manifest("web"))

    def advise(workloads: Sequence[Workload]) -> Iterable[Recommendation]:
        api.vpas["shop", "web"]["metadata"]["resourceVersion"] = api.next_version()
        return [recommendation(workload=one) for one in workloads]

    rig.advise = advise
    report = rig.run_pass()
    assert (report.written, dict(report.errors), report.is_ok) == (0, {"conflict": 1}, True)
    assert rig.run_pass().written == 1


def test_a_vpa_that_was_deleted_meanwhile_is_no_error(api: FakeVpaApi, rig: Rig) -> None:
    api.add(manifest("web"))
    api.add(manifest("zoo"))

    def advise(workloads: Sequence[Workload]) -> Iterable[Recommendation]:
        api.vpas.pop(("shop", "web"), None)
        return [recommendation(workload=one) for one in workloads]

    rig.advise = advise
    report = rig.run_pass()
    assert (report.written, dict(report.errors)) == (1, {})


def test_one_write_that_fails_is_counted_and_the_rest_is_written(api: FakeVpaApi, rig: Rig) -> None:
    for name in ("a", "b", "c", "d"):
        api.add(manifest(name))
    api.failing, api.failing_path = [500], "/status"
    report = rig.run_pass()
    assert (report.written, dict(report.errors), report.stopped) == (3, {"write": 1}, None)
    assert rig.run_pass().written == 1


def test_a_pass_ends_when_the_api_server_does_not_answer(api: FakeVpaApi, rig: Rig) -> None:
    for name in ("a", "b", "c", "d", "e"):
        api.add(manifest(name))
    api.failing, api.failing_path = [500] * 10, "/status"
    report = rig.run_pass()
    assert (report.written, dict(report.errors)) == (0, {"write": 3})
    assert report.stopped == "3 writes failed one after the other"


def test_an_instance_that_lost_the_lease_writes_no_more(api: FakeVpaApi, tmp_path: Path) -> None:
    class Loses:
        def __init__(self) -> None:
            self.asked = 0

        def leads(self) -> bool:
            self.asked += 1
            return self.asked <= 1

        def wait(self, timeout: float) -> bool:
            return True

    for name in ("a", "b", "c"):
        api.add(manifest(name))
    report = Rig(api, tmp_path, leadership=Loses()).run_pass()
    assert (report.written, report.stopped) == (1, "another instance leads now")
    assert len(api.patches()) == 1


def test_a_dry_run_shows_what_it_would_write_and_writes_nothing(api: FakeVpaApi, tmp_path: Path) -> None:
    api.add(manifest("web"))
    shown: list[tuple[str, dict[str, Any]]] = []
    dry = Rig(api, tmp_path, on_write=lambda vpa, patch: shown.append((vpa.name, patch)))
    assert dry.run_pass().written == 1
    assert api.patches() == []
    ((name, patch),) = shown
    assert (name, set(patch)) == ("web", {"conditions", "recommendation"})


def test_passes_follow_each_other_until_the_end_and_wait_longer_after_failures(api: FakeVpaApi, rig: Rig) -> None:
    stop, waits = threading.Event(), []

    class Watched(Backoff):
        def next(self) -> float:
            waits.append(super().next())
            if len(waits) == 3:
                stop.set()
            return 0.0

    api.failing, api.failing_path = [500] * 3, "verticalpodautoscalers"
    rig.recommender.run(stop, timedelta(0), backoff=Watched(random.Random(7)))
    assert [2**n >= wait >= 2**n / 2 for n, wait in enumerate(waits, 1)] == [True] * 3
    assert len([r for r in api.requests if r.method == "GET"]) == 3
