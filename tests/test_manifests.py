"""The manifests build with every installed kubectl, match Kubernetes' schemas, and grant the stated rights only."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import takewhile
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from mora import __version__
from mora.config import load_settings
from mora.errors import ToolMissing
from mora.extras import EXTRAS
from mora.tools import find_tool
from tests import charts
from tests.outputs.kubectl import found
from tests.running import mora
from tests.test_extras import BASE

ROOT = Path(__file__).resolve().parent.parent
# Applied in the namespace that they are for; `load` and those after `base` stand on top of it.
IN_ONE_NAMESPACE = ("base", "collect", "in-place", "serve", "recommender", "cronjob", "monitoring", "load")
FOLDERS = (*IN_ONE_NAMESPACE, "cluster-wide")
READ = {"get", "list"}
READABLE = {
    ("apps", "deployments"),
    ("apps", "statefulsets"),
    ("apps", "daemonsets"),
    ("apps", "replicasets"),
    ("batch", "jobs"),
    ("batch", "cronjobs"),
    ("argoproj.io", "rollouts"),
    ("", "pods"),
    ("", "replicationcontrollers"),
    ("", "limitranges"),
    ("", "resourcequotas"),
    ("autoscaling", "horizontalpodautoscalers"),
    ("autoscaling.k8s.io", "verticalpodautoscalers"),
}


@cache
def kubectls() -> list[Path]:
    """The kubectl that MOrA uses, and those that were fetched to check with."""
    try:
        found = [find_tool("kubectl"), *(ROOT / ".tools" / folder / "kubectl" for folder in ("debian", "newer"))]
    except ToolMissing as error:
        pytest.fail(str(error))
    return [path for path in dict.fromkeys(found) if shutil.which(path)]


@cache
def built(folder: str, kubectl: Path) -> list[dict[str, Any]]:
    command = [str(kubectl), "kustomize", str(ROOT / "manifests" / folder)]
    return list(yaml.safe_load_all(subprocess.run(command, capture_output=True, text=True, check=True).stdout))


def rules(folder: str) -> dict[tuple[str, str], set[str]]:
    """(group, resource) -> verbs."""
    given: dict[tuple[str, str], set[str]] = {}
    for document in built(folder, kubectls()[0]):
        for rule in document.get("rules", []):
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    given.setdefault((group, resource), set()).update(rule["verbs"])
    return given


@pytest.mark.parametrize("folder", charts.FOLDERS)
def test_a_folder_is_what_the_chart_renders_to(folder: str) -> None:
    place, wanted = ROOT / "manifests" / folder, charts.FOLDERS[folder].texts()
    if os.environ.get("MORA_WRITE_GOLDEN"):
        for name, text in wanted.items():
            (place / name).write_text(text, encoding="utf-8")
    how = "the chart and its manifests differ; if that is meant: MORA_WRITE_GOLDEN=1 pytest tests/test_manifests.py"
    assert {name: (place / name).read_text(encoding="utf-8") for name in wanted} == wanted, how
    there = {path.name for path in place.iterdir()}
    assert there == {*wanted, *charts.FOLDERS[folder].by_hand}
    resources = yaml.safe_load((place / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    assert sorted(resources) == sorted(there - {"kustomization.yaml"})


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_builds_alike_with_every_kubectl_at_hand(folder: str) -> None:
    first, *others = [built(folder, kubectl) for kubectl in kubectls()]
    assert {document["metadata"]["labels"]["app.kubernetes.io/name"] for document in first} == {"mora"}
    for other in others:
        assert sorted(other, key=str) == sorted(first, key=str)


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("version", ["1.25", "1.37"])
def test_every_object_holds_to_the_schema_of_kubernetes(folder: str, version: str) -> None:
    for document in built(folder, kubectls()[0]):
        if document["apiVersion"] != charts.OPERATOR_API:
            kubernetes_validate.validate(document, version, strict=True)


def pods(folder: str) -> list[tuple[str, dict[str, Any]]]:
    """(name, pod spec) of everything in a folder that runs pods."""
    found = []
    for document in built(folder, kubectls()[0]):
        spec = document.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec:
            found.append((document["metadata"]["name"], spec["template"]["spec"]))
    return found


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod.get("initContainers", []), *pod["containers"]]


ALL_PODS = [
    ("serve", "mora-serve"),
    ("recommender", "mora-recommender"),
    ("cluster-wide", "mora-recommender"),
    ("cronjob", "mora-nightly"),
    ("load", "mora-load-master"),
    ("load", "mora-load-workers"),
]
RUN_MORA = ("serve", "recommender", "cluster-wide", "cronjob")


def test_every_pod_is_looked_at_by_the_tests_below() -> None:
    assert sorted((folder, name) for folder in FOLDERS for name, _ in pods(folder)) == sorted(ALL_PODS)


def pod(folder: str, name: str) -> dict[str, Any]:
    return dict(pods(folder))[name]


# --- rights ----------------------------------------------------------------------------------------------------------


def test_advice_may_read_and_nothing_else() -> None:
    given = rules("base")
    assert given == {**dict.fromkeys(READABLE, READ), ("", "namespaces"): {"get"}}


def test_experiments_may_patch_and_scale_on_top_and_never_create_or_delete() -> None:
    given = rules("collect")
    assert given == {
        ("apps", "deployments"): {"patch"},
        ("apps", "statefulsets"): {"patch"},
        ("apps", "daemonsets"): {"patch"},
        ("apps", "deployments/scale"): {"get", "patch"},
        ("apps", "statefulsets/scale"): {"get", "patch"},
    }


def test_resizing_in_place_may_resize_pods_and_hold_its_lease_and_nothing_else() -> None:
    assert rules("in-place") == {
        ("", "pods/resize"): {"patch"},
        ("coordination.k8s.io", "leases"): {"create", "get", "update"},
    }


RECOMMENDING = {
    ("autoscaling.k8s.io", "verticalpodautoscalers"): READ,
    ("autoscaling.k8s.io", "verticalpodautoscalers/status"): {"patch"},
    ("coordination.k8s.io", "leases"): {"create", "get", "update"},
}


def test_the_recommender_may_write_the_status_of_vpas_and_its_lease() -> None:
    assert rules("recommender") == RECOMMENDING
    assert rules("cluster-wide") == {**rules("base"), **RECOMMENDING}


@pytest.mark.parametrize(
    ("folder", "lease"),
    [("recommender", "mora-recommender"), ("cluster-wide", "mora-recommender"), ("in-place", "mora-in-place")],
)
def test_no_lease_but_its_own_may_be_renewed(folder: str, lease: str) -> None:
    on_leases = [
        rule
        for document in built(folder, kubectls()[0])
        for rule in document.get("rules", [])
        if "leases" in rule["resources"]
    ]
    assert {verb for rule in on_leases if "resourceNames" not in rule for verb in rule["verbs"]} == {"create"}
    assert [rule["resourceNames"] for rule in on_leases if "resourceNames" in rule] == [[lease]]


def test_the_nightly_run_may_write_one_config_map_and_make_none() -> None:
    documents = built("cronjob", kubectls()[0])
    (role,) = [document for document in documents if document["kind"] == "Role"]
    (name,) = [
        document["metadata"]["name"]
        for document in documents
        if document["kind"] == "ConfigMap" and "data" not in document
    ]
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [name], "verbs": ["patch"]}
    ]
    (job,) = dict(pods("cronjob")).values()
    assert f"--configmap {name}" in job["containers"][0]["command"][-1]


def test_the_server_may_read_and_nothing_else() -> None:
    documents = built("serve", kubectls()[0])
    assert rules("serve") == {}
    bound = [document["roleRef"]["name"] for document in documents if document["kind"] == "RoleBinding"]
    assert bound == ["mora-reader"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_role_reads_secrets_or_runs_commands_and_no_rule_has_a_wildcard(folder: str) -> None:
    for group, resource in rules(folder):
        assert "*" not in (group, resource)
        assert resource not in ("secrets", "pods/exec", "pods/attach", "pods/log", "serviceaccounts/token")
    assert not {"*", "delete", "deletecollection", "escalate", "bind", "impersonate"} & set().union(
        *rules(folder).values()
    )


def test_every_role_is_bound_to_an_account_that_stands_in_its_folder_or_in_the_base() -> None:
    accounts, roles = {}, {}
    for folder in FOLDERS:
        documents = built(folder, kubectls()[0])
        accounts[folder] = {d["metadata"]["name"] for d in documents if d["kind"] == "ServiceAccount"}
        roles[folder] = {(d["kind"], d["metadata"]["name"]) for d in documents if d["kind"] in ("Role", "ClusterRole")}
        bindings = [document for document in documents if document["kind"].endswith("RoleBinding")]
        bound = {(binding["roleRef"]["kind"], binding["roleRef"]["name"]) for binding in bindings}
        from_base = set() if folder == "cluster-wide" else roles["base"]
        assert roles[folder] <= bound <= roles[folder] | from_base
        subjects = {subject["name"] for binding in bindings for subject in binding["subjects"]}
        assert subjects <= accounts[folder] | ({"mora"} if folder in ("collect", "in-place") else set())
        assert {spec["serviceAccountName"] for _, spec in pods(folder) if "serviceAccountName" in spec} <= subjects


@pytest.mark.parametrize("folder", IN_ONE_NAMESPACE)
def test_rights_stay_within_a_namespace(folder: str) -> None:
    for document in built(folder, kubectls()[0]):
        assert not document["kind"].startswith("Cluster")
        assert "namespace" not in document["metadata"]


def test_what_is_for_all_namespaces_lives_in_one_of_its_own() -> None:
    for document in built("cluster-wide", kubectls()[0]):
        is_wide = document["kind"] in ("Namespace", "ClusterRole", "ClusterRoleBinding")
        assert document["metadata"].get("namespace") == (None if is_wide else "mora-system")
        for subject in document.get("subjects", []):
            assert subject["namespace"] == "mora-system"


# --- pods ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("folder", "name"), ALL_PODS)
def test_pods_hold_to_the_restricted_pod_security_standard_and_more(folder: str, name: str) -> None:
    spec = pod(folder, name)
    context = spec["securityContext"]
    assert context["runAsNonRoot"]
    assert context["runAsUser"] > 0
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    allowed = {"emptyDir", "configMap", "persistentVolumeClaim"}
    assert all(set(volume) <= {"name", *allowed} for volume in spec["volumes"])
    for container in containers(spec):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize(("folder", "name"), ALL_PODS)
def test_services_beside_mora_set_none_of_its_variables(folder: str, name: str) -> None:
    # A Service mora-x makes Kubernetes set MORA_X_PORT, which is no setting of MOrA, and so an error.
    assert pod(folder, name)["enableServiceLinks"] is False


@pytest.mark.parametrize(("folder", "name"), ALL_PODS)
def test_every_image_is_the_version_of_this_checkout(folder: str, name: str) -> None:
    # What trains or drives load is in the full image; all else runs in the slim one.
    image = f"mora:{__version__}" if folder in ("cronjob", "load") else f"mora:{__version__}-slim"
    assert {container["image"] for container in containers(pod(folder, name))} == {image}


@pytest.mark.parametrize(("folder", "name"), ALL_PODS)
def test_a_network_policy_covers_every_pod_and_opens_no_way_to_everywhere(folder: str, name: str) -> None:
    documents = built(folder, kubectls()[0])
    policies = [document["spec"] for document in documents if document["kind"] == "NetworkPolicy"]
    (document,) = [
        d for d in documents if d["metadata"]["name"] == name and d["kind"] in ("Deployment", "CronJob", "Job")
    ]
    spec = document["spec"].get("jobTemplate", {}).get("spec", document["spec"])
    labels = spec["template"]["metadata"]["labels"].items()
    covering = [policy for policy in policies if policy["podSelector"]["matchLabels"].items() <= labels]
    assert len(covering) == 1
    assert set(covering[0]["policyTypes"]) == {"Ingress", "Egress"}
    assert all(rule.get("ports") for kind in ("ingress", "egress") for rule in covering[0].get(kind, []))


@pytest.mark.parametrize(("folder", "name"), ALL_PODS)
def test_every_config_map_that_a_pod_takes_stands_in_its_folder(folder: str, name: str) -> None:
    known = {d["metadata"]["name"] for d in built(folder, kubectls()[0]) if d["kind"] == "ConfigMap"}
    spec = pod(folder, name)
    taken = {source["configMapRef"]["name"] for c in containers(spec) for source in c["envFrom"]}
    taken |= {volume["configMap"]["name"] for volume in spec["volumes"] if "configMap" in volume}
    assert taken
    assert taken <= known


# --- what the pods run -----------------------------------------------------------------------------------------------


def mora_calls(folder: str) -> list[list[str]]:
    """Every call of mora in a folder's pods, as words."""
    calls = []
    for _, spec in pods(folder):
        for container in containers(spec):
            if "command" not in container:
                calls.append(container["args"])
            elif container["command"][0] == "sh":
                calls += [
                    shlex.split(line)[1:] for line in container["command"][-1].splitlines() if line[:5] == "mora "
                ]
    # What a shell makes of the rest is not mora's: a redirection, another command.
    return [list(takewhile(lambda word: word not in (">", "||"), call)) for call in calls]


