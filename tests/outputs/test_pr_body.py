"""The body of a pull request: what a reviewer needs, and no workload that is not worth a rollout."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from mora.domain import Advice, Reason, Workload
from mora.outputs import OutputSettings, pr_body
from mora.savings import Prices
from tests.clusters.fake_api import FakeApi
from tests.clusters.kinds import ROLLOUT
from tests.outputs import examples
from tests.outputs.checks import resources
from tests.outputs.conftest import NEWEST, run_script
from tests.outputs.golden import golden


def test_the_body_is_as_it_was_last_read() -> None:
    text = golden("fleet.pr-body.md", pr_body.render(examples.fleet(), OutputSettings(prices=Prices())))
    assert text.startswith(
        "## Rightsize 8 workloads\n\nSizes these workloads by the use that MOrA measured until 2026-11-21 02:00 UTC"
    )
    assert "USD a month" in text
    assert "| `shop/frontend` | `server` | cpu request | 500m | 254m | -49% | 94 % (18 windows) |" in text
    assert "| `shop/frontend` |  | replicas | 3 | 2 | -33% | 91 % (18 windows) |" in text
    assert "No recommendation for 1 workload:\n\n- Deployment shop/adservice: 12 samples" in text
    assert "- Job shop/migration: the template of a Job cannot be changed" in text
    assert pr_body.files([examples.frontend()]) == {"pr-body.md": pr_body.render([examples.frontend()])}


def test_it_reads_as_a_pull_request_title_change_table_risks_rollback_then_details() -> None:
    text = pr_body.render([examples.frontend()])
    assert text.startswith("## Rightsize shop/frontend\n\nSizes this workload by the use that MOrA measured until")
    assert "(numbers below: 2 lower, 2 higher, 1 removed)" in text
    order = ["| workload |", "### Risks", "### Roll back", "<details><summary>Why", "<details><summary>Dry run"]
    assert [text.index(part) for part in order] == sorted(text.index(part) for part in order)
    assert text.count("<details>") == text.count("</details>") == 4


def test_the_risks_name_the_largest_cut_the_lowest_confidence_and_what_must_change_together() -> None:
    risks = pr_body.render([examples.frontend(), examples.retargeted()]).partition("### Risks")[2].partition("###")[0]
    assert "- The largest cut is -49%: `shop/frontend` container `server`, cpu request." in risks
    assert "- The lowest confidence is 91 % (18 windows): `shop/frontend`, replicas." in risks
    assert "- No confidence is known for `shop/frontend` container `server`, memory request" in risks
    assert "- 1 CPU limit removed: without one, a container may use idle CPU of its node." in risks
    assert "must change together with the requests: `web` (cpu 112%), `web` (memory 97%)." in risks


def slightly(now: int, value: int) -> Advice:
    return Advice(now, value, 0.9, 3, reasons=(Reason("a", "b"),))


def test_a_small_change_is_skipped_and_counted() -> None:
    cart = examples.with_main(examples.cart(), memory_limit=slightly(512, 461), memory_request=slightly(512, 461))
    text = pr_body.render([examples.frontend(), cart])
    assert "cartservice" not in text.split("<summary>Why")[0]
    assert "Skipped: 1 workload that would change by less than 10%." in text
    assert "cartservice` | `server` | memory request" in pr_body.render([cart], OutputSettings(min_change=0.05))
    exact = examples.with_main(examples.cart(), memory_limit=slightly(500, 450), memory_request=slightly(500, 450))
    assert "Apply with kubectl" in pr_body.render([exact])


def test_where_nothing_changes_it_says_so_and_has_no_command() -> None:
    text = pr_body.render([examples.unknown()])
    assert text.startswith("## Rightsize: nothing to change\n\nNo workload needs another size.")
    assert "kubectl" not in text
    assert pr_body.render([]) == "## Rightsize: nothing to change\n\nNo workload needs another size.\n"


def test_words_are_not_read_as_markdown() -> None:
    odd = replace(examples.frontend(), reasons=(Reason("a", "p95 <b> | *x* [y](z) `k`\n# head"),))
    assert "- note: p95 &lt;b> \\| \\*x\\* \\[y\\](z) \\`k\\` # head\n" in pr_body.render([odd])


def fenced(text: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_its_commands_are_shell() -> None:
    for block in fenced(pr_body.render(examples.fleet())):
        subprocess.run(["sh", "-n"], input=block, text=True, check=True)


@pytest.mark.skipif(not NEWEST.is_modern, reason="kubectl 1.20 does not know what a server of today serves")
def test_an_api_server_takes_its_commands(api: FakeApi, tmp_path: Path) -> None:
    fleet = [examples.frontend(), examples.canary()]
    api.cluster.resources.append(ROLLOUT)
    for recommendation in fleet:
        api.cluster.add(examples.manifest(recommendation))
    dry_run, apply, back = fenced(pr_body.render(fleet))
    assert run_script(dry_run, tmp_path).returncode == 0
    assert not api.cluster.changes
    assert run_script(apply, tmp_path).returncode == 0
    assert resources(api.cluster.get("Deployment", "frontend"), "server") == fleet[0].main.resources
    assert resources(api.cluster.get("Rollout", "canary"), "server") == fleet[1].main.resources
    assert run_script(back, tmp_path).returncode == 0
    now = fleet[0].current.main
    assert now is not None
    assert resources(api.cluster.get("Deployment", "frontend"), "server") == now.resources


@pytest.mark.parametrize(
    ("count", "has_why", "has_commands", "is_whole"), [(10, 1, 1, 1), (45, 0, 1, 1), (90, 0, 0, 1), (500, 0, 0, 0)]
)
def test_what_does_not_fit_into_a_pull_request_is_dropped_and_named(
    count: int, has_why: bool, has_commands: bool, is_whole: bool
) -> None:
    frontend = examples.frontend()
    fleet = [replace(frontend, workload=Workload("shop", f"frontend-{n}")) for n in range(count)]
    text = pr_body.render(fleet)
    assert len(text) <= 65_536
    assert text.startswith(f"## Rightsize {count} workloads\n\nSizes these workloads ")
    assert ("<summary>Why" in text, "<summary>Roll back with kubectl" in text) == (has_why, has_commands)
    assert ("do not fit here" in text) == (not has_why)
    assert ("more rows do not fit" in text) == (not is_whole)
    assert text.count("| cpu request |") == count or not is_whole


def test_many_workloads_without_a_number_are_counted_and_not_all_named() -> None:
    unknown = examples.unknown()
    fleet = [replace(unknown, workload=Workload("shop", f"w{n}")) for n in range(500)]
    text = pr_body.render([*fleet, examples.frontend()])
    assert "No recommendation for 500 workloads" in text
    assert "- and 470 more" in text
    assert len(text) < 20_000


def test_a_limit_that_changes_with_its_request_shares_the_row() -> None:
    rows = [line for line in pr_body.render([examples.cart()]).splitlines() if line.startswith("| `")]
    assert [row.split(" | ")[2] for row in rows] == ["memory request and limit"]


def test_a_memory_request_without_confidence_is_a_risk_although_its_limit_shares_the_row() -> None:
    main = examples.cart().main
    cart = examples.with_main(
        examples.cart(),
        memory_request=replace(main.memory_request, confidence=None),
        memory_limit=replace(main.memory_limit, confidence=None),
    )
    text = pr_body.render([cart])
    assert "- No confidence is known for `shop/cartservice` container `server`, memory request and limit" in text


def test_what_is_the_same_for_every_workload_stands_once() -> None:
    remark = Reason("known-by-prometheus", "read from Prometheus alone")
    changed = [replace(one, reasons=(*one.reasons, remark)) for one in (examples.frontend(), examples.cart())]
    text = pr_body.render(changed)
    assert text.count(remark.text) == 1
    assert f"**Every workload**\n\n- note: {remark.text}" in text
    assert "would add a replica" not in text, "how -o hpa would scale is no part of the change"
