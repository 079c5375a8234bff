"""The Helm chart: what it renders is sound for every kind of values, and wrong values are refused with their name."""

from __future__ import annotations

import json
import re
import shlex
import tarfile
from itertools import takewhile
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from mora import __version__
from mora.config import load_settings
from tests import charts, helm
from tests.running import mora

CHART = charts.CHART
DEFAULT: dict[str, Any] = {}
VALUES = {
    "default": DEFAULT,
    **{
        path.name.removesuffix("-values.yaml"): yaml.safe_load(path.read_text(encoding="utf-8"))
        for path in sorted((CHART / "ci").glob("*-values.yaml"))
    },
}


def merged(values: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    both = dict(values)
    for key, value in other.items():
        inner = both.get(key)
        both[key] = merged(inner, value) if isinstance(value, dict) and isinstance(inner, dict) else value
    return both


def pods(documents: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """(object, pod template) of everything that runs pods."""
    found = []
    for document in documents:
        spec = document.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec:
            found.append((document, spec["template"]))
        elif document["kind"] == "Pod":
            found.append((document, document))
    return found


def containers(template: dict[str, Any]) -> list[dict[str, Any]]:
    return [*template["spec"].get("initContainers", []), *template["spec"]["containers"]]


def by_kind(documents: list[dict[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    return [document for document in documents if document["kind"] in kinds]


# --- what it renders -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", VALUES)
def test_helm_finds_nothing_to_warn_of(values: str) -> None:
    assert helm.lint(CHART, VALUES[values]) == []


@pytest.mark.parametrize("values", VALUES)
def test_every_object_holds_to_the_schema_of_kubernetes(values: str) -> None:
    documents = helm.documents(CHART, VALUES[values])
    assert documents
    for document in documents:
        if document["apiVersion"] != charts.OPERATOR_API:
            for version in ("1.25", "1.37"):
                kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("values", VALUES)
def test_every_pod_holds_to_the_restricted_pod_security_standard(values: str) -> None:
    found = pods(helm.documents(CHART, VALUES[values]))
    assert found
    for _, template in found:
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["enableServiceLinks"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        allowed = {"emptyDir", "configMap", "secret", "persistentVolumeClaim"}
        assert all(set(volume) <= {"name", *allowed} for volume in spec.get("volumes", []))
        for container in containers(template):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]


def test_openshift_chooses_the_user() -> None:
    for _, template in pods(helm.documents(CHART, VALUES["openshift"])):
        assert template["spec"]["securityContext"] == {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        }


@pytest.mark.parametrize("values", VALUES)
def test_selectors_match_their_own_pods_and_no_others(values: str) -> None:
    documents = helm.documents(CHART, VALUES[values])
    labels = {document["metadata"]["name"]: template["metadata"]["labels"] for document, template in pods(documents)}
    assert labels.pop("sizes-serve-test" if values == "everything" else "mora-serve-test")
    policies = by_kind(documents, "NetworkPolicy")
    for document in by_kind(documents, "Deployment", "Service", "NetworkPolicy", "ServiceMonitor", "PodMonitor"):
        spec = document["spec"]
        selector = spec["podSelector"] if document["kind"] == "NetworkPolicy" else spec["selector"]
        selector = selector.get("matchLabels", selector)
        matched = [name for name, of_pod in labels.items() if selector.items() <= of_pod.items()]
        assert matched == [document["metadata"]["name"]]
    assert {policy["metadata"]["name"] for policy in policies} == set(labels)


@pytest.mark.parametrize("values", VALUES)
def test_everything_that_a_pod_takes_from_the_chart_is_in_it(values: str) -> None:
    documents = helm.documents(CHART, VALUES[values])
    known = {(document["kind"], document["metadata"]["name"]) for document in documents}
    own = {"authority"}  # of everything-values.yaml: there already
    claims = {document["metadata"]["name"] for document in by_kind(documents, "PersistentVolumeClaim")}
    for _, template in pods(documents):
        assert ("ServiceAccount", template["spec"]["serviceAccountName"]) in known
        for container in containers(template):
            for source in container.get("envFrom", []):
                assert ("ConfigMap", source["configMapRef"]["name"]) in known
            mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
            assert mounted <= {volume["name"] for volume in template["spec"].get("volumes", [])}
        for volume in template["spec"].get("volumes", []):
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in {*claims, "mora-record"}
            if "configMap" in volume and volume["configMap"]["name"] not in own:
                assert ("ConfigMap", volume["configMap"]["name"]) in known
    for binding in by_kind(documents, "RoleBinding", "ClusterRoleBinding"):
        assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) in known
        for subject in binding["subjects"]:
            assert ("ServiceAccount", subject["name"]) in known
            assert subject.get("namespace", "shop") == "shop"


# --- rights ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [name for name in VALUES if name != "cluster"])
def test_in_namespace_mode_nothing_reaches_beyond_the_namespace(values: str) -> None:
    documents = helm.documents(CHART, merged(VALUES[values], {"scope": "namespace"}))
    assert not [document["kind"] for document in documents if document["kind"].startswith("Cluster")]
    assert not [document for document in documents if "namespace" in document["metadata"]]
    for call in calls(documents):
        assert "-A" not in call


@pytest.mark.parametrize("values", VALUES)
def test_no_role_reads_secrets_deletes_or_has_a_wildcard(values: str) -> None:
    rules = [rule for document in helm.documents(CHART, VALUES[values]) for rule in document.get("rules", [])]
    assert rules
    for rule in rules:
        assert not {"*", "secrets", "pods/exec", "pods/attach", "pods/log"} & set(rule["resources"])
        assert not {"*", "delete", "deletecollection", "escalate", "bind", "impersonate"} & set(rule["verbs"])


def test_in_cluster_mode_writing_stays_in_the_release_s_namespace_but_for_the_status_of_vpas() -> None:
    documents = helm.documents(CHART, VALUES["cluster"])
    wide = [rule for role in by_kind(documents, "ClusterRole") for rule in role["rules"]]
    writing = [rule for rule in wide if not set(rule["verbs"]) <= {"get", "list"}]
    assert [(rule["resources"], rule["verbs"]) for rule in writing] == [(["verticalpodautoscalers/status"], ["patch"])]
    for binding in by_kind(documents, "ClusterRoleBinding"):
        assert all(subject["namespace"] == "shop" for subject in binding["subjects"])


# --- names -----------------------------------------------------------------------------------------------------------


def names(release: str, values: dict[str, Any]) -> set[tuple[str, str]]:
    documents = helm.documents(CHART, values, name=release)
    return {(document["kind"], document["metadata"]["name"]) for document in documents}


def test_two_releases_share_no_object_and_no_pod() -> None:
    values = {"recommender": {"enabled": True}, "experiments": {"enabled": True}}
    assert not names("mora", values) & names("other", values)
    first, second = (helm.documents(CHART, values, name=name) for name in ("mora", "other"))
    for service in by_kind(first, "Service", "Deployment"):
        selector = service["spec"]["selector"]
        selector = selector.get("matchLabels", selector).items()
        assert not [of for of, pod in pods(second) if selector <= pod["metadata"]["labels"].items()]


def test_the_longest_release_name_that_helm_takes_makes_names_that_kubernetes_takes() -> None:
    for kind, name in names("r" * 53, merged(VALUES["cluster"], {"experiments": {"enabled": True}})):
        # A CronJob's Jobs get eleven characters more.
        assert len(name) <= (52 if kind == "CronJob" else 63)
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name)


@pytest.mark.parametrize("values", VALUES)
def test_every_object_has_the_labels_by_which_helm_and_people_find_it(values: str) -> None:
    for document in helm.documents(CHART, VALUES[values]):
        labels = document["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "mora"
        assert labels["app.kubernetes.io/instance"] == "mora"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert labels["app.kubernetes.io/version"] == __version__
        assert labels["helm.sh/chart"] == f"mora-{chart_yaml()['version']}"


# --- what the pods run -----------------------------------------------------------------------------------------------


def calls(documents: list[dict[str, Any]]) -> list[list[str]]:
    """Every call of mora in a chart's pods, as words; what a shell makes of the rest is not mora's."""
    found = []
    for _, template in pods(documents):
        for container in containers(template):
            if "command" not in container:
                found.append(container["args"])
            elif container["command"][0] == "sh":
                lines = [line for line in container["command"][-1].splitlines() if line.startswith("mora ")]
                found += [shlex.split(line)[1:] for line in lines]
    return [list(takewhile(lambda word: word not in (">", "||"), call)) for call in found]


@pytest.mark.parametrize("values", ["default", "cluster", "everything"])
def test_every_call_of_mora_has_options_that_exist(values: str, tmp_path: Path) -> None:
    found = calls(helm.documents(CHART, VALUES[values]))
    assert found
    for call in found:
        told = mora(*call, "--help", cwd=tmp_path)
        assert told.returncode == 0, told.stderr


def variables(template: dict[str, Any], documents: list[dict[str, Any]]) -> dict[str, str]:
    """The variables that a pod's first container gets, a Secret's values named after their key."""
    maps = {document["metadata"]["name"]: document.get("data", {}) for document in by_kind(documents, "ConfigMap")}
    container = containers(template)[0]
    found: dict[str, str] = {}
    for source in container["envFrom"]:
        found |= maps[source["configMapRef"]["name"]]
    for entry in container["env"]:
        value = entry.get("valueFrom", {})
        found[entry["name"]] = entry.get("value") or (
            f"<{value['secretKeyRef']['name']}>" if "secretKeyRef" in value else "shop"
        )
    return found


def test_the_settings_reach_mora_and_secrets_stay_in_their_secrets(tmp_path: Path) -> None:
    documents = helm.documents(CHART, VALUES["everything"])
    (config,) = [found for found in by_kind(documents, "ConfigMap") if found["metadata"]["name"] == "sizes-config"]
    (tmp_path / "mora.toml").write_text(config["data"]["mora.toml"], encoding="utf-8")
    found = pods(documents)
    assert len(found) >= 2
    for document, template in found:
        if document["kind"] == "Pod":  # of `helm test`
            continue
        environment = variables(template, documents)
        assert environment["MORA_CONFIG"] == "/etc/mora/mora.toml"
        volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
        if containers(template)[0]["name"] == "digest":  # it asks no Prometheus, so it gets nothing to ask with
            assert "MORA_PROMETHEUS_PASSWORD" not in environment
            assert "prometheus-token" not in volumes
            continue
        assert environment["MORA_PROMETHEUS_PASSWORD"] == "<metrics>"
        environment["MORA_CONFIG"] = str(tmp_path / "mora.toml")
        settings = load_settings({}, {name: value for name, value in environment.items() if name.startswith("MORA_")})
        assert settings.prometheus.url == "https://metrics.example/prometheus"
        assert settings.prometheus.username == "mora"
        assert settings.policy.cpu_buffer == 1.3
        assert settings.fleet.namespaces["shop"]
        mounts = {mount["name"]: mount["mountPath"] for mount in containers(template)[0]["volumeMounts"]}
        assert str(settings.prometheus.token_file) == f"{mounts['prometheus-token']}/token"
        assert volumes["prometheus-token"]["secret"]["secretName"] == "metrics-token"


def test_each_pod_gets_what_is_set_for_all() -> None:
    for document, template in pods(helm.documents(CHART, VALUES["everything"])):
        for container in containers(template):
            assert re.fullmatch(r"images\.example/platform/rightsizing/mora:(0\.1\.0-1|small)", container["image"])
            assert container["imagePullPolicy"] == "IfNotPresent"
        if document["kind"] == "Pod":  # of `helm test`
            continue
        spec = template["spec"]
        assert template["metadata"]["labels"]["team"] == "platform"
        assert template["metadata"]["annotations"]["example.com/reviewed"] == "yes"
        assert spec["nodeSelector"] == {"kubernetes.io/os": "linux"}
        assert spec["tolerations"] == [{"key": "spot", "operator": "Exists"}]
        assert spec["priorityClassName"] == "low"
        assert spec["imagePullSecrets"] == [{"name": "pull"}]
        for container in containers(template):
            assert {"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"} in container["env"]
            assert "/etc/authority" in [mount["mountPath"] for mount in container["volumeMounts"]]


def test_only_the_step_that_trains_needs_the_full_image() -> None:
    def images(values: dict[str, Any]) -> set[str]:
        found = pods(helm.documents(CHART, values))
        return {container["image"] for _, template in found for container in containers(template)}

    assert f"mora:{__version__}" in images(DEFAULT)
    assert images({"nightly": {"train": False}}) == {f"mora:{__version__}-slim"}
    assert images({"scope": "cluster"}) == {f"mora:{__version__}-slim"}


def test_pods_restart_when_their_settings_change() -> None:
    def checksum(values: dict[str, Any]) -> str:
        values = merged({"recommender": {"enabled": True}}, values)
        (deployment,) = [
            document
            for document in by_kind(helm.documents(CHART, values), "Deployment")
            if document["metadata"]["name"] == "mora-recommender"
        ]
        return str(deployment["spec"]["template"]["metadata"]["annotations"]["checksum/settings"])

    changes: list[dict[str, Any]] = [{}, {"settings": {"MORA_POLICY_CPU_BUFFER": "1.4"}}, {"config": "[slo]\n"}]
    assert len({checksum(values) for values in changes}) == len(changes)


def test_one_server_writes_the_record_and_the_record_outlives_it() -> None:
    (server,) = [d for d in by_kind(helm.documents(CHART), "Deployment") if d["metadata"]["name"] == "mora-serve"]
    assert server["spec"]["replicas"] == 1
    assert server["spec"]["strategy"] == {"type": "Recreate"}
    (container,) = server["spec"]["template"]["spec"]["containers"]
    (record,) = [word.partition("=")[2] for word in container["args"] if word.startswith("--record=")]
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in server["spec"]["template"]["spec"]["volumes"]}
    assert volumes[mounts[str(Path(record).parent)]]["persistentVolumeClaim"] == {"claimName": "mora-serve"}


def test_who_may_reach_the_page_is_prometheus_and_who_is_named() -> None:
    def sources(values: str) -> Any:
        policies = by_kind(helm.documents(CHART, VALUES[values]), "NetworkPolicy")
        (policy,) = [one for one in policies if one["metadata"]["name"].endswith("-serve")]
        (rule,) = policy["spec"]["ingress"]
        *others, tester = rule["from"]
        (pod,) = [t for document, t in pods(helm.documents(CHART, VALUES[values])) if document["kind"] == "Pod"]
        assert tester["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        return [one["namespaceSelector"] for one in others]

    assert sources("default") == [{}]
    named = [{"matchLabels": {"kubernetes.io/metadata.name": name}} for name in ("metrics", "ingress")]
    assert sources("everything") == named


def test_the_digest_reads_the_record_where_the_server_writes_it_and_its_address_is_a_secret_s() -> None:
    documents = helm.documents(CHART, VALUES["everything"])
    server, digest = (
        template
        for name in ("sizes-serve", "sizes-digest")
        for document, template in pods(documents)
        if document["metadata"]["name"] == name
    )
    for template in (server, digest):
        (container,) = template["spec"]["containers"]
        assert "--record=/record/mora.sqlite" in container["args"]
        volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
        assert volumes["record"]["persistentVolumeClaim"] == {"claimName": "sizes-serve"}
    (rule,) = digest["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert rule["topologyKey"] == "kubernetes.io/hostname"
    assert rule["labelSelector"]["matchLabels"].items() <= server["metadata"]["labels"].items()
    (address,) = [e for e in digest["spec"]["containers"][0]["env"] if e["name"] == "MORA_DIGEST_WEBHOOK"]
    assert address["valueFrom"]["secretKeyRef"] == {"name": "channel", "key": "address"}
    assert digest["spec"]["automountServiceAccountToken"] is False


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"digest": {"enabled": True}}, r"digest\.webhook\.secret"),
        ({"digest": {"enabled": True}, "serve": {"record": {"persistent": False}}}, r"serve\.record\.persistent"),
    ],
)
def test_a_digest_without_an_address_or_a_record_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(helm.Refused, match=words):
        helm.render(CHART, values)


def test_an_ingress_needs_the_name_of_its_host() -> None:
    with pytest.raises(helm.Refused, match=r"serve\.ingress\.host"):
        helm.render(CHART, {"serve": {"ingress": {"enabled": True}}})


@pytest.mark.parametrize(("values", "kind"), [("everything", "ServiceMonitor"), ("cluster", "PodMonitor")])
def test_monitors_find_the_port_of_what_they_scrape_and_keep_its_labels(values: str, kind: str) -> None:
    documents = helm.documents(CHART, VALUES[values])
    monitors = by_kind(documents, kind)
    assert len(monitors) == 2
    for monitor in monitors:
        (endpoint,) = monitor["spec"]["endpoints" if kind == "ServiceMonitor" else "podMetricsEndpoints"]
        assert endpoint["honorLabels"] is True
        for service in by_kind(documents, "Service"):
            if service["metadata"]["name"] == monitor["metadata"]["name"]:
                assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]
                assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()


