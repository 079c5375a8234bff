"""mora publish: files into one ConfigMap, through a strict API server, as a process of its own."""

from __future__ import annotations

import base64
import gzip
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mora.clusters.configmap import content_of
from mora.errors import BadInput
from tests.running import mora
from tests.vpa.fake_vpa import FakeVpaApi, serving


@pytest.fixture
def api() -> Iterator[FakeVpaApi]:
    with serving() as server:
        yield server


def publish(api: FakeVpaApi, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    asked = ("publish", *arguments, "--configmap", "mora-recommendations", "-n", "shop")
    return mora(*asked, cwd=folder, KUBECONFIG=str(api.kubeconfig(folder / "kubeconfig")))


def test_a_file_replaces_its_entry_in_the_config_map(api: FakeVpaApi, tmp_path: Path) -> None:
    held = {"metadata": {"name": "mora-recommendations"}, "data": {"old.json": "1"}, "binaryData": {"old.gz": "MQ=="}}
    api.config_maps["shop", "mora-recommendations"] = held
    (tmp_path / "recommendations.json").write_text('{"schema": 1}\n', encoding="utf-8")
    told = publish(api, tmp_path, "recommendations.json")
    assert told.returncode == 0, told.stderr
    found = api.config_maps["shop", "mora-recommendations"]
    assert found["data"] == {"recommendations.json": '{"schema": 1}\n'}
    assert found["binaryData"] == {}
    assert [request.method for request in api.requests] == ["PATCH"]


def test_a_config_map_that_is_not_there_is_not_made(api: FakeVpaApi, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}", encoding="utf-8")
    told = publish(api, tmp_path, "a.json")
    assert told.returncode == 1
    assert "kubectl create configmap mora-recommendations -n shop" in told.stderr
    assert api.config_maps == {}


def test_a_missing_right_is_named_with_the_rule_that_grants_it(api: FakeVpaApi, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}", encoding="utf-8")
    api.forbidden.add(("patch", "configmaps"))
    told = publish(api, tmp_path, "a.json")
    assert told.returncode == 1
    assert 'resources: ["configmaps"], verbs: ["patch"]' in told.stderr


@pytest.mark.parametrize("name", ["missing.json", "binary.bin"])
def test_a_missing_or_binary_file_is_refused_and_nothing_is_sent(api: FakeVpaApi, tmp_path: Path, name: str) -> None:
    (tmp_path / "binary.bin").write_bytes(b"\xff\xfe\x00")
    told = publish(api, tmp_path, name)
    assert told.returncode == 1
    assert told.stderr.startswith("mora: ")
    assert name in told.stderr
    assert api.requests == []


def test_what_does_not_fit_is_compressed_and_the_rest_stays_readable() -> None:
    large = "mora " * 300_000
    found = content_of({"large.json": large, "small.json": "{}"})
    assert found["data"] == {"small.json": "{}"}
    assert gzip.decompress(base64.b64decode(found["binaryData"]["large.json.gz"])).decode() == large


def test_what_does_not_fit_even_compressed_is_refused() -> None:
    noise = random.Random(1).randbytes(2_000_000).hex()
    with pytest.raises(BadInput, match="when compressed, and"):
        content_of({"noise.json": noise})
