"""mora health watch: score services as their samples come, and answer over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from mora.cli.common import EXIT_CHANGE_DUE, PrometheusUrl, log, settings_of, show
from mora.cli.health_common import HealthDir
from mora.errors import BadInput, MoraError

if TYPE_CHECKING:
    from mora.health.stored import Key, Stored
    from mora.settings import Settings

_LISTEN = "127.0.0.1:8944"
_OUTPUTS = ("table", "json")


def watch(
    services: Annotated[
        list[str] | None, typer.Argument(help="NAME or NAMESPACE/NAME; without any, see --all.", show_default=False)
    ] = None,
    everything: Annotated[
        bool,
        typer.Option(
            "--all", help="Every service that has a detector, also those that are trained later; the default."
        ),
    ] = False,
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="Services of this namespace.", show_default="all")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Look once, print what is known, and exit.")] = False,
    output: Annotated[str, typer.Option("--output", "-o", help="With --once: table or json.")] = "table",
    fail_on_anomaly: Annotated[
        bool, typer.Option("--fail-on-anomaly", help="With --once: exit with 3 where a service is abnormal.")
    ] = False,
    listen: Annotated[
        str,
        typer.Option(
            "--listen", help="Address of the API and of /metrics; in a pod: 0.0.0.0:8944. Who reaches it may read."
        ),
    ] = _LISTEN,
    alias: Annotated[
        bool, typer.Option("--alias", help="Export the score under its plain name, anomaly_score, as well.")
    ] = False,
    prometheus: PrometheusUrl = None,
    health: HealthDir = None,
) -> None:
    """Watch services: score each new sample, export the scores, answer over HTTP.

    It reads what is new at each step of a detector, of all services in a few
    queries. It keeps nothing on disk, so several may watch one Prometheus.
    While Prometheus is away, and for a service without data, the state is
    unknown, never healthy. Train the detectors first: mora health train.

    \b
    mora health watch --prometheus http://127.0.0.1:9090
    mora health watch frontend shop/cart --prometheus URL --once
    curl http://127.0.0.1:8944/health/default/frontend
    curl http://127.0.0.1:8944/metrics
    """
    from mora.serving.http import parse_address

    if output not in _OUTPUTS:
        raise BadInput(f"{output!r} is not an output.", hint=f"Known: {', '.join(_OUTPUTS)}.")
    if not once and (output != "table" or fail_on_anomaly):
        raise BadInput("--output and --fail-on-anomaly are of a single look.", hint="Add --once, or leave them out.")
    if services and everything:
        raise BadInput("Services are named, and --all is given.", hint="Leave out one of them.")
    address = parse_address(listen, example=_LISTEN)
    settings = settings_of(prometheus_url=prometheus, health_dir=health)
    stored = stored_of(settings, services or (), namespace, may_be_empty=everything)
    if once:
        _look(settings, stored, output, fails=fail_on_anomaly)
        return
    from mora.extras import require

    require("serve", by="mora health watch")
    from mora import pipeline
    from mora.health.live import LiveReader
    from mora.web.watching import Watch
    from mora.web.watching import watch as run

    source = pipeline.open_prometheus(settings, discover=True, say=lambda words: log("info", words))
    run(Watch(stored, LiveReader(source), log, has_alias=alias), address)


def stored_of(settings: Settings, names: Sequence[str], namespace: str | None, *, may_be_empty: bool) -> Stored:
    """The detectors of the services that are named, or of all; BadInput where one that is named has none."""
    from mora.domain import check_name
    from mora.health.folder import list_detectors
    from mora.health.stored import Stored

    if namespace is not None:
        check_name(namespace, "namespace")
    wanted = [_key(name, namespace or settings.namespace) for name in names]
    known = list_detectors(settings.health_dir)
    for space, service in wanted:
        if (space, service) not in known:
            there = ", ".join(f"{other}/{name}" for other, name in known[:20])
            raise BadInput(
                f"There is no detector of {space}/{service} in {settings.health_dir}"
                + (f"; there are those of {there}." if there else "."),
                hint=f"Train one: mora health train {service} -n {space}",
            )
    if not may_be_empty and not any(namespace in (None, space) for space, _ in known):
        where = f"of namespace {namespace!r} " if namespace else ""
        raise BadInput(
            f"No service {where}has a detector in {settings.health_dir}.",
            hint="Train one: mora health train frontend; or wait for the first with --all.",
        )
    return Stored(settings.health_dir, wanted or None, namespace)


def _key(name: str, namespace: str) -> Key:
    from mora.domain import check_name

    space, slash, service = name.rpartition("/")
    return check_name(space if slash else namespace, "namespace"), check_name(service, "service name")


def _look(settings: Settings, stored: Stored, output: str, *, fails: bool) -> None:
    """One look, printed; exit with 3 where a service is abnormal, if that is asked for."""
    from mora import pipeline
    from mora.files import json_text
    from mora.health.board import Board
    from mora.health.events import State
    from mora.health.live import LiveReader
    from mora.health.statuses import status_document, statuses_text
    from mora.health.watch import Watcher

    source = pipeline.open_prometheus(settings, discover=True, say=lambda words: log("info", words))
    board = Board()
    Watcher(stored, LiveReader(source), board, log=log).tick()
    shown = board.shown()
    if shown.problem is not None:
        raise MoraError(shown.problem, hint="Nothing is known of any service meanwhile.")
    # As of when it was looked: however long the look took, it says nothing of a later moment.
    found = shown.find(now=shown.at or datetime.now(UTC))
    if output == "json":
        show(json_text({"services": [status_document(one) for one in found]}).rstrip("\n"))
    else:
        show(statuses_text(found))
    if fails and any(one.state == State.ABNORMAL for one in found):
        raise typer.Exit(EXIT_CHANGE_DUE)
    if fails and not any(one.state == State.HEALTHY for one in found):
        raise MoraError(
            "No service has a verdict, so it is not known whether any is abnormal.",
            hint="See the reasons above: is it running, is it scraped?",
        )
