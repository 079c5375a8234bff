"""Names -> "module:attribute", imported at first use: a new forecaster, source, policy or output is one line here.

Other packages add theirs by an entry point of the group `mora.plugins`, named SEAM.NAME:

    [project.entry-points."mora.plugins"]
    "forecasters.median" = "my_package.median:MedianForecaster"

They are looked for when a name is first asked for, and imported when it is used. What each seam must be able to do is
in mora/seams.py; mora.testing has a suite for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from mora.errors import BadInput, MoraError

GROUP = "mora.plugins"
# What another package may add to; the others are MOrA's own.
OPEN_SEAMS = ("forecasters", "detectors", "sources", "policies", "outputs")
_OWN_PACKAGE = "mora-rightsizing"
Option = float | bool | str
"""The value of an option, as it can be written behind a name."""

REGISTRY: dict[str, dict[str, str]] = {
    "clusters": {
        "sandbox": "mora.clusters.sandbox:SandboxCluster",
        "kubernetes": "mora.clusters.kubernetes:KubernetesCluster",
    },
    "sources": {
        "prometheus": "mora.sources.prometheus.observe:PrometheusSource",
        "csv": "mora.sources.csvfile:CsvSource",
        "gcp": "mora.sources.gcp.source:GcpSource",
        "aws": "mora.sources.aws.source:AwsSource",
        "azure": "mora.sources.azure.source:AzureSource",
    },
    "forecasters": {
        "prophet": "mora.forecasters.prophet:ProphetForecaster",
        "lstm": "mora.forecasters.lstm:LstmForecaster",
        "naive": "mora.forecasters.naive:NaiveForecaster",
        "yesterday": "mora.forecasters.yesterday:YesterdayForecaster",
        "moving-average": "mora.forecasters.moving_average:MovingAverageForecaster",
        "xgboost": "mora.forecasters.xgboost_trees:XgboostForecaster",
        "lightgbm": "mora.forecasters.lightgbm_trees:LightgbmForecaster",
        "autoets": "mora.forecasters.statistical:AutoEts",
        "autotheta": "mora.forecasters.statistical:AutoTheta",
        "mstl": "mora.forecasters.statistical:Mstl",
        "autoarima": "mora.forecasters.statistical:AutoArima",
        "stacked": "mora.forecasters.combined:StackedForecaster",
    },
    "contestants": {
        "trained": "mora.model.contestant:WhatTrainingLearns",
        "blend": "mora.model.contestant:Blend",
    },
    "hour_forecasts": {
        "trained": "mora.model.hours:HourForecast",
    },
    "detectors": {
        "context-distance": "mora.detectors.context_distance:ContextDistance",
        "kmeans": "mora.detectors.kmeans:KMeans",
        "pca": "mora.detectors.pca:Pca",
        "seasonal-mad": "mora.detectors.seasonal_mad:SeasonalMad",
        "robust-z": "mora.detectors.robust_z:RobustZ",
        "isolation-forest": "mora.detectors.isolation_forest:IsolationForest",
        "xgboost-residual": "mora.detectors.xgboost_residual:XgboostResidual",
        "helios": "mora.detectors.xgboost_residual:Helios",
        "forecast-residual": "mora.detectors.forecast_residual:ForecastResidual",
        "netdata": "mora.detectors.netdata:Netdata",
        "grafana-robust": "mora.detectors.grafana_rules:GrafanaRobust",
        "grafana-adaptive": "mora.detectors.grafana_rules:GrafanaAdaptive",
        "autoencoder": "mora.detectors.autoencoder:DenseAutoencoder",
        "lstm-autoencoder": "mora.detectors.lstm_autoencoder:LstmAutoencoder",
    },
    "thresholds": {
        "tracking": "mora.detectors.tracking:Tracking",
        "peaks": "mora.detectors.peaks:Peaks",
        "sigma": "mora.detectors.sigma:Sigma",
        "quantile": "mora.detectors.quantile:Quantile",
        "fixed": "mora.detectors.fixed:Fixed",
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
        "wide": "mora.outputs.table:wide",
        "json": "mora.outputs.json:render",
        "csv": "mora.outputs.csv:render",
        "yaml": "mora.outputs.yaml:render",
        "patch": "mora.outputs.patch:render",
        "kustomize": "mora.outputs.kustomize:render",
        "helm-values": "mora.outputs.helm:render",
        "vpa": "mora.outputs.vpa:render",
        "hpa": "mora.outputs.hpa:render",
        "keda": "mora.outputs.keda:render",
        "commands": "mora.outputs.commands:render",
        "resize": "mora.outputs.resize:render",
        "pr-body": "mora.outputs.pr_body:render",
        "explain": "mora.outputs.explain:render",
        "html": "mora.outputs.html:render",
    },
    "repo_forms": {
        "manifests": "mora.repo.manifests:sites",
        "kustomize": "mora.repo.overlays:sites",
        "helm": "mora.repo.helm:sites",
        "operators": "mora.repo.operators:sites",
    },
}


@dataclass(frozen=True, slots=True)
class Plugin:
    """One entry point of another package. package: its name and version. value: "module:attribute"."""

    seam: str
    name: str
    value: str
    package: str


@cache
def plugins() -> tuple[Plugin, ...]:
    """The entry points of all installed packages, sorted; wrong ones included (see problem_of)."""
    from importlib.metadata import entry_points

    found = []
    for entry in entry_points(group=GROUP):
        seam, _, name = entry.name.partition(".")
        package = "an unknown package" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
        found.append(Plugin(seam, name, entry.value, package))
    return tuple(sorted(set(found), key=lambda plugin: (plugin.seam, plugin.name, plugin.package)))


def problem_of(plugin: Plugin) -> MoraError | None:
    """Why a plug-in cannot be used: a name that is taken, or that names no seam; None where it can."""
    remove = (
        f"Remove one of the packages, or ask its author for another name: pip uninstall {plugin.package.split()[0]}"
    )
    if plugin.seam not in OPEN_SEAMS or not plugin.name:
        return BadInput(
            f"The package {plugin.package} adds {plugin.seam}.{plugin.name}, which is not a name of a plug-in.",
            hint=f"A plug-in is named SEAM.NAME; the seams are {', '.join(OPEN_SEAMS)}.",
        )
    others = [_OWN_PACKAGE] if plugin.name in REGISTRY[plugin.seam] else []
    others += [
        other.package
        for other in plugins()
        if (other.seam, other.name) == (plugin.seam, plugin.name) and other != plugin
    ]
    if not others:
        return None
    packages = " and ".join(sorted([plugin.package, *others]))
    return BadInput(f"{packages} both have {plugin.name!r} among the {plugin.seam}.", hint=remove)


def names(seam: str) -> list[str]:
    """The names under a seam: MOrA's own in their order, then those of plug-ins."""
    return [*REGISTRY[seam], *(name for name in _added(seam) if name not in REGISTRY[seam])]


