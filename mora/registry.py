"""Names -> "module:attribute", imported at first use: a new forecaster, source, policy or output is one line here."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from mora.errors import BadInput

REGISTRY: dict[str, dict[str, str]] = {
    "clusters": {
        "sandbox": "mora.clusters.sandbox:SandboxCluster",
        "kubernetes": "mora.clusters.kubernetes:KubernetesCluster",
    },
    "sources": {
        "prometheus": "mora.sources.prometheus.observe:PrometheusSource",
        "csv": "mora.sources.csvfile:CsvSource",
    },
    "forecasters": {
        "prophet": "mora.forecasters.prophet:ProphetForecaster",
        "lstm": "mora.forecasters.lstm:LstmForecaster",
        "naive": "mora.forecasters.naive:NaiveForecaster",
    },
    "policies": {
        "default": "mora.policies:recommend",
    },
    "replay_policies": {
        "mora": "mora.backtest.mora_policy:mora",
        "mora-point": "mora.backtest.mora_policy:mora_point",
        "krr": "mora.backtest.rules:krr",
        "vpa": "mora.backtest.rules:vpa",
        "p99": "mora.backtest.rules:p99",
        "peak": "mora.backtest.rules:peak",
        "last": "mora.backtest.rules:last",
    },
    "outputs": {
        "table": "mora.outputs.table:render",
        "json": "mora.outputs.json:render",
        "csv": "mora.outputs.csv:render",
        "yaml": "mora.outputs.yaml:render",
        "patch": "mora.outputs.patch:render",
        "kustomize": "mora.outputs.kustomize:render",
        "helm-values": "mora.outputs.helm:render",
        "vpa": "mora.outputs.vpa:render",
        "hpa": "mora.outputs.hpa:render",
        "commands": "mora.outputs.commands:render",
        "resize": "mora.outputs.resize:render",
        "pr-body": "mora.outputs.pr_body:render",
        "explain": "mora.outputs.explain:render",
    },
}


def names(seam: str) -> list[str]:
    """What is registered under a seam, in its order."""
    return list(REGISTRY[seam])


def load(seam: str, name: str) -> Any:
    """The registered object; BadInput with the names that exist where `name` is not one of them."""
    entries = REGISTRY[seam]
    if name not in entries:
        raise BadInput(f"There is no {name!r} among the {seam}.", hint=f"Known: {', '.join(entries)}.")
    module, _, attribute = entries[name].partition(":")
    return getattr(import_module(module), attribute)
