"""Whatever names and reasons say, every output says exactly that: nothing in them becomes syntax.

Names from an API server are DNS-1123; those from a Prometheus, a plug-in or a mutated answer can be anything.
"""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mora import registry
from mora.domain import Advice, Autoscaler, ContainerAdvice, Load, Reason, Recommendation
from mora.outputs import OutputSettings
from mora.outputs.folder import files
from mora.outputs.wording import clean
from tests.outputs import examples

# fmt: off
PIECES = (
    "web --kubeconfig=/tmp/evil", "-n kube-system", "$(id)", "`id`", "'", "\"", "\\", ";", "&&", ">", "<", "\n",
    "\r\n", "\t", "\x00", "\x1b[2J", "\x7f", "\x85", "\u2028", "\u202e", "\u2066", "\u200b", "\ud800", "=1+1",
    "+1", "-1", "@SUM(A1)", "\uff1d1", "# x", "---", "...", ": ", "- ", "{", "}", "[x](http://x.example)",
    "![x](y)", "<img src=x>", "</details>", "<!--", "~~~", "```", "**", "__", "https://x.example",
    "www.x.example", "@somebody", "a@b.example", "&amp;", "%", "!", "*", "null", "yes", "1e3",
    "\n---\nkind: ClusterRoleBinding\n", "THIS_FILE", "|",
)
# fmt: on
TEXTS = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=6)), min_size=1, max_size=5).map("".join)
EVIL_HPA = "web\n---\nkind: ClusterRoleBinding"
QUICK = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
# Stands for a name of the caller's in what an output says with ordinary names.
PLACEHOLDER = re.compile(r"zz[a-z]+\d+")


def spoilt(recommendation: Recommendation, say: Callable[[str], str]) -> Recommendation:
    """The recommendation with every free name and text replaced by what `say` gives for a placeholder."""
    names: dict[str, str] = {}

    def name_of(container: str) -> str:
        return names.setdefault(container, say(f"zzcontainer{len(names)}"))

    def reasons(of: tuple[Reason, ...]) -> tuple[Reason, ...]:
        return tuple(Reason(one.code, say("zzreason1")) for one in of)

    def advice(one: Advice) -> Advice:
        return replace(one, summary=say("zzsummary1") if one.summary else "", reasons=reasons(one.reasons))

    def scaler(one: Autoscaler) -> Autoscaler:
        return replace(one, name=say("zzhpa1"), container=name_of(one.container) if one.container else None)

    def container(one: ContainerAdvice) -> ContainerAdvice:
        evidence = one.evidence and replace(
            one.evidence,
            cpu_peak_pod=say("zzpod1"),
            mem_peak_pod=say("zzpod1"),
            left_out=(say("zzexcluded1"),),
            queries={"cpu": say("zzquery1")},
        )
        return replace(
            one,
            container=name_of(one.container),
            cpu_request=advice(one.cpu_request),
            cpu_limit=advice(one.cpu_limit),
            memory_request=advice(one.memory_request),
            memory_limit=advice(one.memory_limit),
            reasons=reasons(one.reasons),
            evidence=evidence,
        )

    def allocation(one: Any) -> Any:
        inner = tuple(replace(c, name=name_of(c.name), image=say("zzimage1")) for c in one.containers)
        return replace(one, containers=inner, autoscaler=one.autoscaler and scaler(one.autoscaler))

    return replace(
        recommendation,
        containers=tuple(map(container, recommendation.containers)),
        current=allocation(recommendation.current),
        load=recommendation.load and Load(say("zzscenario1"), recommendation.load.users),
        replicas=advice(recommendation.replicas),
        reasons=reasons(recommendation.reasons),
        autoscalers=tuple(map(scaler, recommendation.autoscalers)),
        retargets=tuple(map(scaler, recommendation.retargets)),
        model_facts=((say("zzlabel1"), say("zzfact1")),),
    )


def meaning(text: str) -> Callable[[str], str]:
    """A placeholder's hostile text; those of containers differ, since a name is there once in a pod."""
    return lambda placeholder: text + placeholder if placeholder.startswith("zzcontainer") else text


def recommendations(output: str) -> list[Recommendation]:
    found = examples.fleet()
    if output == "helm-values":  # of several containers each needs a path of its own
        return [one for one in found if len(one.containers) == 1]
    return found


def texts(output: str, say: Callable[[str], str], verbose: bool | None) -> dict[str, str]:
    """What an output says: as one text, and file by file."""
    chosen, spoken = OutputSettings(verbose=verbose), [spoilt(one, say) for one in recommendations(output)]
    return {"": registry.load("outputs", output)(spoken, chosen), **files(output, spoken, chosen)}


@cache
def calm_texts(output: str, verbose: bool | None) -> dict[str, str]:
    """What an output says with ordinary names."""
    return texts(output, lambda placeholder: placeholder, verbose)


def pairs(output: str, text: str, verbose: bool | None = None) -> Iterator[tuple[str, str]]:
    """What an output says with ordinary names, and with hostile ones: as one text, then file by file."""
    before, after = calm_texts(output, verbose), texts(output, meaning(text), verbose)
    assert list(before) == list(after)
    yield from zip(before.values(), after.values(), strict=True)


def told(value: Any, text: str) -> Any:
    """A parsed value with each placeholder that is a whole string replaced by its hostile text."""
    if isinstance(value, Mapping):
        return {told(key, text): told(inner, text) for key, inner in value.items()}
    if isinstance(value, list):
        return [told(inner, text) for inner in value]
    if isinstance(value, str) and PLACEHOLDER.fullmatch(value):
        return meaning(text)(value)
    return value


