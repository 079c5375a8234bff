"""Helm values go to the path that the chart reads, and never to a guessed one."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import yaml

from mora.domain import Workload
from mora.errors import BadInput, NotEnoughData
from mora.outputs import OutputSettings, helm
from tests.outputs import examples
from tests.outputs.golden import golden

PATHS = {
    "web": "web.resources",
    "cache": "web.cache.resources",
    "logs": "logging.resources",
    "migrate": "job.resources",
}


def values(text: str) -> dict[str, Any]:
    read = yaml.safe_load(text)
    assert isinstance(read, dict)
    return read


def coalesce(chart: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """What Helm makes of a chart's values and a file: maps merge, null deletes (helm.sh, "Deleting a default key")."""
    merged = deepcopy(chart)
    for key, value in given.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = coalesce(merged[key], value)
        else:
            merged[key] = value
    return merged


def test_one_container_goes_under_its_workload() -> None:
    text = golden("frontend.values.yaml", helm.render([examples.frontend()]))
    chart = {"frontend": {"image": "x", "resources": {"limits": {"cpu": "1", "memory": "128Mi"}}}}
    assert coalesce(chart, values(text)) == {
        "frontend": {
            "image": "x",
            "resources": {"requests": {"cpu": "254m", "memory": "228Mi"}, "limits": {"memory": "228Mi"}},
        }
    }
    assert "# null drops the chart's default" in text
    assert "# replicas: 2 (most charts: replicaCount)" in text


def test_several_containers_need_a_path_each() -> None:
    with pytest.raises(
        BadInput, match=r"4 containers to size.*the path in the values is not known for web, cache, logs, migrate"
    ) as no:
        helm.render([examples.meshed()])
    assert "--helm-path web=web.resources (or the annotation mora.dev/helm-path.web)" in str(no.value)
    with pytest.raises(BadInput, match=r"not known for migrate\."):
        helm.render([examples.meshed()], OutputSettings(helm_paths={k: v for k, v in PATHS.items() if k != "migrate"}))


def test_each_container_goes_to_its_path_and_an_injected_one_nowhere() -> None:
    text = golden("meshed.values.yaml", helm.render([examples.meshed()], OutputSettings(helm_paths=PATHS)))
    read = values(text)
    assert read["web"]["resources"]["requests"] == {"cpu": "240m", "memory": "400Mi"}
    assert read["web"]["cache"]["resources"]["requests"] == {"cpu": "60m", "memory": "160Mi"}
    assert read["logging"]["resources"]["limits"] == {"memory": "48Mi"}
    assert set(read) == {"web", "logging", "job"}


def test_the_narrowest_name_wins() -> None:
    paths = {"server": "a.resources", "frontend/server": "b.resources", "shop/frontend/server": "c.resources"}
    for expected in ("c", "b", "a"):
        assert set(values(helm.render([examples.frontend()], OutputSettings(helm_paths=paths)))) == {expected}
        paths.pop(max(paths, key=len))


def test_two_containers_at_one_place_are_refused() -> None:
    with pytest.raises(BadInput, match="containers cache and logs share the path"):
        helm.render([examples.meshed()], OutputSettings(helm_paths={**PATHS, "logs": "web.cache.resources"}))
    with pytest.raises(BadInput, match=r"share the path web\.resources\.requests"):
        helm.render([examples.meshed()], OutputSettings(helm_paths={**PATHS, "cache": "web.resources.requests"}))


def test_many_workloads_are_one_document_or_a_file_each() -> None:
    some = [examples.frontend(), examples.cart(), examples.nightly(), examples.unknown()]
    assert set(values(helm.render(some))) == {"frontend", "cartservice", "nightly"}
    files = helm.files(some)
    assert sorted(files) == [
        *("cartservice.values.yaml", "frontend.values.yaml", "nightly.values.yaml", "skipped.txt"),
    ]
    twin = replace(examples.cart(), workload=Workload("bank", "frontend"))
    with pytest.raises(BadInput, match=r"share the path frontend\.resources in the values\.\n.*--out DIR"):
        helm.render([examples.frontend(), twin])
    assert len(helm.files([examples.frontend(), twin])) == 2


def test_without_a_number_there_are_no_values() -> None:
    with pytest.raises(NotEnoughData, match="12 samples"):
        helm.render([examples.unknown()])


@pytest.mark.parametrize(
    "text", ["server", "server=", "server=a..b", "=a.b", "a/b/c/d=x.y", "server=a b", "Server=a.b", "server=a[0].b"]
)
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        helm.parse_path(text)


def test_a_dot_inside_of_a_key_is_escaped() -> None:
    dotted = replace(examples.frontend(), workload=Workload("shop", "front.end"))
    assert set(values(helm.render([dotted]))) == {"front.end"}