@pytest.mark.parametrize("folder", RUN_MORA)
def test_every_call_of_mora_has_options_that_exist(folder: str, tmp_path: Path) -> None:
    calls = mora_calls(folder)
    assert calls
    for call in calls:
        # --help is looked at after the options before it were understood.
        told = mora(*call, "--help", cwd=tmp_path)
        assert told.returncode == 0, told.stderr


@pytest.mark.parametrize("folder", RUN_MORA)
def test_every_variable_is_a_setting_of_mora(folder: str) -> None:
    maps = [d.get("data", {}) for d in built(folder, kubectls()[0]) if d["kind"] == "ConfigMap"]
    values = {entry["name"]: "shop" for _, spec in pods(folder) for c in containers(spec) for entry in c["env"]}
    values |= {name: value for one in maps for name, value in one.items()}
    settings = load_settings({}, {name: value for name, value in values.items() if name.startswith("MORA_")})
    assert settings.prometheus.url == "http://prometheus-operated.monitoring:9090"


def test_the_locustfiles_are_those_of_the_experiments() -> None:
    for name in ("browsing.py", "checkout.py"):
        copied, original = ROOT / "manifests" / "load" / name, ROOT / "experiments" / "scenarios" / name
        assert copied.read_text(encoding="utf-8") == original.read_text(encoding="utf-8")


