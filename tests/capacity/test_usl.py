"""The scalability law: found again in what it made, and silent where it sees no end."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.capacity import Trial, describe_usl, fit_usl


def trial(users: int, rate: float) -> Trial:
    return Trial("s", users, 1, 1, rate, 0.1, None, 0.0, {})


@given(
    a=st.floats(0.1, 5), contention=st.floats(0, 0.2), coherency=st.sampled_from([0.0, 1e-5, 1e-4, 1e-3]),
)  # fmt: skip
def test_the_law_is_found_again_in_what_it_made(a: float, contention: float, coherency: float) -> None:
    tried = []
    for users in (2, 10, 30, 50, 80):
        rate = a * users / (1 + contention * (users - 1) + coherency * users * (users - 1))
        tried.append(Trial("s", users, 1, 1, rate, 0.1, None, 0.0, {}))
    law = fit_usl(tried)
    assert law is not None
    assert law.error < 1e-4
    assert law.rate(40) == pytest.approx(a * 40 / (1 + 39 * (contention + coherency * 40)), rel=1e-3)


def test_a_law_that_has_a_peak_says_where_and_one_without_does_not() -> None:
    saturating = [trial(users, users) for users in (5, 10)]
    assert fit_usl(saturating) is None
    straight = fit_usl([trial(users, users) for users in (5, 10, 20, 40)])
    assert straight is not None
    assert "no end of a pod's throughput in sight" in describe_usl(straight)
    bent = [
        Trial("s", n, 1, 1, n / (1 + 0.01 * (n - 1) + 2e-4 * n * (n - 1)), 0.1, None, 0.0, {}) for n in (5, 20, 60, 99)
    ]
    law = fit_usl(bent)
    assert law is not None
    assert law.peak_users == pytest.approx(math.sqrt(0.99 / 2e-4), rel=0.01)
    assert "reached at 70" in describe_usl(law)
