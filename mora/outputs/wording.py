"""The text around an output: titles, headers, comments, reasons, and why there is no patch."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence

from mora.columns import printable
from mora.domain import Advice, ContainerAdvice, Reason, Recommendation, Workload, is_written, where_set
from mora.errors import NotEnoughData
from mora.outputs.changes import all_numbers, in_template, is_gone, is_injected, numbers, to_write
from mora.outputs.figures import amount, has_goal
from mora.quantities import counted, format_duration, format_moment, readable_bytes, readable_cores

# Reasons of a workload that every output carries.
_CAUTIONS = frozenset(
    {
        "autoscalers-unknown",
        "vpas-unknown",
        "limit-range-unknown",
        "quota-unknown",
        "pods-unknown",
        "several-hpas",
        "vpa-rules",
        "pods-differ",
        "template-elsewhere",
        "template-unknown",
        "quota",
    }
)


def title(workload: Workload) -> str:
    """The workload's full name: Deployment shop/frontend."""
    return f"{workload.kind} {workload.namespace}/{workload.name}"


def basis(recommendation: Recommendation) -> str:
    """What the numbers rest on, short enough for a column: "model of 2026-11-01", "history 14d", "model and history".

    "-" where there is no number.
    """
    if recommendation.basis == "model" and recommendation.model_as_of is not None:
        return f"model of {recommendation.model_as_of:%Y-%m-%d}"
    if recommendation.basis == "history" and (evidence := recommendation.main.evidence) is not None:
        return f"history {format_duration(evidence.end - evidence.start, about=True)}"
    return {"none": "-", "both": "model and history"}.get(recommendation.basis, recommendation.basis)


def sized_by(recommendation: Recommendation) -> str:
    """What the numbers rest on, in the words of a sentence."""
    evidence = recommendation.main.evidence
    span = f"{format_duration(evidence.end - evidence.start, about=True)} of history" if evidence else "history"
    return {
        "model": "a trained model",
        "history": f"{span}, without a trained model",
        "both": f"a trained model and {span}",
        "experiments": "load experiments",
    }.get(recommendation.basis, "nothing: no number is recommended")


def header(recommendation: Recommendation) -> list[str]:
    """Comment lines: what a file is for, which numbers are missing and which containers no manifest sizes."""
    at = at_load(recommendation)
    names = ", ".join(container.container for container in recommendation.containers)
    word = "containers" if recommendation.others else "container"
    lines = [
        f"{title(recommendation.workload)}, {word} {names}: recommended by MOrA{at}, "
        f"from data until {format_moment(recommendation.as_of)}"
    ]
    if recommendation.basis == "history":
        lines[0] += " (from history, without a trained model)"
    lines += [f"caution: {reason.text}" for reason in cautions(recommendation)]
    missing = [(name, advice) for name, advice in all_numbers(recommendation) if _is_missing(advice)]
    reasons = ((name, _why_missing(advice)) for name, advice in missing)
    lines += [f"no recommendation for {names}: {why}" for names, why in _by_text(reasons)]
    steps = [
        f"{name} {amount(kind, advice.value)}, goal {amount(kind, advice.at_goal.value)}"
        for name, advice in all_numbers(recommendation)
        # Without the name of another container, which says nothing of the unit.
        for kind in [" ".join(name.split()[-2:])]
        if has_goal(advice)
    ]
    if steps:
        lines.append(f"the first of several steps: {'; '.join(steps)}. Run MOrA again after a day for the next")
    for container in recommendation.containers:
        name = container.container
        if is_injected(recommendation, name):
            lines.append(
                f"container {name} is injected at admission, so this template cannot size it; set its resources where "
                "it is injected"
            )
        lines += [reason.text for reason in container.reasons if reason.code == "may-be-injected"]
        if is_gone(recommendation, name):
            lines.append(f"container {name} no longer exists in the workload: skipped")
    return [wrapped for line in lines for wrapped in comment(line)]


def cautions(recommendation: Recommendation) -> list[Reason]:
    """What has to be known before numbers are applied: what could not be read, and who else sets them."""
    return [reason for reason in recommendation.reasons if reason.code in _CAUTIONS]


def _is_missing(advice: Advice) -> bool:
    return advice.value is None and not advice.is_unset


def _why_missing(advice: Advice) -> str:
    """The summary, or the reasons where there is none, as it goes on after "no recommendation for cpu request"."""
    summary = clean(advice.summary).removeprefix("no recommendation: ").removeprefix("unchanged: ")
    # A summary that was cut for its line in a table has no place in a comment, which is wrapped.
    return one_line(advice.reasons) if not summary or summary.endswith(" ...") else summary


def grouped(advice: Iterable[tuple[str, Advice]]) -> list[tuple[str, str]]:
    """The names of numbers that share their reasons, and the reasons, in the order of the first of each."""
    return _by_text((name, one_line(number.reasons)) for name, number in advice)


