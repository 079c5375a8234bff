"""mora explain: how each number is derived."""

from __future__ import annotations

import sys

from mora.cli.asking import Asked, end_of, output_settings, takes


@takes(Asked)
def explain(asked: Asked) -> None:
    """Show how every number of a workload is derived, container by container.

    The arithmetic, the time range and its samples, the peaks with their
    time and pod, what is skipped and why, and the queries as sent. It takes
    what mora recommend takes, and explains the numbers that it prints.

    \b
    mora explain frontend                          from its trained model
    mora explain frontend --users 200 --scenario checkout
    mora explain deployment/frontend -n shop --prometheus http://127.0.0.1:9090
    """
    from mora import pipeline

    settings = asked.settings()
    advised = asked.answer(settings)
    shown = output_settings(settings, advised.states, asked=advised.asked, verbose=True)
    sys.stdout.write(pipeline.render(advised.recommendations, "explain", shown))
    end_of(advised)