class _Shop(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.slow
def test_master_and_workers_drive_a_shop_with_the_manifests_own_arguments(tmp_path: Path) -> None:
    shop = ThreadingHTTPServer(("127.0.0.1", 0), _Shop)
    threading.Thread(target=shop.serve_forever, daemon=True).start()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (settings,) = [d["data"] for d in built("load", kubectls()[0]) if d["metadata"]["name"] == "mora-load-settings"]
    asked = {
        **settings,
        "LOCUST_LOCUSTFILE": str(ROOT / "manifests/load" / Path(settings["LOCUST_LOCUSTFILE"]).name),
        "LOCUST_HOST": f"http://127.0.0.1:{shop.server_port}",
        "LOCUST_USERS": "4",
        "LOCUST_RUN_TIME": "3s",
        "LOCUST_MASTER_BIND_PORT": str(port),
        "LOCUST_MASTER_NODE_PORT": str(port),
    }
    arguments = {name: spec["containers"][0]["args"] for name, spec in pods("load")}
    # The name of the Service is the one thing that only a cluster knows.
    services = [d["metadata"]["name"] for d in built("load", kubectls()[0]) if d["kind"] == "Service"]
    assert f"--master-host={services[0]}" in arguments["mora-load-workers"]
    worker = [word.replace(services[0], "127.0.0.1") for word in arguments["mora-load-workers"]]
    locust = [sys.executable, "-m", "locust"]
    environment = {**os.environ, **asked, "HOME": str(tmp_path)}
    master = subprocess.Popen(
        [*locust, *arguments["mora-load-master"]], env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    workers = [
        subprocess.Popen([*locust, *worker], env=environment, cwd=tmp_path, stderr=subprocess.DEVNULL) for _ in "12"
    ]
    try:
        _, told = master.communicate(timeout=90)
        assert [process.wait(30) for process in workers] == [0, 0]
    finally:
        everyone: list[subprocess.Popen[Any]] = [master, *workers]
        for process in everyone:
            process.kill()
            process.wait()
        shop.shutdown()
        shop.server_close()
    assert master.returncode == 0, told
    assert "All users spawned" in told


def test_the_overlay_of_the_docs_builds_and_sets_what_it_says(tmp_path: Path) -> None:
    newest = max(found(), key=lambda kubectl: kubectl.minor)
    if not newest.is_modern:
        pytest.skip(f"kubectl {newest.version} takes no folders as resources")
    text = (ROOT / "docs" / "vpa-recommender.md").read_text(encoding="utf-8")
    (overlay,) = re.findall(r"```yaml\n(# kustomization\.yaml\n.+?)```", text, re.DOTALL)
    (tmp_path / "kustomization.yaml").write_text(overlay, encoding="utf-8")
    shutil.copytree(ROOT / "manifests", tmp_path / "mora" / "manifests")
    documents = {
        (document["kind"], document["metadata"]["name"]): document
        for document in yaml.safe_load_all(newest.run("kustomize", str(tmp_path)))
    }
    assert {document["metadata"]["namespace"] for document in documents.values()} == {"shop"}
    pod = documents["Deployment", "mora-recommender"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == f"images.example/platform/mora:{__version__}-slim"
    settings = documents["ConfigMap", "mora-recommender-settings"]["data"]
    assert settings == {"MORA_PROMETHEUS_URL": "http://prometheus.metrics:9090"}


# --- the image -------------------------------------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    """(INSTRUCTION, rest) of the Dockerfile; comments gone, lines that go on joined."""
    lines = [
        line for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines() if not line.startswith("#")
    ]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in joined if line.strip())]


def stages() -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """Stage -> what it is built from, and its instructions."""
    found: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    for name, rest in instructions():
        if name == "FROM":
            base, _, stage = rest.partition(" AS ")
            found[stage] = (base, [])
        else:
            found[stage][1].append((name, rest))
    return found


def line_of(target: str) -> list[str]:
    """A target and the stages that it stands on, down to the base image."""
    known, names = stages(), [target]
    while (base := known[names[-1]][0]) in known:
        names.append(base)
    return [*names, base]


def test_two_targets_run_as_a_number_that_is_not_root_and_the_full_one_is_the_default() -> None:
    known = stages()
    assert list(known)[-1] == "full"
    for target in ("slim", "full"):
        assert line_of(target) == [target, "runtime", "python:3.11-slim-bookworm"]
        # What is shipped is copied from a stage that was built; nothing is installed or run in it.
        shipped = [*known["runtime"][1], *known[target][1]]
        assert "RUN" not in [name for name, _ in shipped]
        assert [rest for name, rest in shipped if name == "COPY"] == [f"--from=build-{target} /opt/mora /opt/mora"]
        assert [rest for name, rest in shipped if name == "USER"] == ["65532:65532"]
        assert json.loads(dict(shipped)["ENTRYPOINT"]) == ["mora"]
        assert line_of(f"build-{target}")[-1] == "python:3.11-slim-bookworm"
    assert {spec["securityContext"]["runAsUser"] for folder, _ in ALL_PODS for _, spec in pods(folder)} == {65532}


def test_the_image_installs_what_the_lock_pins_and_fetches_nothing_else() -> None:
    found = instructions()
    assert {name for name, _ in found} <= {
        "FROM",
        "ENV",
        "ARG",
        "WORKDIR",
        "RUN",
        "COPY",
        "LABEL",
        "USER",
        "ENTRYPOINT",
        "CMD",
    }
    runs = " ; ".join(rest for name, rest in found if name == "RUN")
    installs = re.findall(r"pip (?:install|wheel) ([^&;]+)", runs)
    assert all("--constraint requirements.lock" in one or "--no-deps" in one for one in installs)
    assert not re.search(r"curl|wget|apt-get|http", runs)
    assert f'image.version="{__version__}"' in dict(found)["LABEL"]


def packages(*extras: str) -> set[str]:
    """The names that scripts/packages.py prints."""
    command = [sys.executable, "scripts/packages.py", *extras]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in told.splitlines()}


