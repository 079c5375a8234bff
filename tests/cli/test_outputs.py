"""The settings of the outputs from flags, mora.toml and annotations."""

from __future__ import annotations

from pathlib import Path

import pytest

from mora.cli.outputs import output_settings
from mora.config import load_settings
from mora.errors import BadConfig, BadInput
from mora.savings import Prices
from tests.fleet.making import state


def test_without_a_price_there_is_no_money_and_with_one_the_other_is_opencost_s(tmp_path: Path) -> None:
    assert output_settings(load_settings({}, {}, tmp_path), []).prices is None
    shown = output_settings(load_settings({"prices_cpu": 0.05}, {}, tmp_path), [])
    assert shown.prices == Prices(cpu_per_core_hour=0.05)
    (tmp_path / "mora.toml").write_text('[prices]\ncpu = 0\nmemory = 0.01\ncurrency = "EUR"\n', encoding="utf-8")
    assert output_settings(load_settings({}, {}, tmp_path), []).prices == Prices(0.0, 0.01, "EUR")


def test_a_negative_price_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="must be a price of 0 or more, not -1"):
        load_settings({"prices_cpu": -1}, {}, tmp_path)


def test_a_helm_path_is_taken_from_the_flag_before_mora_toml_before_the_annotation(tmp_path: Path) -> None:
    (tmp_path / "mora.toml").write_text(
        '[helm_paths]\n"shop/frontend/server" = "b"\n"shop/cart/server" = "c"\n', encoding="utf-8"
    )
    here = state(
        annotations={"mora.dev/helm-path.server": "a", "mora.dev/helm-path.cache": "cache.resources"},
    )
    shown = output_settings(load_settings({}, {}, tmp_path), [here], helm_paths=["shop/cart/server=d.resources"])
    assert shown.helm_paths == {
        "shop/frontend/server": "b",
        "shop/frontend/cache": "cache.resources",
        "shop/cart/server": "d.resources",
    }


def test_helm_paths_must_be_a_table(tmp_path: Path) -> None:
    (tmp_path / "mora.toml").write_text("helm_paths = 3\n", encoding="utf-8")
    with pytest.raises(BadConfig, match="must be a table of containers"):
        load_settings({}, {}, tmp_path)
