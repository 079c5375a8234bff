"""Scenarios: the same file and seed give the same faults; what cannot be is an error that names its place."""

from __future__ import annotations

import re
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.chaos.catalogue import KINDS
from mora.chaos.scenario import Scenario, describe, same_scenario, scenario_names
from mora.errors import BadConfig, BadInput
from mora.sandbox.faults import STRENGTHS
from tests.chaos.made import TOML, scenario


def test_a_listed_scenario_is_read_whole(tmp_path: Path) -> None:
    found = scenario(tmp_path)
    first, second = found.injections
    assert (first.kind, first.target, first.start, first.strength) == (
        "latency",
        "cartservice",
        timedelta(minutes=6),
        KINDS["latency"].usual,
    )
    assert first.expected.within == timedelta(seconds=20)
    assert first.seed != second.seed
    assert found.parts[0].length == second.end + found.recover
    assert (found.users, found.load, found.goals.detected) == (4, "checkout", 0.5)


def test_the_scenario_of_the_documentation_is_one(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "chaos.md"
    (block,) = re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    (one,) = scenario(tmp_path, block).injections
    assert (one.kind, one.strength, one.expected.within) == ("latency", 0.4, timedelta(seconds=40))


def test_a_fault_without_a_start_follows_the_one_before_it(tmp_path: Path) -> None:
    text = (
        "learn = '2m'\nrecover = '30s'\n" + "[[faults]]\nfault = 'stuck'\ntarget = 'frontend'\nduration = '10s'\n" * 3
    )
    starts = [one.start.total_seconds() for one in scenario(tmp_path, text).injections]
    assert starts == [120, 160, 200]


@pytest.mark.parametrize("name", scenario_names())
def test_every_scenario_that_comes_with_mora_is_valid_and_described(name: str) -> None:
    found = Scenario.load_from(name)
    assert len(describe(found)) == len(found.injections) + 1
    assert found.description


def test_the_suite_has_forty_faults_of_every_kind_and_two_quiet_hours() -> None:
    suite = Scenario.load_from("suite")
    assert Counter(one.kind for one in suite.injections) == dict.fromkeys(KINDS, 4)
    assert len({(one.kind, one.target) for one in suite.injections}) == 40, "no fault twice at the same service"
    quiet = sum((part.injections[0].start - suite.learn for part in suite.parts), timedelta(0))
    assert timedelta(hours=2) <= quiet < timedelta(hours=2, minutes=2)
    assert Scenario.load_from("suite") == suite


@given(
    seed=st.integers(0, 10**6),
    count=st.integers(1, 40),
    parts=st.integers(1, 6),
    quiet=st.integers(1, 3600),
)
def test_drawn_faults_are_possible_and_apart_and_the_same_each_time(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int, parts: int, quiet: int
) -> None:
    text = f"seed = {seed}\n[draw]\nfaults = {max(count, parts)}\nparts = {parts}\nquiet = '{quiet}s'\n"
    found = scenario(tmp_path_factory.mktemp("drawn"), text)
    assert found.parts == scenario(tmp_path_factory.mktemp("again"), text).parts
    assert len(found.injections) == max(count, parts)
    assert len({one.id for one in found.injections}) == len(found.injections)
    for part in found.parts:
        at = found.learn + timedelta(seconds=quiet) / parts
        for one in part.injections:
            assert one.start >= at
            at = one.end + found.recover
            least, most = STRENGTHS[one.kind]
            assert least <= one.strength <= most
            assert not KINDS[one.kind].targets or one.target in KINDS[one.kind].targets
        assert part.length == at


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("fault = 'earthquake'", r"faults\[0\]\.fault"),
        ("target = 'nobody'", r"faults\[0\]\.target"),
        ("strength = 1000", r"faults\[0\]\.strength: of latency is from 0.001 to 60 seconds"),
        ("strength = nan", r"faults\[0\]\.strength"),
        ("start = '1m'", r"faults\[0\]\.start: is 1m, and the detector learns until 5m"),
        ("duration = '0s'", r"faults\[0\]\.duration"),
        ("duration = '10h'", r"faults\[0\]\.duration"),
        ("fault = 'disk-fill'\ntarget = 'productcatalogservice'", r"faults\[0\]\.target: disk-fill does something to"),
        ("expect.metrics = ['magic']", r"faults\[0\]\.expect\.metrics"),
        ("strenght = 1", r"faults\[0\]\.strenght: unknown key"),
    ],
)
def test_what_cannot_be_a_fault_is_an_error_that_names_its_place(tmp_path: Path, change: str, words: str) -> None:
    key = change.split(" = ")[0]
    lines = {"fault": "fault = 'latency'", "target": "target = 'frontend'", key: change}
    if "\ntarget" in change:
        del lines["target"]
    with pytest.raises(BadConfig, match=words):
        scenario(tmp_path, "learn = '5m'\n[[faults]]\n" + "\n".join(lines.values()))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("learn = '10s'", "learn: must be at least"),
        ("seed = -1", "seed"),
        ("lern = '5m'", "lern: unknown key"),
        ("[load]\nusers = 0", "load.users"),
        ("[load]\nuser = 1", "load.user: unknown key"),
        ("[load]\nscenario = 'nothing'", "load.scenario"),
        ("[expect]\ndetected = 2", "expect.detected"),
        ("[draw]\nfaults = 1\n[[faults]]\nfault = 'stuck'\ntarget = 'frontend'", "not both"),
        ("[draw]\nfaults = 2\nparts = 3", "draw.faults"),
        ("[draw]\nfaults = 1000", "draw.faults"),
        ("[draw]\nfaults = 1\nduration = ['2s', '1s']", "draw.duration"),
        ("[draw]\nfaults = 1\nkinds = ['disk-fill']\ntargets = ['productcatalogservice']", "draw.targets"),
        ("[[faults]]\nfault = 'stuck'\ntarget = 'frontend'\nstart = '5m'\n" * 2, r"faults\[1\]\.start: .*in force"),
        ("[[faults]]\nfault = 'stuck'\ntarget = 'frontend'\nstart = '30h'", "faults: take"),
        ("[draw]\nfaults = 1\nquiet = '30h'", "draw.faults: take"),
        ("[draw]\nfaults = 1\nduration = ['1s', '7h']", "draw.duration: .* to 6h"),
        ("seed = 99999999999999999999", "seed"),
    ],
)
def test_what_cannot_be_a_scenario_is_an_error_that_names_its_place(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BadConfig, match=words):
        scenario(tmp_path, text)


def test_a_scenario_that_does_not_exist_is_an_error_with_those_that_do() -> None:
    with pytest.raises(BadInput, match="no scenario 'earthquake'") as caught:
        Scenario.load_from("earthquake")
    assert "one-fault" in str(caught.value.hint)


def test_a_run_of_another_scenario_is_refused(tmp_path: Path) -> None:
    found = scenario(tmp_path)
    same_scenario(found.digest, found)
    other = scenario(tmp_path, TOML.replace("seed = 3", "seed = 4"))
    with pytest.raises(BadConfig, match="another scenario"):
        same_scenario(found.digest, other)


def test_what_is_expected_can_change_without_another_run(tmp_path: Path) -> None:
    found = scenario(tmp_path)
    assert scenario(tmp_path, TOML.replace('detected = "50%"', 'detected = "90%"')).digest == found.digest
