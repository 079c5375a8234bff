"""Replicas from history, from a real Prometheus to an HPA and a ScaledObject; and what is refused."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from mora.cli.front import app
from mora.domain import Reason, TotalUse, Window, Workload
from mora.errors import BadInput, SourceUnavailable
from mora.pipeline.scaling import DemandQuestion, question_of, with_scaling
from mora.policies import PolicySettings
from mora.replicas import choice
from mora.sources.prometheus.fleet import PrometheusFleet
from mora.sources.prometheus.observe import PrometheusSource
from tests.outputs import examples
from tests.sources import rig

NOW = datetime.now(UTC).replace(second=0, microsecond=0)
DAYS, EVERY = 4, 120
# The tests run some time after their modules were read.
AHEAD = 7200
WINDOW = Window(NOW - timedelta(days=DAYS), NOW, timedelta(minutes=5))
POLICY = PolicySettings()


def used(at: float, start: float) -> float:
    """Core-seconds since the start: 0.4 cores on average, by day and night."""
    day = 2 * math.pi / 86_400
    return 0.4 * (at - start) + 0.3 / day * (math.sin(day * at) - math.sin(day * start))


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A shop of one service; its first pod works by day, its second as much."""
    start = NOW.timestamp() - DAYS * 86_400
    end = NOW.timestamp() + AHEAD
    wanted = ("kube_", "container_cpu_usage", "container_memory_working")
    series = [
        replace(one, value=lambda at: used(at, start)) if one.metric == "container_cpu_usage_seconds_total" else one
        for one in rig.cluster({"frontend": ("server",)}, start=start, end=end, every=EVERY, has_nodes=False)
        if one.metric.startswith(wanted) and not one.metric.endswith("_limits")
    ]
    requests = rig.Series("requests_total", {"app": "frontend"}, lambda at: 100 * used(at, start), start, end, EVERY)
    with rig.serve(rig.backfill([*series, requests], tmp_path_factory.mktemp("scaling"))) as url:
        yield url


def fleet(url: str, **options: Any) -> PrometheusFleet:
    return PrometheusFleet(PrometheusSource(url), **options)


def test_the_demand_is_the_cpu_of_all_pods(prometheus: str) -> None:
    window = Window(NOW - timedelta(days=2), NOW, timedelta(minutes=1))
    found = fleet(prometheus).total_use(Workload("shop", "frontend"), window)
    assert found.server == prometheus
    middle = (window.start + timedelta(days=1)).timestamp()
    expected = 2 * (0.4 + 0.3 * math.cos(2 * math.pi / 86_400 * middle))
    assert found.values[1440] == pytest.approx(expected, rel=0.05)


def test_one_of_several_clusters_is_refused(prometheus: str) -> None:
    with pytest.raises(BadInput, match="cannot tell the clusters"):
        fleet(prometheus, cluster="eu").total_use(Workload("shop", "frontend"), WINDOW)


def mora(prometheus: str, *arguments: str) -> str:
    command = ["recommend", "frontend", "-n", "shop", "--prometheus", prometheus, "--no-kubernetes", "--history", "4d"]
    done = CliRunner().invoke(app, [*command, *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_user_gets_a_scaled_object_and_an_hpa(prometheus: str) -> None:
    text = mora(prometheus, "-o", "keda")
    assert "fewer pod-hours than an HPA at 70 %" in text.replace("\n# ", " ")
    (found,) = yaml.safe_load_all(text)
    spec = found["spec"]
    assert spec["scaleTargetRef"]["name"] == "frontend"
    assert 1 <= spec["minReplicaCount"] < spec["maxReplicaCount"]
    # What KEDA will ask is answered by the Prometheus that was asked.
    for trigger in spec["triggers"]:
        if trigger["type"] == "prometheus":
            with PrometheusSource(prometheus).wire() as wire:
                (row,) = wire.instant(trigger["metadata"]["query"], NOW)
            assert 0.2 < float(row["value"][1]) < 2.0
    (hpa,) = yaml.safe_load_all(mora(prometheus, "--replicas", "history", "-o", "hpa"))
    assert hpa["spec"]["metrics"][0]["resource"]["target"]["type"] == "AverageValue"
    assert hpa["spec"]["minReplicas"] < hpa["spec"]["maxReplicas"]


def test_the_demand_may_be_requests(prometheus: str) -> None:
    query = 'sum(rate(requests_total{app="$service"}[$window]))'
    text = mora(prometheus, "-o", "keda", "--demand", query, "--demand-per-pod", "20")
    (found,) = yaml.safe_load_all(text)
    demand = found["spec"]["triggers"][0]
    assert demand["type"] == "prometheus"
    assert 'requests_total{app="frontend"}[480s]' in demand["metadata"]["query"]
    assert 10 <= float(demand["metadata"]["threshold"]) <= 30


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--replicas", "guess"], "--replicas takes one word, history"),
        (["--demand", "up"], "--demand and --pod-start-up are for --replicas history"),
        (["-o", "keda", "--demand", "up"], "--demand-per-pod"),
        (["-o", "keda", "--pod-start-up", "soon"], "--pod-start-up"),
        (["-o", "keda", "--no-history"], "--no-history leaves it out"),
        (["-o", "keda", "--demand", "kube_pod_info", "--demand-per-pod", "1"], "Sum them up"),
    ],
)
def test_wrong_flags_say_what_is_wrong(prometheus: str, arguments: list[str], words: str) -> None:
    command = ["recommend", "frontend", "-n", "shop", "--prometheus", prometheus, "--no-kubernetes", "--history", "4d"]
    done = CliRunner().invoke(app, [*command, *arguments])
    said = f"{done.output} {getattr(done.exception, 'message', '')} {getattr(done.exception, 'hint', '')}"
    assert done.exit_code != 0
    assert words in " ".join(said.split())


