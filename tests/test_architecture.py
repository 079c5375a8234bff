"""The house keeps its plan: layers, heavy libraries in their rooms, light front doors, and nothing committed that tells
of one machine or runs code when it is read."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from mora.config import _NOT_SETTINGS
from mora.settings import SETTINGS

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted((ROOT / "mora").rglob("*.py"))

# Library -> the only rooms that may import it. Locust patches sockets for its whole process: it is started instead.
# Library -> the modules, or folders of modules, that may import it.
ROOMS: dict[str, list[str]] = {
    "tensorflow": ["mora/networks/keras_room.py"],
    "keras": ["mora/networks/keras_room.py"],
    "ai_edge_litert": ["mora/networks/tflite.py"],
    "prophet": ["mora/forecasters/prophet.py"],
    "kubernetes": ["mora/clusters"],
    "google": ["mora/sources/gcp/client.py", "mora/sources/doors/google.py"],
    "grpc": ["mora/sources/gcp/client.py"],
    "boto3": ["mora/sources/aws/client.py"],
    "botocore": ["mora/sources/aws/client.py", "mora/sources/doors/amazon.py"],
    "azure": ["mora/sources/azure/client.py", "mora/sources/doors/entra.py"],
    "prometheus_api_client": ["mora/sources/prometheus/wire.py"],
    "sklearn": ["mora/response/curves.py", "mora/detectors/isolation_forest.py"],
    "xgboost": ["mora/detectors/xgboost_residual.py", "mora/forecasters/xgboost_trees.py"],
    "lightgbm": ["mora/forecasters/lightgbm_trees.py"],
    "statsforecast": ["mora/forecasters/statistical.py"],
    "scipy": ["mora/optimize/exact.py", "mora/optimize/attribution.py"],
    "optuna": ["mora/tuning/study.py"],
    "sqlalchemy": ["mora/tuning/study.py"],
    "river": ["mora/drift/residuals.py"],
    "joblib": ["mora/workers.py"],
    "distributed": ["mora/scaleout"],
    "dask": ["mora/scaleout"],
    "mlflow": ["mora/tracking/mlflow_store.py"],
    "typer": ["mora/cli"],
    "fastapi": ["mora/web"],
    "uvicorn": ["mora/serving/asgi.py"],
    "sqlite3": ["mora/record", "mora/state"],
    "locust": [],
    "pickle": [],
    "dill": [],
    "cloudpickle": [],
    "shelve": [],
    "marshal": [],
}
HEAVY = {"tensorflow", "keras", "prophet", "pandas", "numpy", "scipy", "sklearn", "kubernetes", "locust", "gevent"}
HEAVY |= {"requests", "prometheus_api_client", "prometheus_client", "joblib", "yaml", "psutil", "matplotlib"}
HEAVY |= {"distributed", "dask", "xgboost", "ai_edge_litert", "lightgbm", "statsforecast", "numba", "grpc", "boto3"}
HEAVY |= {"optuna", "sqlalchemy", "azure"}
HEAVY |= {"river"}


@cache
def tracked_files() -> tuple[str, ...]:
    """What git would commit: tracked files and those that are neither tracked nor ignored, still there."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return tuple(name for name in listed.split("\0") if name and (ROOT / name).is_file())


def text_of(name: str) -> str | None:
    """A file's text; None where it is binary."""
    raw = (ROOT / name).read_bytes()
    return None if b"\0" in raw else raw.decode("utf-8")


