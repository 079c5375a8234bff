"""Several clusters in one answer: two API servers and a real Prometheus, asked as a user asks."""

from __future__ import annotations

import csv
import io
import json
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.clusters.fake_api import FakeApi, FakeCluster, serving
from tests.running import mora
from tests.vpa.conftest import Fleet, deployment, fleet

__all__ = ["fleet"]

ASKED = ("recommend", "--all", "-n", "team-000", "--history", "2d")


def of_cpu(name: str, cpu: str) -> dict[str, Any]:
    made = deployment(name)
    made["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] = cpu
    return made


@pytest.fixture
def apis(fleet: Fleet) -> Iterator[dict[str, FakeApi]]:
    """Two clusters with the same Deployments, which request 4 cores in one and 2 in the other."""
    with ExitStack() as stack:
        found = {}
        for name, cpu in (("east", "4"), ("west", "2")):
            cluster = FakeCluster()
            for workload in fleet.truths:
                cluster.add(of_cpu(workload, cpu))
            found[name] = stack.enter_context(serving(cluster))
        yield found


@pytest.fixture
def home(apis: dict[str, FakeApi], fleet: Fleet, tmp_path: Path) -> Path:
    """A folder with a kubeconfig of both contexts, and a mora.toml that gives each its address of the Prometheus."""
    merged: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "clusters": [], "users": [], "contexts": []}
    for name, api in apis.items():
        one = yaml.safe_load(api.kubeconfig(tmp_path / name).read_text())
        for kind in ("clusters", "users", "contexts"):
            merged[kind] += [{**entry, "name": name} for entry in one[kind]]
        merged["contexts"][-1]["context"] |= {"cluster": name, "user": name}
    (tmp_path / "config").write_text(yaml.safe_dump({**merged, "current-context": "east"}))
    elsewhere = fleet.url.replace("127.0.0.1", "localhost")  # another address, as another Prometheus would have
    (tmp_path / "mora.toml").write_text(
        f'[clusters.prod]\ncontext = "east"\n[clusters.prod.prometheus]\nurl = "{fleet.url}"\n'
        f'[clusters.test]\ncontext = "west"\nkubeconfig = "config"\n[clusters.test.prometheus]\nurl = "{elsewhere}"\n'
    )
    return tmp_path