def hostile(check: Callable[..., None]) -> Callable[..., None]:
    """The check with many texts, and always with those that once went through."""
    for text in (EVIL_HPA, "web --kubeconfig=/tmp/evil", "=1+1", "a|b`c", "![x](http://x.example)", "\u202egnp"):
        check = example(text=text)(check)
    return QUICK(given(text=TEXTS)(check))


@pytest.mark.parametrize("output", registry.names("outputs"))
@hostile
def test_no_output_carries_a_character_that_a_terminal_obeys(output: str, text: str) -> None:
    for verbose in (None, True) if output == "table" else (None,):
        for _, said in pairs(output, text, verbose):
            assert [c for c in said if not c.isprintable() and c != "\n"] == []
            said.encode()


@pytest.mark.parametrize("output", ["yaml", "patch", "vpa", "hpa", "helm-values", "kustomize"])
@hostile
def test_yaml_has_the_same_documents_with_exactly_these_names(output: str, text: str) -> None:
    for calm, said in pairs(output, text):
        if calm.startswith(tuple(f"{kind} " for kind in ("Deployment", "StatefulSet", "Job", "CronJob", "DaemonSet"))):
            assert said.count("\n") == calm.count("\n")  # skipped.txt: a line a workload
            continue
        assert list(yaml.safe_load_all(said)) == told(list(yaml.safe_load_all(calm)), text)


@hostile
def test_json_has_exactly_these_names(text: str) -> None:
    for calm, said in pairs("json", text):
        assert json.loads(said) == told(json.loads(calm), text)


@hostile
def test_csv_has_the_same_cells_and_no_formula(text: str) -> None:
    for calm, said in pairs("csv", text):
        rows, expected = list(csv.DictReader(io.StringIO(said))), list(csv.DictReader(io.StringIO(calm)))
        assert len(rows) == len(expected)
        for row, known in zip(rows, expected, strict=True):
            assert set(row) == set(known)
            name = clean(meaning(text)(known["container"]))
            assert row["container"].removeprefix("'") == name.removeprefix("'")
            assert {key: row[key] for key in row if key not in ("container", "reasons")} == {
                key: known[key] for key in known if key not in ("container", "reasons")
            }
            assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r", "\uff1d")) for cell in row.values())


def commands(script: str) -> list[list[str]]:
    """The arguments of every command of a script, also of those in comments; JSON arguments parsed."""
    lines = [line.removeprefix("# ") for line in script.splitlines()]
    found = [shlex.split(line) for line in lines if re.match(r"(kubectl patch|resize) .*\{", line)]
    return [[json.dumps(json.loads(word)) if word.startswith(("{", "[")) else word for word in line] for line in found]


def is_of_an_hpa(command: list[str]) -> bool:
    return command[:3] == ["kubectl", "patch", "hpa"]


@pytest.mark.parametrize("output", ["commands", "resize"])
@hostile
def test_a_script_has_the_same_commands_with_exactly_these_names(output: str, text: str) -> None:
    for calm, said in pairs(output, text):
        expected = [
            [json.dumps(told(json.loads(word), text)) if word.startswith(("{", "[")) else word for word in command]
            for command in commands(calm)
            if text_is_name(text) or not is_of_an_hpa(command)
        ]
        assert commands(said) == expected
        loose = [line for line in said.splitlines() if line and not line.startswith(("#", " "))]
        known = [line for line in calm.splitlines() if line and not line.startswith(("#", " ", "kubectl patch hpa "))]
        assert [line.split(" ")[0] for line in loose if not line.startswith("kubectl patch hpa ")] == [
            line.split(" ")[0] for line in known
        ]


def text_is_name(text: str) -> bool:
    return re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", text) is not None and ".." not in text


@hostile
def test_markdown_has_the_same_table_and_no_link_image_or_html(text: str) -> None:
    parser = MarkdownIt("commonmark").enable("table")
    for calm, said in pairs("pr-body", text):
        before, after = parser.parse(calm), parser.parse(said)
        assert [token.type for token in after if token.type != "inline"] == [
            token.type for token in before if token.type != "inline"
        ]
        kinds = {child.type for token in after for child in token.children or ()}
        assert kinds <= {"text", "code_inline", "softbreak", "text_special", "strong_open", "strong_close"} | {
            "em_open",
            "em_close",
        }
        assert [token.content for token in after if token.type == "html_block"] == [
            token.content for token in before if token.type == "html_block"
        ]
        for cell, known in zip(cells(after), cells(before), strict=True):
            expected = clean(meaning(text)(known)) if PLACEHOLDER.fullmatch(known) else known
            assert cell == expected
        shown = "".join(c.content for token in after for c in token.children or () if c.type == "text")
        assert not re.search(r"\bhttps?://|www\.[a-z]|[\w]?@[\w]", without_entities(said)), shown


def without_entities(markdown: str) -> str:
    """Markdown outside of code: what a forge searches for addresses and mentions."""
    return re.sub(r"```sh\n.*?\n```|`[^`\n]*`", "", markdown, flags=re.DOTALL)


def cells(tokens: list[Any]) -> list[str]:
    """The text of each cell of the tables."""
    return [
        "".join(child.content for child in tokens[place + 1].children or ())
        for place, token in enumerate(tokens)
        if token.type == "td_open"
    ]