def test_rules_and_dashboard_are_those_that_are_tested_with_the_server() -> None:
    documents = helm.documents(CHART, VALUES["everything"])
    (rules,) = by_kind(documents, "PrometheusRule")
    assert rules["spec"] == yaml.safe_load((CHART / "files" / "alerts.yaml").read_text(encoding="utf-8"))
    assert rules["metadata"]["labels"]["release"] == "prometheus"
    (dashboard,) = [d for d in by_kind(documents, "ConfigMap") if "grafana_dashboard" in d["metadata"]["labels"]]
    kept = json.loads((CHART / "files" / "dashboard.json").read_text(encoding="utf-8"))
    assert json.loads(dashboard["data"]["mora.json"]) == kept


# --- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"recomender": {"enabled": True}}, "recomender"),
        ({"nightly": {"shedule": "1 2 * * *"}}, "shedule"),
        ({"nightly": {"schedule": "at night"}}, "schedule"),
        ({"nightly": {"extraArgs": ["--exclude='; reboot'"]}}, "extraArgs"),
        ({"nightly": {"history": "14 days"}}, "history"),
        ({"recommender": {"replicas": "two"}}, "replicas"),
        ({"recommender": {"resources": {"requests": {"memory": "512 MB"}}}}, "memory"),
        ({"scope": "everything"}, "scope"),
        ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
        ({"prometheus": {"url": "prometheus:9090"}}, "url"),
        ({"prometheus": {"url": "https://ada:secret@metrics.example"}}, "url"),
        ({"settings": {"MORA_PROMETHEUS_PASSWORD": "secret"}}, "MORA_PROMETHEUS_PASSWORD"),
        ({"settings": {"cpu_buffer": "1.3"}}, "cpu_buffer"),
        ({"monitoring": {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}}}, "monitoring"),
        ({"serve": {"record": {"size": "1 GB"}}}, "size"),
        ({"podSecurityContext": {"runAsNonRoot": False}}, "runAsNonRoot"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(values: dict[str, Any], named: str) -> None:
    with pytest.raises(helm.Refused, match=named):
        helm.render(CHART, values)


def test_every_value_has_a_place_in_the_schema_and_every_place_a_value() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))

    def compare(value: Any, place: dict[str, Any], path: str) -> None:
        if reference := place.get("$ref"):
            place = schema["definitions"][reference.rpartition("/")[2]]
        if place.get("additionalProperties") is False and isinstance(value, dict):
            optional = {"global"} if not path else set()
            if "resources" not in path.lower():
                assert set(place["properties"]) - optional == set(value), path
            for name in value:
                compare(value[name], place["properties"][name], f"{path}.{name}")

    compare(values, schema, "")


