"""Health and metrics of the loop."""

from __future__ import annotations

from prometheus_client import generate_latest

from mora.inplace.telemetry import Telemetry
from tests.inplace.rig import Rig


def test_changes_and_resizes_are_counted_by_outcome(rig: Rig) -> None:
    rig.renew()
    text = generate_latest(rig.telemetry.registry).decode()
    assert 'mora_in_place_open_changes{stage="canary"} 1.0' in text
    assert 'mora_in_place_resizes_total{what="asked"} 1.0' in text
    rig.signals.broken = "its SLO is broken"
    rig.pass_time(1)
    text = generate_latest(rig.telemetry.registry).decode()
    assert 'mora_in_place_changes_total{outcome="undone"} 1.0' in text
    assert 'mora_in_place_resizes_total{what="put-back"} 1.0' in text
    assert 'mora_in_place_open_changes{stage="canary"} 0.0' in text


def test_a_loop_that_stands_still_is_unhealthy_and_one_that_failed_is_not_ready(rig: Rig) -> None:
    seconds = [0.0]
    telemetry = Telemetry(steady=lambda: seconds[0])
    assert telemetry.unready() == "the first pass has not ended"
    seconds[0] = 1000.0
    assert "has not moved" in str(telemetry.unhealthy())
    rig.signals.is_away = True
    rig.renew()
    assert rig.telemetry.unready() == "the last pass failed: Prometheus does not answer"
