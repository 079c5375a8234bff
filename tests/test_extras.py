"""What comes with an extra is asked for at the door: a base install works, and an error says what to install."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mora.errors import ToolMissing
from mora.extras import EXTRAS, INCLUDED, missing, require
from tests.test_architecture import imported_by

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OPTIONAL = PROJECT["optional-dependencies"]
# The light ones. Before a name is added here: how many MB does it bring, and can it be an extra?
BASE = {
    "jinja2",
    "joblib",
    "kubernetes",
    "numpy",
    "pandas",
    "prometheus-api-client",
    "prometheus-client",
    "python-dateutil",
    "pyyaml",
    "requests",
    "rich",
    "typer",
}
HIDE = """
import sys
hidden = set(sys.argv[1].split(","))
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden or name in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hide())
"""
# Runs MOrA's command line in a Python that has everything except some packages.
COMMAND = """
sys.argv = ["mora", *sys.argv[2:]]
from mora.cli import main
main()
"""
# Imports modules, and prints those that cannot be imported.
IMPORT = """
from importlib import import_module
for name in sys.argv[2:]:
    try:
        import_module(name)
    except ModuleNotFoundError as missing:
        print(name, missing.name)
"""
# Commands of an extra, and what they say without it.
COMMANDS = {
    "train": (["train", "frontend"], "mora train needs packages"),
    "optimize": (["optimize", "--load", "checkout=5"], "mora optimize needs a package"),
    "collect": (["collect", "--plan", "quick", "--target", "sandbox"], "mora collect --plan needs a package"),
    "sandbox": (["sandbox", "up", "--name", "extras"], "mora sandbox up needs a package"),
    "parquet": (["backtest", "traces.parquet"], "Reading a Parquet file needs a package"),
    "serve": (["serve", "--prometheus", "http://127.0.0.1:1"], "mora serve needs packages"),
    "mcp": (["mcp"], "mora mcp needs a package"),
    "drift": (["drift", "frontend"], "mora drift needs a package"),
    "health": (["health", "predict", "metrics.csv"], "Training the detector isolation-forest needs packages"),
    "models": (
        ["train", "frontend", "--forecasters", "xgboost"],
        "Training the forecaster xgboost needs packages",
    ),
    "mlflow": (["train", "frontend", "--track"], "Tracking in MLflow needs a package"),
    "cloud-gcp": (["collect", "--source", "gcp", "--history", "2h"], "The source gcp needs a package"),
    "cloud-azure": (["collect", "--source", "azure", "--history", "2h"], "The source azure needs packages"),
    "cloud-aws": (["collect", "--source", "aws", "--history", "2h"], "The source aws needs a package"),
    "tune": (["train", "frontend", "--tune", "10m"], "mora train --tune needs a package"),
    "dask": (
        ["train", "frontend", "--backend", "dask", "--scheduler", "tcp://127.0.0.1:1"],
        "mora train needs a package",
    ),
}


def names_of(requirements: list[str]) -> set[str]:
    """The names of requirements, extras and versions left out."""
    return {re.split(r"[^\w.-]", requirement, maxsplit=1)[0] for requirement in requirements}


def mora_without(hidden: set[str], *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", HIDE + COMMAND, ",".join(sorted(hidden)), *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


ALL_HIDDEN = {module for modules in EXTRAS.values() for module in modules} | {"dask", "scipy", "cmdstanpy", "gevent"}
# The only modules that need an extra to be imported: processes of the sandbox, Dask's side of scaleout, the server's.
NEED_AN_EXTRA = {
    "mora.sandbox.exporter": "psutil",
    "mora.sandbox.process": "psutil",
    "mora.sandbox.supervisor": "psutil",
    "mora.scaleout.backend": "distributed",
    "mora.web.app": "fastapi",
    "mora.web.body": "fastapi",
    "mora.web.health": "fastapi",
    "mora.web.scoring": "fastapi",
    "mora.web.service": "fastapi",
    "mora.web.watching": "fastapi",
}


def test_a_base_install_can_import_all_but_what_an_extra_is_for() -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sorted((ROOT / "mora").rglob("*.py"))
        if path.name not in ("__init__.py", "__main__.py")
    ]
    done = subprocess.run(
        [sys.executable, "-c", HIDE + IMPORT, ",".join(sorted(ALL_HIDDEN)), *modules],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert dict(line.split() for line in done.stdout.splitlines()) == NEED_AN_EXTRA


def test_a_base_install_backtests_a_csv(tmp_path: Path) -> None:
    rows = [f"shop,{1_700_000_000 + 3600 * hour},{1 + hour % 24 / 24:.3f},{2**30}" for hour in range(24 * 10)]
    (tmp_path / "traces.csv").write_text("\n".join(["series_id,timestamp,cpu,mem", *rows]), encoding="utf-8")
    done = mora_without(ALL_HIDDEN, "backtest", "traces.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "reserved/used" in done.stdout


def test_doctor_lists_the_extras(tmp_path: Path) -> None:
    done = mora_without(ALL_HIDDEN - {"locust"}, "doctor", cwd=tmp_path)
    (line,) = [line for line in done.stdout.splitlines() if line.split()[1] == "extras"]
    assert line.split()[0] == "ok"
    assert "installed: collect; not installed: train (tensorflow, keras, prophet, scikit-learn), " in line
    assert "pip install 'mora-rightsizing[all]'" in line


def test_the_base_install_is_light() -> None:
    assert names_of(PROJECT["dependencies"]) == BASE


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_names_the_packages_that_pip_installs_for_it(extra: str) -> None:
    own = names_of(OPTIONAL[extra]) - {PROJECT["name"]}
    assert own == set(EXTRAS[extra].values())


def test_all_is_every_extra() -> None:
    assert set(OPTIONAL) - {"all", "cloud"} == set(EXTRAS)
    (everything,) = OPTIONAL["all"]
    assert set(re.findall(r"[\w-]+", everything)) - {PROJECT["name"]} == set(EXTRAS)


def test_cloud_is_every_cloud() -> None:
    (clouds,) = OPTIONAL["cloud"]
    assert set(re.findall(r"[\w-]+", clouds)) - {PROJECT["name"]} == {name for name in EXTRAS if "cloud-" in name}


def test_what_an_extra_includes_is_what_pip_installs_with_it() -> None:
    included = {
        extra: tuple(re.findall(r"\w+", requirement.removeprefix(PROJECT["name"])))
        for extra in EXTRAS
        for requirement in OPTIONAL[extra]
        if requirement.startswith(PROJECT["name"])
    }
    assert included == INCLUDED


@pytest.mark.parametrize("extra", EXTRAS)
def test_a_command_without_its_extra_says_what_to_install(extra: str, tmp_path: Path) -> None:
    command, subject = COMMANDS[extra]
    (tmp_path / "traces.parquet").write_bytes(b"PAR1")
    (tmp_path / "metrics.csv").write_text("cpu\n" + "1\n2\n" * 20, encoding="utf-8")
    done = mora_without(
        set(EXTRAS[extra]), *command, cwd=ROOT if extra in ("train", "dask", "models", "tune") else tmp_path
    )
    assert done.returncode == 1
    assert done.stdout == ""
    last = done.stderr.splitlines()[-2:]
    assert last[0].startswith(f"mora: {subject}")
    assert last[0].endswith(f"not installed: {', '.join(EXTRAS[extra].values())}.")
    assert last[1].endswith(f"pip install 'mora-rightsizing[{extra}]'")


def test_the_demo_asks_for_all_that_it_needs_before_it_starts(tmp_path: Path) -> None:
    hidden = {module for extra in ("train", "collect", "sandbox") for module in EXTRAS[extra]}
    done = mora_without(hidden, "demo", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "mora: mora demo needs packages that are not installed: "
        "tensorflow, keras, prophet, scikit-learn, locust, psutil.",
        "      Install them: pip install 'mora-rightsizing[sandbox]'",
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("extra", EXTRAS)
def test_where_a_package_of_an_extra_is_imported_it_is_asked_for_first(extra: str) -> None:
    # Two extras may bring one package: either is asked for.
    asked = {module: [f'require("{other}"' for other in EXTRAS if module in EXTRAS[other]] for module in EXTRAS[extra]}
    # The sandbox's processes are started by `start` and `mora sandbox up`, which ask.
    unguarded = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "mora").rglob("*.py")
        if path.parent.name != "sandbox"
        and not all(
            any(question in path.read_text(encoding="utf-8") for question in asked[module])
            for module in asked.keys() & imported_by(path)
        )
    ]
    # Each is imported behind a door that asks: mora/scaleout, the commands that serve, BoostedForecaster.fit().
    trees = {"mora/forecasters/lightgbm_trees.py", "mora/forecasters/xgboost_trees.py"}
    assert {str(Path(path).parent) for path in set(unguarded) - trees} in (set(), {"mora/scaleout"}, {"mora/web"})


def test_only_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prophet", None)
    assert missing("train") == ("prophet",)
    with pytest.raises(ToolMissing) as raised:
        require("train", by="mora train")
    assert str(raised.value) == (
        "mora train needs a package that is not installed: prophet.\nInstall it: pip install 'mora-rightsizing[train]'"
    )


def test_what_is_installed_is_not_asked_for() -> None:
    for extra in EXTRAS:
        require(extra, by="This test")
