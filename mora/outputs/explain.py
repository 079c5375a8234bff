"""Everything behind a number: its arithmetic, the time range, the samples, the peaks, what was skipped and why, and the
queries as sent."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from mora.domain import AbnormalTime, Advice, ContainerAdvice, Evidence, Reason, Recommendation, Role
from mora.outputs import DEFAULTS, OutputSettings
from mora.outputs.changes import container_numbers, is_injected
from mora.outputs.figures import amount, change, has_goal
from mora.outputs.wording import clean, confidence, other_reasons, sized_by, title
from mora.quantities import counted, format_duration, format_moment, readable_bytes, readable_cores

# Times at which a container was abnormal that are listed one by one.
_SHOWN_TIMES = 5
_LABEL_WIDTH = len("memory request")
_BY_RUNS = "by the model's runs, see above"
_NOTHING_KEPT = "no figures are kept with this answer"


def render(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> str:
    """A chapter a workload, a paragraph a container; queries are not wrapped, so that they can be pasted."""
    chapters = [_chapter(recommendation, settings.width) for recommendation in recommendations]
    named = {
        text
        for recommendation in recommendations
        for container in recommendation.containers
        if container.evidence is not None
        for text in container.evidence.queries.values()
    }
    chapters.append(_others([(path, text) for path, text in settings.asked if text not in named]))
    if not recommendations:
        return "No workload to explain.\n"
    return "\n".join("\n".join(chapter).rstrip("\n") + "\n" for chapter in chapters if chapter)


def _chapter(recommendation: Recommendation, width: int) -> list[str]:
    load = recommendation.load
    lines = [title(recommendation.workload), "=" * len(title(recommendation.workload))]
    digest = f" ({recommendation.model_digest[:12]})" if recommendation.model_digest else ""
    lines += _field("cluster", recommendation.cluster, width) if recommendation.cluster else []
    lines += _field("sized by", sized_by(recommendation) + digest, width)
    lines += _field("data until", format_moment(recommendation.as_of), width)
    if load:
        lines += _field("load", f"{load.users} users of {load.scenario}", width)
    last = None
    for label, text in recommendation.model_facts:
        lines += _field("" if label == last else label, text, width)
        last = label
    lines += _field("replicas", outcome("replicas", recommendation.replicas), width)
    lines += _texts(recommendation.replicas.reasons, width)
    for words in autoscalers(recommendation):
        lines += _field("autoscaler", words, width)
    for reason in other_reasons(recommendation):
        lines += _field("note", reason.text, width)
    asked: dict[str, str] = {}
    for container in recommendation.containers:
        lines += ["", *_container(recommendation, container, width)]
        asked |= container.evidence.queries if container.evidence else {}
    return [*lines, "", *_queries(asked)]


def autoscalers(recommendation: Recommendation) -> Iterator[str]:
    """What each HPA of the workload scales on, and between how many replicas."""
    for scaler in recommendation.autoscalers or filter(None, (recommendation.current.autoscaler,)):
        of = f"{scaler.target}% of the {scaler.resource} request" if scaler.is_utilisation else "an average value"
        whose = f" of container {scaler.container}" if scaler.container else ""
        yield f"HPA {scaler.name} scales on {of}{whose}, {scaler.min_replicas} to {scaler.max_replicas} replicas"


def _container(recommendation: Recommendation, container: ContainerAdvice, width: int) -> list[str]:
    role = "" if container.role == Role.APP else container.role.replace("-", " ")
    marks = ("main" if container.is_main else "", _injected(recommendation, container) or role)
    mark = ", ".join(filter(None, marks))
    lines = [clean(f"container {container.container}") + (f" ({mark})" if mark else "")]
    for name, advice in container_numbers(container):
        lines += _field(name, outcome(name, advice), width)
        lines += _texts(advice.reasons, width)
    for reason in container.reasons:
        lines += _field("note", reason.text, width)
    evidence = container.evidence
    if evidence is None:
        lines += _field("measured", _BY_RUNS if recommendation.model_facts else _NOTHING_KEPT, width)
        return lines
    for label, text in seen(evidence):
        lines += _field(label, text, width)
    return lines


def _injected(recommendation: Recommendation, container: ContainerAdvice) -> str:
    return "injected at admission" if is_injected(recommendation, container.container) else ""


def outcome(name: str, advice: Advice) -> str:
    """The current value, the recommended one, the change and the confidence."""
    if advice.value is None and not (advice.is_unset and advice.now is not None):
        return f"unchanged ({amount(name, advice.now)})"
    then = "no limit" if advice.is_unset else amount(name, advice.value)
    text = f"{amount(name, advice.now)} now, {then} recommended"
    if has_goal(advice):
        text += f" as this step, {amount(name, advice.at_goal.value)} as the goal"
    if change(advice) not in ("-", "remove"):
        text += f", {change(advice)}"
    if advice.confidence is not None:
        text += f"; confidence {confidence(advice)}"
    return text


def seen(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """What was measured."""
    span = format_duration(evidence.end - evidence.start)
    share = f" ({evidence.samples / evidence.expected:.0%})" if evidence.expected else ""
    start, end = format_moment(evidence.start), format_moment(evidence.end)
    yield "time range", f"{start} to {end} ({span}), every {format_duration(evidence.step)}"
    if evidence.cpu_samples is None or evidence.cpu_samples == evidence.mem_samples:
        yield "samples", f"{evidence.samples:,} of {evidence.expected:,} expected{share}, {_pods(evidence.pods)}"
    else:
        each = ((evidence.cpu_samples, "CPU"), (evidence.mem_samples or 0, "memory"))
        counts = ", ".join(f"{count:,} ({count / max(1, evidence.expected):.0%}) of {what}" for count, what in each)
        yield "samples", f"{counts}; {evidence.expected:,} expected, {_pods(evidence.pods)}"
    if evidence.cpu_peak_cores is not None:
        level = f"; 95 % of samples below {_cores(evidence.cpu_level_cores)}" if evidence.cpu_level_cores else ""
        yield "cpu peak", _peak(_cores(evidence.cpu_peak_cores), evidence.cpu_peak_at, evidence.cpu_peak_pod) + level
    if evidence.mem_peak_bytes is not None:
        peak = _peak(readable_bytes(evidence.mem_peak_bytes), evidence.mem_peak_at, evidence.mem_peak_pod)
        yield "memory peak", peak
    if evidence.throttled_ratio is not None:
        yield "throttling", f"throttled at the CPU limit in {evidence.throttled_ratio:.1%} of CFS periods, on average"
    else:
        yield (
            "throttling",
            "unknown: the source has no counter of it (in Prometheus, container_cpu_cfs_throttled_periods_total)",
        )
    yield "restarts", f"{evidence.restarts}; {counted(evidence.oom_kills, 'OOM kill')}"
    for excluded in evidence.left_out:
        yield "excluded", excluded
    if evidence.abnormal is not None:
        yield from _abnormal(evidence.abnormal)


def _abnormal(times: Sequence[AbnormalTime]) -> Iterator[tuple[str, str]]:
    """When it was abnormal: the last few times one by one, and how many came before."""
    if not times:
        yield "abnormal", "at no time, compared with the days before"
        return
    earlier, shown = times[:-_SHOWN_TIMES], times[-_SHOWN_TIMES:]
    if earlier:
        total = sum((one.end - one.start for one in earlier), timedelta())
        yield "abnormal", f"{counted(len(earlier), 'time')} before these, {format_duration(total, about=True)} in all"
    for one in shown:
        what = f"most of all its {one.metric}"
        if one.end == one.start:
            yield "abnormal", f"{format_moment(one.start)}, {what}"
        else:
            length = format_duration(one.end - one.start, about=True)
            yield "abnormal", f"{format_moment(one.start)} to {format_moment(one.end)} ({length}), {what}"


def _peak(value: str, at: datetime | None, pod: str | None) -> str:
    """The highest use; of the whole time range, since the peak that memory must cover is that of the last 7 days."""
    return (
        f"{value} in the whole time range"
        + (f", at {format_moment(at)}" if at else "")
        + (f" on pod {pod}" if pod else "")
    )


def _cores(cores: float | None) -> str:
    return "unknown" if cores is None else readable_cores(cores)


def _pods(pods: int) -> str:
    return "of one pod" if pods == 1 else f"each from the hottest of {pods} pods (deleted ones included)"


def _queries(queries: Mapping[str, str]) -> list[str]:
    if not queries:
        return []
    lines = ["queries, as sent"]
    for name, text in queries.items():
        lines += [f"  {clean(name)}", *(f"    {clean(line)}" for line in text.splitlines())]
    return lines


def _others(asked: Sequence[tuple[str, str]]) -> list[str]:
    """What else this run has asked the Prometheus: owners, nodes, scrape intervals, events."""
    if not asked:
        return []
    lines = ["other queries and selectors of this run, as sent", ""]
    by_path: dict[str, list[str]] = {}
    for path, text in asked:
        by_path.setdefault(path, []).append(text)
    for path, texts in by_path.items():
        lines += [f"  {clean(path)}", *(f"    {clean(line)}" for text in texts for line in text.splitlines())]
    return lines


def _texts(reasons: Sequence[Reason], width: int) -> list[str]:
    return [line for reason in reasons for line in _field("", reason.text, width)]


def _field(label: str, text: str, width: int) -> list[str]:
    indent = " " * (_LABEL_WIDTH + 4)
    return textwrap.wrap(
        clean(text),
        width,
        initial_indent=f"  {clean(label).ljust(_LABEL_WIDTH)}  ",
        subsequent_indent=indent + "  ",
        break_on_hyphens=False,
        break_long_words=False,
    )
