"""Plain English: phrases of a private vocabulary stay out of help, messages, docs, docstrings, comments and names.

Each entry names the words to use in its place. A reader who knows Kubernetes, Prometheus and forecasting should need no
other vocabulary.
"""

from __future__ import annotations

import io
import re
import tokenize
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not {".venv", ".tools", "node_modules"} & set(path.relative_to(ROOT).parts) and path.name != "CHANGELOG.md"
)
# Where the words of an older release are read.
READS_OLD_WORDS = {ROOT / "mora" / "model" / "migration.py"}
CODE = sorted([*(ROOT / "mora").rglob("*.py"), *(ROOT / "experiments").rglob("*.py"), *(ROOT / "scripts").glob("*.sh")])
CODE = [path for path in CODE if path not in READS_OLD_WORDS]
MANIFESTS = sorted((ROOT / "manifests").rglob("*.yaml"))

# Phrase (a regular expression, any case) -> what to say instead.
BANNED = {
    r"what is promised is there": "limit equals request",
    r"says 'at least'": "limit-bound: at least N",
    r"\bleft (?:alone|as it is|as they are)\b": "unchanged, skipped",
    r"\bnobody\b": "no data, not known, no one (or make the subject do something)",
    r"\bneediest\b": "most demanding",
    r"what was begun": "shutting down",
    r"of a (?:core|gib) an hour": "cost per core-hour, per GiB-hour",
    r"is not a text\b": "must be a string",
    r"meets no workload": "matches no workload",
    r"\bthe whole road\b": "end to end",
    r"\b(?:a|the|one|per|each|every|such|whole|coming|next|last|of|held-out|kept|\d+) holds?\b": "horizon, or window",
    r"\bholds? of (?:a|an|one|\d+)": "horizon of",
    r"\bheld\b": "limit-bound, deferred, covered, kept out for validation",
    r"\bstandings?\b": "current state",
    r"\bcent(?:re|er)\b(?! of)(?!s\b)": "point forecast, mean use",
    r"\bstretch(?:es)?\b": "validation window, backtest window",
    r"\b(?:kept|keeps?|broke|breaks?|broken) (?:its|their|the|a) promises?\b": "covered, exceeded",
    r"\bpromises?(?: (?:kept|broken))\b": "covered, exceeded",
    r"\bno talk\b|\btalk on stderr\b": "log output",
    r"\bforetold\b": "predicted",
    r"\b(?:is|are|was|were|be) (?:told|said)\b": "reported, printed, named; or make the subject say it",
    r"\b(?:and|which) says so\b": "with a reason",
    r"\bin words\b": "with a clear error",
    r"\bone that is gone\b": "failover",
    r"\bon the way to\b": "step limit",
    r"\bput (?:into|in) the pods from outside\b": "injected at admission",
    r"\bno setting of mora\b": "unknown setting",
}


def prose_of(path: Path) -> list[tuple[int, str]]:
    """The lines of a file that people read: all of a page, and the strings and comments of code."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return list(enumerate(text.splitlines(), start=1))
    found = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.STRING, tokenize.COMMENT):
            found += [(token.start[0] + number, line) for number, line in enumerate(token.string.splitlines())]
    return found


@cache
def everything() -> list[tuple[str, int, str]]:
    """(file, line, text) of all prose of the project."""
    return [
        (str(path.relative_to(ROOT)), number, line)
        for path in (*PAGES, *CODE, *MANIFESTS)
        for number, line in prose_of(path)
    ]


@pytest.mark.parametrize("phrase", BANNED)
def test_a_phrase_of_a_private_vocabulary_is_used_nowhere(phrase: str) -> None:
    pattern = re.compile(phrase, re.IGNORECASE)
    found = [f"{name}:{number}: {line.strip()}" for name, number, line in everything() if pattern.search(line)]
    assert found == [], f"say {BANNED[phrase]!r} instead"


def test_every_name_of_a_test_is_free_of_them() -> None:
    pattern = re.compile("|".join(f"(?:{phrase})" for phrase in BANNED), re.IGNORECASE)
    names = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        if pattern.search(name.replace("_", " "))
    ]
    assert names == []
