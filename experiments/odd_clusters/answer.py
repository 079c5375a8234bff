"""What MOrA answered to a case, and what a right answer must hold."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from experiments.odd_clusters.series import MIB

Run = Callable[[Sequence[str]], tuple[int, str, str]]
"""Runs `mora` with these arguments: exit code, output, messages."""


@dataclass(frozen=True)
class Answer:
    """MOrA's answer about one namespace; each output is asked for once, when a check first needs it."""

    namespace: str
    options: tuple[str, ...]
    run: Run

    def output(self, *more: str) -> tuple[int, str, str]:
        """`mora recommend -n NAMESPACE --all` with further options."""
        key = ("recommend", "-n", self.namespace, "--all", *self.options, *more)
        known: dict[tuple[str, ...], tuple[int, str, str]] = self.__dict__.setdefault("_outputs", {})
        if key not in known:
            known[key] = self.run(key)
        return known[key]

    def explain(self, workload: str) -> str:
        """`mora explain KIND/NAME`."""
        _, out, messages = self.run(("explain", workload, "-n", self.namespace, *self.options))
        return out + messages

    @cached_property
    def messages(self) -> str:
        """What is printed beside the answer."""
        return self.output("-o", "json")[2]

    @cached_property
    def document(self) -> Mapping[str, Any]:
        """`-o json`; empty where there is none."""
        _, out, _ = self.output("-o", "json")
        try:
            found: Mapping[str, Any] = json.loads(out)
        except json.JSONDecodeError:
            return {}
        return found

    def workload(self, name: str) -> Mapping[str, Any] | None:
        """The recommendation of one workload."""
        for one in self.document.get("recommendations", ()):
            if one["service"] == name:
                found: Mapping[str, Any] = one
                return found
        return None

    def number(self, workload: str, field: str, container: str | None = None) -> Mapping[str, Any] | None:
        """One number of one container, the main one where none is named."""
        one = self.workload(workload)
        if one is None:
            return None
        if container is None:
            found: Mapping[str, Any] = one[field]
            return found
        for other in one["containers"]:
            if other["name"] == container:
                its: Mapping[str, Any] = other[field]
                return its
        return None

    def set(self, workload: str, what: str, container: str | None = None) -> int | None:
        """What would be set: the number, what is set now where there is none, None for nothing."""
        number = self.number(workload, _FIELDS[what], container)
        if number is None:
            return None
        kept = number["value"] is None and not number["is_unset"]
        found: int | None = number["now"] if kept else number["value"]
        return found

    def text(self, workload: str | None = None) -> str:
        """All that JSON, table and messages say, or the JSON of one workload."""
        if workload is not None:
            return json.dumps(self.workload(workload), ensure_ascii=False)
        _, table, messages = self.output("--verbose")
        return "\n".join((json.dumps(self.document, ensure_ascii=False), table, messages))


@dataclass(frozen=True)
class Check:
    """One thing that a right answer holds. wrong: what is wrong about an answer, or None."""

    text: str
    wrong: Callable[[Answer], str | None]


def _between(field: str, unit: float, name: str) -> Callable[..., Check]:
    def check(workload: str, low: float, high: float, *, container: str | None = None, goal: bool = False) -> Check:
        def wrong(answer: Answer) -> str | None:
            number = answer.number(workload, field, container)
            if number is None:
                return f"no row for {workload}"
            value = number["goal" if goal else "value"]
            value = number["now"] if value is None and not number["is_unset"] else value
            if value is None:
                return f"{name} has no number: {number['summary']}"
            return None if low <= value / unit <= high else f"{name} is {value / unit:g}: {number['summary']}"

        whose = workload if container is None else f"{workload}/{container}"
        return Check(f"{name} of {whose} between {low:g} and {high:g}", wrong)

    return check


cpu = _between("cpu_request_millicores", 1, "CPU request, millicores,")
cpu_limit = _between("cpu_limit_millicores", 1, "CPU limit, millicores,")
memory = _between("memory_request_bytes", MIB, "memory request, MiB,")
memory_limit = _between("memory_limit_bytes", MIB, "memory limit, MiB,")
replicas = _between("replicas", 1, "replicas")

_FIELDS = {
    "cpu": "cpu_request_millicores",
    "cpu limit": "cpu_limit_millicores",
    "memory": "memory_request_bytes",
    "memory limit": "memory_limit_bytes",
    "replicas": "replicas",
}