@cache
def imported_by(path: Path) -> set[str]:
    """Top-level names of all packages that a module imports anywhere, functions included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout


def test_data_flows_one_way_through_the_house() -> None:
    lint = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert lint.returncode == 0, lint.stdout + lint.stderr


def test_every_room_has_its_place_in_the_layers() -> None:
    rooms = {
        path.stem for path in (ROOT / "mora").iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ][0]
    placed = set(re.findall(r"mora\.(\w+)", " ".join(contract["layers"])))
    assert rooms - {"__init__"} == placed


def test_the_house_drawn_in_architecture_md_is_the_house_that_is_built() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rooms = {
        path.stem for path in (ROOT / "mora").iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
    } - {"__init__", "__main__"}
    table = page[page.index("## The rooms") : page.index("## The layers")]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == rooms
    drawn = re.search(r"## The layers.*?```\n(.*?)```", page, re.DOTALL)
    assert drawn is not None
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ][0]
    built = [layer.replace("mora.", "") for layer in contract["layers"] if layer != "mora.__main__"]
    assert drawn[1].splitlines() == built


@pytest.mark.parametrize("library", ROOMS)
def test_each_heavy_library_is_imported_in_its_room_alone(library: str) -> None:
    importers = [str(path.relative_to(ROOT)) for path in MODULES if library in imported_by(path)]
    assert [path for path in importers if not path.startswith(tuple(ROOMS[library]))] == []


@pytest.mark.parametrize("door", ["mora", "mora.cli", "mora.config", "mora.pipeline", "mora.doctor", "mora.registry"])
def test_a_front_door_loads_nothing_heavy(door: str) -> None:
    loaded = python(f"import sys, {door}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))").split()
    assert HEAVY & set(loaded) == set()


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, contextlib, io\n"
        "from typer.main import get_command\n"
        "from mora.cli import app\n"
        "with contextlib.redirect_stdout(io.StringIO()) as shown:\n"
        "    get_command(app).main(['--help'], standalone_mode=False)\n"
        "assert 'recommend' in shown.getvalue()\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    loaded = python(code).split()
    assert HEAVY & set(loaded) == set()


def test_the_public_names_lead_somewhere_and_are_listed() -> None:
    import mora

    for name in mora.__all__:
        assert callable(getattr(mora, name))
    with pytest.raises(AttributeError, match="nonesuch"):
        _ = mora.nonesuch


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_why_it_exists_and_can_be_imported(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), "no docstring"
    if path.name not in ("__init__.py", "__main__.py"):
        import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


LONG_LINES = 400


def test_a_module_longer_than_most_says_why_it_is_not_split() -> None:
    texts = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in MODULES}
    long = {name: text for name, text in texts.items() if text.count("\n") > LONG_LINES}
    unexplained = [
        name for name, text in long.items() if "longer than most: " not in (ast.get_docstring(ast.parse(text)) or "")
    ]
    assert unexplained == [], "split it, or say in its docstring: One file, longer than most: ..."


# Modules without a test file of their own name, and what tests them instead.
TESTED_ELSEWHERE = {
    "mora/__main__.py": "python -m mora: every test in tests/cli starts it",
    "mora/seams.py": "Protocols without code: tests/test_contracts.py and the suites of mora.testing",
    "mora/sandbox/shop/__main__.py": "a service as a process: tests/sandbox/test_supervisor.py starts them",
    "mora/doctor/__init__.py": "tests/doctor/test_doctor.py",
    "mora/outputs/__init__.py": "OutputSettings alone, which every test in tests/outputs uses",
    "mora/domain/scaling.py": "values alone: tests/outputs/test_keda.py, and test_scaling.py in tests/pipeline",
    "mora/sources/prometheus/demand.py": "tests/pipeline/test_scaling.py, from a real Prometheus to a ScaledObject",
    "mora/sources/prometheus/node_loads.py": "tests/pipeline/test_pooling.py, from a real Prometheus to requests",
    "mora/scaleout/__init__.py": "tests/scaleout/test_scaleout.py",
    "mora/optimize/problem.py": "tests/optimize/test_exact.py, beside every choice tried one by one",
    "mora/optimize/prove.py": "confirmations: tests/optimize/test_learn.py, whole runs, and test_outputs.py",
    "mora/optimize/readings.py": "tests/optimize/test_learn.py: steps that break, are cut, are contended",
    "mora/cli/optimizing.py": "tests/cli/test_optimize.py, and test_restoring.py in tests/optimize",
    "mora/optimize/prices.py": "tests/optimize/test_outputs.py, with the text that it is for",
    "mora/optimize/report.py": "tests/optimize/test_outputs.py",
    "mora/optimize/advice.py": "tests/optimize/test_outputs.py, in every output",
    "mora/pipeline/optimising.py": "whole runs: tests/optimize/test_learn.py, and test_restoring.py on a cluster",
}


def has_code(path: Path) -> bool:
    """Whether an `__init__.py` is more than a door: one that defines something itself."""
    defined = [
        node.name
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    ]
    return bool(set(defined) - {"__getattr__", "__dir__"})


def mirrored(module: Path) -> Path:
    """Where the test of a module belongs: at the mirrored path."""
    inside = module.relative_to(ROOT / "mora")
    return ROOT / "tests" / inside.with_name(f"test_{inside.name}")


def test_every_module_has_a_test_of_its_name_at_the_mirrored_path() -> None:
    modules = [path for path in MODULES if path.name != "__init__.py" or has_code(path)]
    untested = {str(path.relative_to(ROOT)) for path in modules if not mirrored(path).is_file()}
    assert untested == set(TESTED_ELSEWHERE), "write its test, or name what tests it and why in TESTED_ELSEWHERE"


def test_only_the_command_line_exits() -> None:
    exits = re.compile(r"^[^#\"'\n]*(\bsys\.exit\(|raise SystemExit)", re.MULTILINE)
    # A module that is a program of its own (python -m ...) ends as one.
    leaving = [
        str(path.relative_to(ROOT))
        for path in MODULES
        if exits.search(source := path.read_text(encoding="utf-8")) and '__name__ == "__main__"' not in source
    ]
    assert set(leaving) <= {"mora/cli/front.py"}


def test_every_variable_that_mora_reads_is_a_setting_or_known_not_to_be_one() -> None:
    settings = {setting.variable for setting in SETTINGS}
    named = {name for path in MODULES for name in re.findall(r'"(MORA_[A-Z0-9_]+)"', path.read_text(encoding="utf-8"))}
    assert {name for name in named - settings if not _NOT_SETTINGS.fullmatch(name)} == set()


# --- what is committed -----------------------------------------------------------------------------------------------

MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work\b|home/[a-z]|Users/[A-Z]|root/\.|tmp/[a-z]+-[a-z])")
ADDRESS = re.compile(
    r"pypi\.org/(?:simple|packages)|pythonhosted\.org|deb\.debian\.org|security\.debian\.org|snapshot\.debian\.org"
    r"|registry\.npmjs|proxy\.golang|dl\.google\.com|apt\.kubernetes\.io|pkgs\.k8s\.io|dl\.k8s\.io|/releases/download/"
)


def test_no_committed_file_tells_of_one_machine_or_of_where_packages_come_from() -> None:
    told = []
    for name in tracked_files():
        if name in ("LICENSE", "tests/test_architecture.py"):
            continue
        text = text_of(name) or ""
        told += [f"{name}: {match.group()}" for match in (*MACHINE_PATH.finditer(text), *ADDRESS.finditer(text))]
    assert told == []


def test_no_committed_file_is_large() -> None:
    sizes = {name: (ROOT / name).stat().st_size for name in tracked_files()}
    assert {name: size for name, size in sizes.items() if size > 2 * 2**20} == {}


def test_nothing_that_runs_code_when_it_is_read_is_committed_or_read() -> None:
    suffixes = {".pkl", ".pickle", ".joblib", ".h5", ".keras", ".dill", ".pt"}
    assert [name for name in tracked_files() if Path(name).suffix in suffixes] == []
    reading = re.compile(
        r"joblib\.(?:load|dump)|allow_pickle\s*=\s*True|read_pickle|to_pickle|yaml\.(?:load|unsafe_load)\("
    )
    assert [str(path.relative_to(ROOT)) for path in MODULES if reading.search(path.read_text(encoding="utf-8"))] == []


def test_every_package_is_pinned_and_no_address_is() -> None:
    lines = [line for line in (text_of("requirements.lock") or "").splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9._-]*(\[[a-z,]+\])?==\S+( ; .+)?", line) for line in lines)
    pinned = {line.partition("==")[0].partition("[")[0] for line in lines}
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    asked = re.findall(r'^  "([A-Za-z0-9-]+)(?:\[\w+\])?[<>=]', project, re.MULTILINE)
    assert len(asked) > 20
    assert {name.lower() for name in asked} - pinned == set()


def test_the_wheel_carries_scenarios_plans_and_types_and_nothing_of_the_tests(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for carried in (ROOT / "experiments" / "plans").glob("*.toml"):
        assert f"mora/_experiments/plans/{carried.name}" in names
    for carried in (ROOT / "experiments" / "chaos").glob("*.toml"):
        assert f"mora/_experiments/chaos/{carried.name}" in names
    for carried in (ROOT / "experiments" / "scenarios").glob("*.py"):
        assert f"mora/_experiments/scenarios/{carried.name}" in names
    assert {"mora/py.typed", "mora/pages/templates/base.html", "mora/pages/static/page.css"} <= names
    assert {"mora/pages/vendor/uplot/uPlot.iife.min.js", "mora/pages/vendor/uplot/LICENSE"} <= names
    assert not [name for name in names if name.startswith(("tests/", "data/", "experiments/"))]


def test_every_command_is_in_the_readme() -> None:
    from typer.main import get_command

    from mora.cli import app

    # In a table, GitHub wants a backslash before the | of a command.
    readme = (ROOT / "README.md").read_text(encoding="utf-8").replace("\\|", "|")
    commands = []
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]  # a typer app is a click Group
        commands += [f"mora {name} {inner}" for inner in getattr(command, "commands", {})] or [f"mora {name}"]
    assert len(commands) >= 9
    # Sub-commands may be written together: mora sandbox up|status|scale|down
    expanded = re.sub(
        r"(mora \w+) ((?:\w+\|)+\w+)",
        lambda match: " ".join(f"{match.group(1)} {inner}" for inner in match.group(2).split("|")),
        readme,
    )
    assert [command for command in commands if command not in expanded] == []
