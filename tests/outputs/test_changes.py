"""Which numbers count as a change: only those that an output can write."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mora.domain import Advice, Autoscaler, Reason, Recommendation, Resources, Role, Target
from mora.outputs import changes
from mora.quantities import MIB
from tests.outputs import examples


def right_sized() -> Recommendation:
    """A workload as it should be: every recommended number is the current one."""
    one = examples.frontend()
    kept = {
        name: Advice(advice.now, advice.now, 0.9, 3, reasons=(Reason("sized", "as now"),))
        for name, advice in (
            (name, getattr(one.main, name)) for name in ("cpu_request", "cpu_limit", "memory_request", "memory_limit")
        )
    }
    return replace(examples.with_main(one, **kept), replicas=Advice(3, 3))


def test_a_number_that_differs_is_due_and_an_equal_one_is_not() -> None:
    assert changes.is_due(examples.frontend())
    assert not changes.is_due(right_sized())
    assert changes.is_due(replace(right_sized(), replicas=Advice(3, 2)))


def test_an_injected_sidecar_is_never_due_because_no_patch_can_carry_it() -> None:
    proxy = examples.PROXY
    injected = replace(
        right_sized(),
        current=replace(
            right_sized().current, containers=(right_sized().current.containers[0], replace(proxy, is_injected=True))
        ),
    )
    smaller = Resources(cpu_request_millicores=40, memory_request_bytes=90 * MIB)
    advice = examples.other(proxy.name, Role.SIDECAR, proxy.resources, smaller)
    assert not changes.is_due(examples.with_others(injected, advice))
    assert changes.is_due(examples.with_others(right_sized(), advice))


def test_a_job_has_a_change_but_is_not_due_because_its_template_cannot_be_changed() -> None:
    assert changes.has_change(examples.migration())
    assert not changes.is_due(examples.migration())


def test_the_new_target_of_an_hpa_is_due() -> None:
    scaler = Autoscaler("web", Target.CPU, is_utilisation=True, target=70, min_replicas=2, max_replicas=8)
    scaled = replace(right_sized(), autoscalers=(scaler,))
    assert not changes.is_due(replace(scaled, retargets=(scaler,)))
    assert changes.is_due(replace(scaled, retargets=(replace(scaler, target=112),)))


def test_replicas_are_not_due_where_an_autoscaler_sets_them() -> None:
    scaler = Autoscaler("web", Target.CPU, is_utilisation=True, target=70, min_replicas=2, max_replicas=8)
    scaled = replace(right_sized(), replicas=Advice(3, 2), autoscalers=(scaler,))
    assert not changes.sets_replicas(scaled)
    assert not changes.is_due(scaled)


@pytest.mark.parametrize("is_back", [False, True])
def test_the_resources_to_set_and_to_restore_have_the_same_fields(is_back: bool) -> None:
    main = examples.frontend().main
    forth, back = changes.advised_resources(main), changes.previous_resources(main)
    assert {section: set(fields) for section, fields in forth.items()} == {s: set(f) for s, f in back.items()}
    assert changes.nested_resources(main, is_back=is_back) == (back if is_back else forth)
    assert forth["limits"] == {"cpu": None, "memory": "228Mi"}
    assert back["requests"] == {"cpu": "500m", "memory": "64Mi"}


def test_what_pods_get_without_the_template_is_neither_written_nor_removed() -> None:
    one = right_sized()
    kept = replace(one.main, written=Resources(500, None, 64 * MIB, None))
    with_defaults = replace(one, containers=(kept, *one.others))
    assert changes.advised_resources(kept) == {"requests": {"cpu": "500m", "memory": "64Mi"}}
    assert not changes.is_due(with_defaults)
    unset = replace(kept, cpu_limit=Advice(1000, None, is_unset=True))
    assert not changes.is_due(replace(one, containers=(unset, *one.others)))
    more = replace(kept, memory_limit=Advice(128 * MIB, 256 * MIB))
    assert changes.is_due(replace(one, containers=(more, *one.others)))
    assert changes.previous_resources(more)["limits"] == {"memory": None}