def kept(workload: str, what: str, *, container: str | None = None) -> Check:
    """The number stays as it is now, or there is none."""

    def wrong(answer: Answer) -> str | None:
        number = answer.number(workload, _FIELDS[what], container)
        if number is None:
            return f"no row for {workload}"
        same = number["value"] in (None, number["now"]) and not (number["is_unset"] and number["now"] is not None)
        return None if same else f"{what} changes from {number['now']} to {number['value']}: {number['summary']}"

    return Check(f"{what} of {workload} is not changed", wrong)


def not_cut(workload: str, what: str, *, container: str | None = None) -> Check:
    """The number is not lowered."""

    def wrong(answer: Answer) -> str | None:
        number = answer.number(workload, _FIELDS[what], container)
        if number is None:
            return f"no row for {workload}"
        fine = number["value"] is None or number["now"] is None or number["value"] >= number["now"]
        return None if fine else f"{what} is cut from {number['now']} to {number['value']}: {number['summary']}"

    return Check(f"{what} of {workload} is not cut", wrong)


def no_confidence(workload: str, what: str) -> Check:
    """Nothing is claimed that is not known."""

    def wrong(answer: Answer) -> str | None:
        number = answer.number(workload, _FIELDS[what])
        if number is None:
            return f"no row for {workload}"
        return None if number["confidence"] is None else f"a confidence of {number['confidence']:.0%}"

    return Check(f"no confidence in the {what} of {workload}", wrong)


def row(workload: str) -> Check:
    """The workload is in the answer."""
    return Check(
        f"a row for {workload}", lambda answer: None if answer.workload(workload) else f"no row for {workload}"
    )


def says(pattern: str, workload: str | None = None) -> Check:
    """A reason, the table or a message says so (a regular expression, upper or lower case)."""

    def wrong(answer: Answer) -> str | None:
        text = answer.text(workload)
        return None if re.search(pattern, text, re.IGNORECASE) else "nothing says so"

    return Check(f"says /{pattern}/", wrong)


def never_says(pattern: str, workload: str | None = None) -> Check:
    """Nothing says so."""

    def wrong(answer: Answer) -> str | None:
        found = re.search(pattern, answer.text(workload), re.IGNORECASE)
        return f"it says {found.group(0)[:80]}" if found else None

    return Check(f"never says /{pattern}/", wrong)


def prints(output: str, pattern: str, *, absent: bool = False) -> Check:
    """The output of that name holds the pattern, or does not."""

    def wrong(answer: Answer) -> str | None:
        _, out, messages = answer.output("-o", output)
        found = re.search(pattern, out, re.MULTILINE)
        if absent:
            return f"-o {output} prints {found.group(0)[:80]!r}" if found else None
        return None if found else f"-o {output} prints {(out or messages)[:120]!r}"

    return Check(f"-o {output} {'never prints' if absent else 'prints'} /{pattern}/", wrong)


def frees(cores: float, within: float = 0.05) -> Check:
    """What the run frees in all, in cores: the step's, as the table prints it."""

    def wrong(answer: Answer) -> str | None:
        freed = answer.document.get("savings", {}).get("cores")
        if freed is None:
            return f"no savings: {sorted(answer.document.get('savings', {}))}"
        return None if abs(freed - cores) <= within else f"frees {freed:g} cores"

    return Check(f"frees {cores:g} cores", wrong)


def exits(code: int) -> Check:
    """The exit code of the run."""

    def wrong(answer: Answer) -> str | None:
        found = answer.output("-o", "json")[0]
        return None if found == code else f"exit code {found}: {answer.messages[-200:]}"

    return Check(f"exit code {code}", wrong)


def whole() -> tuple[Check, ...]:
    """What every answer must hold: no end of the run, and no number beyond a machine's."""

    def ended(answer: Answer) -> str | None:
        text = answer.messages
        return text[-300:] if "bug in MOrA" in text or "Traceback" in text or not answer.document else None

    def possible(answer: Answer) -> str | None:
        for one in answer.document.get("recommendations", ()):
            for container in one["containers"]:
                cores = container["cpu_request_millicores"]["value"] or 0
                size = container["memory_request_bytes"]["value"] or 0
                if cores > 512_000 or size > 2**45:
                    return f"{one['service']}: {cores} millicores, {size} bytes"
        return None

    return (Check("an answer", ended), Check("numbers that a machine can have", possible))
