"""Settings come from the nearest place, and what cannot be meant is refused by name."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from mora.config import load_settings
from mora.errors import BadConfig, BadInput
from mora.settings import (
    Settings,
)


def written(folder: Path, text: str) -> Path:
    (folder / "mora.toml").write_text(text, encoding="utf-8")
    return folder


def test_an_empty_folder_gets_the_defaults(tmp_path: Path) -> None:
    assert load_settings({}, {}, tmp_path) == Settings()


def test_a_flag_wins_over_the_environment_over_the_file_over_the_default(tmp_path: Path) -> None:
    start = written(tmp_path, 'namespace = "file"\noutput = "json"\nplan = "thorough"\n')
    environ = {"MORA_NAMESPACE": "variable", "MORA_OUTPUT": "yaml"}
    settings = load_settings({"namespace": "flag", "seed": None}, environ, start)
    assert (settings.namespace, settings.output, settings.plan, settings.target) == (
        "flag",
        "yaml",
        "thorough",
        "sandbox",
    )
    assert [settings.origin(name) for name in ("namespace", "output", "plan", "target")] == [
        "--namespace",
        "MORA_OUTPUT",
        "mora.toml line 3",
        "default",
    ]


def test_every_section_is_read_into_the_units_of_the_house(tmp_path: Path) -> None:
    start = written(
        tmp_path,
        """
        [prometheus]
        url = "http://127.0.0.1:9090/"
        timeout = "10s"
        [prometheus.headers]
        X-Scope-OrgID = "shop"
        [slo]
        p95 = "250ms"
        errors = "2%"
        [replicas]
        min = 2
        max = 9
        target_utilisation = 0.6
        [policy]
        cpu_floor = "25m"
        memory_floor = "64Mi"
        cpu_cap = "1.5"
        memory_cap = "2Gi"
        allow_any_step = true
        """,
    )
    settings = load_settings({}, {}, start)
    policy = settings.policy
    assert settings.prometheus.url == "http://127.0.0.1:9090"
    assert dict(settings.prometheus.headers) == {"X-Scope-OrgID": "shop"}
    assert (settings.slo.p95_seconds, settings.slo.error_ratio) == (0.25, 0.02)
    assert settings.prometheus.timeout == timedelta(seconds=10)
    assert (policy.min_replicas, policy.max_replicas, policy.target_utilisation) == (2, 9, 0.6)
    assert (policy.cpu_floor_millicores, policy.cpu_cap_millicores) == (25, 1500)
    assert (policy.memory_floor_bytes, policy.memory_cap_bytes) == (64 * 2**20, 2 * 2**30)
    assert policy.allow_any_step is True
    assert settings.origin("prometheus_headers") == "mora.toml line 5"
    assert settings.origin("policy_memory_cap") == "mora.toml line 18"


def test_dotted_keys_are_read_and_placed_too(tmp_path: Path) -> None:
    settings = load_settings({}, {}, written(tmp_path, '# ours\nslo.p95 = "1s"\n'))
    assert (settings.slo.p95_seconds, settings.origin("slo_p95")) == (1.0, "mora.toml line 2")


@pytest.mark.parametrize(
    ("text", "words", "hint"),
    [
        ("namespaec = 'a'", "mora.toml line 1: 'namespaec' is an unknown setting", "Did you mean namespace?"),
        ("\n[slo]\np59 = '300ms'", "mora.toml line 3: 'slo.p59'", "Did you mean slo.p95?"),
        ("[sloo]\np95 = '300ms'", "mora.toml line 1: 'sloo'", "Did you mean"),
        (
            "[policy]\ncpu_floor = 10",
            "line 2: policy.cpu_floor: must be a quantity in quotes, not 10",
            "250m",
        ),
        ("[policy]\nmemory_floor = '12 Mi'", "'12 Mi' is not a Kubernetes quantity", "512Mi"),
        ("[policy]\ncpu_buffer = 0.9", "must be a factor of at least 1, not 0.9", ""),
        ("[slo]\nerrors = '130%'", "'130%' is not a share", "1%"),
        ("[slo]\np95 = '300 ms'", "'300 ms' is not a span of time", "300ms"),
        ("[replicas]\nmin = 1.5", "must be a whole number of at least 1, not 1.5", ""),
        ("[replicas]\nmin = 0", "must be a whole number of at least 1, not 0", ""),
        ("jobs = true", "must be a whole number of at least 1, not True", ""),
        ("seed = nan", "must be a whole number of at least 0, not nan", ""),
        ("target = 'moon'", "must be one of sandbox, kubernetes, not 'moon'", ""),
        ("output = 'xml'", "must be one of table, wide, json", ""),
        ("namespace = 'Not A Name'", "not a valid name", ""),
        ("slo = 3", "mora.toml line 1: 'slo' is an unknown setting", ""),
        ("[prometheus]\nurl = 'localhost:9090'", "must be a URL, not 'localhost:9090'", "http://127.0.0.1:9090"),
        ("[prometheus]\nurl = 'http://me:pass@127.0.0.1'", "holds a user name", "MORA_PROMETHEUS_PASSWORD"),
        ("[prometheus]\npassword = 'hush'", "does not belong in a file", "MORA_PROMETHEUS_PASSWORD"),
        ("[prometheus.headers]\n'Bad Name' = 'x'", "not an HTTP header", "X-Scope-OrgID"),
        ("policy.allow_any_step = 'maybe'", "must be true or false", ""),
        ("data_dir = ''", "must be a string, not ''", ""),
        ("namespace = ", "mora.toml is not TOML", ""),
    ],
)
def test_what_cannot_be_meant_in_a_file_is_refused_by_place(tmp_path: Path, text: str, words: str, hint: str) -> None:
    with pytest.raises(BadConfig) as refused:
        load_settings({}, {}, written(tmp_path, text))
    assert words in refused.value.message
    assert hint in (refused.value.hint or "")


def test_a_misspelt_variable_is_refused_with_the_nearest() -> None:
    with pytest.raises(BadConfig) as refused:
        load_settings({}, {"MORA_PROMETHEUS_ULR": "http://127.0.0.1:9090"})
    assert str(refused.value).endswith("Did you mean MORA_PROMETHEUS_URL?")


def test_variables_that_kubernetes_injects_for_a_service_called_mora_are_ignored(tmp_path: Path) -> None:
    injected = {"MORA_SERVICE_HOST": "10.0.0.7", "MORA_SERVICE_PORT_HTTP": "80", "MORA_PORT_80_TCP_ADDR": "10.0.0.7"}
    assert (
        load_settings({}, injected | {"MORA_PORT": "tcp://10.0.0.7:80", "MORA_TOOLS": "/opt"}, tmp_path) == Settings()
    )


def test_a_bad_variable_is_named() -> None:
    with pytest.raises(BadConfig, match=r"MORA_REPLICAS_MIN: must be a whole number of at least 1, not 'two'"):
        load_settings({}, {"MORA_REPLICAS_MIN": "two"})


def test_a_bad_flag_is_named_as_it_was_typed() -> None:
    with pytest.raises(BadInput, match=r"--slo-p95: 'fast' is not a span of time"):
        load_settings({"slo_p95": "fast"})


def test_a_flag_that_is_no_setting_is_refused() -> None:
    with pytest.raises(BadInput, match="Did you mean models_dir"):
        load_settings({"model_dir": "m"})


def test_headers_and_switches_fit_into_variables() -> None:
    settings = load_settings(
        {}, {"MORA_PROMETHEUS_HEADERS": "X-Scope-OrgID: shop; X-Team: a:b", "MORA_POLICY_ALLOW_ANY_STEP": "true"}
    )
    assert dict(settings.prometheus.headers) == {"X-Scope-OrgID": "shop", "X-Team": "a:b"}
    assert settings.policy.allow_any_step is True


def test_a_password_is_never_shown() -> None:
    settings = load_settings({}, {"MORA_PROMETHEUS_USERNAME": "me", "MORA_PROMETHEUS_PASSWORD": "hush-hush"})
    assert settings.prometheus.password == "hush-hush"
    assert "hush-hush" not in repr(settings)


@pytest.mark.parametrize("text", ["300", "5m", "61s"])
def test_an_absurd_response_time_is_taken_for_a_missing_unit(text: str) -> None:
    with pytest.raises(BadInput, match=r"no caller waits that long\.\nWrite the unit: 300ms"):
        load_settings({"slo_p95": text})
    assert load_settings({"slo_p95": "0.3"}).slo.p95_seconds == 0.3


@pytest.mark.parametrize("value", ["5", "1", 5])
def test_a_response_time_of_a_second_or_more_needs_its_unit(value: object) -> None:
    number = int(str(value))
    with pytest.raises(BadInput, match=rf"has no unit.*\nWrite the unit: {number}ms, or {number}s\."):
        load_settings({"slo_p95": value})
    assert load_settings({"slo_p95": f"{number}s"}).slo.p95_seconds == number


def test_a_misspelt_choice_gets_the_nearest_one() -> None:
    with pytest.raises(BadInput, match=r"must be one of table, wide, json.*\nDid you mean json\?"):
        load_settings({"output": "jsn"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MORA_PROMETHEUS_URL", "ada:hunter2@metrics.example:9090"),
        ("MORA_PROMETHEUS_URL", "https://ada:hunter2@metrics.example"),
        ("MORA_PROMETHEUS_HEADERS", "Bearer hunter2"),
        ("MORA_PROMETHEUS_HEADERS", "Authorization : Bearer hunter2\x00"),
    ],
)
def test_a_secret_in_the_wrong_place_is_refused_without_being_told(name: str, value: str) -> None:
    with pytest.raises(BadConfig) as refused:
        load_settings({}, {name: value})
    assert name in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_settings_that_contradict_each_other_are_refused_with_their_places(tmp_path: Path) -> None:
    start = written(tmp_path, "[replicas]\nmin = 5\n")
    with pytest.raises(BadConfig) as refused:
        load_settings({"replicas_max": 2}, {}, start)
    assert refused.value.message == (
        "replicas.min (mora.toml line 2) and replicas.max (--max-replicas) contradict each other: "
        "at least 5 replicas, at most 2 replicas."
    )


@pytest.mark.parametrize(
    "text",
    [
        "policy.cpu_cap = '5m'",
        "policy.memory_floor = '2Gi'\npolicy.memory_cap = '1Gi'",
        "policy.cpu_floor = '2'\npolicy.cpu_cap = '1'",
    ],
)
def test_a_cap_below_its_floor_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadConfig, match="contradict each other"):
        load_settings({}, {}, written(tmp_path, text))


def test_a_password_without_a_user_name_is_refused() -> None:
    with pytest.raises(BadConfig, match="a password needs its user name") as refused:
        load_settings({}, {"MORA_PROMETHEUS_PASSWORD": "hush"})
    assert "hush" not in str(refused.value)


def test_the_settings_that_docs_prometheus_md_shows_are_settings(tmp_path: Path) -> None:
    page = (Path(__file__).parent.parent / "docs" / "prometheus.md").read_text(encoding="utf-8")
    shown = page.partition("```toml\n")[2].partition("```")[0]
    settings = load_settings({}, {}, written(tmp_path, shown))
    assert (settings.prometheus.cluster, settings.prometheus.timeout) == ("eu-1", timedelta(seconds=30))


def test_a_client_key_without_its_certificate_is_refused() -> None:
    with pytest.raises(BadConfig, match="a key needs its certificate"):
        load_settings({}, {"MORA_PROMETHEUS_CLIENT_KEY": "key.pem"})


def test_paths_in_a_file_elsewhere_are_relative_to_that_file(tmp_path: Path) -> None:
    elsewhere = tmp_path / "team"
    elsewhere.mkdir()
    written(elsewhere, 'data_dir = "measured"\n')
    settings = load_settings({}, {"MORA_CONFIG": "team/mora.toml"}, tmp_path)
    assert settings.data_dir == elsewhere / "measured"
    assert settings.origin("data_dir") == "team/mora.toml line 1"


def test_a_named_file_wins_over_the_one_in_the_folder_and_the_flag_over_the_variable(tmp_path: Path) -> None:
    written(tmp_path, 'plan = "here"\n')
    (tmp_path / "a.toml").write_text('plan = "a"\n')
    (tmp_path / "b.toml").write_text('plan = "b"\n')
    assert load_settings({}, {"MORA_CONFIG": "a.toml"}, tmp_path).plan == "a"
    assert load_settings({}, {"MORA_CONFIG": "a.toml"}, tmp_path, config_file=Path("b.toml")).plan == "b"


@pytest.mark.parametrize(("environ", "flag"), [({"MORA_CONFIG": "gone.toml"}, None), ({}, Path("gone.toml"))])
def test_a_named_file_that_is_not_there_is_refused(tmp_path: Path, environ: dict[str, str], flag: Path | None) -> None:
    with pytest.raises(BadConfig, match=r"names gone\.toml, which is not a file"):
        load_settings({}, environ, tmp_path, config_file=flag)


def test_dask_without_a_scheduler_and_a_scheduler_without_dask_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"train.backend \(mora.toml line 2\) is dask, and no scheduler is named"):
        load_settings({}, {}, written(tmp_path, "[train]\nbackend = 'dask'\n"))
    with pytest.raises(BadConfig, match=r"train.backend \(default\) and train.scheduler \(--scheduler\) contradict"):
        load_settings({"train_scheduler": "10.0.0.7:8786"}, {})


def test_a_schedulers_address_is_that_of_tcp_where_no_scheme_is_named() -> None:
    settings = load_settings({"train_backend": "dask"}, {"MORA_TRAIN_SCHEDULER": "10.0.0.7:8786"})
    assert (settings.train.backend, settings.train.scheduler) == ("dask", "tcp://10.0.0.7:8786")


def test_an_old_key_and_an_old_variable_are_still_read_and_the_new_name_is_noted(tmp_path: Path) -> None:
    start = written(tmp_path, '# ours\nhold = "1h"\n')
    by_file = load_settings({}, {}, start)
    assert (by_file.horizon, by_file.origin("horizon")) == (timedelta(hours=1), "mora.toml line 2")
    assert by_file.notes == (
        "mora.toml line 2: 'hold' is now called 'horizon'; the old name still works for one release.",
    )
    by_variable = load_settings({}, {"MORA_HOLD": "6h"}, tmp_path)
    assert (by_variable.horizon, by_variable.origin("horizon")) == (timedelta(hours=6), "MORA_HOLD")
    assert "MORA_HORIZON" in by_variable.notes[-1]


def test_the_new_name_wins_over_the_old_one(tmp_path: Path) -> None:
    both = load_settings({}, {}, written(tmp_path, 'hold = "1h"\nhorizon = "2h"\n'))
    assert both.horizon == timedelta(hours=2)
    environ = {"MORA_HOLD": "3h", "MORA_HORIZON": "4h"}
    assert load_settings({}, environ, tmp_path).horizon == timedelta(hours=4)
    assert load_settings({}, dict(reversed(environ.items())), tmp_path).horizon == timedelta(hours=4)


CLUSTERS = """
[clusters.prod]
context = "prod-eu"
[clusters.prod.prometheus]
url = "http://127.0.0.1:1"
token_file = "secrets/token"
[clusters."eu/staging"]
kubeconfig = "kube/staging.yaml"
"""


def test_each_cluster_has_its_own_context_and_prometheus_and_the_rest_in_common(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mora.toml").write_text(f'prometheus.username = "ada"\n{CLUSTERS}')
    password = {"MORA_CLUSTERS_EU_STAGING_PROMETHEUS_PASSWORD": "sesame"}
    settings = load_settings({}, password, tmp_path, config_file=Path("elsewhere/mora.toml"))
    prod, staging, other = (settings.of_cluster(name) for name in ("prod", "eu/staging", "some-context"))
    assert (prod.kubernetes.cluster, prod.kubernetes.context, prod.kubernetes.kubeconfig) == ("prod", "prod-eu", None)
    assert (prod.prometheus.url, prod.prometheus.username) == ("http://127.0.0.1:1", "ada")
    assert prod.prometheus.token_file == tmp_path / "elsewhere" / "secrets" / "token"
    assert staging.kubernetes.kubeconfig == tmp_path / "elsewhere" / "kube" / "staging.yaml"
    assert (staging.kubernetes.context, staging.prometheus.url, staging.prometheus.password) == (None, None, "sesame")
    assert (other.kubernetes.context, other.prometheus.url) == ("some-context", None)
    assert "sesame" not in repr(settings) + repr(staging)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            '[clusters.prod]\ncontxt = "a"\n',
            "prod.contxt is an unknown setting. Known: context, kubeconfig, prometheus",
        ),
        ('[clusters.prod.prometheus]\nurl = "nowhere"\n', "prod.prometheus.url"),
        ('[clusters.prod.prometheus]\npassword = "x"\n', "Set MORA_CLUSTERS_PROD_PROMETHEUS_PASSWORD"),
        ('clusters = "prod"\n', "table for each cluster"),
        ("[clusters]\nprod = 3\n", "prod: it must be a table"),
        ('[clusters."a\\u001b"]\n', "no name of a context"),
    ],
)
def test_what_cannot_be_meant_of_a_cluster_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "mora.toml").write_text(text)
    with pytest.raises(BadConfig) as refused:
        load_settings({}, {}, tmp_path)
    assert words in " ".join(str(refused.value).split())


def test_a_password_of_a_cluster_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="there is no such cluster"):
        load_settings({}, {"MORA_CLUSTERS_PRD_PROMETHEUS_PASSWORD": "sesame"}, tmp_path)


def test_a_password_that_would_be_that_of_two_clusters_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mora.toml").write_text('[clusters.eu-west]\n[clusters."eu.west"]\n')
    assert set(load_settings({}, {}, tmp_path).clusters) == {"eu-west", "eu.west"}
    with pytest.raises(BadConfig, match=r"the password of eu-west and eu\.west") as refused:
        load_settings({}, {"MORA_CLUSTERS_EU_WEST_PROMETHEUS_PASSWORD": "sesame"}, tmp_path)
    assert "sesame" not in str(refused.value)
