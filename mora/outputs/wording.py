"""The words around an output: titles, headers, comments, why there is no patch."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence

from mora.domain import Advice, Reason, Recommendation, Workload
from mora.errors import NotEnoughData
from mora.outputs.changes import all_numbers, in_template, is_gone, is_injected, numbers, to_write
from mora.quantities import format_moment

# KEDA writes HPAs of this prefix from its ScaledObjects and would overwrite ours.
KEDA_PREFIX = "keda-hpa-"


def title(workload: Workload) -> str:
    """What a workload is called: Deployment shop/frontend."""
    return f"{workload.kind} {workload.namespace}/{workload.name}"


def header(recommendation: Recommendation) -> list[str]:
    """What a file is about, which numbers are missing and which containers stand in no manifest: comment lines."""
    load = recommendation.load
    at = f" at {load.users} users of {load.scenario}" if load else ""
    names = ", ".join(container.container for container in recommendation.containers)
    word = "containers" if recommendation.others else "container"
    lines = [
        f"{title(recommendation.workload)}, {word} {names}: MOrA's advice{at}, "
        f"from data up to {format_moment(recommendation.as_of)}"
    ]
    if recommendation.basis == "history":
        lines[0] += ", by the rule for histories (no model is trained)"
    missing = [(name, advice) for name, advice in all_numbers(recommendation) if _is_missing(advice)]
    lines += [f"no advice on {names}: {why}" for names, why in grouped(missing)]
    for container in recommendation.containers:
        name = container.container
        if is_injected(recommendation, name):
            lines.append(
                f"container {name} is put into the pods from outside and stands in no template: left alone; "
                "whatever injects it says what it requests"
            )
        if is_gone(recommendation, name):
            lines.append(f"container {name} is not among those of the workload any more: left out")
    return [wrapped for line in lines for wrapped in comment(line)]


def _is_missing(advice: Advice) -> bool:
    return advice.value is None and not advice.is_unset


def grouped(advice: Iterable[tuple[str, Advice]]) -> list[tuple[str, str]]:
    """The names of numbers that share their reasons, and the reasons, in the order of the first of each."""
    by_text: dict[str, list[str]] = {}
    for name, number in advice:
        by_text.setdefault(one_line(number.reasons), []).append(name)
    return [(", ".join(names), text) for text, names in by_text.items()]


def why_no_patch(recommendation: Recommendation) -> str:
    """Why nothing can be written for a workload, in words."""
    if recommendation.workload.kind == "Job" and to_write(recommendation):
        return "a Job's template cannot be changed; delete it and create it with the resources of -o yaml"
    if not in_template(recommendation):
        return "none of the containers that there is advice on stands in its template"
    return one_line(reason for _, advice in all_numbers(recommendation) for reason in advice.reasons)


def comment(text: str) -> list[str]:
    """Comment lines of one sentence, wrapped for a review."""
    return textwrap.wrap(
        clean(text),
        110,
        initial_indent="# ",
        subsequent_indent="#   ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def one_line(reasons: Iterable[Reason]) -> str:
    """Reasons as one line, safe in a comment."""
    texts = dict.fromkeys(reason.text for reason in reasons)
    return clean("; ".join(texts)) or "no reason was given"


def clean(text: str) -> str:
    """Words on one line. Some come from servers: what a terminal would obey rather than show is shown as "?".

    >>> clean("a warning\\n of\\x1b[2J it")
    'a warning of?[2J it'
    """
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def untold(recommendation: Recommendation) -> list[Reason]:
    """The reasons of the workload that none of its main container's numbers and replicas says already."""
    told = [reason.text for _, advice in numbers(recommendation) for reason in advice.reasons]
    return [reason for reason in recommendation.reasons if not any(reason.text in text for text in told)]


def nothing_to_write(what: str, recommendations: Sequence[Recommendation], why: Mapping[str, str]) -> NotEnoughData:
    """The error of an output that has not a single number: an empty file would look like success."""
    names = ", ".join(recommendation.workload.name for recommendation in recommendations) or "no service"
    by_text: dict[str, list[str]] = {}
    for name, text in why.items():
        by_text.setdefault(text, []).append(name)
    reasons = "; ".join(f"{', '.join(named)}: {text}" for text, named in by_text.items())
    return NotEnoughData(
        f"There is nothing to put into {what} for {names}{': ' + reasons if reasons else '.'}",
        hint="mora recommend -o table shows every number and its reasons.",
    )
