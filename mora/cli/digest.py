"""mora digest: what was recommended, applied, covered and freed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mora.cli.common import RECORD, Record, say, settings_of
from mora.errors import BadInput


def digest(
    since: Annotated[str, typer.Option("--since", help="How far back: 24h, 7d.")] = "7d",
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", help="text, markdown, slack or json.", show_default="text; slack with a webhook"
        ),
    ] = None,
    webhook: Annotated[
        str | None,
        typer.Option(
            "--webhook",
            help="Post it to this address in place of printing. It is a secret: better set MORA_DIGEST_WEBHOOK, and "
            "give --webhook env.",
            show_default=False,
        ),
    ] = None,
    namespace: Annotated[str | None, typer.Option("--namespace", "-n", help="Only this namespace.")] = None,
    cluster: Annotated[str | None, typer.Option("--cluster", help="Only this cluster of the record.")] = None,
    record: Record = Path(RECORD),
    cpu_price: Annotated[
        float | None,
        typer.Option("--cpu-price", help="Cost per core-hour: what is freed in money.", show_default=False),
    ] = None,
    memory_price: Annotated[
        float | None,
        typer.Option("--memory-price", help="Cost per GiB-hour: what is freed in money.", show_default=False),
    ] = None,
) -> None:
    """Sum up what was recommended, applied, covered and freed.

    It reads the record that mora serve writes (or mora serve --once, as a
    nightly job). With --webhook it posts the digest, as Slack takes it.

    \b
    mora digest --since 7d
    mora digest --since 24h -n shop -o markdown > digest.md
    MORA_DIGEST_WEBHOOK=https://hooks.slack.com/... mora digest --webhook env
    """
    from mora.outputs.digest import FORMS
    from mora.pipeline.digesting import check_webhook, make_digest, send
    from mora.quantities import parse_duration

    form = output or ("text" if webhook is None else "slack")
    if form not in FORMS:
        raise BadInput(f"{form!r} is not a form of a digest.", hint=f"There are: {', '.join(FORMS)}.")
    settings = settings_of(prices_cpu=cpu_price, prices_memory=memory_price)
    address = None
    if webhook is not None:
        address = settings.digest_webhook if webhook == "env" else webhook
        if address is None:
            raise BadInput("--webhook env takes the address from MORA_DIGEST_WEBHOOK, which is not set.")
        check_webhook(address)
    made = make_digest(
        record,
        since=parse_duration(since),
        form=form,
        cluster=cluster,
        namespace=namespace,
        prices=settings.prices.prices,
    )
    if address is None:
        sys.stdout.write(made)
    else:
        say(f"Sent to {send(address, made, form)}.")
