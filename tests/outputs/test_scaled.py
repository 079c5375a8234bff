"""Workloads that a VPA or an HPA rules, or of which that is not known: what each output prints, and what none does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mora.domain import Autoscaler, Reason, Recommendation, Target, VerticalScaler
from mora.errors import NotEnoughData
from mora.outputs import OutputSettings, commands, hpa, kustomize, patch, pr_body, resize, table, vpa
from mora.outputs import csv as csv_output
from mora.outputs import json as json_output
from tests.outputs import examples

UNKNOWN = Reason("autoscalers-unknown", "It is not known whether an HPA scales it: HPAs may not be listed")


def with_vpas(*vpas: VerticalScaler) -> Recommendation:
    return replace(examples.frontend(), vpas=vpas)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (VerticalScaler("frontend", "Initial"), "mode Initial"),
        (VerticalScaler("other", "Off"), "the VPA other targets it already"),
        (VerticalScaler("frontend", "Off", "mora"), "the recommender mora"),
    ],
)
def test_no_vpa_is_printed_over_or_beside_one_that_is_there(found: VerticalScaler, why: str) -> None:
    with pytest.raises(NotEnoughData, match=why):
        vpa.render([with_vpas(found)])


def test_a_vpa_that_mora_printed_before_is_printed_again() -> None:
    assert "updateMode: 'Off'" in vpa.render([with_vpas(VerticalScaler("frontend", "Off"))])


def test_none_is_printed_where_vpas_cannot_be_read() -> None:
    unknown = Reason("vpas-unknown", "VPAs may not be listed")
    with pytest.raises(NotEnoughData, match="is not known"):
        vpa.render([replace(examples.frontend(), reasons=(unknown,))])


def test_no_hpa_is_printed_over_one_on_another_metric_or_where_hpas_cannot_be_read() -> None:
    queue = Autoscaler("queue", Target.REPLICAS, is_utilisation=False, target=0, min_replicas=1, max_replicas=9)
    with pytest.raises(NotEnoughData, match="another metric than CPU and memory"):
        hpa.render([replace(examples.frontend(), autoscalers=(queue,))])
    with pytest.raises(NotEnoughData, match="HPAs cannot be read"):
        hpa.render([replace(examples.frontend(), reasons=(UNKNOWN,))])


def test_none_is_printed_under_a_name_that_one_for_another_workload_has() -> None:
    for output, code in ((vpa, "vpa-name-taken"), (hpa, "hpa-name-taken")):
        with pytest.raises(NotEnoughData, match="is for Deployment other"):
            output.render([replace(examples.frontend(), reasons=(Reason(code, "it is for Deployment other"),))])


@pytest.mark.parametrize(
    "render",
    [
        *(commands.render, patch.render, kustomize.render, resize.render, pr_body.render, vpa.render),
        *(csv_output.render, json_output.render, table.render),
    ],
)
def test_what_cannot_be_read_stands_in_every_output(render: object) -> None:
    assert callable(render)
    text = render([replace(examples.frontend(), reasons=(UNKNOWN,))], OutputSettings())
    plain = " ".join(text.replace("#", " ").split())
    assert "not known whether an HPA scales it" in plain
