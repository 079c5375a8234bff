"""What the outputs are told by flags, mora.toml and annotations; and when a change is due."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mora.cli.fleet import Asked, is_change_due, output_settings
from mora.config import load_settings
from mora.domain import Advice
from mora.errors import BadConfig, BadInput
from mora.savings import Prices
from tests.fleet.making import advised, container, container_history, history, state, steady
from tests.fleet.test_autoscaled import ON_CPU


def test_without_a_price_nothing_is_said_of_money_and_with_one_the_other_is_the_usual(tmp_path: Path) -> None:
    assert output_settings(load_settings({}, {}, tmp_path), []).prices is None
    told = output_settings(load_settings({"prices_cpu": 0.05}, {}, tmp_path), [])
    assert told.prices == Prices(cpu_per_core_hour=0.05)
    (tmp_path / "mora.toml").write_text('[prices]\ncpu = 0\nmemory = 0.01\ncurrency = "EUR"\n', encoding="utf-8")
    assert output_settings(load_settings({}, {}, tmp_path), []).prices == Prices(0.0, 0.01, "EUR")


def test_a_price_below_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="must be a price of 0 or more, not -1"):
        load_settings({"prices_cpu": -1}, {}, tmp_path)


def test_a_flag_says_where_values_are_before_mora_toml_before_the_annotation(tmp_path: Path) -> None:
    (tmp_path / "mora.toml").write_text(
        '[helm_paths]\n"shop/frontend/server" = "b"\n"shop/cart/server" = "c"\n', encoding="utf-8"
    )
    here = state(
        annotations={"mora.dev/helm-path.server": "a", "mora.dev/helm-path.cache": "cache.resources"},
    )
    told = output_settings(load_settings({}, {}, tmp_path), [here], helm_paths=["shop/cart/server=d.resources"])
    assert told.helm_paths == {
        "shop/frontend/server": "b",
        "shop/frontend/cache": "cache.resources",
        "shop/cart/server": "d.resources",
    }


def test_helm_paths_that_are_no_table_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mora.toml").write_text("helm_paths = 3\n", encoding="utf-8")
    with pytest.raises(BadConfig, match="must be a table of containers"):
        load_settings({}, {}, tmp_path)


def test_the_cluster_s_history_is_asked_only_where_a_flag_or_a_name_with_its_kind_says_so(tmp_path: Path) -> None:
    (tmp_path / "mora.toml").write_text('history = "7d"\n[prometheus]\nurl = "http://127.0.0.1:9"\n', encoding="utf-8")
    plain = load_settings({}, {"MORA_HISTORY": "3d"}, tmp_path)
    assert Asked(names=("frontend",)).flags(plain) == []
    assert Asked(everything=True).flags(plain) == []
    assert Asked(names=("deploy/frontend", "shop/cart", "db")).flags(plain) == ["deploy/frontend", "shop/cart"]
    assert Asked(all_namespaces=True, selector="a=b").flags(plain) == ["-A", "-l"]
    flagged = load_settings({"prometheus_url": "http://127.0.0.1:9", "history": "2d"}, {}, tmp_path)
    assert Asked(names=("frontend",)).flags(flagged) == ["--prometheus", "--history"]


def test_a_name_with_its_namespace_says_where_to_look(tmp_path: Path) -> None:
    plain, named = load_settings({}, {}, tmp_path), load_settings({"namespace": "bank"}, {}, tmp_path)
    assert Asked(names=("shop/frontend", "shop/cart")).namespace(plain) == "shop"
    assert Asked(names=("shop/frontend", "bank/ledger")).namespace(plain) is None
    assert Asked(names=("shop/frontend", "deploy/cart")).namespace(plain) is None
    assert Asked(names=("deploy/cart",)).namespace(plain) == "default"
    assert Asked(names=("shop/frontend",)).namespace(named) == "bank"
    assert Asked(all_namespaces=True).namespace(plain) is None


def test_what_cannot_be_asked_together_is_refused(tmp_path: Path) -> None:
    settings = load_settings({}, {}, tmp_path)
    with pytest.raises(BadInput, match="Which workloads"):
        Asked().check(settings)
    with pytest.raises(BadInput, match="all are asked for"):
        Asked(names=("a",), everything=True).check(settings)
    with pytest.raises(BadInput, match="-n names one"):
        Asked(all_namespaces=True).check(load_settings({"namespace": "shop"}, {}, tmp_path))


def test_a_change_of_any_container_or_of_the_hpa_is_due() -> None:
    two = state(
        container(cpu_request_millicores=500), replace(container("cache", cpu_request_millicores=500), is_main=False)
    )
    seen = history(container_history(), container_history("cache", cpu_cores=steady(0.1)))
    advice = advised(two, seen)
    assert is_change_due(advice)
    held = Advice(500, 500)
    unset = Advice(None, None, is_unset=True)
    still = replace(
        advice,
        containers=(replace(advice.main, cpu_request=held, cpu_limit=unset, memory_request=held, memory_limit=held),),
    )
    assert not is_change_due(still)
    other = replace(advice.others[0], cpu_request=Advice(500, 400))
    assert is_change_due(replace(still, containers=(still.main, other)))
    assert is_change_due(replace(still, retargets=(ON_CPU,)))
