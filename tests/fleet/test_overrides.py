"""What a team wants otherwise: the nearest word wins, and a bad one is an error that names its place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mora.config import load_settings
from mora.domain import Workload
from mora.errors import BadConfig, BadInput
from mora.fleet.overrides import Overrides, helm_paths, keys, parse_overrides, parse_table
from mora.fleet.settings import FleetSettings, check_overrides, sizing_of
from mora.pipeline import fleet_settings
from mora.policies import PolicySettings
from mora.quantities import MIB
from tests.fleet.making import (
    AT_ONCE,
    advised,
    annotated,
    codes,
    container,
    container_history,
    history,
    part,
    state,
    steady,
    words,
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


def test_a_workload_of_mora_toml_stands_above_its_annotation_above_the_namespace_above_the_settings() -> None:
    settings = FleetSettings(
        policy=PolicySettings(cpu_floor_millicores=1, memory_floor_bytes=1),
        namespaces=parse_table({"shop": {"cpu_floor": "20m", "memory-floor": "20Mi", "cpu_cap": "2"}}, "namespaces"),
        workloads=parse_table({"shop/frontend": {"cpu_floor": "40m"}}, "workloads"),
        allow_jvm_cut=True,
    )
    wanted = state(annotations=annotated(cpu_floor="30m", memory_floor="30Mi"))
    here = sizing_of(wanted, settings)
    assert (here.policy.cpu_floor_millicores, here.policy.memory_floor_bytes) == (40, 30 * MIB)
    assert (here.policy.cpu_cap_millicores, here.allow_jvm_cut) == (2000, True)
    neighbour = sizing_of(replace(wanted, workload=Workload("shop", "cart")), settings)
    assert neighbour.policy.cpu_floor_millicores == 30
    elsewhere = sizing_of(replace(state(), workload=Workload("bank", "frontend")), settings)
    assert elsewhere.policy.cpu_floor_millicores == 1


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


def test_a_floor_above_its_cap_is_an_error_that_tells_who_said_so() -> None:
    wanted = state(annotations=annotated(cpu_floor="3", cpu_cap="2"))
    with pytest.raises(BadInput) as caught:
        sizing_of(wanted, FleetSettings())
    assert "deployment/frontend" in caught.value.message
    assert "mora.dev/cpu-cap" in (caught.value.hint or "")


def test_all_that_is_wrong_is_told_at_once() -> None:
    wrong = [state(workload=Workload("shop", name), annotations=annotated(skip="perhaps")) for name in ("a", "b")]
    with pytest.raises(BadInput, match=r"deployment/a.*deployment/b"):
        check_overrides(wrong, FleetSettings())


def test_other_annotations_and_those_of_mora_s_own_parts_are_left_alone() -> None:
    known = {"kubectl.kubernetes.io/default-container": "x", "mora.dev/internal-replicas": "3"}
    known["mora.dev/helm-path.server"] = "frontend.resources"
    here = state(annotations=known)
    assert sizing_of(here, FleetSettings()).reasons == ()
    assert helm_paths([here]) == {"shop/frontend/server": "frontend.resources"}


def test_every_key_is_read_by_a_workload_and_by_mora_toml(tmp_path: Path) -> None:
    values = {"skip": "true", "include-sidecars": "true", "allow-jvm-cut": "true", "exclude-containers": "agent"}
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


def test_settings_reach_the_fleet(tmp_path: Path) -> None:
    (tmp_path / "mora.toml").write_text(
        'horizon = "1h"\n[policy]\ninclude_sidecars = true\n[namespaces.shop]\nskip = true\n', encoding="utf-8"
    )
    settings = load_settings({"policy_touch_autoscaled": True}, {}, tmp_path)
    fleet = fleet_settings(settings, excluded=["2026-11-01/2026-11-02"])
    assert (fleet.include_sidecars, fleet.policy.touch_autoscaled, len(fleet.excluded)) == (True, True, 1)
    assert fleet.horizon.total_seconds() == 3600
    assert fleet.namespaces["shop"] == Overrides(skip=True, origins={"skip": "[namespaces.shop] skip"})


# --- what they do ----------------------------------------------------------------------------------------------------


def test_a_margin_multiplies_what_history_says() -> None:
    plain = advised()
    wider = advised(state(annotations=annotated(cpu_buffer="1.5", memory_buffer="1.4")))
    assert wider.main.cpu_request.value == pytest.approx(1.5 * (plain.main.cpu_request.value or 0), abs=2)
    assert wider.main.memory_request.value == pytest.approx(1.4 * (plain.main.memory_request.value or 0), rel=0.01)
    assert "x 1.5" in words(wider.main.cpu_request)
    assert wider.main.cpu_request.confidence == plain.main.cpu_request.confidence


def test_a_quantile_is_covered_at_least() -> None:
    use = steady(0.2)
    use[::50] = 1.0
    seen = history(container_history(cpu_cores=use))
    assert (advised(seen=seen).main.cpu_request.value or 0) < 900
    covered = advised(state(annotations=annotated(cpu_quantile="99%")), seen)
    assert covered.main.cpu_request.value == 1000
    assert "quantile" in codes(covered.main.cpu_request)


def test_a_floor_a_cap_and_a_skip_hold() -> None:
    assert advised(state(annotations=annotated(cpu_floor="2"))).main.cpu_request.value == 2000
    capped = advised(state(annotations=annotated(cpu_cap="100m"))).main.cpu_request
    assert (capped.value, capped.confidence) == (100, None)
    skipped = advised(state(annotations=annotated(skip="true")))
    assert (skipped.main.cpu_request.value, codes(skipped.main.cpu_request)) == (None, ["skipped"])
    assert skipped.target == skipped.current


def test_an_excluded_container_is_left_alone() -> None:
    two = state(
        container(cpu_request_millicores=500),
        replace(container("agent", cpu_request_millicores=50), is_main=False),
        annotations=annotated(exclude_containers="agent"),
    )
    advice = advised(two, history(container_history(), container_history("agent")))
    assert codes(part(advice, "agent").cpu_request) == ["excluded"]
    assert advice.main.cpu_request.value is not None


def test_a_workload_may_ask_for_what_the_run_does_not() -> None:
    java = state(jvm=frozenset({"server"}), annotations=annotated(allow_jvm_cut="true"))
    assert (advised(java).main.memory_request.value or 0) < 512 * MIB
    kept = state(jvm=frozenset({"server"}), annotations=annotated(allow_jvm_cut="false"))
    assert advised(kept, settings=replace(AT_ONCE, allow_jvm_cut=True)).main.memory_request.value == 512 * MIB
