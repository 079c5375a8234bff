"""mora recommend, as a user runs it."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mora import pipeline
from mora.cli.recommend import recommend
from mora.domain import Workload
from tests.conftest import leave_free
from tests.fleet import rig
from tests.running import mora, start
from tests.sources.prometheus.scripted import failing, serving


def test_a_recommendation_is_on_stdout_and_nothing_else(home: Path) -> None:
    done = mora("recommend", "frontend", "-o", "json", cwd=home)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["schema_version"] == 2
    assert document["recommendations"][0]["service"] == "frontend"
    assert done.stderr == ""


def test_the_same_model_prints_the_same_text_twice(home: Path) -> None:
    """Each by a Python of its own: what depends on the seed of its hashes would differ."""
    asked = [start("recommend", "frontend", cwd=home, PYTHONHASHSEED=seed) for seed in ("1", "2")]
    first, second = (running.communicate(timeout=120)[0] for running in asked)
    assert first == second
    assert "CONFIDENCE" in first


def test_another_load_is_asked_for_by_users_and_scenario(home: Path) -> None:
    small, large = (
        json.loads(mora("recommend", "frontend", "-u", users, "--scenario", "checkout", "-o", "json", cwd=home).stdout)
        for users in ("10", "40")
    )
    pods = [answer["recommendations"][0]["replicas"]["value"] for answer in (small, large)]
    assert pods[0] <= pods[1]
    assert small["recommendations"][0]["load"] == {"scenario": "checkout", "users": 10}


def test_a_load_far_beyond_what_was_driven_gets_a_reason_and_no_number(home: Path) -> None:
    done = mora("recommend", "frontend", "--users", "100000", "-o", "json", cwd=home)
    assert done.returncode == 1  # a script must not take this for an answer
    assert "There is no number for frontend at this load" in done.stderr
    assert "mora collect" in done.stderr
    advice = json.loads(done.stdout)["recommendations"][0]
    assert advice["cpu_request_millicores"]["value"] is None
    assert any("1.5x" in reason["text"] for reason in advice["reasons"] + advice["cpu_request_millicores"]["reasons"])


def test_a_horizon_does_not_apply_to_load_experiments_unless_a_file_means_other_services(
    home: Path, tmp_path: Path
) -> None:
    refused = mora("recommend", "frontend", "--hold", "1h", cwd=home)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "--horizon does not apply" in refused.stderr
    (tmp_path / "mora.toml").write_text('hold = "1h"\n')
    config = ("--config", str(tmp_path / "mora.toml"))
    assert mora(*config, "recommend", "frontend", cwd=home).returncode == 0


def test_a_due_change_exits_with_3_where_it_is_asked_for(home: Path) -> None:
    assert mora("recommend", "frontend", "--fail-on-change", cwd=home).returncode == 3


def test_kustomize_files_are_written_into_a_folder(home: Path, tmp_path: Path) -> None:
    done = mora("recommend", "frontend", "-o", "kustomize", "--out", str(tmp_path / "overlay"), cwd=home)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "overlay" / "kustomization.yaml").is_file()
    assert len(done.stdout.splitlines()) == 2


@pytest.mark.parametrize("free_bytes", [0, 4096])
def test_a_full_disk_is_reported_and_leaves_no_half_written_overlay(
    home: Path, tiny_disk: Path, free_bytes: int
) -> None:
    overlay = tiny_disk / "overlay"
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text("# what stood there\n")
    leave_free(tiny_disk, free_bytes)
    written = ("recommend", "frontend", "-o", "kustomize", "--out", str(overlay))
    assert "--overwrite" in mora(*written, cwd=home).stderr
    done = mora(*written, "--overwrite", cwd=home)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "space" in done.stderr.splitlines()[-1]
    assert [path.read_text() for path in overlay.iterdir()] == ["# what stood there\n"]
    (tiny_disk / "fill").unlink()
    assert mora(*written, "--overwrite", cwd=home).returncode == 0


def test_an_edited_model_is_refused(home: Path, tmp_path: Path) -> None:
    model = pipeline.load_model("frontend", models_dir=home / "models")
    folder = tmp_path / "models" / "frontend"
    model_files = home / "models" / "frontend"
    shutil.copytree(model_files, folder)
    (response,) = folder.rglob("response.json")
    response.write_text(response.read_text().replace("0", "1", 1))
    done = mora("recommend", "frontend", "--models", str(tmp_path / "models"), cwd=home)
    assert done.returncode == 1
    assert "response.json" in done.stderr
    assert model.digest


def test_explain_gives_the_arithmetic_of_each_number_that_recommend_prints(home: Path) -> None:
    asked = ("frontend", "--users", "20", "--scenario", "checkout")
    (advice,) = json.loads(mora("recommend", *asked, "-o", "json", cwd=home).stdout)["recommendations"]
    explained = mora("explain", *asked, cwd=home)
    assert explained.returncode == 0, explained.stderr
    text = " ".join(explained.stdout.split())
    for name in ("cpu_request_millicores", "memory_request_bytes", "memory_limit_bytes", "replicas"):
        for reason in advice[name]["reasons"]:
            assert " ".join(reason["text"].split()) in text
    assert "20 users of checkout" in text


def test_the_reasons_follow_on_demand_under_the_new_flag_and_the_old_one(home: Path) -> None:
    brief, plain, verbose, why = (
        mora("recommend", "frontend", *flags, cwd=home).stdout for flags in (["--brief"], [], ["--verbose"], ["--why"])
    )
    assert verbose == why
    assert len(brief.splitlines()) < len(plain.splitlines()) < len(verbose.splitlines())
    assert "mean use = " in verbose
    assert "mean use = " not in brief


@pytest.mark.parametrize("place", ["flag", "variable", "file"])
def test_a_configured_prometheus_is_read_wherever_it_is_configured(place: str, home: Path, tmp_path: Path) -> None:
    with serving(failing(401)) as server:
        url = server.url
        config = tmp_path / "mora.toml"
        config.write_text(f'[prometheus]\nurl = "{url}"\n' if place == "file" else "", encoding="utf-8")
        flags = ["--prometheus", url] if place == "flag" else []
        environ = {"MORA_PROMETHEUS_URL": url} if place == "variable" else {}
        asked = ("--config", str(config), "recommend", "frontend", "--no-kubernetes", *flags)
        done = mora(*asked, cwd=home, **environ)
        assert (done.returncode, done.stdout) == (1, "")
        assert url in done.stderr
        assert "Or answer from the trained model alone: --no-history" in done.stderr
        before = len(server.asked)
        assert mora(*asked, "--no-history", cwd=home, **environ).returncode == 0
        assert len(server.asked) == before


def test_a_kubeconfig_alone_dials_nothing(home: Path, tmp_path: Path) -> None:
    torn = tmp_path / "config"
    torn.write_text("no: kubeconfig\n", encoding="utf-8")
    done = mora("recommend", "frontend", cwd=home, KUBECONFIG=str(torn))
    assert (done.returncode, done.stderr) == (0, "")
    assert "no Prometheus is configured" in mora("explain", "frontend", cwd=home, KUBECONFIG=str(torn)).stdout


def test_an_unknown_workload_is_an_error_that_says_where_was_looked(home: Path) -> None:
    done = mora("recommend", "nope", cwd=home)
    assert done.returncode == 1
    assert "There is no model of 'nope' in models/nope, and no Prometheus is configured." in done.stderr
    assert "mora train nope" in done.stderr
    assert "--prometheus URL" in done.stderr


def test_the_old_name_of_the_horizon_is_taken_and_noted(home: Path) -> None:
    done = mora("recommend", "frontend", "--hold", "1h", cwd=home)
    assert done.stderr.startswith("--hold is now called --horizon")
    assert "--horizon does not apply" in done.stderr
    both = mora("recommend", "frontend", "--hold", "1h", "--horizon", "1h", cwd=home)
    assert "both are given" in both.stderr


def test_help_names_everything_that_makes_the_command_search_for_the_clusters_prometheus() -> None:
    (searched,) = re.findall(
        r"Without one, (.*?) make MOrA search the cluster", " ".join((recommend.__doc__ or "").split())
    )
    flags = {"-A", "-l", "--history", "--exclude", "--cluster", "--no-model"}
    assert set(re.findall(r"(?<!\w)-[-\w]+", searched)) == flags
    assert searched.endswith("or a KIND/NAME or NAMESPACE/NAME without a model")


def page_of(text: str) -> list[dict[str, Any]]:
    """What the page's script knows of each workload."""
    found = re.search(r'<script type="application/json" id="details">(.*?)</script>', text, flags=re.DOTALL)
    assert found is not None
    details: list[dict[str, Any]] = json.loads(found[1])
    return details


