"""What the templates of a chart say of its values: the container whose resources a value is, where that is plain.

Templates are read as text and never parsed as YAML. Only the kind, the name and the container are looked for, above the
place that uses a value, and only in the plain ways to write them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_VALUE = re.compile(r"\.Values((?:\.[A-Za-z0-9_]+)*)\.([A-Za-z0-9_]*[rR]esources)\b")
_KIND = re.compile(r"^kind:[ \t]*([A-Za-z]+)[ \t]*\r?$", re.MULTILINE)
_METADATA = re.compile(r"^metadata:[ \t]*\r?\n((?:(?:[ \t]+.*|\{\{.*)?\r?\n)+)", re.MULTILINE)
_NAME = re.compile(r"^[ \t]+name:[ \t]*(\S.*?)[ \t]*\r?$", re.MULTILINE)
_ITEM = re.compile(r"^([ \t]*(?:-[ \t]+)?)name:[ \t]*(\S.*?)[ \t]*\r?$", re.MULTILINE)
_RESOURCES = re.compile(r"^([ \t]*(?:-[ \t]+)?)resources:", re.MULTILINE)
_ACTION = re.compile(r"\{\{-?[ \t]*\.([A-Za-z0-9_.]+)[ \t]*(?:\|[ \t]*quote[ \t]*)?-?\}\}")
# How far from its use the key `resources:` may stand: `{{- with .Values.resources }}` is the line above it.
_NEAR = 160


@dataclass(frozen=True, slots=True)
class Use:
    """A value of resources as a template uses it. The names are as written there, with actions.

    keys: of the value, from the root of the release's values. under: the keys of the template's own chart in them.
    """

    keys: tuple[str, ...]
    under: tuple[str, ...]
    kind: str | None
    name: str | None
    container: str | None


def uses_in(text: str, under: tuple[str, ...] = ()) -> Iterator[Use]:
    """Every use of resources from the values in the text of a template.

    >>> text = "kind: Deployment\\nmetadata:\\n  name: {{ .Release.Name }}-web\\nspec:\\n  containers:\\n"
    >>> text += "    - name: web\\n      resources: {{ toYaml .Values.web.resources | nindent 8 }}\\n"
    >>> list(uses_in(text))
    [Use(keys=('web', 'resources'), under=(), kind='Deployment', name='{{ .Release.Name }}-web', container='web')]
    """
    for match in _VALUE.finditer(text):
        keys = (*under, *match[1].split(".")[1:], match[2])
        first = text.rfind("\n---", 0, match.start()) + 1
        last = text.find("\n---", match.start())
        document = text[first : len(text) if last < 0 else last]
        yield _use(document, match.start() - first, keys, under)


def _use(document: str, offset: int, keys: tuple[str, ...], under: tuple[str, ...]) -> Use:
    kinds = _KIND.findall(document, 0, offset)
    metadata = _METADATA.search(document)
    name = None if metadata is None else _NAME.search(metadata[1])
    near = [one for one in _RESOURCES.finditer(document) if abs(one.end() - offset) <= _NEAR]
    container = None
    if near:
        key = min(near, key=lambda one: abs(one.end() - offset))
        items = [one for one in _ITEM.finditer(document, 0, key.start()) if len(one[1]) == len(key[1])]
        container = items[-1][2] if items else None
    # One kind alone is clear; of several, an `if` decides.
    kind = kinds[0] if len(set(kinds)) == 1 else None
    return Use(keys, under, kind, None if name is None else name[1], container)


def filled(text: str | None, value: Callable[[str], str | None]) -> str | None:
    """A text with its plain actions filled in, such as {{ .Values.web.name }}; None where one is not known.

    >>> filled("{{ .Release.Name }}-web", {"Release.Name": "shop"}.get), filled('{{ include "name" . }}', str)
    ('shop-web', None)
    """
    if text is None:
        return None
    text = text.split(" #", 1)[0].strip()
    for match in reversed(list(_ACTION.finditer(text))):
        found = value(match[1])
        if found is None:
            return None
        text = text[: match.start()] + found + text[match.end() :]
    text = text.strip("\"'")
    return None if "{{" in text or not text else text
