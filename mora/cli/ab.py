"""mora ab: a challenger beside the champion, until one is better beyond doubt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mora.cli.common import DataDir, ModelsDir, Namespace, complain, on_one_line, say, settings_of, show

if TYPE_CHECKING:
    from mora.pipeline.challenging import Compared

app = typer.Typer(
    help="Try a new model beside the old one on coming windows; the better one takes over.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
_Service = Annotated[str, typer.Argument(help="The service, e.g. frontend.", show_default=False)]


@app.callback()
def _ab() -> None:
    """Try a new model beside the old one on coming windows; the better one takes over."""


@app.command("status")
def status(
    services: Annotated[
        list[str] | None, typer.Argument(help="Services; by default all with a challenger.", show_default=False)
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only look: nothing is recorded, no one takes over.")
    ] = False,
    output: Annotated[str, typer.Option("--output", "-o", help="table or json.", show_default=True)] = "table",
    namespace: Namespace = None,
    data: DataDir = None,
    models: ModelsDir = None,
) -> None:
    """Score the windows that have ended since, and say how the test stands.

    Both models forecast each hour and each day that has ended in data/ since
    the test began. Once one is better beyond doubt, the test ends: a better
    challenger becomes the champion. It may be run as often as you like, after
    each mora collect --history: looking often makes no mistake likelier.

    \b
    mora ab status                 every service with a challenger
    mora ab status frontend -o json
    """
    import json
    from datetime import UTC, datetime

    from mora.errors import BadInput, MoraError
    from mora.pipeline.challenging import Place, challenged, look, look_all
    from mora.pipeline.tracking import follow_roles

    if output not in ("table", "json"):
        raise BadInput(f"There is no output {output!r} here.", hint="There is: table, json.")
    settings = settings_of(data_dir=data, models_dir=models, namespace=namespace)
    names = services or challenged(settings.models_dir, settings.namespace)
    if not names:
        if output == "json":
            show("[]")
        say("No service has a challenger. Train one: mora train frontend --challenger")
        return
    place = Place(names[0], settings.data_dir, settings.models_dir, settings.namespace)
    now = datetime.now(UTC)
    one_alone = len(names) == 1
    found = [look(place, at=now, is_dry=dry_run)] if one_alone else look_all(place, names, at=now, is_dry=dry_run)
    if output == "json":
        show(json.dumps([one.to_dict() for one in found], indent=1))
    ended: list[str] = []
    for one in found:
        if one.error is not None:
            complain(on_one_line(f"{one.service}: {one.error.message} {one.error.hint or ''}"))
            continue
        if output == "table":
            _tell(one, is_dry=dry_run)
        if one.trial is not None and one.trial.ended is not None and not dry_run and one.data_until:
            ended.append(one.service)
    for problem in follow_roles(ended, settings):
        complain(on_one_line(problem))
    if found and all(one.error is not None for one in found):
        raise MoraError(f"None of {len(found)} tests can be scored.")


@app.command("start")
def start(
    service: _Service,
    challenger: Annotated[
        str | None,
        typer.Option("--challenger", help="The version to try.", show_default="the newest that is no champion"),
    ] = None,
    risk: Annotated[
        float, typer.Option("--risk", help="Chance that a model takes over that is no better.", show_default=True)
    ] = 0.05,
    longest: Annotated[str, typer.Option("--for", help="The champion stays if nothing is decided by then.")] = "60d",
    namespace: Namespace = None,
    data: DataDir = None,
    models: ModelsDir = None,
) -> None:
    """Try a version beside the champion on the windows that come from now on.

    The champion answers meanwhile. mora train --challenger does the same with
    the model that it trains.

    \b
    mora ab start frontend
    mora ab start frontend --challenger 1f3a --for 14d
    """
    from datetime import UTC, datetime

    from mora.model.layout import short
    from mora.pipeline.challenging import Place, start_trial
    from mora.pipeline.tracking import follow_roles
    from mora.quantities import format_moment, parse_duration

    settings = settings_of(data_dir=data, models_dir=models, namespace=namespace)
    place = Place(service, settings.data_dir, settings.models_dir, settings.namespace)
    found = start_trial(place, at=datetime.now(UTC), challenger=challenger, alpha=risk, longest=parse_duration(longest))
    show(f"{service}: version {short(found.challenger)} challenges the champion {short(found.champion)}.")
    show(f"  Windows from {format_moment(found.begins)} on count, in which neither has seen the data.")
    show(f"  After each mora collect --history: mora ab status {service}")
    for problem in follow_roles([service], settings):
        complain(on_one_line(problem))


@app.command("stop")
def stop(service: _Service, namespace: Namespace = None, models: ModelsDir = None) -> None:
    """End a test: the champion stays, and the challenger is kept as a version.

    \b
    mora ab stop frontend
    """
    from datetime import UTC, datetime

    from mora.model.layout import short
    from mora.pipeline.challenging import Place, stop_trial
    from mora.pipeline.tracking import follow_roles

    settings = settings_of(models_dir=models, namespace=namespace)
    place = Place(service, models_dir=settings.models_dir, namespace=settings.namespace)
    before = stop_trial(place, at=datetime.now(UTC))
    show(f"{service}: the champion {short(before.champion)} stays; {short(before.challenger or '')} is kept beside it.")
    for problem in follow_roles([service], settings):
        complain(on_one_line(problem))


def _tell(one: Compared, *, is_dry: bool) -> None:
    from mora.columns import columns
    from mora.model.layout import short
    from mora.outputs.wording import readable
    from mora.quantities import format_duration, format_moment

    trial, now = one.trial, one.standing
    if trial is None or now is None:
        return
    since = format_moment(trial.started_at)
    show(f"{one.service}: {short(trial.challenger)} challenges {short(trial.champion)} since {since}")
    show()
    rows: list[tuple[str, ...]] = [("  ERROR OF THE MEAN", "WINDOWS", "CHAMPION", "CHALLENGER", "DIFFERENCE")]
    for side in now.sides:
        target = side.target.value
        what = f"  {target}, {format_duration(side.horizon_seconds)} ahead"
        if not side.windows:
            rows.append((what, "0", "-", "-", "-"))
            continue
        change = f"{100 * (side.challenger / side.champion - 1):+.0f} %" if side.champion > 0 else "-"
        errors = readable(target, side.champion), readable(target, side.challenger)
        rows.append((what, str(side.windows), *errors, change))
    for line in columns(rows, is_right=[False, True, True, True, True]):
        show(line)
    show()
    for seconds, (better, worse) in now.evidence.items():
        show(
            f"  {format_duration(seconds)} ahead: evidence {_number(better)} for the challenger, {_number(worse)} "
            f"against it; {now.needed:g} decides"
        )
    show()
    ended = trial.ended
    if ended is None:
        known = f" The data ends at {format_moment(one.data_until)}." if one.data_until is not None else ""
        show(f"  Not decided{f': {now.why}' if now.why else ''}. The champion answers.{known}")
        return
    if ended.outcome == "takeover":
        verb = "would take over" if is_dry and one.data_until is not None else "has taken over"
        show(f"  {short(trial.challenger)} {verb}: {ended.why}.")
        show(f"  To go back: mora models rollback {one.service}")
    else:
        show(f"  The champion stays: {ended.why}. The test has ended ({format_moment(ended.at)}).")


def _number(value: float) -> str:
    return f"{value:.1f}" if value < 1000 else "over 1000"
