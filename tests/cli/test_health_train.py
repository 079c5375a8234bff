"""mora health train, as a user runs it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mora.model.versions import keep
from tests import fakes_learning as fakes
from tests.health.made import healthy
from tests.model.making import version
from tests.running import mora
from tests.sources import rig

DATA = str(Path(__file__).parents[2] / "data")


def test_every_service_with_data_is_trained_with_progress_and_a_line_each(tmp_path: Path) -> None:
    done = mora("health", "train", "--all", "--data", DATA, "-d", "robust-z", "--threshold", "quantile", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 5
    assert "train: 100%" in done.stderr
    assert sorted(path.name for path in (tmp_path / "health" / "default").iterdir())[0] == "cartservice"


def test_a_file_is_trained_on_and_settings_come_from_mora_toml(tmp_path: Path) -> None:
    healthy(300).to_csv(tmp_path / "my_web.csv", index=False)
    (tmp_path / "mora.toml").write_text('health_dir = "kept"\n[health]\ndetector = "robust-z"\nstart_up = "90s"\n')
    done = mora("health", "train", "my_web.csv", "-n", "shop", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("shop/my-web: robust-z of 3 metrics on 300 samples")
    assert (tmp_path / "kept" / "shop" / "my-web" / "card.json").is_file()
    assert '"start_up_seconds": 90.0' in (tmp_path / "kept" / "shop" / "my-web" / "card.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Which service?"),
        (("nope",), "no data of 'nope'"),
        (("--all", "frontend"), "--all is every service"),
        (("a.csv", "b.csv"), "one at a time"),
        (("a.csv",), "There is no file a.csv"),
        (("frontend", "--service", "web"), "are of a file"),
        (("frontend", "-d", "magic"), "magic"),
        (("frontend", "-d", "robust-z:speed=9"), "does not take speed=9"),
        (("frontend", "-d", "robust-z:speed"), "cannot be read"),
        (("frontend", "-d", "lstm-autoencoder"), "of cpu_cores_value lies outside its bounds [0, 0.15]"),
        (("frontend", "-d", "lstm-autoencoder:epochs=0"), "epochs is 0"),
        (("frontend", "-d", "autoencoder:error=rmse"), "no error 'rmse'"),
        (("frontend", "--exclude", "yesterday"), "not START/END"),
        (("frontend", "--metric", "queue=1"), "asks a Prometheus"),
        (("frontend", "--history", "2d"), "--history is of a Prometheus"),
        (("shop/cart",), "another namespace"),
        (("frontend", "--metric", "queue"), "has no query|asks a Prometheus"),
        (("frontend", "--column", "unicorns"), "nothing of unicorns"),
        (("frontend", "--step", "10ms"), "every 1s, and every 10ms is needed"),
    ],
)
def test_what_cannot_be_trained_is_refused_with_what_to_do(
    tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = mora("health", "train", *arguments, "--data", DATA, cwd=tmp_path)
    assert done.returncode == 1
    assert any(word in done.stderr for word in words.split("|")), done.stderr
    assert "bug" not in done.stderr
    assert not (tmp_path / "health").exists()


def test_one_service_of_several_that_fails_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    done = mora("health", "train", "frontend", "nope", "--data", DATA, "-d", "robust-z", cwd=tmp_path)
    assert done.returncode == 1
    assert "nope: no detector." in done.stderr
    assert "1 of 2 services have no new detector: nope." in done.stderr
    assert (tmp_path / "health" / "default" / "frontend" / "card.json").is_file()


@pytest.mark.slow
def test_an_autoencoder_is_trained_with_options_shows_its_epochs_and_scores_without_tensorflow(tmp_path: Path) -> None:
    """The document's threshold beside it: the 95th percentile."""
    healthy(200).to_csv(tmp_path / "web.csv", index=False)
    chosen = ("-d", "lstm-autoencoder:bounds=learnt;epochs=2;units=4;window=8", "--threshold", "quantile:quantile=0.95")
    done = mora("health", "train", "web.csv", *chosen, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("default/web: lstm-autoencoder of 3 metrics on 200 samples")
    assert "autoencoder: 100%" in done.stderr
    done = mora("health", "score", "web.csv", "-o", "json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert '"detector": "lstm-autoencoder"' in done.stdout


def test_every_service_of_a_namespace_is_trained_from_prometheus(tmp_path: Path) -> None:
    end = time.time() // 15 * 15
    services: dict[str, tuple[str, ...]] = {"web": ("server",), "cart": ("server",)}
    series = rig.cluster(services, start=end - 1800, end=end, every=15)
    with rig.serve(rig.backfill(series, tmp_path)) as url:
        done = mora("health", "train", "--all", "--prometheus", url, "-n", "shop", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["shop/cart", "shop/web"]
    assert "one every 15s" in done.stdout
    assert "reading 2 services" in done.stderr


def test_forecast_residual_says_whose_forecast_it_compares_with(tmp_path: Path) -> None:
    keep(tmp_path / "kept" / "frontend", version(1), at=datetime(2026, 9, 6, tzinfo=UTC))
    fakes.observed(days=4)[["timestamp", "cpu_cores_value", "mem_bytes_value"]].to_csv(
        tmp_path / "frontend.csv", index=False
    )
    command = ("health", "train", "frontend.csv", "-d", "forecast-residual")
    own = mora(*command, "--models", "kept", cwd=tmp_path)
    assert own.returncode == 0, own.stderr
    words = f"cpu_cores_value is compared with the hour as the model {version(1).digest[:12]} of frontend forecasts it"
    assert words in " ".join(own.stderr.split())
    assert "The model knew 100% of the samples that measure its errors" in " ".join(own.stderr.split())
    none = mora(*command, cwd=tmp_path)
    assert none.returncode == 0, none.stderr
    assert "There is no model of 'frontend' in models" in none.stderr
    wrong = mora("health", "train", "frontend.csv", "-d", "forecast-residual:train=magic", cwd=tmp_path)
    assert wrong.returncode == 1
    assert "magic" in wrong.stderr
