"""A digest for people: plain text, Markdown, a message for Slack, and JSON for programs.

The names in it are a cluster's, so each form escapes them: no name can link, mention or format.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from mora.outputs.changes import quantity
from mora.outputs.documents import printable_json
from mora.outputs.markdown import plain
from mora.outputs.wording import clean
from mora.quantities import GIB, counted, format_moment, readable_bytes, readable_cores
from mora.record.digest import Digest, workloads_of
from mora.record.numbers import Key
from mora.record.reading import Episode, Moment
from mora.savings import HOURS_PER_MONTH, Prices

_MOST_NAMED = 10
# Slack refuses a block of more than 3,000 characters.
_MOST_CHARACTERS = 2900
_NUMBERS = {
    "cpu_request": "CPU request",
    "cpu_limit": "CPU limit",
    "memory_request": "memory request",
    "memory_limit": "memory limit",
    "replicas": "replicas",
}
Escape = Callable[[str], str]


def text(digest: Digest, prices: Prices | None = None) -> str:
    """Plain text: a heading, a line for each topic, what was exceeded below it."""
    lines = [_title(digest, clean), ""]
    for name, words, named in _topics(digest, prices, clean):
        lines += [f"{name}: {words}", *(f"  - {one}" for one in named)]
    return "\n".join(lines) + "\n"


def markdown(digest: Digest, prices: Prices | None = None) -> str:
    """The same as Markdown."""
    lines = [f"## {_title(digest, plain)}", ""]
    for name, words, named in _topics(digest, prices, plain):
        lines += [f"- **{name}:** {words}", *(f"  - {one}" for one in named)]
    return "\n".join(lines) + "\n"


def slack(digest: Digest, prices: Prices | None = None) -> str:
    """The same as the JSON that a webhook of Slack (or Mattermost, Rocket.Chat, Discord's /slack) takes."""
    title = _title(digest, _for_slack)
    blocks: list[dict[str, Any]] = [
        # A header has no markup, so its text is not escaped, and at most 150 characters.
        {"type": "header", "text": {"type": "plain_text", "text": _title(digest, clean)[:150]}}
    ]
    for name, words, named in _topics(digest, prices, _for_slack):
        body = "\n".join([f"*{name}:* {words}", *(f"• {one}" for one in named)])
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": _cut(body), "verbatim": True}})
    return json.dumps({"text": title, "blocks": blocks}, indent=1) + "\n"


def as_json(digest: Digest, prices: Prices | None = None) -> str:
    """The figures, for programs."""
    document = {
        "since": _moment(digest.since),
        "until": _moment(digest.until),
        "cluster": digest.cluster,
        "namespace": digest.namespace,
        "recommended": {"workloads": workloads_of(digest.open), "changes": len(digest.open)},
        "applied": [_document(one) for one in digest.applied],
        "applied_in_part": [_document(one) for one in digest.partly],
        "changed_otherwise": [_document(one) for one in digest.otherwise],
        "in_force": {
            "covered": len(digest.covered),
            "exceeded": [_document(one) for one in digest.exceeded],
            "unchecked": digest.unchecked,
        },
        "freed": {
            "cpu_cores": round(digest.freed_cores, 6),
            "memory_gib": round(digest.freed_gib, 6),
            "money_per_month": _money(digest, prices),
            "uncounted_changes": digest.uncounted,
        },
        "waste": {
            "then": None if digest.first is None else _wasted(digest.first),
            "now": None if digest.last is None else _wasted(digest.last),
        },
        "refreshes": [
            {
                "cluster": one.cluster,
                "at": _moment(one.at),
                "succeeded_at": None if one.succeeded_at is None else _moment(one.succeeded_at),
                "problem": one.problem,
            }
            for one in digest.refreshes
        ],
    }
    return printable_json(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)) + "\n"


FORMS: dict[str, Callable[[Digest, Prices | None], str]] = {
    "text": text,
    "markdown": markdown,
    "slack": slack,
    "json": as_json,
}
CONTENT_TYPES = {
    "text": "text/plain; charset=utf-8",
    "markdown": "text/markdown; charset=utf-8",
    "slack": "application/json",
    "json": "application/json",
}


# --- what is in it ---------------------------------------------------------------------------------------------------


def _title(digest: Digest, escape: Escape) -> str:
    where = " / ".join(escape(name) for name in (digest.cluster, digest.namespace) if name)
    since, until = (format_moment(at) for at in (digest.since, digest.until))
    return f"MOrA digest{f' of {where}' if where else ''}, {since} to {until}"


def _topics(digest: Digest, prices: Prices | None, escape: Escape) -> list[tuple[str, str, list[str]]]:
    """(topic, a sentence or two, what is named below it)."""
    found = [
        ("Recommended", _recommended(digest), []),
        ("Applied", _applied(digest), []),
        ("Covered", _covered(digest), _listed(digest.exceeded, _exceeded_words, escape)),
        ("Freed", _freed(digest, prices), []),
    ]
    if digest.first is not None and digest.last is not None:
        found.append(("Waste", _waste(digest), []))
    away = [one for one in digest.refreshes if one.problem is not None]
    if away:
        words = [": ".join(escape(part) for part in (one.cluster, one.problem or "") if part) for one in away]
        found.append(("Attention", "The last refresh failed, so the figures end before it.", words))
    return found


