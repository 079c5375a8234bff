"""mora models: the versions of trained models, and going back to one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mora.cli.common import ModelsDir, Namespace, complain, on_one_line, say, settings_of, show

if TYPE_CHECKING:
    from mora.pipeline.versions import VersionFacts

app = typer.Typer(
    help="List the versions of trained models, and go back to one.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
_Service = Annotated[str, typer.Argument(help="The service, e.g. frontend.", show_default=False)]
_Format = Annotated[str, typer.Option("--output", "-o", help="table or json.", show_default=True)]


@app.callback()
def _models() -> None:
    """List the versions of trained models, and go back to one."""


@app.command("list")
def list_models(output: _Format = "table", namespace: Namespace = None, models: ModelsDir = None) -> None:
    """List services with a model: the version that answers, and how many are kept.

    Each training is kept as a version under the digest of its contents. The
    champion is the one that answers; a challenger is tried beside it (mora ab).

    \b
    mora models list
    mora models list -n shop -o json
    """
    from mora.columns import columns
    from mora.model.layout import short
    from mora.pipeline.versions import list_versions
    from mora.quantities import format_moment

    _check(output)
    settings = settings_of(models_dir=models, namespace=namespace)
    found = list_versions(settings.models_dir, settings.namespace)
    rows: list[tuple[str, ...]] = [("SERVICE", "CHAMPION", "TRAINED", "VERSIONS", "CHALLENGER")]
    plain: list[dict[str, Any]] = []
    for one in found:
        known = one.versions
        if one.error is not None:
            complain(on_one_line(f"{one.service}: {one.error.message} {one.error.hint or ''}"))
            continue
        if known is None:
            rows.append((one.service, "of an older MOrA", "-", "1", "-"))
            plain.append({"service": one.service, "champion": None, "versions": [], "challenger": None})
            continue
        trained = format_moment(known.trained[known.champion])
        challenger = short(known.challenger) if known.challenger else "-"
        rows.append((one.service, short(known.champion), trained, str(len(known.trained)), challenger))
        plain.append(
            {
                "service": one.service,
                "champion": known.champion,
                "challenger": known.challenger,
                "versions": known.newest_first,
            }
        )
    if output == "json":
        _show_json(plain)
    elif len(rows) > 1:
        for line in columns(rows, is_right=[False, False, False, True, False]):
            show(line)
    elif not found:
        say(f"There is no model in {settings.models_dir}. Train one: mora train frontend")


@app.command("show")
def show_model(
    service: _Service,
    version: Annotated[
        str | None, typer.Option("--version", help="This one alone: the beginning of its digest.", show_default=False)
    ] = None,
    output: _Format = "table",
    namespace: Namespace = None,
    models: ModelsDir = None,
) -> None:
    """Show the versions of a service: when each was trained, on what, and its error.

    The errors are those of its own validation windows, beside the naive
    forecast's of the same windows. They are of other windows in each version:
    mora ab compares two versions on the same ones.

    \b
    mora models show frontend
    mora models show frontend --version 1f3a     its validation errors in full
    """
    from mora.columns import columns
    from mora.model.layout import short
    from mora.pipeline.versions import show_versions
    from mora.quantities import format_moment

    _check(output)
    settings = settings_of(models_dir=models, namespace=namespace)
    known, facts = show_versions(service, models_dir=settings.models_dir, namespace=settings.namespace)
    if version is not None:
        digest = known.named(version, service)
        facts = [one for one in facts if one.digest == digest]
    turns = known.turns if version is None else ()
    if output == "json":
        champions = [{"at": t.at.isoformat(), "champion": t.champion, "why": t.why} for t in turns]
        _show_json({"service": service, "versions": [one.to_dict() for one in facts], "champions": champions})
        return
    rows: list[tuple[str, ...]] = [("VERSION", "ROLE", "TRAINED", "DATA UNTIL", "SAMPLES", "CPU ERROR", "MEMORY ERROR")]
    for one in facts:
        if one.card is None:
            complain(on_one_line(f"{short(one.digest)}: {one.error}"))
            continue
        until = one.card["last_sample"][:16].replace("T", " ")
        errors = [_error_of(one, target) for target in ("cpu", "memory")]
        about = short(one.digest), one.role or "-", format_moment(one.trained_at)
        rows.append((*about, until, f"{one.card['rows']:,}", *errors))
    if len(rows) > 1:
        for line in columns(rows, is_right=[False, False, False, False, True, False, False]):
            show(line)
    if version is not None:
        from mora.outputs.training import render

        for one in facts:
            if one.card is not None:
                show()
                show(render(service, one.card, seconds=None).rstrip("\n"))
        return
    show()
    for turn in turns[-5:]:
        show(f"{format_moment(turn.at)}  champion {short(turn.champion)}: {turn.why}")


@app.command("rollback")
def rollback_model(
    service: _Service,
    to: Annotated[
        str | None,
        typer.Option("--to", help="The version to go back to.", show_default="the champion before"),
    ] = None,
    namespace: Namespace = None,
    models: ModelsDir = None,
) -> None:
    """Make an older version the champion again; nothing is trained and nothing deleted.

    Without --to it is the champion before the current one, so doing it twice
    ends where it began. A running test of a challenger ends.

    \b
    mora models rollback frontend
    mora models rollback frontend --to 1f3a
    """
    from datetime import UTC, datetime

    from mora.model.layout import short
    from mora.pipeline.tracking import follow_roles
    from mora.pipeline.versions import rollback

    settings = settings_of(models_dir=models, namespace=namespace)
    before, after = rollback(
        service, to=to, at=datetime.now(UTC), models_dir=settings.models_dir, namespace=settings.namespace
    )
    show(f"{service}: version {short(after.champion)} is the champion again; it was {short(before.champion)}.")
    if before.challenger is not None:
        say(f"The test of {short(before.challenger)} has ended; start one again with mora ab start {service}.")
    for problem in follow_roles([service], settings):
        complain(on_one_line(problem))


def _error_of(one: VersionFacts, target: str) -> str:
    from mora.outputs.wording import readable
    from mora.pipeline.versions import errors_of

    errors = errors_of(one.card or {"report": {"next_steps": {}}}).get(target)
    if errors is None:
        return "-"
    return f"{readable(target, errors['blend'])} (naive {readable(target, errors['naive'])})"


def _check(output: str) -> None:
    from mora.errors import BadInput

    if output not in ("table", "json"):
        raise BadInput(f"There is no output {output!r} here.", hint="There is: table, json.")


def _show_json(plain: Any) -> None:
    import json

    show(json.dumps(plain, indent=1))
