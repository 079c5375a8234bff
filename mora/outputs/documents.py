"""YAML documents and the names of the files they are written to."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from mora.domain import Workload

# Longer names of files are cut: file systems take 255 bytes.
_LONGEST_STEM = 180


def file_names(workloads: Sequence[Workload], ending: str, *, prefix: str = "") -> dict[Workload, str]:
    """A file name for each: by the workload's name, and where two share it, by namespace and kind as well.

    "_" is in no Kubernetes name, so the two forms never meet.

    >>> list(file_names([Workload("shop", "web"), Workload("bank", "web"), Workload("shop", "db")], ".yaml").values())
    ['shop_deployment_web.yaml', 'bank_deployment_web.yaml', 'db.yaml']
    """
    clashes = Counter(workload.name for workload in workloads)
    return {
        w: prefix + _short(w.name if clashes[w.name] == 1 else f"{w.namespace}_{w.kind.lower()}_{w.name}") + ending
        for w in workloads
    }


def _short(stem: str) -> str:
    if len(stem) <= _LONGEST_STEM:
        return stem
    return f"{stem[:_LONGEST_STEM]}_{hashlib.sha256(stem.encode()).hexdigest()[:12]}"


class _Dumper(yaml.SafeDumper):
    """Lists indented under their key, as Kubernetes' own examples have them; no anchors for repeated values."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def dump(document: Mapping[str, Any] | Sequence[Any]) -> str:
    """YAML with keys in the order given. Text that YAML 1.1 reads as something else ("Off", "2") is quoted."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=1000)


def json_argument(value: Any) -> str:
    """JSON on one line of ASCII without control characters, as an argument of a command.

    >>> json_argument({"name": "a\\n\\u202eb"})
    '{"name":"a\\\\n\\\\u202eb"}'
    """
    return json.dumps(value, separators=(",", ":")).replace("\x7f", "\\u007f")


def printable_json(text: str) -> str:
    """JSON with every character escaped that a terminal does not print (control, bidirectional, unpaired surrogates).

    >>> printable_json('{"name": "caf\u00e9 \u202e"}')
    '{"name": "caf\u00e9 \\\\u202e"}'
    """
    # Nearly all lines are printable, and asking that of a line at once is a tenth of the work of asking each character.
    return "\n".join(line if line.isprintable() else _escaped(line) for line in text.split("\n"))


def _escaped(line: str) -> str:
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1].replace("\x7f", "\\u007f") for c in line)


def documents(parts: Sequence[str]) -> str:
    """Several YAML documents as one text."""
    return "---\n".join(parts)
