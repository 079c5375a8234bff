"""What a plan file must not say; what it may say is in test_plan.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mora.errors import BadConfig
from mora.harness.plan import Plan


def load(folder: Path, text: str) -> Plan:
    (folder / "mine.toml").write_text(text)
    return Plan.load(folder / "mine.toml")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('scenarios = ["browsing"]\nusers = [5]\n[adaptive]', "users: an adaptive plan chooses"),
        ('scenarios = ["browsing"]\nrps = [5]\n[adaptive]', "rps: an adaptive plan chooses"),
        ('scenarios = ["browsing"]\nrepeats = 2\n[adaptive]', "repeats: an adaptive plan repeats"),
        ('scenarios = ["browsing"]\n[adaptive]\nfirst = 5', "adaptive.first: unknown key"),
        ('scenarios = ["browsing"]\n[adaptive]\nmax_users = 5', "adaptive.max_users: must be at least first_users"),
        ('scenarios = ["browsing"]\n[adaptive]\nshort = "5s"', "adaptive.short: 5s every 1s are 5 samples"),
        ('scenarios = ["browsing"]\nreplicas = [1]\nusers = [5]\nrps = [5]', "rps: a load is in users, or in requests"),
        ('scenarios = ["browsing"]\nreplicas = [1]\nrps = [0]', "rps: must be above 0"),
        ('scenarios = ["browsing"]\nreplicas = [1]', "users: is required"),
    ],
)
def test_a_wrong_load_or_search_names_its_key(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(BadConfig, match=re.escape(why)):
        load(tmp_path, text)
