"""What a card says of the data: the same on every machine, and of the newest experiment."""

from __future__ import annotations

from datetime import UTC

from mora.model import facts
from tests import fakes_learning as fakes


def test_the_checksum_is_of_the_samples_and_the_end_is_that_of_the_newest() -> None:
    frame, cards = fakes.driven(scenarios=("browsing",), replicas=(1, 2), users=(10,), repeats=1)
    assert facts.fingerprint(frame) == facts.fingerprint(frame.copy())
    assert facts.fingerprint(frame) != facts.fingerprint(frame.assign(cpu_cores_value=frame["cpu_cores_value"] + 1))
    end = facts.last_sample(frame)
    assert end == frame["timestamp"].max()
    assert end.tzinfo is UTC
    newest = frame.sort_values("timestamp")["experiment_id"].iloc[-1]
    cards = {name: {**card, "container": f"of {name}"} for name, card in cards.items()}
    assert facts.current_state(frame, cards)["container"] == f"of {newest}"
    assert facts.current_state(frame, {})["container"] is None


def test_start_up_peaks_are_those_of_experiments_that_were_seen_to_start() -> None:
    frame, _ = fakes.driven(scenarios=("browsing",), replicas=(1, 2), users=(10,), repeats=1)
    first, second = sorted(frame["experiment_id"].unique())
    seen = facts.startups(frame, {first: {"startup": {"cpu_cores": 0.5, "mem_bytes": None}}, second: {}})
    assert seen == {first: {"cpu_cores": 0.5, "mem_bytes": None}}
