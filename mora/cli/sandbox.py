"""mora sandbox: start, show, scale and stop the sandbox shop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from mora.cli.common import say, show
from mora.errors import BadInput

app = typer.Typer(
    help="Run a small web shop on this machine, with its own Prometheus; nothing leaves loopback.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Option("--name", help="Name of the sandbox; several can run side by side.")]


@app.command("up")
def sandbox_up(
    name: Name = "default",
    foreground: Annotated[bool, typer.Option("--foreground", "-f", help="Run in this terminal until Ctrl-C.")] = False,
    no_cgroups: Annotated[
        bool,
        typer.Option(
            "--no-cgroups", help="Limit and measure the processes without cgroups, as where they cannot be written."
        ),
    ] = False,
) -> None:
    """Start the shop, its exporter and its Prometheus."""
    from mora import sandbox
    from mora.extras import require

    require("sandbox", by="mora sandbox up")
    enforcement = "supervisor" if no_cgroups else None
    if foreground:

        def on_ready(status: Mapping[str, Any]) -> None:
            _print_status(status)
            say("Ctrl-C stops it.")

        sandbox.run_foreground(name, enforcement=enforcement, on_ready=on_ready)
        return
    with sandbox.starting(name, enforcement=enforcement) as handle:
        _print_status(handle.status())


@app.command("status")
def sandbox_status(
    name: Name = "default",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show addresses, replicas, restarts, OOM kills, requests, limits, and faults in force."""
    import json

    from mora import sandbox

    status = sandbox.connect(name).status()
    if as_json:
        show(json.dumps(status, indent=2, sort_keys=True))
    else:
        _print_status(status)


def _print_status(status: Mapping[str, Any]) -> None:
    """The status of a sandbox for a person: addresses, then a line for each service."""
    from mora.quantities import format_cpu, format_duration, format_memory

    show(f"sandbox     {status['name']} (supervisor: process {status['pid']})")
    show(f"shop        {status['shop_url']}")
    show(f"prometheus  {status['prometheus_url']}")
    show(f"limits      {status['enforcement']}: {status['enforcement_reason']}")
    show()
    show(f"{'SERVICE':<24}{'READY':>7}{'RESTARTS':>10}{'OOM':>5}   {'CPU REQUEST/LIMIT':<20}{'MEMORY REQUEST/LIMIT'}")
    for service, seen in sorted(status["services"].items()):
        cpu, memory = (
            "/".join("-" if amount is None else write(amount) for amount in amounts)
            for write, amounts in (
                (format_cpu, (seen["resources"]["cpu_request_millicores"], seen["resources"]["cpu_limit_millicores"])),
                (format_memory, (seen["resources"]["memory_request_bytes"], seen["resources"]["memory_limit_bytes"])),
            )
        )
        ready = f"{seen['ready']}/{seen['replicas']}"
        show(f"{service:<24}{ready:>7}{seen['restarts']:>10}{seen['oom_kills']:>5}   {cpu:<20}{memory}")
    for fault in status.get("faults", ()):
        left = format_duration(round(fault["seconds_left"]))
        show(f"fault       {fault['kind']} at {fault['service']}, {left} left")


@app.command("scale")
def sandbox_scale(
    services: Annotated[
        list[str], typer.Argument(help="SERVICE=REPLICAS, e.g. frontend=3 cartservice=2.", show_default=False)
    ],
    name: Name = "default",
) -> None:
    """Set the replicas of services of a running sandbox."""
    from mora import sandbox

    wanted: dict[str, int] = {}
    for text in services:
        service, separator, count = text.partition("=")
        if not separator or not count.isdecimal():
            raise BadInput(f"{text!r} has no number of replicas.", hint="Write SERVICE=REPLICAS, like frontend=3.")
        wanted[service] = int(count)
    handle = sandbox.connect(name)
    handle.scale(wanted)
    handle.wait_ready(list(wanted))
    sandbox_status(name)


@app.command("down")
def sandbox_down(name: Name = "default") -> None:
    """Stop the sandbox; no process, cgroup, port or file is left."""
    from mora import sandbox

    sandbox.connect(name).down()
    say(f"The sandbox {name!r} is down.")