class Demand:
    """A source that tells one demand."""

    def __init__(self, values: np.ndarray, error: Exception | None = None) -> None:
        self.values, self.error = values, error

    def states(self, namespace: str | None = None) -> list[Any]:
        return []

    def histories(self, *_: object, **__: object) -> Iterator[Any]:
        yield from ()

    def total_use(self, workload: Workload, window: Window, query: str | None = None) -> TotalUse:
        if self.error is not None:
            raise self.error
        values = np.full(window.sample_count, np.nan)
        values[-len(self.values) :] = self.values
        return TotalUse("up", values, "http://ada:secret@prometheus:9090")


def told(source: Any, advice: Any = None, question: DemandQuestion | None = None) -> Any:
    (found,) = with_scaling([advice or examples.frontend()], source, WINDOW, question or DemandQuestion(), POLICY)
    return found


def test_what_is_not_known_is_a_reason_and_no_number() -> None:
    known = examples.frontend()
    unset = replace(known.main, cpu_request=replace(known.main.cpu_request, now=None, value=None))
    without_request = replace(known, containers=(unset, *known.others))
    reasons = (Reason("raised-limit-bound", "use sat at its limit"),)
    at_limit = replace(known.main, cpu_request=replace(known.main.cpu_request, reasons=reasons))
    limit_bound = replace(known, containers=(at_limit, *known.others))
    for source, advice, words in (
        (Demand(np.full(600, 0.5)), None, "3 days of demand are needed, and 10h is known"),
        (Demand(np.full(0, 0.5), SourceUnavailable("It is away.")), None, "It is away."),
        (Demand(np.full(5000, 0.5)), examples.nightly(), "this is a CronJob"),
        (Demand(np.full(5000, 0.5)), without_request, "how much CPU a pod requests is not known"),
        (Demand(np.full(5000, 0.5)), limit_bound, "its CPU use is limit-bound"),
    ):
        found = told(source, advice)
        assert found.scaling is None
        (why,) = [one.text for one in found.reasons if one.code == "scaling-unknown"]
        assert words in why, why


def test_no_password_is_printed_and_replicas_keep_to_the_settings() -> None:
    values = np.tile(np.repeat([0.3, 1.2], 720), 4)
    found = with_scaling(
        [examples.frontend()], Demand(values), WINDOW, DemandQuestion(), replace(POLICY, min_replicas=3, max_replicas=4)
    )[0]
    assert found.scaling is not None
    assert found.scaling.server == "http://prometheus:9090"
    for rule in (found.scaling.rule, found.scaling.by_hpa):
        assert rule is not None
        assert (rule.least, rule.most) == (3, 4)
    assert (found.hpa_min_replicas, found.hpa_max_replicas) == (3, 4)


def test_what_somebody_keeps_in_reserve_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "SMOOTHED", choice.SMOOTHED[:2])
    monkeypatch.setattr(choice, "PLAIN_ONES", choice.PLAIN_ONES[:2])
    little = np.full(5000, 0.01)
    cart = examples.cart()
    assert cart.current.autoscaler is not None
    kept = replace(cart.current.autoscaler, min_replicas=3)
    by_hpa = replace(cart, current=replace(cart.current, autoscaler=kept))
    known = examples.frontend()
    for advice, least in (
        (by_hpa, 3),
        (replace(known, current=replace(known.current, replicas=5)), 2),
        (replace(known, current=replace(known.current, replicas=1)), 1),
    ):
        assert told(Demand(little), advice).hpa_min_replicas == least


def test_pods_whose_limit_is_their_request_get_a_target_that_they_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    known = examples.frontend()
    main = replace(known.main, cpu_limit=replace(known.main.cpu_request, goal=None))
    monkeypatch.setattr(choice, "SMOOTHED", choice.SMOOTHED[8::30])
    found = told(Demand(np.full(5000, 1.5)), replace(known, containers=(main, *known.others)))
    for rule in (found.scaling.rule, found.scaling.by_hpa):
        assert rule.target * 1.1 < 1.0


def test_a_source_without_promql_and_a_query_for_several_are_refused() -> None:
    with pytest.raises(BadInput, match="this source is no Prometheus"):
        with_scaling([examples.frontend()], object(), WINDOW, DemandQuestion(), POLICY)  # type: ignore[arg-type]
    both = [examples.frontend(), examples.cart()]
    question = question_of(None, "up", 5.0)
    with pytest.raises(BadInput, match="the query of one workload, and 2 are asked for"):
        with_scaling(both, Demand(np.ones(5000)), WINDOW, question, POLICY)


def test_flags_of_a_demand() -> None:
    assert question_of("90s", None, None) == DemandQuestion(timedelta(seconds=90))
    for arguments in (
        ("2h", None, None),
        (None, "up", None),
        (None, None, 5.0),
        (None, "up", 0.0),
        (None, "up", math.inf),
    ):
        with pytest.raises(BadInput):
            question_of(*arguments)
