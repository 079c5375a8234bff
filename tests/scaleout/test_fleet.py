"""A fleet in a real Prometheus, sized by the workers of a real cluster, a namespace each."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mora import pipeline
from mora.domain import Recommendation, Window, Workload
from mora.errors import SourceUnavailable
from mora.settings import PrometheusSettings, Settings
from tests.fleet.many import write_fleet
from tests.running import mora
from tests.scaleout.rig import rig
from tests.sources.rig import serve

pytestmark = pytest.mark.slow

DAYS = 2.0


def numbers(advice: Recommendation) -> tuple[Workload, str]:
    """A recommendation without the queries that it rests on, which name the workloads that were asked for at once."""
    (found,) = json.loads(pipeline.render(advice, "json"))["recommendations"]
    for part in (found, *found["containers"]):
        part["evidence"].pop("queries")
    return advice.workload, json.dumps(found, sort_keys=True)


def test_namespaces_sized_on_a_cluster_get_the_numbers_that_they_get_here(tmp_path: Path) -> None:
    for folder in ("tsdb", "dask"):
        (tmp_path / folder).mkdir()
    end = datetime.fromtimestamp(time.time() // 300 * 300, UTC)  # what stands is what was scraped lately
    window = Window(end - timedelta(days=DAYS), end, timedelta(minutes=5))
    write_fleet(60, window.start.timestamp(), DAYS, tmp_path / "tsdb")
    with serve(tmp_path / "tsdb") as url, rig(tmp_path / "dask", workers=2) as cluster:
        settings = Settings(prometheus=PrometheusSettings(url))
        source = pipeline.open_fleet(settings)
        states = pipeline.find_workload_states(source, namespace=None, kubernetes=False)
        assert len({state.workload.namespace for state in states}) == 2
        here = list(pipeline.recommend_fleet(states, source, window))
        there = list(pipeline.recommend_fleet_on_cluster(states, settings, window, cluster.address))
        asked = ("recommend", "-A", "--no-kubernetes", "--prometheus", url, "-o", "json", "--history", "2d")
        ran = mora(*asked, "--backend", "dask", "--scheduler", cluster.address, cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
        gone = PrometheusSettings("http://127.0.0.1:9", timeout=timedelta(seconds=1))
        unreachable = replace(settings, prometheus=gone)
        with pytest.raises(SourceUnavailable, match="cannot be reached"):
            list(pipeline.recommend_fleet_on_cluster(states, unreachable, window, cluster.address))
    assert "no trained model is asked" in ran.stderr
    assert len(json.loads(ran.stdout)["recommendations"]) == 60
    assert sum(advice.main.cpu_request.value is not None for advice in here) == 60
    assert sorted(map(numbers, there)) == sorted(map(numbers, here))
