"""What the page's script is given of a workload."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mora.domain import Past, Target
from mora.outputs.details import details, key, packed
from mora.quantities import MIB
from tests.outputs.examples import AS_OF, EVIDENCE, frontend, unknown, with_main

NAN = float("nan")
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def unpacked(text: str, top: float) -> list[float | None]:
    """What static/recommendations.js makes of it."""
    codes = [64 * ALPHABET.index(text[at]) + ALPHABET.index(text[at + 1]) for at in range(0, len(text), 2)]
    return [None if code == 4095 else code / 4094 * top for code in codes]


def floats(*values: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.array(values, dtype=np.float32)


PAST = Past(
    start=AS_OF - timedelta(hours=4),
    step=timedelta(hours=1),
    highest={Target.CPU: floats(0.1, 0.4, NAN, 0.2), Target.MEMORY: floats(NAN, NAN, NAN, NAN)},
    mean={Target.CPU: floats(0.05, 0.2, NAN, 0.1), Target.MEMORY: floats(NAN, NAN, NAN, NAN)},
    throttled=floats(0.0, 0.5, 0.2, 0.001),
    oom_kills=(AS_OF,),
    bounds={Target.CPU: 0.24},
)


def test_the_history_is_there_with_all_that_is_drawn_over_it() -> None:
    found = details(with_main(frontend(), past=PAST))["containers"][0]["past"]
    assert found["start"] == AS_OF.timestamp() - 4 * 3600
    assert (found["step"], found["oom_kills"], found["throttled"]) == (3600, [AS_OF.timestamp()], [[1, 3]])
    assert "memory" not in found  # nothing is known of it
    cpu = found["cpu"]
    assert cpu["levels"] == {"request": 0.5, "limit": 1.0, "target": 0.254, "bound": 0.24}
    assert unpacked(cpu["highest"], cpu["top"]) == pytest.approx([0.1, 0.4, None, 0.2], abs=1e-4)
    assert cpu["text"] == (
        "CPU: at most 400m, 117m on average; requested 500m, limit 1 core, upper bound 240m, recommended 254m."
    )


def test_a_container_without_a_history_says_why() -> None:
    found = details(frontend())["containers"]
    assert found[0]["no_past"].startswith("Its numbers rest on a trained model alone. To see its history, name a Prom")
    for basis, why in (
        ("experiments", "Its numbers rest on load experiments, so there is no history to draw."),
        ("history", "There are no samples of it to draw."),
    ):
        assert details(replace(frontend(), basis=basis))["containers"][0]["no_past"] == why


def test_numbers_reasons_and_evidence_are_those_of_the_recommendation() -> None:
    advice = with_main(frontend(), evidence=EVIDENCE)
    found = details(advice)
    (main, *_) = found["containers"]
    assert [cells[:4] for cells in main["numbers"]] == [
        ["cpu request", "500m", "254m", ""],
        ["cpu limit", "1", "not set", ""],
        ["memory request", "64Mi", "228Mi", ""],
        ["memory limit", "128Mi", "228Mi", ""],
    ]
    assert main["numbers"][0][6] == [reason.text for reason in advice.main.cpu_request.reasons]
    assert dict(map(tuple, main["facts"]))["restarts"].startswith(str(EVIDENCE.restarts))
    assert found["id"] == key(advice) == "shop/deployment/frontend"


def test_the_patch_is_the_patch_and_without_one_there_is_the_reason() -> None:
    assert details(frontend())["patch"].endswith(
        "          resources:\n            requests:\n              cpu: 254m\n              memory: 228Mi\n"
        "            limits:\n              cpu: null\n              memory: 228Mi\n"
    )
    assert "--patch-file patch.yaml" in details(frontend())["patch"]
    assert "patch" not in details(unknown())
    assert "12 samples, 60 are needed" in details(unknown())["why"]


def test_it_is_json() -> None:
    json.dumps([details(with_main(frontend(), past=PAST, evidence=EVIDENCE)), details(unknown())], allow_nan=False)


@given(arrays(np.float32, st.integers(1, 50), elements=st.floats(0, 2**40, width=32)))
def test_what_is_packed_is_read_back_to_a_four_thousandth_of_the_highest(
    values: np.ndarray[tuple[int], np.dtype[np.float32]],
) -> None:
    top = float(values.max())
    found = unpacked(packed(values, top), top)
    assert found == pytest.approx([float(one) for one in values], abs=top / 8000 + 1e-9)


def test_memory_below_a_byte_and_no_use_at_all_are_packed_too() -> None:
    assert unpacked(packed(floats(0.0, 0.0), 0.0), 0.0) == [0.0, 0.0]
    assert unpacked(packed(floats(MIB, NAN), MIB), MIB) == [MIB, None]
