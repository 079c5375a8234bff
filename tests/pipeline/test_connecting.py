"""Connecting to a Prometheus: the one that is configured, with its credentials."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from mora import pipeline
from mora.errors import BadInput
from mora.settings import PrometheusSettings, Settings
from mora.sources.prometheus.observe import PrometheusSource


def test_without_a_url_the_error_says_where_to_name_one() -> None:
    with pytest.raises(BadInput, match="Which Prometheus") as refused:
        pipeline.open_prometheus(Settings())
    assert "MORA_PROMETHEUS_URL" in (refused.value.hint or "")


def test_the_credentials_are_those_of_the_settings(tmp_path: Path) -> None:
    for name in ("client.pem", "key.pem", "ca.pem"):
        (tmp_path / name).write_text("", encoding="utf-8")
    group = PrometheusSettings(
        "http://127.0.0.1:9",
        timeout=timedelta(seconds=3),
        username="ada",
        password="hush",
        headers={"X-Scope-OrgID": "shop"},
        client_certificate=tmp_path / "client.pem",
        ca_file=tmp_path / "ca.pem",
    )
    access = pipeline.access_of(Settings(prometheus=group))
    assert (access.username, access.password, dict(access.headers)) == ("ada", "hush", {"X-Scope-OrgID": "shop"})
    # The key may be in the same file.
    assert access.client_certificate == (tmp_path / "client.pem", tmp_path / "client.pem")
    assert access.ca_file == tmp_path / "ca.pem"
    assert "hush" not in repr(access)
    with_key = PrometheusSettings(client_certificate=tmp_path / "client.pem", client_key=tmp_path / "key.pem")
    assert pipeline.access_of(Settings(prometheus=with_key)).client_certificate == (
        tmp_path / "client.pem",
        tmp_path / "key.pem",
    )


def test_a_prometheus_that_is_named_as_a_source_has_the_credentials_of_the_settings() -> None:
    settings = Settings(prometheus=PrometheusSettings("http://127.0.0.1:9", username="ada", password="hush"))
    source = pipeline.open_source(settings, "prometheus:http://127.0.0.1:8")
    assert isinstance(source, PrometheusSource)
    with source.wire() as wire:
        assert (wire.url, wire.access.username, wire.access.password) == ("http://127.0.0.1:8", "ada", "hush")


def test_a_state_is_of_a_prometheus_and_of_no_cloud(tmp_path: Path) -> None:
    named = Settings(state_dir=tmp_path, origins={"state_dir": "--state"})
    with pytest.raises(BadInput, match="--state keeps what is read of a Prometheus, and --source is gcp"):
        pipeline.open_fleet(named, named="gcp:a/b")


def test_each_of_several_clusters_has_a_state_of_its_own(tmp_path: Path) -> None:
    assert Settings(state_dir=tmp_path).of_cluster("arn:aws/eu").state_dir == tmp_path / "clusters" / "arn%3Aaws%2Feu"
    assert Settings().of_cluster("eu").state_dir is None
