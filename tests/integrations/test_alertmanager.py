"""The example for Alertmanager: amtool accepts it, and alerts go where the page says."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.alerting import tool

CONFIG = Path(__file__).resolve().parents[2] / "integrations" / "alertmanager" / "alertmanager.yml"


def test_amtool_accepts_it() -> None:
    done = subprocess.run(
        [str(tool("amtool")), "check-config", str(CONFIG)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 receivers" in done.stdout


@pytest.mark.parametrize(
    ("alert", "severity", "receivers"),
    [
        ("MoraServiceIsFarFromUsual", "critical", "telegram,slack"),
        ("MoraHealthWatchStandsStill", "critical", "telegram,slack"),
        ("MoraServiceIsAbnormal", "warning", "slack"),
        ("MoraHealthModelIsOld", "info", "email"),
        ("AnotherAlert", "critical", "email"),
    ],
)
def test_alerts_go_where_somebody_looks_by_how_urgent_they_are(alert: str, severity: str, receivers: str) -> None:
    command = [str(tool("amtool")), "config", "routes", "test", f"--config.file={CONFIG}"]
    done = subprocess.run(
        [*command, f"alertname={alert}", f"severity={severity}"], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == receivers, done.stderr


def test_it_has_no_secret() -> None:
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    assert {key for key in config["global"] if "password" in key or "url" in key} == {
        "smtp_auth_password_file",
        "slack_api_url_file",
    }
    (telegram,) = next(one["telegram_configs"] for one in config["receivers"] if one["name"] == "telegram")
    assert telegram["bot_token"].startswith("replace-with")
