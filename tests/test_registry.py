"""Every registered name leads to something, other packages add theirs, and what is wrong is an error that names it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mora import registry
from mora.cli import app
from mora.errors import BadInput, MoraError
from tests import plugins

ENTRIES = [(seam, name) for seam in registry.REGISTRY for name in registry.names(seam)]


@pytest.mark.parametrize(("seam", "name"), ENTRIES)
def test_every_registered_name_leads_to_something_that_can_be_called(seam: str, name: str) -> None:
    assert callable(registry.load(seam, name))


@pytest.mark.parametrize("seam", registry.REGISTRY)
def test_an_unknown_name_is_refused_with_the_known_ones(seam: str) -> None:
    with pytest.raises(BadInput) as refused:
        registry.load(seam, "nonesuch")
    assert all(name in str(refused.value) for name in registry.names(seam))


def test_outputs_come_in_the_order_that_the_help_shows() -> None:
    assert registry.names("outputs") == [
        *(
            "table",
            "wide",
            "json",
            "csv",
            "yaml",
            "patch",
            "kustomize",
            "helm-values",
            "vpa",
            "hpa",
            "keda",
            "commands",
            "resize",
        ),
        *("pr-body", "explain", "html"),
    ]


# --- plug-ins --------------------------------------------------------------------------------------------------------

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    monkeypatch.syspath_prepend(str(tmp_path))
    yield partial(plugins.install, tmp_path)
    plugins.forget(tmp_path)


SHOUT = """
def render(recommendations, settings=None):
    return "".join(f"{r.workload.name.upper()}!\\n" for r in recommendations)
"""


def test_an_output_of_another_package_is_used_by_its_name(install: Install) -> None:
    install("mora-shout", {"outputs.shout": "mora_shout:render"}, SHOUT)
    assert registry.names("outputs")[-1] == "shout"
    assert registry.package_of("outputs", "shout") == "mora-shout 1.2"
    assert registry.package_of("outputs", "table") is None
    from mora.pipeline import render
    from mora.testing.examples import recommendations

    assert render(recommendations(), "shout") == "FRONTEND!\nCART!\n"
    assert registry.load("outputs", "table") is not registry.load("outputs", "shout")


def test_every_open_seam_takes_names(install: Install) -> None:
    install("many", {f"{seam}.mine": "many:thing" for seam in registry.OPEN_SEAMS}, "thing = dict")
    for seam in registry.OPEN_SEAMS:
        assert registry.load(seam, "mine") is dict


def test_a_name_that_is_taken_is_an_error_that_names_both_packages(install: Install) -> None:
    install("mora-shout", {"outputs.table": "mora_shout:render", "outputs.shout": "mora_shout:render"}, SHOUT)
    install("mora-yell", {"outputs.shout": "mora_yell:render"}, SHOUT)
    with pytest.raises(BadInput, match=r"mora-rightsizing and mora-shout 1\.2 both have 'table' among the outputs"):
        registry.load("outputs", "table")
    with pytest.raises(BadInput, match=r"mora-shout 1\.2 and mora-yell 1\.2 both have 'shout'"):
        registry.load("outputs", "shout")
    assert callable(registry.load("outputs", "json"))


def test_a_plug_in_that_fails_to_import_is_an_error_that_names_its_package(install: Install) -> None:
    install("broken", {"forecasters.broken": "broken:Forecaster"}, "raise RuntimeError('no GPU')")
    with pytest.raises(MoraError, match=r"'broken' of broken 1\.2 cannot be imported: RuntimeError: no GPU") as failed:
        registry.load("forecasters", "broken")
    assert "pip uninstall broken" in str(failed.value.hint)
    install("empty", {"sources.empty": "empty:Source"})
    with pytest.raises(MoraError, match="has no attribute 'Source'"):
        registry.load("sources", "empty")


def test_a_plug_in_is_imported_when_it_is_used_and_not_before(install: Install) -> None:
    install("lazy", {"outputs.lazy": "lazy:render"}, SHOUT)
    assert "lazy" in registry.names("outputs")
    assert "lazy" not in sys.modules


def test_the_list_shows_plug_ins_with_their_package_and_what_is_wrong(install: Install) -> None:
    install("mora-shout", {"outputs.shout": "mora_shout:render", "clusters.mine": "mora_shout:render"}, SHOUT)
    shown = CliRunner().invoke(app, ["list"])
    assert shown.exit_code == 0
    assert "plug-ins: outputs.shout (mora-shout 1.2)" in shown.output
    assert "mora-shout 1.2 adds clusters.mine, which is not a name of a plug-in" in " ".join(shown.output.split())
    assert "forecasters: prophet, lstm, naive" in shown.output


def test_asking_for_names_imports_no_room() -> None:
    code = (
        "import sys; from mora import registry; registry.names('outputs'); registry.names('forecasters');"
        "print(*[name for name in sys.modules if name.startswith(('mora.', 'numpy', 'pandas'))])"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert set(told.split()) == {"mora.registry", "mora.errors"}


def test_options_stand_behind_a_name() -> None:
    text = "lstm-autoencoder:bounds=cpu_usage=0..2,memory_usage=0..4e9;epochs=5;seed=1.0;x=true;y=inf"
    name, options = registry.named("detectors", text)
    assert name == "lstm-autoencoder"
    assert options == {
        "bounds": "cpu_usage=0..2,memory_usage=0..4e9", "epochs": 5, "seed": 1.0, "x": True, "y": float("inf"),
    }  # fmt: skip
    assert [type(options[name]) for name in ("epochs", "seed")] == [int, float]


@pytest.mark.parametrize("text", ["robust-z:", "robust-z"])
def test_a_name_alone_has_no_options(text: str) -> None:
    assert registry.named("detectors", text) == ("robust-z", {})


@pytest.mark.parametrize("text", ["robust-z:a", "robust-z:=1", "robust-z:a b=1", "robust-z:;a=1", "nothing", ":a=1"])
def test_options_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(BadInput):
        registry.named("detectors", text)


def test_an_option_that_is_not_known_is_refused_by_name() -> None:
    with pytest.raises(BadInput, match=r"'quantile' does not take speed=9"):
        registry.make("thresholds", "quantile", {"speed": 9})
