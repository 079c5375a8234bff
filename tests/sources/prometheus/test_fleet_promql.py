"""The queries are PromQL for the real promtool, with quoted names."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from mora.errors import BadInput
from mora.sources.prometheus import fleet_promql as promql
from mora.sources.prometheus.fleet_promql import Scope
from mora.tools import find_tool

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SCOPES = [
    Scope(("shop",)),
    Scope(("blog", "shop"), cluster="eu"),
    Scope(("shop",), ("web-0",)),
    Scope(("shop",), ("web.example-0", "web-1"), 'a"b\\c'),
]


def texts(scope: Scope) -> dict[str, str]:
    return {
        "cpu": promql.cpu(scope, 2 * MINUTE),
        "jobs": promql.cpu_of_jobs(scope, 2 * MINUTE, 5 * MINUTE, MINUTE / 2),
        "memory": promql.memory(scope, 5 * MINUTE),
        "throttled": promql.throttled(scope, HOUR),
        "limits": promql.limits(scope, HOUR),
        "starts": promql.starts(scope, HOUR),
        "restarts": promql.restarts(scope),
        "oom": promql.oom_killed(scope),
        "killed": promql.killed(scope),
        "startup": " or ".join(
            promql.startup(("shop", f"web-{n}"), scope.cluster, 2 * MINUTE, MINUTE / 2, 5 * MINUTE, "90s")
            for n in range(3)
        ),
    }


@pytest.mark.parametrize("scope", SCOPES)
def test_promtool_takes_every_text(scope: Scope, tmp_path: Path) -> None:
    rules = "".join(f"  - record: {name}\n    expr: |-\n      {text}\n" for name, text in texts(scope).items())
    file = tmp_path / "rules.yml"
    file.write_text(f"groups:\n- name: texts\n  rules:\n{rules}", encoding="utf-8")
    done = subprocess.run(
        [str(find_tool("promtool")), "check", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(texts(scope))} rules found" in done.stdout


def test_a_dot_in_a_pod_s_name_means_a_dot() -> None:
    assert r'pod=~"web\\.example-0|web-1"' in promql.restarts(SCOPES[3])


@pytest.mark.parametrize("name", ['shop"} or up{a="', "SHOP", "a|b", ""])
def test_a_namespace_that_is_no_name_enters_no_query(name: str) -> None:
    with pytest.raises(BadInput):
        promql.restarts(Scope((name,)))
