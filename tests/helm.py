"""Helm for tests: charts rendered, linted and packed by Helm's own engine.

Where a helm program is on PATH, it does the work. Elsewhere the official Go SDK of Helm 4 does, from the development
package helm-python-sdk, in a process of its own: a Go runtime does not go well with processes that fork. On a machine
that has neither, a test says so, and fails where REQUIRE_ALL_TOOLS is set, as in CI.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

PROGRAM, SDK = "helm", "the SDK of Helm 4"


class Refused(Exception):
    """Helm did not take a chart or its values; the text is Helm's."""


def engines() -> list[str]:
    """What can render here: the helm of PATH, Helm's SDK, both or none."""
    return [name for name, is_there in ((PROGRAM, shutil.which("helm")), (SDK, find_spec("helm_python"))) if is_there]


def engine() -> str:
    """What renders here; skips, or fails in CI, where nothing can."""
    if not engines():
        why = "there is no helm on PATH, and helm-python-sdk is not installed"
        if os.environ.get("REQUIRE_ALL_TOOLS"):
            pytest.fail(why)
        pytest.skip(why)
    return engines()[0]


def render(
    chart: Path, values: dict[str, Any] | None = None, *, name: str = "mora", namespace: str = "shop"
) -> dict[str, str]:
    """Path of a template in its chart, such as "templates/deployment.yaml" -> what it renders to.

    Templates that render to nothing are left out. Raises Refused with Helm's words.
    """
    return dict(_rendered(engine(), str(chart), json.dumps(values or {}), name, namespace))


def documents(
    chart: Path, values: dict[str, Any] | None = None, *, name: str = "mora", namespace: str = "shop"
) -> list[dict[str, Any]]:
    """The objects that a chart gives, NOTES.txt left out."""
    texts = render(chart, values, name=name, namespace=namespace)
    found = [
        one for path, text in texts.items() if path.endswith((".yaml", ".yml")) for one in yaml.safe_load_all(text)
    ]
    return [one for one in found if one]


@cache
def _rendered(by: str, chart: str, values: str, name: str, namespace: str) -> tuple[tuple[str, str], ...]:
    if by == SDK:
        answer = _ask_sdk({"do": "render", "chart": chart, "values": values, "name": name, "namespace": namespace})
        texts = {path.split("/", 1)[1]: text for path, text in answer.items()}
    else:
        done = _run("helm", "template", name, chart, "--namespace", namespace, "--values", "-", given=values)
        pieces = re.split(r"^---\n# Source: [^/\n]+/(.+)\n", done, flags=re.MULTILINE)
        texts = {}
        for path, text in zip(pieces[1::2], pieces[2::2], strict=True):
            texts[path] = f"{texts[path]}---\n{text}" if path in texts else text
    return tuple((path, text) for path, text in sorted(texts.items()) if text.strip())


def lint(chart: Path, values: dict[str, Any] | None = None) -> list[str]:
    """What `helm lint` finds wrong: errors and warnings, without mere information."""
    if engine() == SDK:
        answer = _ask_sdk({"do": "lint", "chart": str(chart), "values": json.dumps(values or {})})
        return [f"{found['path']}: {found['error']}" for found in answer["messages"] if found["severity"] >= 2]
    command = ["helm", "lint", "--strict", str(chart), "--values", "-"]
    done = subprocess.run(command, input=json.dumps(values or {}), capture_output=True, text=True, check=False)
    return re.findall(r"^\[(?:ERROR|WARNING)\] (.+)$", done.stdout, re.MULTILINE)


def package(chart: Path, folder: Path) -> Path:
    """A chart as the archive that `helm push` takes to an OCI registry."""
    if engine() == SDK:
        return Path(_ask_sdk({"do": "package", "chart": str(chart), "folder": str(folder)})["archive"])
    told = _run("helm", "package", str(chart), "--destination", str(folder))
    return Path(told.rpartition(": ")[2].strip())


def _run(*command: str, given: str = "") -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(done.stderr)
    return done.stdout


def _ask_sdk(question: dict[str, str]) -> dict[str, Any]:
    told = _run(sys.executable, str(Path(__file__)), given=json.dumps(question))
    return dict(json.loads(told))


def _answer(question: dict[str, str]) -> dict[str, Any]:
    import helm_python

    values = json.loads(question.get("values", "{}"))
    if question["do"] == "lint":
        return helm_python.lint(question["chart"], values, strict=True)
    with helm_python.Chart.load(question["chart"]) as chart:
        if question["do"] == "package":
            return {"archive": chart.save(question["folder"])}
        chart.validate_schema(values)
        return dict(chart.render(values, name=question["name"], namespace=question["namespace"]))


if __name__ == "__main__":
    try:
        print(json.dumps(_answer(json.load(sys.stdin))))
    except Exception as error:
        sys.exit(str(error))