def test_slim_has_the_base_and_its_extras_and_full_has_all() -> None:
    chosen = {
        name: words.strip('"').split()
        for rest in (rest for name, rest in instructions() if name == "ARG")
        for name, _, words in [rest.partition("=")]
    }
    assert packages() == BASE
    for extras in (chosen["SLIM"], chosen["FULL"]):
        assert packages(*extras) == {package for extra in extras for package in EXTRAS[extra].values()}
    assert sorted(chosen["SLIM"] + chosen["FULL"]) == sorted(EXTRAS)
    assert not {"train", "collect", "sandbox"} & set(chosen["SLIM"])
    runs = {stage: " ".join(rest for name, rest in inside if name == "RUN") for stage, (_, inside) in stages().items()}
    assert "packages.py > base.txt && python packages.py $SLIM > slim.txt" in runs["packages-slim"]
    assert "packages.py $FULL > full.txt" in runs["packages-full"]


def test_an_extra_that_is_not_there_stops_the_build_of_the_image() -> None:
    command = [sys.executable, "scripts/packages.py", "trian"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert told.stderr.startswith("pyproject.toml has no extra 'trian'; it has: train, ")


def test_everything_that_is_copied_into_the_image_is_there_and_let_through() -> None:
    let_through = [
        line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")
    ]
    copied = [
        word for name, rest in instructions() if name == "COPY" and "--from" not in rest for word in rest.split()[:-1]
    ]
    assert sorted(copied) == sorted(let_through)
    assert all((ROOT / path).exists() for path in copied)
    packaged = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert all(f'"{path}" = ' in packaged for path in copied if path.startswith("experiments"))
