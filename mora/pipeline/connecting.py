"""Connecting to a source of metrics by its registered name; to the Prometheus of the settings, or of the cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from mora import registry, values
from mora.errors import BadInput
from mora.extras import EXTRAS
from mora.seams import FleetSource, MetricSource

if TYPE_CHECKING:
    from mora.clusters.discovery import FoundPrometheus
    from mora.settings import Settings
    from mora.sources.prometheus.access import Access
    from mora.sources.prometheus.observe import PrometheusSource


def open_source(
    settings: Settings,
    named: str = "prometheus",
    *,
    discover: bool = False,
    say: Callable[[str], None] = lambda words: None,
) -> MetricSource:
    """The source of metrics that is named: prometheus, a cloud, or NAME:ADDRESS such as csv:../other/data.

    A cloud takes its table of the settings ([gcp]), where it has one; what an address says wins (gcp:PROJECT/CLUSTER).
    Raises BadInput where no source is registered under that name, or one that needs an address has none; see also
    open_prometheus.
    """
    name, _, address = named.partition(":")
    make: Callable[..., MetricSource] = registry.load("sources", name)
    if f"cloud-{name}" in EXTRAS:
        options = getattr(settings, name, None)
        return make(address, **{one.name: getattr(options, one.name) for one in fields(options)} if options else {})
    if name == "prometheus":
        if address:
            settings = replace(settings, prometheus=replace(settings.prometheus, url=values.url(address)))
        return open_prometheus(settings, discover=discover, say=say)
    if address:
        return make(address)
    raise BadInput(f"The source {name!r} needs an address.", hint=f"Write it behind the name: {name}:ADDRESS.")


def open_prometheus(
    settings: Settings, *, discover: bool = False, say: Callable[[str], None] = lambda words: None
) -> PrometheusSource:
    """The Prometheus that the settings name; with `discover`, else the one that the Kubernetes cluster runs.

    Raises BadInput where they name none and none is to be looked for, ClusterError where none, or several, are found.
    """
    url, access = settings.prometheus.url, access_of(settings)
    if url is None and discover:
        from mora.clusters.discovery import find_prometheus

        found = find_prometheus(settings.kubernetes.kubeconfig, settings.kubernetes.context)
        say(f"Prometheus: {found}.")
        url, access = found.url, _through(found, access)
    if url is None:
        raise BadInput(
            "Which Prometheus?",
            hint="Name it: --prometheus http://127.0.0.1:9090, or MORA_PROMETHEUS_URL, or mora.toml.",
        )
    source: PrometheusSource = registry.load("sources", "prometheus")(
        url, access=access, timeout=settings.prometheus.timeout
    )
    return source


def _through(found: FoundPrometheus, access: Access) -> Access:
    """The API server's credentials, which its proxy keeps to itself; headers such as X-Scope-OrgID are passed on."""
    return replace(
        access,
        token=found.token,
        token_file=found.token_file,
        username=None,
        password=None,
        signer=None,
        ca_file=found.ca_file,
        client_certificate=found.client_certificate,
        verify_tls=found.verify_tls,
    )


def access_of(settings: Settings, url: str | None = None) -> Access:
    """The credentials for a Prometheus, from the settings. url: where it is not that of the settings."""
    from mora.sources.doors.door import door
    from mora.sources.prometheus.access import Access

    reached = settings.prometheus
    address = url or reached.url
    certificate = reached.client_certificate
    return Access(
        headers=reached.headers,
        token_file=reached.token_file,
        username=reached.username,
        password=reached.password,
        ca_file=reached.ca_file,
        signer=door(reached.auth, address, region=reached.region) if reached.auth and address else None,
        client_certificate=None if certificate is None else (certificate, reached.client_key or certificate),
    )


def open_fleet(
    settings: Settings,
    *,
    named: str = "prometheus",
    discover: bool = False,
    say: Callable[[str], None] = lambda words: None,
) -> FleetSource:
    """A source, asked for many workloads at once: the Prometheus of the settings, or the cluster's own; or a cloud.

    Raises BadInput for a source that does not know which workloads there are, such as a folder of CSV files.
    """
    from mora.sources.prometheus.fleet import PrometheusFleet

    if named.partition(":")[0] != "prometheus" and settings.is_flag("state_dir"):
        raise BadInput(
            f"--state keeps what is read of a Prometheus, and --source is {named.partition(':')[0]}.",
            hint="Leave out --state.",
        )
    if named != "prometheus":
        source = open_source(settings, named)
        if not isinstance(source, FleetSource):
            clouds = [name for name in registry.names("sources") if f"cloud-{name}" in EXTRAS]
            raise BadInput(
                f"The source {named.partition(':')[0]!r} does not know which workloads there are.",
                hint=f"Recommend from prometheus or a cloud: --source {', '.join(clouds)}.",
            )
        return source

    return PrometheusFleet(
        open_prometheus(settings, discover=discover, say=say),
        cluster=settings.prometheus.cluster,
        state=settings.state_dir,
        say=say,
    )
