"""The source gcp as commands open it: its address and its settings."""

from __future__ import annotations

import pytest

from mora.config import load_settings
from mora.errors import BadInput
from mora.pipeline import open_source
from mora.sources.gcp.source import GcpSource
from tests.sources.gcp.monitoring import Monitoring


def test_the_settings_name_the_project_and_the_address_wins(monitoring: Monitoring) -> None:
    settings = load_settings({}, {"MORA_GCP_PROJECT": "settings", "MORA_GCP_ENDPOINT": monitoring.address})
    assert repr(open_source(settings, "gcp")) == "GcpSource('Google Cloud Monitoring (project settings)')"
    told = repr(open_source(settings, "gcp:named/eu"))
    assert told == "GcpSource('Google Cloud Monitoring (project named), cluster eu')"
    told = repr(open_source(settings, "gcp:named/europe-west1/eu"))
    assert told == "GcpSource('Google Cloud Monitoring (project named), cluster europe-west1/eu')"
    source = open_source(settings, "gcp")
    assert isinstance(source, GcpSource)
    assert source.services("shop") == []  # those of the shop stopped long ago


def test_an_address_of_four_parts_is_refused() -> None:
    with pytest.raises(BadInput, match="names no project and cluster"):
        GcpSource("a/b/c/d")


def test_opening_reads_nothing_and_needs_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere")
    assert "Google Cloud Monitoring" in repr(GcpSource())
