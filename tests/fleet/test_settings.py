"""What overrides and settings come to for one workload."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mora.config import load_settings
from mora.domain import Workload
from mora.errors import BadInput
from mora.fleet.overrides import Overrides, parse_table
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


def test_mora_toml_overrides_the_annotation_the_annotation_the_namespace_and_that_the_settings() -> None:
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


def test_a_floor_above_its_cap_is_an_error_that_names_where_it_is_set() -> None:
    wanted = state(annotations=annotated(cpu_floor="3", cpu_cap="2"))
    with pytest.raises(BadInput) as caught:
        sizing_of(wanted, FleetSettings())
    assert "deployment/frontend" in caught.value.message
    assert "mora.dev/cpu-cap" in (caught.value.hint or "")


def test_all_errors_are_listed_at_once() -> None:
    wrong = [state(workload=Workload("shop", name), annotations=annotated(skip="perhaps")) for name in ("a", "b")]
    with pytest.raises(BadInput, match=r"deployment/a.*deployment/b"):
        check_overrides(wrong, FleetSettings())


def test_a_workload_whose_annotation_cannot_be_used_is_not_sized_and_the_others_are() -> None:
    bad = state(workload=Workload("shop", "a"), annotations={**annotated(skip="perhaps"), "mora.dev/helm-path.x": "y"})
    good = state(workload=Workload("shop", "b"), annotations=annotated(cpu_floor="2"))
    first, second = check_overrides([bad, good], FleetSettings())
    assert second == good
    assert first.problem is not None
    assert first.problem.code == "bad-annotation"
    assert "deployment/a in namespace shop: annotation mora.dev/skip" in first.problem.text
    assert first.annotations == {"mora.dev/helm-path.x": "y"}
    advice = advised(first)
    assert (advice.main.cpu_request.value, advice.is_refused, advised(good).is_refused) == (None, True, False)


def test_an_override_of_mora_toml_that_cannot_be_meant_is_an_error_of_the_run() -> None:
    settings = FleetSettings(
        workloads={"shop/a": Overrides(cpu_floor_millicores=3000, cpu_cap_millicores=2000, origins={"cpu_cap": "x"})}
    )
    states = [state(workload=Workload("shop", name)) for name in ("a", "b")]
    with pytest.raises(BadInput, match="deployment/a"):
        check_overrides(states, settings)


def test_settings_reach_the_fleet(tmp_path: Path) -> None:
    (tmp_path / "mora.toml").write_text(
        'horizon = "1h"\n[policy]\ninclude_sidecars = true\n[namespaces.shop]\nskip = true\n', encoding="utf-8"
    )
    settings = load_settings({"policy_touch_autoscaled": True}, {}, tmp_path)
    fleet = fleet_settings(settings, excluded=["2026-11-01/2026-11-02"])
    assert (fleet.include_sidecars, fleet.policy.touch_autoscaled, len(fleet.excluded)) == (True, True, 1)
    assert fleet.horizon.total_seconds() == 3600
    assert fleet.namespaces["shop"] == Overrides(skip=True, origins={"skip": "[namespaces.shop] skip"})


def test_a_buffer_multiplies_the_bound_of_the_history() -> None:
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


def test_a_floor_a_cap_and_a_skip_are_applied() -> None:
    assert advised(state(annotations=annotated(cpu_floor="2"))).main.cpu_request.value == 2000
    capped = advised(state(annotations=annotated(cpu_cap="100m"))).main.cpu_request
    assert (capped.value, capped.confidence) == (100, None)
    skipped = advised(state(annotations=annotated(skip="true")))
    assert (skipped.main.cpu_request.value, codes(skipped.main.cpu_request)) == (None, ["skipped"])
    assert skipped.target == skipped.current


def test_an_excluded_container_is_skipped() -> None:
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
