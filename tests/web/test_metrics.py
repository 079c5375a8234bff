from __future__ import annotations

import subprocess
from collections.abc import Sequence

from prometheus_client.parser import text_string_to_metric_families

from mora.errors import SourceUnavailable
from mora.record.numbers import Key
from mora.record.store import InForce
from mora.tools import find_tool
from mora.web.live import Live
from mora.web.metrics import Telemetry
from tests.outputs.examples import everything
from tests.web.making import MADE_AT, answer


def samples(telemetry: Telemetry) -> dict[str, list[tuple[dict[str, str], float]]]:
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(telemetry.text().decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
    return found


def served(clock: Sequence[float] = (MADE_AT + 60,)) -> tuple[Live, Telemetry]:
    """What is served, and its metrics by a clock that is set from outside."""
    live = Live(("",), 900.0)
    live.answered("", answer())
    return live, Telemetry(live, now=lambda: clock[0])


def test_every_number_is_a_gauge_in_base_units() -> None:
    _, telemetry = served()
    found = samples(telemetry)
    for advice in everything():
        place = {
            "cluster": "",
            "namespace": advice.workload.namespace,
            "kind": advice.workload.kind,
            "workload": advice.workload.name,
        }
        for container in advice.containers:
            labels = {**place, "container": container.container}
            for metric, number, factor in (
                ("cpu_cores", container.cpu_request, 1000),
                ("memory_bytes", container.memory_request, 1),
                ("memory_limit_bytes", container.memory_limit, 1),
            ):
                for prefix, amount in (("recommended", number.value), ("current", number.now)):
                    values = [value for its, value in found[f"mora_{prefix}_{metric}"] if its == labels]
                    assert values == ([] if amount is None else [amount / factor])
        replicas = [value for its, value in found["mora_recommended_replicas"] if its == place]
        assert replicas == ([] if advice.replicas.value is None else [advice.replicas.value])


def test_a_recommendation_that_is_not_known_is_no_sample_and_never_nan() -> None:
    _, telemetry = served()
    assert b"nan" not in telemetry.text().lower().replace(b"tenan", b"")
    unsized = [labels for labels, value in samples(telemetry)["mora_workloads"] if labels["sized"] == "false" and value]
    assert unsized


def test_ages_are_of_the_moment_of_the_scrape() -> None:
    clock = [MADE_AT + 60]
    live, telemetry = served(clock)
    assert samples(telemetry)["mora_answer_age_seconds"] == [({"cluster": ""}, 60.0)]
    clock[0] = MADE_AT + 90
    assert samples(telemetry)["mora_answer_age_seconds"] == [({"cluster": ""}, 90.0)]
    assert samples(telemetry)["mora_answer_stale"] == [({"cluster": ""}, 0.0)]
    live.failed("", SourceUnavailable("away"))
    clock[0] = MADE_AT + 9000
    found = samples(telemetry)
    assert found["mora_answer_stale"] == [({"cluster": ""}, 1.0)]
    assert found["mora_refresh_failing"] == [({"cluster": ""}, 1.0)]


def test_before_the_first_answer_the_age_is_infinite() -> None:
    assert samples(Telemetry(Live(("",), 900.0)))["mora_answer_age_seconds"] == [({"cluster": ""}, float("inf"))]


def test_what_was_applied_is_a_moment_a_verdict_and_kills() -> None:
    live, telemetry = served()
    key = Key("", "shop", "Deployment", "web", "server", "memory_request")
    live.recorded("", [InForce(1, key, MADE_AT - 60, 2**20, covered=False, oom_kills=2)])
    labels = {
        "cluster": "",
        "namespace": "shop",
        "kind": "Deployment",
        "workload": "web",
        "container": "server",
        "resource": "memory",
    }
    found = samples(telemetry)
    assert found["mora_applied_timestamp_seconds"] == [(labels, MADE_AT - 60)]
    assert found["mora_applied_covered"] == [(labels, 0.0)]
    assert found["mora_applied_oom_kills"] == [(labels, 2.0)]


def test_prometheus_own_linter_has_nothing_to_say() -> None:
    _, telemetry = served()
    telemetry.refreshed("", 2.0, is_ok=True)
    told = subprocess.run(
        [str(find_tool("promtool")), "check", "metrics"], input=telemetry.text(), capture_output=True, check=False
    )
    assert (told.returncode, told.stdout + told.stderr) == (0, b"")


def test_the_text_of_workloads_is_made_once_for_each_answer() -> None:
    live, telemetry = served()
    first = telemetry._workloads()
    assert telemetry._workloads() is first
    live.answered("", answer(made_at=MADE_AT + 1))
    assert telemetry._workloads() is not first
