"""The rows that people put into a sheet."""

from __future__ import annotations

import csv as standard

from mora.outputs import csv
from mora.quantities import MIB
from tests.outputs import examples
from tests.outputs.golden import golden


def rows() -> list[dict[str, str]]:
    return list(standard.DictReader(golden("fleet.csv", csv.render(examples.fleet())).splitlines()))


def test_every_container_of_every_workload_has_its_row() -> None:
    named = [(row["workload"], row["container"]) for row in rows()]
    assert named == [(r.workload.name, c.container) for r in examples.fleet() for c in r.containers]


def test_amounts_are_integers_and_what_is_not_known_is_empty() -> None:
    by_name = {(row["workload"], row["container"]): row for row in rows()}
    frontend, ads = by_name["frontend", "server"], by_name["adservice", "server"]
    assert (frontend["cpu_request_millicores_now"], frontend["cpu_request_millicores_target"]) == ("500", "254")
    assert frontend["cpu_limit_millicores_target"] == "unset"
    assert (frontend["replicas_now"], frontend["replicas_target"]) == ("3", "2")
    assert (ads["memory_request_bytes_now"], ads["memory_request_bytes_target"]) == ("67108864", "")
    assert "12 samples, 60 are needed" in ads["reasons"]
    cart = by_name["cartservice", "server"]  # the step limit: 30 % of 512Mi
    assert (cart["memory_request_bytes_target"], cart["memory_request_bytes_goal"]) == ("376438784", str(230 * MIB))
    assert frontend["cpu_request_millicores_goal"] == frontend["cpu_request_millicores_target"]
    assert by_name["web", "istio-proxy"]["is_injected"] == "true"
    assert by_name["web", "cache"]["replicas_now"] == ""


def test_no_recommendation_is_a_header_alone() -> None:
    assert csv.render([]).splitlines() == [",".join(csv.COLUMNS)]
