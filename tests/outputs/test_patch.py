"""The patch does with a real kubectl what it says: exactly the numbers, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from mora.domain import Recommendation, Workload
from mora.errors import BadInput, NotEnoughData
from mora.outputs import patch
from tests.outputs import examples, kubectl
from tests.outputs.checks import assert_only_the_advice_changed
from tests.outputs.golden import golden
from tests.outputs.kubectl import Kubectl

EXAMPLES = {"frontend": examples.frontend, "cart": examples.cart, "payment": examples.payment}


def test_there_is_a_kubectl_to_check_with() -> None:
    assert kubectl.found(), "no kubectl on PATH, in $MORA_TOOLS or in .tools: make install"


@pytest.mark.parametrize("tool", kubectl.each())
@pytest.mark.parametrize("example", EXAMPLES)
def test_kubectl_sets_exactly_the_numbers_and_keeps_image_env_and_sidecars(
    tool: Kubectl, example: str, tmp_path: Path
) -> None:
    recommendation = EXAMPLES[example]()
    text = golden(f"{example}.patch.yaml", patch.render([recommendation]))
    before = examples.manifest(recommendation)
    (tmp_path / "workload.yaml").write_text(yaml.safe_dump(before))
    (tmp_path / "p.yaml").write_text(text)
    after = yaml.safe_load(
        tool.run(
            *("patch", "--local", "-f", str(tmp_path / "workload.yaml"), "--type", "strategic"),
            *("--patch-file", str(tmp_path / "p.yaml"), "-o", "yaml"),
        )
    )
    assert_only_the_advice_changed(before, after, recommendation)


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


def test_what_there_is_no_advice_on_is_not_touched_and_told() -> None:
    text = patch.render([examples.payment()])
    assert "# no advice on memory request: memory: 12 samples, 60 are needed" in text
    assert "memory:" not in "".join(line for line in text.splitlines() if not line.startswith("#"))


def test_a_patch_is_for_one_workload() -> None:
    with pytest.raises(BadInput, match=r"2: frontend, cartservice\.\n.*kustomize"):
        patch.render([examples.frontend(), examples.cart()])
    with pytest.raises(BadInput, match="no service"):
        patch.render([])


def test_without_a_number_there_is_no_patch() -> None:
    with pytest.raises(NotEnoughData, match="12 samples, 60 are needed"):
        patch.render([examples.unknown()])


def test_why_there_is_no_patch_is_said_once_for_all_numbers() -> None:
    with pytest.raises(NotEnoughData) as refused:
        patch.render([examples.unknown()])
    assert str(refused.value).count("12 samples, 60 are needed") == 1
    assert "cpu request, memory request, replicas: 12 samples" in str(refused.value)


def test_a_reason_of_several_lines_stays_in_its_comment() -> None:
    payment = examples.payment()
    split = replace(payment.memory_request.reasons[0], text="first\nspec: {replicas: 99}")
    text = patch.render([replace(payment, memory_request=replace(payment.memory_request, reasons=(split,)))])
    assert yaml.safe_load(text)["spec"].get("replicas") is None


def test_the_command_in_the_comment_names_the_kind() -> None:
    daemon = replace(examples.frontend(), workload=Workload("shop", "agent", "DaemonSet"))
    assert "kubectl patch daemonset agent -n shop" in patch.render([daemon])