def _recommended(digest: Digest) -> str:
    if not digest.open:
        return "no change is waiting to be applied."
    changes, there = counted(len(digest.open), "change"), counted(workloads_of(digest.open), "workload")
    return f"{changes} of {there} {'is' if len(digest.open) == 1 else 'are'} waiting to be applied."


def _applied(digest: Digest) -> str:
    parts = []
    for episodes, words in (
        (digest.applied, "{0} at {1}"),
        (digest.partly, "{0} at {1} in part"),
        (digest.otherwise, "{0} at {1} became something else"),
    ):
        if episodes:
            what = "setting" if episodes is digest.otherwise else "change"
            parts.append(words.format(counted(len(episodes), what), counted(workloads_of(episodes), "workload")))
    return f"{', '.join(parts)}." if parts else "no setting was changed."


def _covered(digest: Digest) -> str:
    checked = len(digest.covered) + len(digest.exceeded)
    later = f" {counted(digest.unchecked, 'request')} not checked yet." if digest.unchecked else ""
    if not checked:
        return f"no applied request has been checked.{later}"
    if not digest.exceeded:
        return f"all {counted(checked, 'applied request')} covered the use since.{later}"
    return f"{len(digest.covered)} of {counted(checked, 'applied request')} covered the use since.{later} Exceeded:"


def _freed(digest: Digest, prices: Prices | None) -> str:
    if not (digest.applied or digest.partly):
        return "nothing, since nothing was applied."
    amounts = ((digest.freed_cores, readable_cores), (digest.freed_gib * GIB, readable_bytes))
    freed = [words(amount) for amount, words in amounts if amount > 0]
    added = [words(-amount) for amount, words in amounts if amount < 0]
    said = "; ".join(filter(None, (" and ".join(freed), f"{' and '.join(added)} more are requested" if added else "")))
    said = said or "as much is requested as before"
    money = _money(digest, prices)
    if money is not None and prices is not None and money:
        said += f": {abs(money):,.2f} {prices.currency} a month {'less' if money > 0 else 'more'}"
    rest = counted(digest.uncounted, "change")
    left = f" {rest} not counted: nothing was set before, or it does not run all the time." if digest.uncounted else ""
    return f"{said}.{left}"


def _waste(digest: Digest) -> str:
    assert digest.first is not None and digest.last is not None  # noqa: S101, PT018  # the caller looked
    first, last = digest.first, digest.last
    return (
        f"{readable_cores(last.waste_cores)} and {readable_bytes(last.waste_bytes)} are reserved beyond need. "
        f"Before: {readable_cores(first.waste_cores)} and {readable_bytes(first.waste_bytes)}."
    )


def _wasted(moment: Moment) -> dict[str, Any]:
    return {
        "at": _moment(moment.at),
        "cpu_cores": round(moment.waste_cores, 6),
        "memory_gib": round(moment.waste_bytes / GIB, 6),
    }


def _money(digest: Digest, prices: Prices | None) -> float | None:
    if prices is None:
        return None
    hourly = digest.freed_cores * prices.cpu_per_core_hour + digest.freed_gib * prices.memory_per_gib_hour
    return round(hourly * HOURS_PER_MONTH, 2)


def _listed(episodes: Sequence[Episode], words: Callable[[Episode], str], escape: Escape) -> list[str]:
    named = [f"{escape(_name(one.key))}: {words(one)}" for one in episodes[:_MOST_NAMED]]
    more = len(episodes) - _MOST_NAMED
    return [*named, f"and {more} more"] if more > 0 else named


def _exceeded_words(one: Episode) -> str:
    resource = "cpu" if one.key.number.startswith("cpu") else "memory"
    set_to = "not known" if one.after is None else quantity(resource, one.after)
    is_over = one.needed is not None and one.after is not None and one.needed > one.after
    needed = f", needed {_readable(resource, one.needed)}" if is_over and one.needed is not None else ""
    kills = f", {counted(one.oom_kills, 'OOM kill')}" if one.oom_kills else ""
    return f"{_NUMBERS[one.key.number]} {set_to}{needed}{kills}"


def _readable(resource: str, amount: float) -> str:
    return readable_cores(amount / 1000) if resource == "cpu" else readable_bytes(amount)


def _name(key: Key) -> str:
    place = "/".join(filter(None, (key.cluster, key.namespace, key.workload)))
    return f"{place} {key.container}".rstrip()


def _document(one: Episode) -> dict[str, Any]:
    key = one.key
    return {
        "cluster": key.cluster,
        "namespace": key.namespace,
        "kind": key.kind,
        "workload": key.workload,
        "container": key.container,
        "number": key.number,
        "before": one.before,
        "after": one.after,
        "recommended": one.value,
        "changed_at": None if one.ended_at is None else _moment(one.ended_at),
        "covered": one.covered,
        "needed_since": None if one.needed is None else round(one.needed, 3),
        "oom_kills_since": one.oom_kills,
    }


# --- names -----------------------------------------------------------------------------------------------------------


def _for_slack(name: str) -> str:
    """A name that Slack takes for text: its links and mentions begin with <.

    >>> _for_slack("<!channel> a&b")
    '&lt;!channel&gt; a&amp;b'
    """
    return clean(name).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut(body: str) -> str:
    return body if len(body) <= _MOST_CHARACTERS else body[:_MOST_CHARACTERS].rsplit("\n", 1)[0] + "\n..."


def _moment(at: float) -> str:
    return format_moment(at, "seconds")