def test_a_page_shows_what_a_real_prometheus_knows_with_the_numbers_of_the_other_outputs(tmp_path: Path) -> None:
    end = int(time.time()) // rig.SCRAPE_SECONDS * rig.SCRAPE_SECONDS
    last = rig.DAYS * rig.DAY + 1
    flat = np.random.default_rng(1).uniform(0.9, 1.1, last)
    box = rig.Box(
        "web", 0.2 * flat, 300 * rig.MIB * flat, cpu_limit=0.4, throttled=0.3, restarts={last - rig.DAY: True}
    )
    pods = (rig.Pod("web-1aa-0", 0, (box,)),)
    with rig.serving(tmp_path / "prometheus", rig.Fleet((rig.Service(Workload("shop", "web"), pods, 1),), end)) as url:
        asked = ("recommend", "web", "-n", "shop", "--prometheus", url, "--no-kubernetes", "--no-model", "-o")
        page = mora(*asked, "html", cwd=tmp_path)
        numbers = mora(*asked, "json", cwd=tmp_path)
        written = mora(*asked, "html", "--out", "report", cwd=tmp_path)
    assert (page.returncode, written.returncode) == (0, 0), page.stderr
    assert page.stdout.startswith("<!doctype html>")
    assert written.stdout.split() == ["report/recommendations.html"]
    (web,) = page_of(page.stdout)
    (container,) = web["containers"]
    past = container["past"]
    assert len(past["cpu"]["highest"]) == len(past["memory"]["mean"]) > 300  # two signs a column
    assert past["cpu"]["levels"]["limit"] == 0.4
    assert past["throttled"]
    (killed,) = past["oom_kills"]
    assert abs(killed - (end - rig.DAY * rig.SCRAPE_SECONDS)) <= 600
    (advice,) = json.loads(numbers.stdout)["recommendations"]
    assert past["memory"]["levels"]["target"] == pytest.approx(advice["memory_request_bytes"]["value"], rel=1e-5)
    texts = [reason["text"] for reason in advice["memory_request_bytes"]["reasons"]]
    assert container["numbers"][2][6] == texts


def test_a_page_from_a_trained_model_says_why_no_history_is_drawn(home: Path) -> None:
    (frontend,) = page_of(mora("recommend", "frontend", "-o", "html", cwd=home).stdout)
    assert frontend["containers"][0]["no_past"].startswith("Its numbers rest on a trained model alone.")
    assert frontend["patch"].startswith("# Deployment")


def test_a_terminal_is_not_given_the_source_of_a_page(home: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "mora", "recommend", "frontend", "-o", "html"]
    done = subprocess.run(command, cwd=home, stdout=theirs, stderr=subprocess.PIPE, text=True, check=False)
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 1
    assert "-o html > report.html" in done.stderr
