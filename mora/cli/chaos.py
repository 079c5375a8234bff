"""mora chaos: inject faults with ground truth, and report what a detector made of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mora.cli.common import EXIT_CHANGE_DUE, progress, say, settings_of, show
from mora.errors import BadInput

if TYPE_CHECKING:
    from mora.chaos.scenario import Scenario

app = typer.Typer(
    help="Inject faults into the sandbox, and see which of them a detector finds.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
_OUTPUTS = ("table", "json", "markdown", "html")

Detector = Annotated[
    str | None,
    typer.Option(
        "--detector",
        "-d",
        help="Detector that judges the run: NAME, or NAME:OPTION=VALUE;OPTION=VALUE.",
        show_default="robust-z",
    ),
]
Threshold = Annotated[
    str | None, typer.Option("--threshold", help="The same of a threshold for its scores.", show_default="tracking")
]
FailOnMiss = Annotated[
    bool, typer.Option("--fail-on-miss", help="Exit with 3 where something is not as the scenario expects.")
]


@app.command("run")
def chaos_run(
    scenario: Annotated[
        str, typer.Argument(help="Scenario that comes with MOrA, or a .toml file.", show_default=False)
    ],
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the run.", show_default="chaos/SCENARIO")] = None,
    sandbox: Annotated[
        str | None,
        typer.Option("--sandbox", help="A running sandbox, for a scenario in one part.", show_default="one of its own"),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, help="Parts to run side by side.", show_default="all"),
    ] = None,
    detector: Detector = None,
    threshold: Threshold = None,
    fail_on_miss: FailOnMiss = False,
    target: Annotated[
        str, typer.Option("--target", help="sandbox, or kubernetes with --dry-run: manifests are printed.")
    ] = "sandbox",
    engine: Annotated[
        str, typer.Option("--engine", help="With --target kubernetes: chaos-mesh or litmus.")
    ] = "chaos-mesh",
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="With --target kubernetes: where the services run.")
    ] = "default",
    label: Annotated[
        str, typer.Option("--label", help="With --target kubernetes: the pods' label with the service's name.")
    ] = "app",
    port: Annotated[
        int, typer.Option("--port", min=1, max=65535, help="With --target kubernetes: port of the services' HTTP.")
    ] = 8080,
    volume: Annotated[
        str, typer.Option("--volume", help="With --target kubernetes: where the services' volume is mounted.")
    ] = "/data",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be done; inject nothing.")] = False,
) -> None:
    """Run a scenario: load, faults at their times, metrics and labels; then say what was detected.

    Faults are real: CPU, memory, signals and the wire of the sandbox's
    shop. Each ends at its time, and at once where this command ends,
    however it ends. Nothing outside the sandbox is touched.
    The detector learns from the healthy beginning of the run.
    Finished parts are not run again: repeat the command to resume.

    \b
    mora chaos run one-fault                one CPU hog, about five minutes
    mora chaos run suite --jobs 8           40 faults and two quiet hours
    mora chaos run my.toml --fail-on-miss   in CI: exit code 3 where one is missed
    mora chaos run every-fault --target kubernetes --dry-run -n shop
                                            manifests for Chaos Mesh
    """
    from mora.chaos.scenario import Scenario, describe

    found = Scenario.load_from(scenario)
    if target == "kubernetes":
        _print_manifests(found, engine, namespace, label, port, volume, dry_run=dry_run)
        return
    if target != "sandbox":
        raise BadInput(f"{target!r} is no target.", hint="Targets: sandbox, kubernetes.")
    if sandbox is not None and len(found.parts) > 1:
        raise BadInput(
            f"{found.name} has {len(found.parts)} parts, and one sandbox runs one.",
            hint="Leave out --sandbox: every part starts a sandbox of its own.",
        )
    if dry_run:
        show("\n".join(describe(found)))
        return
    from mora import pipeline
    from mora.extras import require
    from mora.sandbox.state import list_sandboxes

    names = _names(detector, threshold)
    if sandbox is not None and sandbox not in list_sandboxes():
        raise BadInput(f"No sandbox named {sandbox!r} is running.", hint=f"Start it: mora sandbox up --name {sandbox}")
    require("sandbox", by="mora chaos run")
    require("collect", by="mora chaos run")
    folder = out or Path("chaos") / found.name
    say(describe(found)[0])
    with progress() as reporter:
        pipeline.run_chaos(found, folder, sandbox=sandbox, reporter=reporter, jobs=jobs)
    _report(folder, names, "table", None, fail_on_miss=fail_on_miss, keeps=True)


@app.command("report")
def chaos_report(
    folder: Annotated[Path, typer.Argument(help="Folder of a run.", show_default=False)],
    output: Annotated[str, typer.Option("--output", "-o", help="table, json, markdown or html.")] = "table",
    out: Annotated[
        Path | None, typer.Option("--out", help="Write it to a file.", show_default="standard output")
    ] = None,
    detector: Detector = None,
    threshold: Threshold = None,
    fail_on_miss: FailOnMiss = False,
) -> None:
    """Say per fault: detected or not, after how long, by which metric; false alarms; PASS or FAIL.

    A run can be judged again by any detector: what was measured lies in
    its folder as CSV, with the labels beside it.

    \b
    mora chaos report chaos/suite
    mora chaos report chaos/suite --detector context-distance -o markdown
    mora chaos report chaos/suite -o html --out suite.html
    """
    if output not in _OUTPUTS:
        raise BadInput(f"There is no output {output!r}.", hint=f"Outputs: {', '.join(_OUTPUTS)}.")
    _report(folder, _names(detector, threshold), output, out, fail_on_miss=fail_on_miss, keeps=False)


@app.command("list")
def chaos_list() -> None:
    """List the faults with the unit of their strength, and the scenarios that come with MOrA."""
    import textwrap

    from mora.chaos.catalogue import KINDS
    from mora.chaos.scenario import Scenario, describe, scenario_names
    from mora.sandbox.faults import STRENGTHS

    show("Faults:")
    for kind in KINDS.values():
        least, most = STRENGTHS[kind.name]
        strength = f" Strength: {kind.unit}, {least:g} to {most:g}; {kind.usual:g} unless set." if kind.unit else ""
        lines = textwrap.wrap(f"{kind.does}{strength}", 92)
        show(f"  {kind.name:<17}{lines[0]}")
        for line in lines[1:]:
            show(f"{'':<19}{line}")
    show()
    show("Scenarios:")
    for name in scenario_names():
        found = Scenario.load_from(name)
        show(f"  {describe(found)[0]}")
        show(f"    {found.description}.")


def _names(detector: str | None, threshold: str | None) -> tuple[str, str]:
    """The detector and the threshold; BadInput for one that is not known, before anything long begins."""
    from mora import registry
    from mora.chaos.judge import DETECTOR

    settings = settings_of(health_detector=detector or DETECTOR, health_threshold=threshold).health
    registry.make("detectors", *registry.named("detectors", settings.detector))
    registry.make("thresholds", *registry.named("thresholds", settings.threshold))
    return settings.detector, settings.threshold


def _report(
    folder: Path, names: tuple[str, str], output: str, out: Path | None, *, fail_on_miss: bool, keeps: bool
) -> None:
    """Judge a run and print it. keeps: also write it into the folder, in every format."""
    from mora import pipeline
    from mora.chaos.page import chaos_page
    from mora.chaos.report import as_json, as_markdown, as_text
    from mora.files import write_files

    detector, threshold = names
    with progress() as reporter:
        report, parts = pipeline.judge_chaos(folder, detector=detector, threshold=threshold, reporter=reporter)
    made = {
        "table": lambda: as_text(report),
        "json": lambda: as_json(report),
        "markdown": lambda: as_markdown(report),
        "html": lambda: chaos_page(report, parts),
    }
    if keeps:
        files = {"json": "report.json", "markdown": "report.md", "html": "report.html"}
        write_files([(folder / name, made[kind]()) for kind, name in files.items()])
        say(f"Written to {folder}: {', '.join(files.values())}, and each part's CSVs with labels.csv.")
    text = made[output]()
    if out is None:
        show(text.rstrip("\n"))
    else:
        write_files([(out, text)])
        say(f"Written to {out}.")
    if fail_on_miss and not report.passed:
        raise typer.Exit(EXIT_CHANGE_DUE)


def _print_manifests(
    scenario: Scenario, engine: str, namespace: str, label: str, port: int, volume: str, *, dry_run: bool
) -> None:
    from mora.chaos.manifests import ENGINES, Site, as_yaml, manifests

    if not dry_run:
        raise BadInput(
            "MOrA injects nothing into a cluster.",
            hint="Add --dry-run: it prints the manifests, for Chaos Mesh or LitmusChaos to inject.",
        )
    if engine not in ENGINES:
        raise BadInput(f"There is no engine {engine!r}.", hint=f"Engines: {', '.join(ENGINES)}.")
    made = manifests(scenario, Site(namespace, label=label, port=port, volume=volume), engine)
    show(as_yaml(scenario, made, engine).rstrip("\n"))
    for one in made:
        for remark in one.remarks:
            say(f"{one.injection.kind} at {one.injection.target}: {remark}")