def test_every_value_is_used_by_a_template() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    templates = "".join(path.read_text(encoding="utf-8") for path in (CHART / "templates").rglob("*.*"))
    for name, value in values.items():
        assert f".Values.{name}" in templates
        for inner in value if isinstance(value, dict) and name not in ("podSecurityContext",) else ():
            assert re.search(rf"\.{inner}\b", templates), f"{name}.{inner}"


# --- the package -----------------------------------------------------------------------------------------------------


def chart_yaml() -> dict[str, Any]:
    return dict(yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8")))


def test_chart_and_images_are_released_with_mora() -> None:
    assert chart_yaml()["version"] == __version__
    assert chart_yaml()["appVersion"] == __version__
    assert chart_yaml()["apiVersion"] == "v2"


def test_the_archive_for_a_registry_holds_what_an_installation_needs(tmp_path: Path) -> None:
    archive = helm.package(CHART, tmp_path)
    assert archive.name == f"mora-{__version__}.tgz"
    with tarfile.open(archive) as opened:
        inside = opened.getnames()
    assert {"mora/Chart.yaml", "mora/values.yaml", "mora/values.schema.json", "mora/README.md"} <= set(inside)
    assert not [name for name in inside if name.startswith("mora/ci")]
    assert helm.documents(archive) == helm.documents(CHART)


def test_the_notes_say_how_to_read_the_numbers() -> None:
    notes = helm.render(CHART)["templates/NOTES.txt"]
    assert "kubectl get configmap mora-recommendations -n shop" in notes
    everything = helm.render(CHART, VALUES["cluster"])["templates/NOTES.txt"]
    assert "recommenders: [{name: mora}]" in everything
