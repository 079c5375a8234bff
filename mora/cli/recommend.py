"""mora recommend: what workloads should request, be limited to and run as."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mora import registry
from mora.cli.asking import OUTPUT, REPOSITORY, Asked, end_of
from mora.cli.changing import change_rule_of
from mora.cli.common import EXIT_CHANGE_DUE, EXIT_ERROR, say, show
from mora.cli.outputs import output_settings
from mora.cli.repository import change, repository_of
from mora.cli.taking import takes

if TYPE_CHECKING:
    from mora.domain import Recommendation
    from mora.outputs import OutputSettings


@takes(Asked)
def recommend(
    asked: Asked,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help=", ".join(registry.names("outputs")) + ".",
            show_default="table",
            autocompletion=lambda: registry.names("outputs"),
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    verbose: Annotated[
        bool | None,
        typer.Option(
            "--verbose/--brief",
            help="All reasons below the table, or the table alone.",
            show_default="a line for each number",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    why: Annotated[bool | None, typer.Option("--why/--no-why", hidden=True)] = None,
    sort: Annotated[
        str | None,
        typer.Option(
            "--sort",
            help="Order of the table: need (what lacks memory or CPU, then the largest saving), saving, change, "
            "confidence or name.",
            show_default="need",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Write a file for each workload into this folder, in place of printing.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="With --out: replace files that MOrA did not write, or that were edited.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    fail_on_change: Annotated[
        bool,
        typer.Option(
            "--fail-on-change",
            help="Exit with 3 where the output would change the cluster; for CI.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    cpu_price: Annotated[
        float | None,
        typer.Option(
            "--cpu-price",
            help="Cost per core-hour: savings in money.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    memory_price: Annotated[
        float | None,
        typer.Option(
            "--memory-price",
            help="Cost per GiB-hour: savings in money.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    helm_path: Annotated[
        list[str] | None,
        typer.Option(
            "--helm-path",
            help="With -o helm-values: where a container's resources are, server=frontend.resources. Repeatable.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    kustomize_version: Annotated[
        str | None,
        typer.Option(
            "--kustomize-version",
            help="With -o kustomize: your version; before 4 (kubectl 1.20 has 2.0.3) older fields are written.",
            show_default="newest",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    deadband: Annotated[
        str | None,
        typer.Option(
            "--deadband",
            help="With -o resize: follow only a number that moved by more, e.g. 10%.",
            show_default="raises of 20%, cuts of 30%",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    vpa_cpu: Annotated[
        bool,
        typer.Option(
            "--vpa-cpu", help="With -o vpa: CPU as well; not together with an HPA on CPU.", rich_help_panel=OUTPUT
        ),
    ] = False,
    repo: Annotated[
        Path | None,
        typer.Option(
            "--repo",
            help="Find where this Git checkout sets the resources, and print the diff. Nothing is written.",
            show_default=False,
            rich_help_panel=REPOSITORY,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the diff alone: the default.", rich_help_panel=REPOSITORY)
    ] = False,
    write: Annotated[
        bool, typer.Option("--write", help="Change the files, only lines of resources.", rich_help_panel=REPOSITORY)
    ] = False,
    commit: Annotated[
        bool,
        typer.Option(
            "--commit",
            help="Commit on a new branch, one commit for each workload, each with its reasons.",
            rich_help_panel=REPOSITORY,
        ),
    ] = False,
    commit_per: Annotated[
        str | None,
        typer.Option(
            "--commit-per",
            help="With --commit: a commit for each workload or each namespace.",
            show_default="workload",
            rich_help_panel=REPOSITORY,
        ),
    ] = None,
    branch: Annotated[
        str | None,
        typer.Option(
            "--branch",
            help="With --commit: the name of the branch.",
            show_default="mora/rightsize-DATE",
            rich_help_panel=REPOSITORY,
        ),
    ] = None,
    in_base: Annotated[
        bool,
        typer.Option("--in-base", help="Change a base that several overlays share, too.", rich_help_panel=REPOSITORY),
    ] = False,
    split_anchors: Annotated[
        bool,
        typer.Option(
            "--split-anchors",
            help="Copy what a YAML anchor shares with other workloads, to change it for one.",
            rich_help_panel=REPOSITORY,
        ),
    ] = False,
    allow_dirty: Annotated[
        bool,
        typer.Option(
            "--allow-dirty",
            help="Write into a checkout that has changes of your own.",
            rich_help_panel=REPOSITORY,
        ),
    ] = False,
) -> None:
    """Recommend requests, limits and replicas, each with its confidence and its reason.

    From history: name a Prometheus (--prometheus, MORA_PROMETHEUS_URL or
    prometheus.url in mora.toml). Without one, -A, -l, --history, --exclude,
    --cluster, --no-model, or a KIND/NAME or NAMESPACE/NAME without a model
    make MOrA search the cluster for its own.

    From load experiments: a trained model (mora train) is used where there
    is one. The column BASED ON says what each row rests on.

    \b
    mora recommend -n shop --all --prometheus http://127.0.0.1:9090
    mora recommend deployment/frontend -n shop --history 7d
    mora recommend frontend                 from its model, without Prometheus
    mora recommend frontend --users 200 --scenario checkout
    mora recommend frontend -o patch > p.yaml
    kubectl patch deployment frontend --patch-file p.yaml
    mora recommend -A -o kustomize --out overlays/mora
    mora recommend -A -o html > report.html     a page for the team
    mora recommend -A --repo ~/src/clusters             the diff of its files
    mora recommend -A --repo ~/src/clusters --commit    a branch to push
    """
    from mora.changes.rule import RULES
    from mora.errors import BadInput, NotEnoughData
    from mora.outputs.changes import has_number, is_due
    from mora.outputs.order import check_order

    if sort is not None:
        check_order(sort)
    repository = repository_of(
        repo,
        writes=write,
        commits=commit,
        per=commit_per,
        branch=branch,
        in_base=in_base,
        split_anchors=split_anchors,
        allow_dirty=allow_dirty,
        is_dry=dry_run,
        also=[name for name, one in (("-o", output), ("--out", out)) if one is not None],
    )
    rule = change_rule_of(RULES["in-place"], deadband=deadband)
    checkout = None if repository is None else repository.open()
    settings = asked.settings(output=output, prices_cpu=cpu_price, prices_memory=memory_price)
    if repository is not None and len(asked.clusters(settings)) > 1:
        raise BadInput("--repo takes the workloads of one cluster at a time.", hint="Name one: --context NAME")
    advised = asked.answer(settings)
    shown = output_settings(
        settings,
        advised.states,
        asked=advised.asked,
        helm_paths=helm_path or (),
        verbose=why if verbose is None else verbose,
        vpa_cpu=vpa_cpu,
        kustomize_version=kustomize_version,
        sort=sort,
        change_rule=rule,
    )
    is_change_due = any(map(is_due, advised.recommendations))
    if repository is not None and checkout is not None:
        is_change_due = change(repository, checkout, advised, shown)
    else:
        _print(advised.recommendations, settings.output, shown, out=out, overwrite=overwrite)
    end_of(advised)
    refused = [f"{one.workload.namespace}/{one.workload.name}" for one in advised.recommendations if one.is_refused]
    if refused:
        say(f"Not sized, since something is wrong with the object itself: {', '.join(refused)}. See the reasons.")
        raise typer.Exit(EXIT_ERROR)
    if asked.has_load and not any(map(has_number, advised.recommendations)):
        names = ", ".join(one.workload.name for one in advised.recommendations)
        raise NotEnoughData(
            f"There is no number for {names} at this load; the output above has the reason.",
            hint="Ask for a load near those that were driven, or drive a higher one (mora collect, mora train).",
        )
    if fail_on_change and is_change_due:
        raise typer.Exit(EXIT_CHANGE_DUE)


def _print(
    advice: Sequence[Recommendation], output: str, shown: OutputSettings, *, out: Path | None, overwrite: bool
) -> None:
    from mora import pipeline
    from mora.errors import BadInput

    if out is None and output == "html" and sys.stdout.isatty():
        raise BadInput(
            "-o html is a page for a browser, and a terminal would print its source.",
            hint="Write it to a file: mora recommend ... -o html > report.html, or with --out FOLDER.",
        )
    if out is None:
        sys.stdout.write(pipeline.render(advice, output, shown))
        return
    done = pipeline.write_output(advice, output, out, shown, overwrite=overwrite)
    for path in done.written:
        show(path)
    for path in done.removed:
        say(f"Removed {path}, which an earlier run wrote: nothing in it is recommended any more.")
