"""What POST /v1/score answers is what the model judges (tests/web/test_health.py sends it over HTTP)."""

from __future__ import annotations

import json

import numpy as np

from mora.web.scoring import Scoring
from tests.health.watching import FRONT, METRICS, START, Store, usual


def question(rows: int) -> bytes:
    frame = usual(rows, seed=5)
    samples = [
        {"timestamp": row["timestamp"].timestamp(), **{name: row[name] for name in METRICS}, "extra": 1}
        for _, row in frame.iterrows()
    ]
    return json.dumps({"namespace": "shop", "service": "frontend", "samples": samples}).encode()


def test_scores_are_those_of_the_model() -> None:
    store = Store([FRONT])
    answer = Scoring(store).answer(question(30))
    judged = store.load(FRONT).judge(usual(30, seed=5))
    np.testing.assert_allclose([one["score"] for one in answer["results"]], judged.frame["score"])
    assert [one["state"] for one in answer["results"]] == [str(state) for state in judged.frame["state"]]
    assert answer["left_out"] == ["extra"]
    assert answer["results"][0]["timestamp"] == f"{START:%Y-%m-%dT%H:%M:%S}.000Z"


def test_a_model_is_read_once_and_again_after_it_was_trained() -> None:
    store = Store([FRONT])
    scoring = Scoring(store)
    first = scoring.answer(question(5))
    assert scoring.answer(question(5)) == first
    assert store.loads == 1
    store.trained[FRONT] = 1
    scoring.answer(question(5))
    assert store.loads == 2
