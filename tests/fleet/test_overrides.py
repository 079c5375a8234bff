"""What a team wants otherwise: the nearest word wins, and a bad one is an error that names its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from mora.config import load_settings
from mora.errors import BadConfig, BadInput
from mora.fleet.overrides import helm_paths, keys, parse_overrides
from mora.fleet.settings import FleetSettings, sizing_of
from mora.policies import PolicySettings
from mora.quantities import MIB
from tests.fleet.making import (
    annotated,
    state,
)


def test_an_annotation_changes_one_workload() -> None:
    wanted = state(
        annotations=annotated(
            cpu_floor="300m", memory_cap="2Gi", memory_floor="256Mi", exclude_containers="debug, agent", skip="false"
        )
    )
    sizing = sizing_of(wanted, FleetSettings())
    assert (sizing.policy.cpu_floor_millicores, sizing.policy.memory_cap_bytes) == (300, 2048 * MIB)
    assert sizing.excluded_containers == {"debug", "agent"}
    assert not sizing.skip
    assert "cpu-floor = 300m (annotation mora.dev/cpu-floor)" in [reason.text for reason in sizing.reasons]
    assert sizing_of(state(), FleetSettings()).policy == PolicySettings()


@pytest.mark.parametrize(
    ("name", "value", "words_of_it"),
    [
        ("cpu-buffer", "0.5", "must be a factor of at least 1"),
        ("memory-buffer", "much", "must be a number"),
        ("cpu-quantile", "0", "must be more than 0"),
        ("memory-floor", "64MB", "64MB"),
        ("cpu-cap", "-1", "-1"),
        ("include-sidecars", "yes", "must be true or false"),
        ("exclude-containers", 'a"}', "not a valid container name"),
        ("runtime", "cobol", "must be one of java"),
        ("cpu-flor", "10m", "unknown setting"),
    ],
)
def test_a_bad_annotation_names_the_workload_and_itself(name: str, value: str, words_of_it: str) -> None:
    with pytest.raises(BadInput) as caught:
        sizing_of(state(annotations={f"mora.dev/{name}": value}), FleetSettings())
    assert f"deployment/frontend in namespace shop: annotation mora.dev/{name}" in caught.value.message
    assert words_of_it in caught.value.message


def test_a_misspelt_key_is_refused_with_the_nearest() -> None:
    with pytest.raises(BadInput) as caught:
        sizing_of(state(annotations=annotated(memory_flor="10Mi")), FleetSettings())
    assert caught.value.hint == "Did you mean memory-floor?"


def test_other_annotations_and_those_of_mora_s_own_parts_are_ignored() -> None:
    known = {"kubectl.kubernetes.io/default-container": "x", "mora.dev/internal-replicas": "3"}
    known["mora.dev/helm-path.server"] = "frontend.resources"
    here = state(annotations=known)
    assert sizing_of(here, FleetSettings()).reasons == ()
    assert helm_paths([here]) == {"shop/frontend/server": "frontend.resources"}


def test_every_key_is_read_by_a_workload_and_by_mora_toml(tmp_path: Path) -> None:
    values = {"skip": "true", "include-sidecars": "true", "allow-jvm-cut": "true", "exclude-containers": "agent"}
    values |= {"runtime": "java:2Gi, cache=none", "cut-while-abnormal": "true"}
    values |= {"incidents": "2026-11-01T00:00/2026-11-01T06:00"}
    amounts = {"cpu-floor": "20m", "cpu-cap": "2", "memory-floor": "20Mi", "memory-cap": "2Gi"}
    shares = {"cpu-buffer": "1.5", "memory-buffer": "1.5", "cpu-quantile": "0.99"}
    written = {**values, **amounts, **shares}
    assert set(written) == set(keys())
    by_annotation = parse_overrides(written, lambda key: key).given
    toml = "\n".join(f'{key.replace("-", "_")} = "{value}"' for key, value in written.items())
    (tmp_path / "mora.toml").write_text(f'[workloads."shop/frontend"]\n{toml}\n', encoding="utf-8")
    assert load_settings({}, {}, tmp_path).fleet.workloads["shop/frontend"].given == by_annotation


@pytest.mark.parametrize(
    ("text", "words_of_it"),
    [
        ("[namespaces.shop]\ncpu_bufer = 2\n", "[namespaces.shop] cpu_bufer"),
        ('[workloads."shop/frontend"]\ncpu_floor = 3\n', "must be a quantity in quotes"),
        ("[workloads.frontend]\nskip = true\n", "'frontend' is not a valid name"),
        ("[namespaces.Shop]\nskip = true\n", "'Shop' is not a valid name"),
        ("namespaces = 3\n", "must hold a table for each name"),
    ],
)
def test_a_bad_table_of_mora_toml_is_refused_by_name(tmp_path: Path, text: str, words_of_it: str) -> None:
    (tmp_path / "mora.toml").write_text(text, encoding="utf-8")
    with pytest.raises(BadConfig) as caught:
        load_settings({}, {}, tmp_path)
    assert words_of_it in caught.value.message
    assert "mora.toml" in caught.value.message