@pytest.fixture
def away() -> Iterator[str]:
    """An address at which nobody listens, as long as the test runs."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def run(home: Path, *flags: str) -> Any:
    return mora(*ASKED, *flags, cwd=home, KUBECONFIG=str(home / "config"))


def test_one_table_has_the_rows_of_every_cluster(home: Path, fleet: Fleet) -> None:
    done = run(home, "--all-clusters", "-o", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["recommendations"]
    assert [(one["cluster"], one["service"]) for one in found] == [
        (cluster, name) for cluster in ("prod", "test") for name in sorted(fleet.truths)
    ]
    requests = {one["cluster"]: one["cpu_request_millicores"]["now"] for one in found}
    assert requests == {"prod": 4000, "test": 2000}
    blocks = run(home, "--context", "test", "--context", "prod").stdout.splitlines()
    assert {f"{cluster} team-000 {name}" for cluster in ("prod", "test") for name in fleet.truths} <= set(blocks)
    wide = run(home, "--all-clusters", "-o", "wide").stdout
    assert all(f"{cluster}/team-000/{name} " in wide for cluster in ("prod", "test") for name in fleet.truths)
    page = run(home, "--all-clusters", "-o", "html").stdout
    assert all(
        f'"{cluster}/team-000/deployment/{name}"' in page for cluster in ("prod", "test") for name in fleet.truths
    )
    assert "<option>prod/team-000</option><option>test/team-000</option>" in page
    rows = list(csv.DictReader(io.StringIO(run(home, "--all-clusters", "-o", "csv").stdout)))
    assert {row["cluster"] for row in rows} == {"prod", "test"}


def test_a_cluster_that_is_away_costs_its_own_rows_alone(home: Path, away: str) -> None:
    settings = (home / "mora.toml").read_text()
    (home / "mora.toml").write_text(re.sub(r"http://localhost:\d+", away, settings))
    done = run(home, "--all-clusters", "-o", "json")
    assert done.returncode == 1
    assert {one["cluster"] for one in json.loads(done.stdout)["recommendations"]} == {"prod"}
    assert "test: no answer. " in done.stderr


def test_where_every_cluster_is_away_there_is_an_error_with_every_cause(home: Path, away: str) -> None:
    (home / "mora.toml").write_text(
        "".join(f'[clusters.{name}.prometheus]\nurl = "{away}/{name}"\n' for name in ("east", "west"))
    )
    done = run(home, "--all-clusters")
    assert (done.returncode, done.stdout) == (1, "")
    assert "No cluster has an answer. east: " in done.stderr
    assert " west: " in done.stderr


def test_what_is_applied_is_written_for_each_cluster_by_itself(home: Path) -> None:
    refused = run(home, "--all-clusters", "-o", "patch")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "-o patch is applied to one cluster, and these are prod, test." in refused.stderr
    assert "--out DIR" in refused.stderr
    done = run(home, "--all-clusters", "-o", "commands", "--out", "out")
    assert done.returncode == 0, done.stderr
    for name, context in (("prod", "east"), ("test", "west")):
        for script in ("apply.sh", "rollback.sh"):
            commands = [
                line for line in (home / "out" / name / script).read_text().splitlines() if line.startswith("kubectl")
            ]
            assert commands
            assert all(line.startswith(f"kubectl --context={context} patch ") for line in commands)


def test_a_context_of_the_kubeconfig_needs_no_place_in_mora_toml(home: Path, fleet: Fleet) -> None:
    (home / "mora.toml").unlink()
    done = run(home, "--context", "west", "--prometheus", fleet.url, "-o", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["recommendations"]
    assert {(one["cluster"], one["cpu_request_millicores"]["now"]) for one in found} == {("west", 2000)}
    unknown = run(home, "--context", "north", "--prometheus", fleet.url)
    assert unknown.returncode == 1
    assert "north" in unknown.stderr


def test_one_prometheus_without_a_label_for_each_cluster_is_refused(home: Path, fleet: Fleet) -> None:
    (home / "mora.toml").unlink()
    done = run(home, "--context", "east", "--context", "west", "--prometheus", fleet.url)
    assert (done.returncode, done.stdout) == (1, "")
    assert "their rows would be the same" in done.stderr
    assert "[clusters.east.prometheus]" in done.stderr


def test_a_cluster_without_a_label_at_a_prometheus_of_several_is_refused(home: Path, fleet: Fleet) -> None:
    (home / "mora.toml").write_text(f'[clusters.east.prometheus]\ncluster = "east"\nurl = "{fleet.url}"\n')
    done = run(home, "--context", "east", "--context", "west", "--prometheus", fleet.url)
    assert (done.returncode, done.stdout) == (1, "")
    assert "west would be read without a label `cluster`" in done.stderr
    assert "[clusters.west.prometheus]" in done.stderr


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--all-clusters", "--context", "prod"), "Give one."),
        (("--context", "-x\ny"), "no name of a context"),
        (("--all-clusters", "--target", "sandbox"), "no cluster of a kubeconfig"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(home: Path, flags: tuple[str, ...], words: str) -> None:
    done = run(home, *flags)
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr


def test_an_unknown_context_comes_first_with_the_known_ones(home: Path) -> None:
    done = run(home, "--context", "eastt")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        "mora: The kubeconfig has no context 'eastt'.\n      Did you mean east? There are: east, prod, test, west. "
        "Of these, mora.toml has under `clusters`: prod, test."
    )
    both = run(home, "--context", "prod", "--context", "eastt")
    assert both.stderr.startswith("mora: The kubeconfig has no context 'eastt'.")
    (home / "mora.toml").unlink()
    alone = run(home, "--context", "eastt")
    assert alone.stderr == (
        "mora: The kubeconfig has no context 'eastt'.\n      Did you mean east? There are: east, west.\n"
    )
