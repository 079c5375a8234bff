"""Plans: what is read, and which errors name file and key."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mora
from mora.domain import Slo
from mora.errors import BadConfig
from mora.harness.plan import (
    Cell,
    LocustOptions,
    Plan,
    RemoteLimits,
    experiments_folder,
    find_scenario,
    plan_names,
    scenario_names,
)

GOOD = 'scenarios = ["browsing"]\nreplicas = [1]\nusers = [10]\n'


def load(folder: Path, text: str) -> Plan:
    (folder / "mine.toml").write_text(text)
    return Plan.load(folder / "mine.toml")


def test_the_plans_that_come_with_mora_can_be_loaded_by_name() -> None:
    assert plan_names() == ["adaptive", "demo", "quick", "standard", "thorough"]
    for name in plan_names():
        plan = Plan.load(name)
        assert plan.name == name
        assert plan.description
        assert plan.sample_count >= 60  # a window of 30 steps and a horizon of 30
        assert all(plan.duration_of(cell) / plan.sample_interval >= 45 for cell in plan.cells)  # training needs 40
        assert plan.settle >= timedelta(seconds=10)
        assert all(path.is_file() for path in plan.scenario_files.values())


def test_the_standard_plan_is_the_committed_datasets() -> None:
    plan = Plan.load("standard")
    assert len({cell.scenario for cell in plan.cells}) == 2
    assert len({cell.replicas for cell in plan.cells}) == 3
    assert len({cell.users for cell in plan.cells}) == 3
    assert plan.repeats == 2
    assert len(plan.experiments()) * plan.sample_count >= 2000


def test_an_adaptive_plan_lists_no_cells_and_looks_for_the_slo_of_the_settings(tmp_path: Path) -> None:
    plan = load(tmp_path, 'scenarios = ["browsing", "checkout"]\n[adaptive]\nfirst_users = 5\nwithin = "5%"')
    assert plan.experiments() == []
    assert plan.adaptive is not None
    assert (plan.adaptive.first_users, plan.adaptive.within, plan.most_replicas) == (5, 0.05, 2)
    sought = plan.looking_for(Slo(0.2, 0.0), 0.5)
    assert sought.adaptive is not None
    assert (sought.adaptive.slo.p95_seconds, sought.adaptive.target_utilisation) == (0.2, 0.5)
    assert sought.digest() != plan.digest()
    assert Plan.load("quick").looking_for(Slo(0.2, 0.0), 0.5) == Plan.load("quick")


def test_a_load_in_requests_per_second_is_a_cell_of_its_own(tmp_path: Path) -> None:
    plan = load(tmp_path, 'scenarios = ["browsing"]\nreplicas = [1, 2]\nrps = [20, 2.5]')
    ids = sorted(cell.experiment("frontend").id for cell in plan.experiments())
    assert ids == [
        "frontend_browsing_replicas_1_rps_2.5",
        "frontend_browsing_replicas_1_rps_20",
        "frontend_browsing_replicas_2_rps_2.5",
        "frontend_browsing_replicas_2_rps_20",
    ]
    assert {Cell.named(name, "frontend") for name in ids} == set(plan.cells)
    assert str(plan.cells[0]) == "browsing, 1 replica, 20 requests/s"
    assert Cell.named("frontend_observed_20261101T000000Z", "frontend") is None


def test_scenarios_are_the_locustfiles_and_not_the_recorder() -> None:
    assert scenario_names() == ["browsing", "checkout"]
    assert (experiments_folder() / "scenarios/_recorder.py").is_file()


def test_a_plan_is_the_product_of_its_lists(tmp_path: Path) -> None:
    plan = load(tmp_path, 'scenarios = ["browsing", "checkout"]\nreplicas = [1, 2]\nusers = [10, 20, 30]\n')
    assert len(plan.cells) == 12
    assert Cell("checkout", 2, 30) in plan.cells


def test_a_plan_can_list_its_cells(tmp_path: Path) -> None:
    plan = load(tmp_path, '[[cells]]\nscenario = "browsing"\nreplicas = 2\nusers = 5\n')
    assert plan.cells == (Cell("browsing", 2, 5),)
    assert (plan.repeats, plan.duration, plan.seed) == (1, timedelta(seconds=62), 1)


def test_a_listed_cell_can_have_a_duration_of_its_own(tmp_path: Path) -> None:
    cells = '[[cells]]\nscenario = "browsing"\nreplicas = 1\nusers = 5\n'
    plain = load(tmp_path, cells)
    own = load(tmp_path, cells + 'duration = "30s"\n')
    assert own.cells == plain.cells
    assert [plan.duration_of(plan.cells[0]).total_seconds() for plan in (plain, own)] == [62, 30]
    assert [plan.duration_of(cell).total_seconds() for plan in (own,) for cell in plan.experiments()] == [30]
    assert own.digest() != plain.digest()
    with pytest.raises(BadConfig, match=r"cells\[0\]\.duration: 5s every 1s are 5 samples"):
        load(tmp_path, cells + 'duration = "5s"\n')


def test_every_key_of_a_plan_is_read(tmp_path: Path) -> None:
    plan = load(
        tmp_path,
        GOOD
        + 'repeats = 3\nduration = "2m"\nsettle = "30s"\nramp = "5s"\nsample_interval = "5s"\nseed = 9\n'
        + 'targets = ["frontend"]\ndescription = "mine"\n'
        + '[locust]\nworkers = 2\nmaster_bind_host = "10.0.0.1"\nmaster_bind_port = 6000\narguments = ["--tags", "a"]\n'
        + '[remote]\nabort_error_ratio = 0.25\nmax_duration = "90m"\n',
    )
    assert plan.sample_count == 24
    assert plan.targets == ("frontend",)
    assert plan.locust == LocustOptions(1, 2, "10.0.0.1", 6000, ("--tags", "a"))
    assert plan.remote == RemoteLimits(0.25, timedelta(minutes=90))


def test_a_scenario_can_be_a_locustfile_beside_the_plan(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("# a locustfile\n")
    plan = load(tmp_path, GOOD.replace("browsing", "mine.py"))
    assert plan.cells == (Cell("mine", 1, 10),)
    assert plan.scenario_files["mine"] == tmp_path / "mine.py"
    assert find_scenario("browsing", tmp_path)[1] == (experiments_folder() / "scenarios/browsing.py").resolve()


@given(seed=st.integers(0, 10_000), repeats=st.integers(1, 4))
def test_the_order_is_random_seeded_and_each_repeat_is_a_block_of_all_cells(seed: int, repeats: int) -> None:
    standard = Plan.load("standard")
    plan = Plan("p", standard.path, standard.cells, standard.scenario_files, repeats=repeats, seed=seed)
    order = plan.experiments()
    assert order == plan.experiments()
    size = len(plan.cells)
    for number in range(repeats):
        block = order[number * size : (number + 1) * size]
        assert {cell.repeat for cell in block} == {number + 1}
        assert Counter((c.scenario, c.replicas, c.users) for c in block) == Counter(
            (c.scenario, c.replicas, c.users) for c in plan.cells
        )


def test_another_seed_gives_another_order_and_the_files_order_does_not_matter(tmp_path: Path) -> None:
    many = 'scenarios = ["browsing"]\nreplicas = [1, 2, 3]\nusers = [1, 2, 3, 4]\n'
    one, two = load(tmp_path, many + "seed = 1\n"), load(tmp_path, many + "seed = 2\n")
    assert one.experiments() != two.experiments()
    turned = load(tmp_path, many.replace("[1, 2, 3]", "[3, 2, 1]") + "seed = 1\n")
    assert turned.experiments() == one.experiments()
    assert turned.digest() == one.digest() != two.digest()


def test_the_digest_follows_the_scenarios_text(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("# one\n")
    plan = load(tmp_path, GOOD.replace("browsing", "mine.py"))
    before = plan.digest()
    (tmp_path / "mine.py").write_text("# two\n")
    assert plan.digest() != before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.replace("[10]", "[0]"), r"users: must be a whole number of at least 1, not 0"),
        (GOOD.replace("[10]", "[-5]"), r"users: must be a whole number of at least 1, not -5"),
        (GOOD.replace("[10]", "[2.5]"), r"users: must be a whole number of at least 1, not 2.5"),
        (GOOD.replace("[10]", "[true]"), r"users: must be a whole number of at least 1, not True"),
        (GOOD.replace("[10]", '["10"]'), r"users: must be a whole number of at least 1, not '10'"),
        (GOOD.replace("[10]", "10"), r"users: must be a list of at least one, not 10"),
        (GOOD.replace("[10]", "[]"), r"users: must be a list of at least one"),
        (GOOD.replace("[10]", "[10, 10]"), r"cells: browsing, 1 replica, 10 users is listed twice"),
        (GOOD.replace("[1]", "[0]"), r"replicas: must be a whole number of at least 1, not 0"),
        (GOOD.replace("browsing", "sleeping"), r"scenarios: there is no scenario 'sleeping'.\n.*browsing, checkout"),
        (GOOD.replace("browsing", "_recorder"), r"scenarios: there is no scenario '_recorder'"),
        (GOOD.replace("browsing", "../secret.py"), r"scenarios: there is no scenario '../secret.py'"),
        (GOOD.replace("users", "user"), r"users: is required"),
        (GOOD + "usres = [1]\n", r"usres: unknown key.\n.*scenarios, replicas, users"),
        (GOOD + "repeats = 0\n", r"repeats: must be a whole number of at least 1"),
        (GOOD + "seed = -1\n", r"seed: must be a whole number of at least 0"),
        (GOOD + "duration = 60\n", r"duration: must be a string, not 60"),
        (GOOD + 'duration = "-60s"\n', r"duration: '-60s' is not a span of time"),
        (GOOD + 'duration = "9s"\n', r"duration: 9s every 1s are 9 samples; a window needs at least 10"),
        (GOOD + 'sample_interval = "30s"\n', r"duration: 1m2s every 30s are 2 samples"),
        (GOOD + 'sample_interval = "500ms"\n', r"sample_interval: queries go to Prometheus at whole seconds"),
        (GOOD + 'settle = "soon"\n', r"settle: 'soon' is not a span of time"),
        (GOOD + 'targets = ["../x"]\n', r"targets: '../x' is not a valid service name"),
        (GOOD + "[locust]\nprocesses = 0\n", r"locust.processes: must be a whole number of at least 1"),
        (GOOD + "[locust]\nprocess = 2\n", r"locust.process: unknown key"),
        (GOOD + "[locust]\nprocesses = 2\nworkers = 2\n", r"locust.workers: .*not both"),
        (GOOD + '[remote]\nmax_duration = "1h"\n', r"remote.abort_error_ratio: is required"),
        (
            GOOD + '[remote]\nmax_duration = "1h"\nabort_error_ratio = 2\n',
            r"remote.abort_error_ratio: '2' is not a share",
        ),
        (GOOD + "remote = 3\n", r"remote: must be a table, not 3"),
        (
            GOOD + '[[cells]]\nscenario = "browsing"\nreplicas = 1\nusers = 1\n',
            r"scenarios: a plan has \[\[cells\]\], or",
        ),
        ('[[cells]]\nscenario = "browsing"\nreplicas = 1\n', r"cells\[0\]\.users: is required"),
        ('[[cells]]\nscenario = "browsing"\nreplicas = 1\nusers = 0\n', r"cells\[0\]\.users: .*not 0"),
        ('[[cells]]\nscenario = "x"\nreplicas = 1\nusers = 1\n', r"cells\[0\]\.scenario: there is no scenario 'x'"),
        ("scenarios = [", r"is not TOML: "),
        ("", r"scenarios: is required"),
    ],
)
def test_an_invalid_plan_is_an_error_with_file_and_key(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BadConfig, match=rf"mine\.toml:? {words}"):
        load(tmp_path, text)


def test_a_plan_that_does_not_exist_is_refused_with_those_that_do(tmp_path: Path) -> None:
    for name in ("quik", "../plans/quick", "", str(tmp_path / "none.toml")):
        with pytest.raises(BadConfig, match=r"There is no plan(.|\n)*adaptive, demo, quick, standard, thorough"):
            Plan.load(name)


def test_a_plan_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadConfig, match="not UTF-8"):
        Plan.load(tmp_path / "mine.toml")


def test_a_scenario_file_with_an_invalid_name_is_refused(tmp_path: Path) -> None:
    for name in ("Mine.py", "observed.py", "a b.py"):
        (tmp_path / name).write_text("")
        with pytest.raises(BadConfig, match=r"scenarios: .*is not a valid scenario name"):
            load(tmp_path, GOOD.replace("browsing", name))


def test_scenarios_and_plans_are_found_in_an_installed_package_too(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "sandbox", "forecasters")
    shutil.copytree(Path(mora.__file__).parent, tmp_path / "mora", ignore=ignored)
    shutil.copytree(experiments_folder(), tmp_path / "mora/_experiments", ignore=ignored)
    program = "from mora.harness.plan import Plan; print(*Plan.load('standard').scenario_files.values())"
    environment = {"PYTHONPATH": str(tmp_path)}
    printed = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, check=True
    )
    paths = printed.stdout.decode().split()
    assert sorted(Path(path).relative_to(tmp_path) for path in paths) == [
        Path("mora/_experiments/scenarios/browsing.py"),
        Path("mora/_experiments/scenarios/checkout.py"),
    ]
