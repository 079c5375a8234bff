"""The queries of promql.py, evaluated by the real `promtool test rules` on series with the known traps."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mora import metrics
from mora.domain import Workload
from mora.errors import BadInput
from mora.sources.prometheus import promql
from mora.tools import find_tool

FRONTEND = Workload("shop", "frontend")
TEXTS = promql.queries(FRONTEND, rate_window="1m", node_rate_window="1m")
MIB = 2**20

Answer = Mapping[str, float]  # labels in braces -> value; empty: no series


def one(value: float) -> Answer:
    return {"{}": value}


def windows(folder: Path, series: Mapping[str, str], expected: Mapping[str, Answer], *, at: str = "10m") -> None:
    """Asserts that each text answers exactly these series at a moment; series: notation of promtool, every 15 s."""
    tests = [
        {
            # Rounded, as promtool compares floats to the last bit.
            "expr": f"round(({text}),0.000001)",
            "eval_time": at,
            "exp_samples": [{"labels": labels, "value": value} for labels, value in answer.items()],
        }
        for text, answer in expected.items()
    ]
    written = [{"series": name, "values": values} for name, values in series.items()]
    file = folder / "rules_test.yml"
    file.write_text(
        yaml.safe_dump(
            {
                "rule_files": [],
                "evaluation_interval": "15s",
                "tests": [{"interval": "15s", "input_series": written, "promql_expr_test": tests}],
            }
        ),
        encoding="utf-8",
    )
    done = subprocess.run(
        [str(find_tool("promtool")), "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def pod(
    name: str,
    owner: str,
    *,
    node: str = "node-1",
    namespace: str = "shop",
    kind: str = "ReplicaSet",
    host_network: str = "false",
) -> dict[str, str]:
    labels = f'namespace="{namespace}",pod="{name}"'
    return {
        f'kube_pod_owner{{{labels},owner_kind="{kind}",owner_name="{owner}"}}': "1x400",
        f'kube_pod_info{{{labels},node="{node}",host_network="{host_network}"}}': "1x400",
    }


def replica_set(name: str, deployment: str, *, namespace: str = "shop") -> dict[str, str]:
    labels = f'namespace="{namespace}",replicaset="{name}",owner_kind="Deployment",owner_name="{deployment}"'
    return {f"kube_replicaset_owner{{{labels}}}": "1x400"}


def use(name: str, container: str, *, cores: float, mebibytes: float, namespace: str = "shop") -> dict[str, str]:
    labels = f'namespace="{namespace}",pod="{name}",container="{container}",image="shop:1"'
    return {
        f"container_cpu_usage_seconds_total{{{labels}}}": f"0+{cores * 15}x400",
        f"container_memory_working_set_bytes{{{labels}}}": f"{mebibytes * MIB:.0f}x400",
    }


def traffic(name: str, *, rx: float, tx: float, interface: str = "eth0") -> dict[str, str]:
    labels = f'namespace="shop",pod="{name}",interface="{interface}"'
    return {
        f"container_network_receive_bytes_total{{{labels}}}": f"0+{rx * 15}x400",
        f"container_network_transmit_bytes_total{{{labels}}}": f"0+{tx * 15}x400",
    }


def node(name: str, *, cpu: float, memory: float) -> dict[str, str]:
    """A node of two cores, one busier than the other; node_uname_info says whose address it is."""
    at = f'instance="10.0.0.{name[-1]}:9100"'
    return {
        f'node_uname_info{{{at},nodename="{name}"}}': "1x400",
        f'node_cpu_seconds_total{{{at},mode="idle",cpu="0"}}': f"0+{(1.05 - cpu) * 15}x400",
        f'node_cpu_seconds_total{{{at},mode="idle",cpu="1"}}': f"0+{(0.95 - cpu) * 15}x400",
        f"node_memory_MemTotal_bytes{{{at}}}": "1000x400",
        f"node_memory_MemAvailable_bytes{{{at}}}": f"{1000 * (1 - memory):.0f}x400",
    }


def status(name: str, container: str, *, restarts: str = "0x400") -> dict[str, str]:
    labels = f'namespace="shop",pod="{name}",container="{container}",uid="u-{name}"'
    return {f"kube_pod_container_status_restarts_total{{{labels}}}": restarts}


def allocated(name: str, container: str, **amounts: float) -> dict[str, str]:
    """requests_cpu, limits_cpu (cores), requests_memory, limits_memory (bytes) as kube-state-metrics shows them."""
    labels = f'namespace="shop",pod="{name}",container="{container}"'
    return {
        f"kube_pod_container_resource_{side}"
        f'{{{labels},resource="{resource}",unit="{"core" if resource == "cpu" else "byte"}"}}': f"{amount}x400"
        for (side, resource), amount in ((name.split("_"), amount) for name, amount in amounts.items())
    }


def lasting(series: Mapping[str, str]) -> dict[str, str]:
    """The owner chain for twice as long."""
    return {name: "1x800" if "owner_kind" in name else values for name, values in series.items()}


AVAILABLE = {'kube_deployment_status_replicas_available{namespace="shop",deployment="frontend"}': "2x400"}

# frontend: two pods of two containers on two nodes, and next to it all that a careless query would count in.
SHOP: dict[str, str] = {
    **AVAILABLE,
    **replica_set("frontend-5d", "frontend"),
    **pod("frontend-5d-a", "frontend-5d", node="node-1"),
    **pod("frontend-5d-b", "frontend-5d", node="node-2"),
    **use("frontend-5d-a", "server", cores=0.1, mebibytes=100),
    **use("frontend-5d-b", "server", cores=0.25, mebibytes=80),
    **use("frontend-5d-a", "istio-proxy", cores=0.02, mebibytes=40),
    **use("frontend-5d-b", "istio-proxy", cores=0.03, mebibytes=30),
    **traffic("frontend-5d-a", rx=1000, tx=2000),
    **traffic("frontend-5d-b", rx=3000, tx=500),
    **status("frontend-5d-a", "server"),
    **status("frontend-5d-b", "server", restarts="0x20 1x380"),
    **status("frontend-5d-a", "istio-proxy"),
    **status("frontend-5d-b", "istio-proxy"),
    **allocated("frontend-5d-a", "server", requests_cpu=0.2, limits_cpu=0.5, requests_memory=128 * MIB),
    **allocated("frontend-5d-b", "server", requests_cpu=0.2, limits_cpu=0.5, requests_memory=128 * MIB),
    **node("node-1", cpu=0.5, memory=0.75),
    **node("node-2", cpu=0.625, memory=0.25),
    # the whole pod and its pause container, as cgroups above and beside the real containers
    **use("frontend-5d-a", "", cores=0.9, mebibytes=900),
    **use("frontend-5d-a", "POD", cores=0.4, mebibytes=400),
    # loopback and a bridge of the node
    **traffic("frontend-5d-a", rx=7e6, tx=7e6, interface="lo"),
    **traffic("frontend-5d-a", rx=8e6, tx=8e6, interface="veth12ab"),
    # another Deployment, whose pods a regex `frontend-.*` matches
    'kube_deployment_status_replicas_available{namespace="shop",deployment="frontend-canary"}': "1x400",
    **replica_set("frontend-canary-7f", "frontend-canary"),
    **pod("frontend-canary-7f-x", "frontend-canary-7f", node="node-3"),
    **use("frontend-canary-7f-x", "server", cores=1.5, mebibytes=700),
    **traffic("frontend-canary-7f-x", rx=9e6, tx=9e6),
    **status("frontend-canary-7f-x", "server", restarts="0x10 7x390"),
    **node("node-3", cpu=0.95, memory=0.95),
    # a Deployment of the same name elsewhere
    'kube_deployment_status_replicas_available{namespace="test",deployment="frontend"}': "9x400",
    **replica_set("frontend-5d", "frontend", namespace="test"),
    **pod("frontend-5d-a", "frontend-5d", namespace="test"),
    **use("frontend-5d-a", "server", cores=2, mebibytes=2000, namespace="test"),
}

EXPECTED: dict[str, Answer] = {
    "cpu_cores_value": {'{container="server"}': 0.25, '{container="istio-proxy"}': 0.03},
    "mem_bytes_value": {'{container="server"}': 100 * MIB, '{container="istio-proxy"}': 40 * MIB},
    "net_rx_bytes_value": one(4000),
    "net_tx_bytes_value": one(2500),
    "pod_restarts_value": one(1),
    "replica_count_value": one(2),
    "node_cpu_util_value": one(0.625),
    "node_mem_util_value": one(0.75),
    "cpu_cores_total": one(0.4),
    "mem_bytes_total": one(250 * MIB),
    # the sidecar has no CPU limit; the server has one, but no CFS counters are scraped here
    "throttled_ratio": {'{container="istio-proxy"}': 0},
    "oom_kills": {'{container="server"}': 0, '{container="istio-proxy"}': 0},
    "cpu_request_cores": {'{container="server"}': 0.2},
    "cpu_limit_cores": {'{container="server"}': 0.5},
    "mem_request_bytes": {'{container="server"}': 128 * MIB},
    "mem_limit_bytes": {},
}


def with_label(series: Mapping[str, str], label: str) -> dict[str, str]:
    return {name.replace("{", "{" + label + ",", 1): values for name, values in series.items()}


def test_every_measured_metric_has_a_text_and_an_expected_answer_here() -> None:
    prometheus_extras = metrics.EXTRA_COLUMNS[: metrics.EXTRA_COLUMNS.index("requests_per_second")]
    assert set(TEXTS) == set(metrics.MEASURED_COLUMNS) | set(prometheus_extras) == set(EXPECTED)


def test_a_workload_is_its_own_pods_and_containers_and_nothing_beside_them(tmp_path: Path) -> None:
    windows(tmp_path, SHOP, {TEXTS[column]: answer for column, answer in EXPECTED.items()})


def test_doubled_scrapes_change_no_metric(tmp_path: Path) -> None:
    doubled = {**with_label(SHOP, 'job="kubelet"'), **with_label(SHOP, 'job="cadvisor"')}
    windows(tmp_path, doubled, {TEXTS[column]: answer for column, answer in EXPECTED.items()})


def test_one_node_under_two_addresses_is_one_node(tmp_path: Path) -> None:
    twice = {**SHOP, **{name.replace("10.0.0.1:9100", "node-1.lan:9100"): v for name, v in SHOP.items()}}
    windows(tmp_path, twice, {TEXTS[c]: EXPECTED[c] for c in ("node_cpu_util_value", "node_mem_util_value")})


def test_a_counter_that_restarts_at_zero_is_no_negative_rate(tmp_path: Path) -> None:
    counter = (
        'container_cpu_usage_seconds_total{namespace="shop",pod="frontend-5d-a",container="server",image="shop:1"}'
    )
    assert counter in SHOP
    reset = {**SHOP, counter: "0+1.5x38 1.5+1.5x360"}
    windows(
        tmp_path,
        reset,
        {TEXTS["cpu_cores_value"]: EXPECTED["cpu_cores_value"], TEXTS["cpu_cores_total"]: one(0.4)},
    )


def test_a_pod_that_was_replaced_leaves_every_figure_though_its_series_linger(tmp_path: Path) -> None:
    old = {
        **replica_set("frontend-4c", "frontend"),
        **dict.fromkeys(pod("frontend-4c-z", "frontend-4c", node="node-3"), "1x20 stale"),
        **use("frontend-4c-z", "server", cores=3, mebibytes=999),
        **traffic("frontend-4c-z", rx=5e6, tx=5e6),
        **status("frontend-4c-z", "server", restarts="0x10 5x390"),
    }
    windows(tmp_path, {**SHOP, **old}, {TEXTS[column]: answer for column, answer in EXPECTED.items()})
    then = {
        TEXTS["cpu_cores_value"]: {'{container="server"}': 3, '{container="istio-proxy"}': 0.03},
        TEXTS["cpu_cores_total"]: one(3.4),
        TEXTS["node_cpu_util_value"]: one(0.95),
    }
    windows(tmp_path, {**SHOP, **old}, then, at="4m")


def test_a_pod_on_the_hosts_network_reports_the_node_and_is_left_out_of_the_traffic(tmp_path: Path) -> None:
    host = {
        **pod("frontend-5d-h", "frontend-5d", host_network="true"),
        **use("frontend-5d-h", "server", cores=0.2, mebibytes=50),
        **traffic("frontend-5d-h", rx=6e7, tx=6e7),
    }
    expected = {
        TEXTS["net_rx_bytes_value"]: one(4000),
        TEXTS["net_tx_bytes_value"]: one(2500),
        TEXTS["cpu_cores_total"]: one(0.6),
    }
    windows(tmp_path, {**SHOP, **host}, expected)
    alone = {**replica_set("frontend-5d", "frontend"), **host}
    windows(tmp_path, alone, {TEXTS["net_rx_bytes_value"]: {}})  # not known, which is not 0


def test_network_counters_that_carry_the_pause_container_count_as_well(tmp_path: Path) -> None:
    labelled = {
        name.replace("{", '{container="POD",', 1) if "_network_" in name else name: values
        for name, values in SHOP.items()
    }
    windows(tmp_path, labelled, {TEXTS["net_rx_bytes_value"]: one(4000)})


def test_restarts_are_zero_for_a_service_without_pods_and_unknown_for_none(tmp_path: Path) -> None:
    scaled_to_zero = dict.fromkeys(AVAILABLE, "0x400")
    windows(tmp_path, scaled_to_zero, {TEXTS["pod_restarts_value"]: one(0), TEXTS["replica_count_value"]: one(0)})
    windows(tmp_path, {'up{job="x"}': "1x400"}, {text: {} for text in TEXTS.values()})


def test_one_restart_reads_as_one_however_increase_extrapolates(tmp_path: Path) -> None:
    restarted = {**lasting(SHOP), **status("frontend-5d-b", "server", restarts="3x400 4x400")}
    windows(tmp_path, restarted, {TEXTS["pod_restarts_value"]: one(1)}, at="105m5s")


def oom(name: str, *, restarts: str, reason: str = "OOMKilled", events: str | None = None) -> dict[str, str]:
    labels = f'namespace="shop",pod="{name}",container="server"'
    series = {
        **status(name, "server", restarts=restarts),
        f'kube_pod_container_status_last_terminated_reason{{{labels},uid="u-{name}",reason="{reason}"}}': "1x800",
    }
    if events is not None:
        series[f"container_oom_events_total{{{labels}}}"] = events
    return series


def ended(name: str, values: str) -> dict[str, str]:
    """A container that an OOM kill ended; the gauge is there as long as nothing starts it again."""
    labels = f'namespace="shop",pod="{name}",container="server",uid="u-{name}",reason="OOMKilled"'
    counter = status(name, "server", restarts="0x800")
    return {**counter, f"kube_pod_container_status_terminated_reason{{{labels}}}": values}


def test_memory_that_was_swapped_out_counts(tmp_path: Path) -> None:
    labels = 'namespace="shop",pod="frontend-5d-b",container="server",image="shop:1"'
    swapped = {**SHOP, f"container_memory_swap{{{labels}}}": f"{50 * MIB}x400"}
    hottest = {'{container="server"}': 130 * MIB, '{container="istio-proxy"}': 40 * MIB}
    windows(tmp_path, swapped, {TEXTS["mem_bytes_value"]: hottest, TEXTS["mem_bytes_total"]: one(300 * MIB)})


@pytest.mark.parametrize(
    ("series", "at", "kills"),
    [
        pytest.param(ended("frontend-5d-a", "_x20 1x780"), "10m", 1, id="killed, and not started again"),
        pytest.param(ended("frontend-5d-a", "_x20 1x780"), "90m", 0, id="it stays as it ended"),
        pytest.param(
            {**ended("frontend-5d-a", "_x18 1x2 _x780"), **oom("frontend-5d-a", restarts="0x20 1x780")},
            "10m",
            1,
            id="killed, and started again",
        ),
        pytest.param(oom("frontend-5d-a", restarts="0x20 1x780"), "10m", 1, id="killed ten minutes ago"),
        pytest.param(oom("frontend-5d-a", restarts="0x20 1x780"), "90m", 0, id="killed long ago, the gauge stays at 1"),
        pytest.param(
            oom("frontend-5d-a", restarts="0x20 1x780", reason="Error"), "10m", 0, id="ended by something else"
        ),
        pytest.param(
            {
                **oom("frontend-5d-a", restarts="0x20 1x780"),
                **oom("frontend-5d-b", restarts="0x20 1x5 2x775"),
            },
            "10m",
            3,
            id="all pods together",
        ),
        pytest.param(oom("frontend-5d-a", restarts="0x800", events="0x20 2x780"), "10m", 2, id="a worker, no restart"),
        pytest.param(oom("frontend-5d-a", restarts="0x20 1x780", events="0x800"), "10m", 1, id="cAdvisor forgot it"),
        pytest.param(
            {
                name.replace(',uid="u-frontend-5d-a"', ""): values
                for name, values in oom("frontend-5d-a", restarts="0x800", events="0x20 2x780").items()
            },
            "10m",
            2,
            id="one exporter gives both counts the same labels",
        ),
    ],
)
def test_an_oom_kill_counts_in_its_own_hour_only(tmp_path: Path, series: dict[str, str], at: str, kills: float) -> None:
    base = {
        **replica_set("frontend-5d", "frontend"),
        **pod("frontend-5d-a", "frontend-5d"),
        **pod("frontend-5d-b", "frontend-5d"),
        **series,
    }
    base = {
        name: "1x800" if name.startswith("kube_pod_owner") or "replicaset" in name else v for name, v in base.items()
    }
    windows(tmp_path, base, {TEXTS["oom_kills"]: {'{container="server"}': kills}}, at=at)


def cfs(name: str, *, throttled: float, periods: float = 150) -> dict[str, str]:
    labels = f'namespace="shop",pod="{name}",container="server"'
    return {
        f"container_cpu_cfs_periods_total{{{labels}}}": f"0+{periods}x400",
        f"container_cpu_cfs_throttled_periods_total{{{labels}}}": f"0+{throttled}x400",
    }


def test_throttling_is_that_of_the_worst_pod(tmp_path: Path) -> None:
    series = {**SHOP, **cfs("frontend-5d-a", throttled=15), **cfs("frontend-5d-b", throttled=75)}
    windows(
        tmp_path,
        {**series, **cfs("frontend-canary-7f-x", throttled=150)},
        {TEXTS["throttled_ratio"]: {'{container="server"}': 0.5, '{container="istio-proxy"}': 0}},
    )


def test_a_container_that_ran_no_period_was_not_throttled(tmp_path: Path) -> None:
    series = {**SHOP, **cfs("frontend-5d-a", throttled=0, periods=0)}
    windows(tmp_path, series, {TEXTS["throttled_ratio"]: {'{container="server"}': 0, '{container="istio-proxy"}': 0}})


def test_throttling_is_unknown_where_a_limit_is_set_or_nothing_is_known(tmp_path: Path) -> None:
    base = {**replica_set("frontend-5d", "frontend"), **pod("frontend-5d-a", "frontend-5d")}
    limited = {**base, **status("frontend-5d-a", "server"), **allocated("frontend-5d-a", "server", limits_cpu=0.5)}
    windows(tmp_path, limited, {TEXTS["throttled_ratio"]: {}})
    windows(tmp_path, base, {TEXTS["throttled_ratio"]: {}})


@pytest.mark.parametrize(
    ("kind", "metric"),
    [
        ("StatefulSet", 'kube_statefulset_status_replicas_ready{namespace="shop",statefulset="frontend"}'),
        ("DaemonSet", 'kube_daemonset_status_number_available{namespace="shop",daemonset="frontend"}'),
    ],
)
def test_pods_of_other_kinds_are_found_by_their_kind(tmp_path: Path, kind: str, metric: str) -> None:
    workload = Workload("shop", "frontend", kind)
    texts = promql.queries(workload, rate_window="1m", node_rate_window="1m")
    series = {
        **SHOP,
        metric: "1x400",
        **pod("frontend-0", "frontend", kind=kind),
        **use("frontend-0", "server", cores=0.75, mebibytes=64),
    }
    expected = {
        texts["cpu_cores_value"]: {'{container="server"}': 0.75},
        texts["mem_bytes_total"]: one(64 * MIB),
        texts["replica_count_value"]: one(1),
    }
    windows(tmp_path, series, expected)


def test_the_annotation_of_the_default_container_is_read_from_the_workloads_own_pods(tmp_path: Path) -> None:
    annotation = promql.DEFAULT_CONTAINER_LABEL
    series = {
        **SHOP,
        f'kube_pod_annotations{{namespace="shop",pod="frontend-5d-a",{annotation}="server"}}': "1x400",
        f'kube_pod_annotations{{namespace="shop",pod="frontend-canary-7f-x",{annotation}="other"}}': "1x400",
    }
    windows(tmp_path, series, {promql.default_container(FRONTEND): {f'{{{annotation}="server"}}': 1}})


def test_the_rate_windows_stand_open_until_they_are_known() -> None:
    text = promql.queries(FRONTEND)["cpu_cores_value"]
    assert "[$__rate_window]" in text
    assert "[1m]" in TEXTS["cpu_cores_value"]


@given(st.text())
def test_a_quoted_value_is_one_string_that_reads_back_as_it_was(value: str) -> None:
    inside = promql.quoted(value)[1:-1]
    plain = inside.replace("\\\\", "").replace('\\"', "")
    assert '"' not in plain
    assert "\n" not in plain
    assert inside.replace("\\\\", "\0").replace('\\"', '"').replace("\\n", "\n").replace("\0", "\\") == value or (
        "\0" in value
    )


def test_a_name_that_is_no_kubernetes_name_enters_no_text() -> None:
    with pytest.raises(BadInput, match="namespace"):
        promql.container_counters('shop"} or up{x="')


def test_a_duration_is_exact_to_the_millisecond() -> None:
    assert promql.duration(timedelta(seconds=0.25)) == "250ms"