def _by_text(named: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    by_text: dict[str, list[str]] = {}
    for name, text in named:
        by_text.setdefault(text, []).append(name)
    return [(", ".join(names), text) for text, names in by_text.items()]


def why_no_patch(recommendation: Recommendation) -> str:
    """Why nothing can be written for a workload."""
    kind = recommendation.workload.kind
    if kind == "Job" and to_write(recommendation):
        return (
            "the template of a Job cannot be changed; delete the Job and create it again with the resources of -o yaml"
        )
    if not is_written(kind) and to_write(recommendation):
        return f"MOrA writes no patch for a {kind}; set these numbers in {where_set(kind)}"
    if not in_template(recommendation):
        return "its template has none of the containers with a recommendation"
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


def remark(text: str) -> str:
    """One comment line, not wrapped; what comment() is for longer texts.

    >>> remark("it replaces the HPA web\\nkind: Pod")
    '# it replaces the HPA web kind: Pod'
    """
    return f"# {clean(text)}"


def one_line(reasons: Iterable[Reason]) -> str:
    """Reasons as one line, safe in a comment."""
    texts = dict.fromkeys(reason.text for reason in reasons)
    return clean("; ".join(texts)) or "no reason is known"


def clean(text: str) -> str:
    """Text on one line. Some of it comes from servers: control characters of a terminal become "?".

    >>> clean("a warning\\n of\\x1b[2J it")
    'a warning of?[2J it'
    """
    return printable(" ".join(text.split()))


def container_name(recommendation: Recommendation, container: ContainerAdvice) -> str:
    """The container's name, and what it is where it is not the workload's own."""
    marks = {"native-sidecar": " (sidecar)", "init": " (init)", "sidecar": " (sidecar)"}
    mark = " (injected)" if is_injected(recommendation, container.container) else marks.get(container.role, "")
    return clean(container.container) + mark


def other_reasons(recommendation: Recommendation) -> list[Reason]:
    """The reasons of the workload that are not already among those of its main container and its replicas."""
    given = [reason.text for _, advice in numbers(recommendation) for reason in advice.reasons]
    return [reason for reason in recommendation.reasons if not any(reason.text in text for text in given)]


def at_load(recommendation: Recommendation) -> str:
    """The load that the numbers are for, " for 40 users of checkout"; empty where no load was driven."""
    load = recommendation.load
    return f" for {load.users} users of {clean(load.scenario)}" if load else ""


def summary(advice: Advice) -> str:
    """What decides a number, in one line; empty where nothing is known.

    Where the policy gives no summary, the last reason counts: each step of the policy adds one.

    >>> summary(Advice(100, 228, reasons=(Reason("sized", "138Mi"), Reason("oom-bump", "2 OOM kills: 228Mi"))))
    '2 OOM kills: 228Mi'
    """
    if advice.summary:
        return clean(advice.summary)
    deciding = [reason for reason in advice.reasons if reason.code != "no-confidence"] or list(advice.reasons)
    return clean(deciding[-1].text) if deciding else ""


def confidence(advice: Advice) -> str:
    """How sure a number is and what that rests on; without windows of its own, on what the rule reached elsewhere.

    >>> confidence(Advice(100, 90, 0.984, windows=8)), confidence(Advice(100, 90)), confidence(Advice(100, None))
    ('98 % (8 windows)', 'unknown', '-')
    >>> confidence(Advice(100, 90, 0.95))
    '95 % (other services)'
    """
    if advice.confidence is None:
        return "-" if advice.value is None else "unknown"
    if advice.windows == 0:
        return f"{round(advice.confidence * 100)} % (other services)"
    return f"{round(advice.confidence * 100)} % ({counted(advice.windows, 'window')})"


def readable(target: str, value: float) -> str:
    """An amount of use in a readable unit.

    >>> readable("cpu", 0.0123), readable("memory", 5.5e6), readable("replicas", 0.25)
    ('12.3m', '5.25 MiB', '0.25')
    """
    if target == "cpu":
        return readable_cores(value)
    return readable_bytes(value) if target == "memory" else f"{value:.2g}"


def nothing_to_write(what: str, recommendations: Sequence[Recommendation], why: Mapping[str, str]) -> NotEnoughData:
    """The error of an output without a single number: an empty file would look like success."""
    names = ", ".join(recommendation.workload.name for recommendation in recommendations) or "no service"
    by_text: dict[str, list[str]] = {}
    for name, text in why.items():
        by_text.setdefault(clean(text), []).append(name)
    reasons = "; ".join(f"{', '.join(named)}: {text}" for text, named in by_text.items())
    return NotEnoughData(
        f"{what[0].upper()}{what[1:]} cannot be written for {names}{': ' + reasons if reasons else '.'}",
        hint="To see every number and its reasons, use -o table --verbose.",
    )
