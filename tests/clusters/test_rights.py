"""One question a right: what is asked, and what an answer means."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mora.clusters.connection import Api
from mora.clusters.rights import Right, is_allowed
from mora.errors import ClusterError
from tests.clusters.fake_api import FakeCluster, serving

SCALE = Right("patch", "deployments/scale", "apps")


@pytest.fixture
def fake() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def api(fake: FakeCluster, tmp_path: Path) -> Iterator[Api]:
    with serving(fake) as server:
        yield Api(kubeconfig=server.kubeconfig(tmp_path / "config"), backoff=timedelta(milliseconds=1))


def test_a_right_is_asked_for_as_kubectl_does_and_nothing_is_changed(api: Api, fake: FakeCluster) -> None:
    assert is_allowed(api, SCALE, "shop", "frontend")
    assert fake.sent[-1].body["spec"]["resourceAttributes"] == {
        "namespace": "shop",
        "verb": "patch",
        "group": "apps",
        "resource": "deployments",
        "subresource": "scale",
        "name": "frontend",
    }
    assert fake.changes == []


def test_a_right_that_is_not_granted_is_false(api: Api, fake: FakeCluster) -> None:
    fake.forbidden = {("patch", "deployments/scale")}
    assert not is_allowed(api, SCALE, "shop")
    assert is_allowed(api, Right("patch", "deployments", "apps"), "shop")


def test_the_rule_that_grants_it_is_at_hand() -> None:
    assert SCALE.rule == '{apiGroups: ["apps"], resources: ["deployments/scale"], verbs: ["patch"]}'


@pytest.mark.parametrize("answer", [{}, {"status": None}, {"status": "yes"}])
def test_an_answer_without_a_status_is_no_answer(
    api: Api, answer: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "send", lambda *args, **options: answer)
    with pytest.raises(ClusterError, match="no status"):
        is_allowed(api, SCALE, "shop")
