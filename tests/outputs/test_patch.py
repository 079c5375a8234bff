"""The patch does with a real kubectl what it says: exactly the numbers, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mora.domain import Allocation, Container, Recommendation, Resources, Role, Workload
from mora.errors import NotEnoughData
from mora.outputs import patch
from mora.quantities import MIB
from tests.outputs import examples, kubectl
from tests.outputs.checks import assert_only_the_advice_changed, without_empty
from tests.outputs.golden import golden
from tests.outputs.kubectl import Kubectl

EXAMPLES = {
    "frontend": examples.frontend,
    "cart": examples.cart,
    "payment": examples.payment,
    "meshed": examples.meshed,
    "nightly": examples.nightly,
    "canary": examples.canary,
}


def test_there_is_a_kubectl_to_check_with() -> None:
    assert kubectl.found(), "no kubectl on PATH, in $MORA_TOOLS or in .tools: make install"


@pytest.mark.parametrize("tool", kubectl.each())
@pytest.mark.parametrize("example", EXAMPLES)
def test_kubectl_sets_exactly_the_numbers_and_the_way_back_restores_the_workload(
    tool: Kubectl, example: str, tmp_path: Path
) -> None:
    recommendation = EXAMPLES[example]()
    text = golden(f"{example}.patch.yaml", patch.render([recommendation]))
    if recommendation.workload.kind == "CronJob" and not tool.is_modern:
        pytest.skip("kubectl 1.20 has no batch/v1 CronJob to merge without a server")
    before = examples.manifest(recommendation)
    after = patched(tool, recommendation, before, text, tmp_path)
    assert_only_the_advice_changed(before, after, recommendation)
    back = patch.patch_of(recommendation, is_back=True)
    assert without_empty(patched(tool, recommendation, after, yaml.safe_dump(back), tmp_path)) == without_empty(before)


def patched(
    tool: Kubectl, recommendation: Recommendation, manifest: dict[str, Any], text: str, folder: Path
) -> dict[str, Any]:
    """What the real kubectl makes of a manifest and a patch, without a server."""
    kind = "json" if recommendation.workload.kind == "Rollout" else "strategic"
    (folder / "workload.yaml").write_text(yaml.safe_dump(manifest))
    (folder / "p.yaml").write_text(text)
    output = tool.run(
        *("patch", "--local", "-f", str(folder / "workload.yaml"), "--type", kind),
        *("--patch-file", str(folder / "p.yaml"), "-o", "yaml"),
    )
    after = yaml.safe_load(output)
    assert isinstance(after, dict)
    return after


_AMOUNT = st.none() | st.integers(1, 64).map(lambda n: n * 10)


@st.composite
def _resources(draw: st.DrawFn) -> Resources:
    cpu, memory = draw(_AMOUNT), draw(_AMOUNT)
    return Resources(
        cpu,
        None if cpu is None else draw(st.none() | st.integers(cpu, 2000)),
        None if memory is None else memory * MIB,
        None if memory is None else draw(st.none() | st.integers(memory, 4000).map(lambda n: n * MIB)),
    )


@pytest.mark.parametrize("kind", ["Deployment", "CronJob", "Rollout"])
@given(pairs=st.lists(st.tuples(_resources(), _resources()), min_size=1, max_size=3), data=st.data())
@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_set_and_advised_the_rollback_restores_it(
    kind: str, pairs: list[tuple[Resources, Resources]], data: st.DataObject, tmp_path: Path
) -> None:
    tool = kubectl.newest()
    if kind == "CronJob" and not tool.is_modern:
        pytest.skip("kubectl 1.20 has no batch/v1 CronJob to merge without a server")
    roles = [Role.APP, *(data.draw(st.sampled_from(list(Role))) for _ in pairs[1:])]
    names = [f"c{number}" for number, _ in enumerate(pairs)]
    current = tuple(
        Container(name, now, "example/x:1", is_main=n == 0, role=role)
        for n, (name, role, (now, _)) in enumerate(zip(names, roles, pairs, strict=True))
    )
    advice = [examples.other(n, r, now, then) for n, r, (now, then) in zip(names, roles, pairs, strict=True)]
    recommendation = replace(
        examples.canary(),
        workload=Workload("shop", "any", kind),
        current=Allocation(None if kind == "CronJob" else 2, current),
        containers=(replace(advice[0], is_main=True), *advice[1:]),
    )
    body = patch.patch_of(recommendation)
    if not body:
        return
    before = examples.manifest(recommendation)
    after = patched(tool, recommendation, before, yaml.safe_dump(body), tmp_path)
    assert_only_the_advice_changed(before, after, recommendation)
    back = patch.patch_of(recommendation, is_back=True)
    assert without_empty(patched(tool, recommendation, after, yaml.safe_dump(back), tmp_path)) == without_empty(before)


@pytest.mark.parametrize("tool", kubectl.each())
def test_a_json_patch_is_refused_where_the_containers_have_another_order(tool: Kubectl, tmp_path: Path) -> None:
    canary = examples.canary()
    manifest = examples.manifest(canary)
    manifest["spec"]["template"]["spec"]["containers"].reverse()
    with pytest.raises(AssertionError, match=r"testing value .*name failed"):
        patched(tool, canary, manifest, patch.render([canary]), tmp_path)


@pytest.mark.parametrize("tool", kubectl.each())
def test_a_json_patch_is_refused_where_it_would_wipe_what_mora_does_not_know(tool: Kubectl, tmp_path: Path) -> None:
    canary = examples.canary()
    manifest = examples.manifest(canary)
    manifest["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"ephemeral-storage": "1Gi"}}
    with pytest.raises(AssertionError, match=r"testing value .*resources failed"):
        patched(tool, canary, manifest, patch.render([canary]), tmp_path)


@pytest.mark.parametrize("tool", kubectl.each())
def test_a_rollout_takes_no_strategic_merge(tool: Kubectl, tmp_path: Path) -> None:
    (tmp_path / "rollout.yaml").write_text(yaml.safe_dump(examples.manifest(examples.canary())))
    with pytest.raises(AssertionError, match="strategic merge patch"):
        tool.run("patch", "--local", "-f", str(tmp_path / "rollout.yaml"), "--type", "strategic", "-p", "{}")


def test_an_injected_container_is_never_patched_and_a_comment_says_so() -> None:
    text = patch.render([examples.meshed()])
    spec = yaml.safe_load(text)["spec"]["template"]["spec"]
    assert [c["name"] for c in spec["containers"]] == ["web", "cache"]
    assert [c["name"] for c in spec["initContainers"]] == ["logs", "migrate"]
    assert "# container istio-proxy is injected at admission" in text


@pytest.mark.parametrize("example", ["meshed", "canary"])
def test_a_container_that_no_longer_exists_is_skipped_with_a_comment(example: str) -> None:
    whole = EXAMPLES[example]()
    gone = whole.others[0].container
    left = tuple(c for c in whole.current.containers if c.name != gone)
    text = patch.render([replace(whole, current=replace(whole.current, containers=left))])
    assert f"# container {gone} no longer exists in the workload: skipped" in text
    assert gone not in yaml.safe_dump(yaml.safe_load(text))


def test_what_a_terminal_would_obey_is_not_printed() -> None:
    payment = examples.payment()
    odd = replace(payment.main.memory_request.reasons[0], text="a warning\x1b]0;gone\x07 of a server")
    text = patch.render(
        [
            examples.with_main(
                payment, memory_request=replace(payment.main.memory_request, reasons=(odd,), summary=odd.text)
            )
        ]
    )
    assert "a warning?]0;gone? of a server" in text


def test_a_job_gets_no_patch_but_a_way_to_do_it() -> None:
    with pytest.raises(NotEnoughData, match="delete the Job and create it again with the resources of -o yaml"):
        patch.render([examples.migration()])
    text = patch.render([examples.frontend(), examples.migration()])
    assert "# Job shop/migration: the template of a Job cannot be changed" in text


def parsed(recommendation: Recommendation) -> dict[str, object]:
    spec = yaml.safe_load(patch.render([recommendation]))["spec"]
    assert isinstance(spec, dict)
    return spec


def test_replicas_stay_out_of_the_patch_where_an_autoscaler_sets_them() -> None:
    assert "replicas" not in parsed(examples.cart())
    assert parsed(examples.frontend())["replicas"] == 2
    scaled = replace(examples.cart(), replicas=examples.frontend().replicas)  # as another policy might have it
    assert "replicas" not in parsed(scaled)


def test_a_limit_is_dropped_by_a_null() -> None:
    text = patch.render([examples.frontend()])
    assert "cpu: null" in text


def test_a_number_without_a_recommendation_is_not_touched_and_explained() -> None:
    text = patch.render([examples.payment()])
    assert "# no recommendation for memory request, replicas: memory: 12 samples, 60 are needed" in text
    assert "memory:" not in "".join(line for line in text.splitlines() if not line.startswith("#"))


def test_many_workloads_are_a_document_or_a_file_each() -> None:
    fleet = examples.fleet()
    files = patch.files(fleet)
    assert [name for name in files if name != "skipped.txt"] == [
        *("frontend.patch.yaml", "cartservice.patch.yaml", "paymentservice.patch.yaml", "web.patch.yaml"),
        *("nightly.patch.yaml", "canary.patch.yaml", "search.patch.yaml"),
    ]
    assert files["skipped.txt"].splitlines() == [
        "Deployment shop/adservice: 12 samples, 60 are needed; unchanged, as its request is",
        "Job shop/migration: the template of a Job cannot be changed; delete the Job and create it again with the "
        "resources of -o yaml",
    ]
    assert (
        "kubectl patch rollouts.argoproj.io canary -n shop --type json --patch-file canary.patch.yaml"
        in (files["canary.patch.yaml"])
    )
    documents = list(yaml.safe_load_all(patch.render(fleet)))
    assert documents == [yaml.safe_load(text) for name, text in files.items() if name != "skipped.txt"]
    with pytest.raises(NotEnoughData, match="no service"):
        patch.render([])


def test_without_a_number_there_is_no_patch() -> None:
    with pytest.raises(NotEnoughData, match="12 samples, 60 are needed"):
        patch.render([examples.unknown()])


def test_why_there_is_no_patch_is_given_once_for_all_numbers() -> None:
    with pytest.raises(NotEnoughData) as refused:
        patch.render([examples.unknown()])
    assert str(refused.value).count("12 samples, 60 are needed") == 1


def test_a_reason_of_several_lines_stays_in_its_comment() -> None:
    payment = examples.payment()
    split = replace(payment.main.memory_request.reasons[0], text="first\nspec: {replicas: 99}")
    text = patch.render(
        [
            examples.with_main(
                payment, memory_request=replace(payment.main.memory_request, reasons=(split,), summary=split.text)
            )
        ]
    )
    assert yaml.safe_load(text)["spec"].get("replicas") is None


def test_the_command_in_the_comment_names_the_kind() -> None:
    daemon = replace(examples.frontend(), workload=Workload("shop", "agent", "DaemonSet"))
    assert "kubectl patch daemonset agent -n shop" in patch.render([daemon])
