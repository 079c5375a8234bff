"""The explanation prints everything behind a number."""

from __future__ import annotations

from dataclasses import replace

from mora.outputs import OutputSettings, explain
from tests.outputs import examples
from tests.outputs.golden import golden


def words(text: str) -> str:
    return " ".join(text.split())


def test_the_explanation_is_as_it_was_last_read() -> None:
    text = golden("fleet.explain.txt", explain.render(examples.fleet()))
    queries = text.count("container_cpu_usage_seconds_total")
    assert queries == 1
    assert max(len(line) for line in text.splitlines() if "container_cpu" not in line) <= 100


def test_the_time_range_the_samples_and_the_peaks_with_their_times_and_pods_are_printed() -> None:
    printed = words(explain.render([examples.meshed()]))
    for part in (
        "2026-11-12 02:00 UTC to 2026-11-21 02:00 UTC (9d), every 30s",
        "25,500 of 40,321 expected (63%), each from the hottest of 7 pods (deleted ones included)",
        "210m in the whole time range, at 2026-11-18 23:00 UTC on pod web-7c9f-x2lq4; 95 % of samples below 81m",
        "188 MiB in the whole time range, at 2026-11-19 20:00 UTC on pod web-7c9f-b81kd",
        "3.1% of CFS periods",
        "2; 1 OOM kill",
        "2026-11-14 00:00 to 06:00 UTC: --exclude",
    ):
        assert part in printed


def test_a_unit_is_printed_once() -> None:
    busy = replace(examples.EVIDENCE, cpu_peak_cores=3.911, cpu_level_cores=1.2)
    printed = words(explain.render([examples.with_main(examples.meshed(), evidence=busy)]))
    assert "3.91 cores in the whole time range, at 2026-11-18 23:00 UTC" in printed
    assert "95 % of samples below 1.2 cores" in printed
    assert "cores cores" not in printed


def test_a_step_is_printed_with_its_goal() -> None:
    printed = words(explain.render([examples.cart()]))
    assert "memory request 512Mi now, 359Mi recommended as this step, 230Mi as the goal, -30%" in printed


def test_every_reason_of_every_container_is_printed() -> None:
    for recommendation in examples.fleet():
        printed = words(explain.render([recommendation]))
        for container in recommendation.containers:
            for advice in (container.cpu_request, container.cpu_limit, container.memory_request):
                for reason in advice.reasons:
                    assert words(reason.text) in printed


def test_what_else_was_asked_is_listed_once_by_path() -> None:
    known = examples.EVIDENCE.queries["cpu"]
    asked = [("query_range", known), ("query", "kube_node_status_capacity"), ("series", "kube_pod_owner")]
    text = explain.render([examples.meshed()], OutputSettings(asked=asked))
    others = text.partition("other queries and selectors of this run, as sent\n")[2]
    assert others.splitlines() == [*("", "  query", "    kube_node_status_capacity", "  series", "    kube_pod_owner")]
    assert text.count(known) == 1
    assert "other queries" not in explain.render([examples.meshed()])


def test_a_query_can_be_pasted_whatever_its_length() -> None:
    query = "sum(" + " + ".join(["up"] * 100) + ")"
    seen = replace(examples.EVIDENCE, queries={"all": query})
    text = explain.render([examples.with_main(examples.meshed(), evidence=seen)], OutputSettings(width=60))
    assert f"    {query}" in text.splitlines()


def test_what_was_not_measured_is_unknown() -> None:
    dark = replace(examples.EVIDENCE, throttled_ratio=None, cpu_peak_cores=None, mem_peak_bytes=None, samples=0)
    printed = words(explain.render([examples.with_main(examples.meshed(), evidence=dark)]))
    assert "throttling unknown" in printed
    assert "memory peak" not in printed
    assert "measured no figures are kept with this answer" in printed


def test_what_scales_the_workload_is_printed() -> None:
    printed = words(explain.render([examples.retargeted()]))
    assert "HPA web scales on 70% of the cpu request, 2 to 8 replicas" in printed
    assert "HPA web scales on 80% of the memory request" in printed