def package_of(seam: str, name: str) -> str | None:
    """The package that a name comes from, with its version; None for MOrA's own."""
    return None if name in REGISTRY[seam] or name not in _added(seam) else _added(seam)[name].package


def load(seam: str, name: str) -> Any:
    """The registered object.

    Raises BadInput with the names that exist where `name` is not one of them, or where two packages have it; MoraError
    naming the package where a plug-in cannot be imported.
    """
    plugin = _added(seam).get(name)
    if plugin is not None and (problem := problem_of(plugin)) is not None:
        raise problem
    if plugin is not None:
        return _load_plugin(plugin)
    if name not in REGISTRY[seam]:
        known = ", ".join(names(seam))
        raise BadInput(
            f"There is no {name!r} among the {seam}.", hint=f"Known: {known}." if known else "No package adds one."
        )
    return _attribute(REGISTRY[seam][name])


def named(seam: str, text: str) -> tuple[str, dict[str, Option]]:
    """A name and its options, as a person writes them: NAME, or NAME:OPTION=VALUE;OPTION=VALUE. Raises BadInput.

    >>> named("thresholds", "quantile:quantile=0.95")
    ('quantile', {'quantile': 0.95})
    """
    name, _, rest = text.partition(":")
    if name not in names(seam):
        raise BadInput(f"There is no {name!r} among the {seam}.", hint=f"Known: {', '.join(names(seam))}.")
    options: dict[str, Option] = {}
    for part in rest.split(";") if rest else ():
        key, separator, value = part.partition("=")
        if not separator or not key.isidentifier():
            raise BadInput(f"{text!r} has an option that cannot be read.", hint="Write NAME:OPTION=VALUE.")
        options[key] = _option(value)
    return name, options


def make(seam: str, name: str, options: Mapping[str, Option]) -> Any:
    """A new object of a registered class, with options. Raises BadInput for one that it does not take."""
    made = load(seam, name)
    try:
        return made(**options)
    except (TypeError, ValueError) as wrong:
        # Without options the fault is not of what a person wrote.
        if not options:
            raise
        raise BadInput(
            f"{name!r} does not take {', '.join(f'{key}={value}' for key, value in options.items())}: {wrong}.",
            hint="Write NAME:OPTION=VALUE;OPTION=VALUE.",
        ) from wrong


def _option(text: str) -> Option:
    if text in ("true", "false"):
        return text == "true"
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() and "." not in text else number


def _added(seam: str) -> Mapping[str, Plugin]:
    return {plugin.name: plugin for plugin in plugins() if plugin.seam == seam} if seam in OPEN_SEAMS else {}


def _load_plugin(plugin: Plugin) -> Any:
    try:
        return _attribute(plugin.value)
    # Whatever a foreign module raises while it is imported.
    except Exception as failure:
        raise MoraError(
            f"The plug-in {plugin.name!r} of {plugin.package} cannot be imported: {type(failure).__name__}: {failure}.",
            hint=f"It is {plugin.value}. Update the package, or remove it: pip uninstall {plugin.package.split()[0]}",
        ) from failure


def _attribute(value: str) -> Any:
    module, _, attribute = value.partition(":")
    found: Any = import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found
