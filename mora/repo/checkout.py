"""A Git checkout as MOrA reads it: its YAML files, each parsed once, and what is not read, with the reason.

Never followed: symbolic links. Never parsed: templates. Never read further: encrypted files. All of them are named, as
is a file that is no YAML; the others go on.
"""

from __future__ import annotations

import os
import posixpath
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path

from mora.errors import BadInput
from mora.files import read_regular
from mora.repo import git
from mora.repo.tree import (
    Document,
    Key,
    Mapping,
    Node,
    Scalar,
    Sequence,
    at,
    items_at,
    line_of,
    parse,
    resolved,
    text_at,
)

_YAML = (".yaml", ".yml", ".json")
KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_MOST_BYTES = 8 * 2**20
_CHECKED = 256 * 2**10
_NOT_SEARCHED = frozenset({".git", "node_modules", ".terraform", ".venv", "__pycache__"})
# What SOPS writes in the place of a value.
_ENCRYPTED = re.compile(r"\bENC\[AES256_GCM,")
# Objects that hold text for templates that are not theirs, and where; Flux and Argo CD hand it on as it is.
_HOLDERS: dict[str, tuple[Key, ...]] = {
    "HelmRelease": ("spec", "values"),
    "Application": ("spec",),
    "ApplicationSet": (),
}
_VALUES_FILE = re.compile(r"(?:[a-z0-9-]+[-._])?values(?:[-._][a-z0-9-]+)*\.ya?ml", re.IGNORECASE)
_OBJECT = re.compile(r"""^\s*["']?kind["']?\s*:""", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Object:
    """An object of Kubernetes (or of a tool that writes like it) in a file. path: where it stands in its document.

    Objects of a List are objects of their own. name, namespace: as written; None where they are not.
    """

    file: str
    document: int
    path: tuple[Key, ...]
    api_version: str
    kind: str
    name: str | None
    namespace: str | None
    node: Mapping


class Checkout:
    """The files of a folder in a Git checkout, or of a plain folder, read once.

    top: the top of the checkout; every path here is relative to it, with "/". skipped: path -> why it is not read;
    templates, links and encrypted files among them. Nothing outside of `top` is read. memo: what forms found out once.
    copy: the top of a copy of a checkout, wherever that is; Git is not asked about it.
    """

    def __init__(self, folder: Path, *, copy: Path | None = None) -> None:
        if not folder.is_dir():
            what = "is not a folder" if folder.exists() else "does not exist"
            raise BadInput(f"{folder} {what}.", hint="Name the folder of a Git checkout: --repo ~/src/clusters")
        self.folder = folder.resolve()
        top = git.top_of(self.folder) if copy is None else None
        self.is_git = top is not None
        self.top = top or (self.folder if copy is None else copy.resolve())
        self.skipped: dict[str, str] = {}
        self._bytes: dict[str, bytes] = {}
        self._texts: dict[str, str | None] = {}
        self._documents: dict[str, list[Document]] = {}
        self._objects: list[Object] | None = None
        self.memo: dict[str, object] = {}
        self._paths = self._listed()
        self._known = frozenset(self._paths)

    def __repr__(self) -> str:
        return f"Checkout({str(self.top)!r})"

    # --- files ---

    @property
    def paths(self) -> list[str]:
        """Files that may hold YAML, sorted; links are not among them."""
        return self._paths

    def paths_below(self, folder: str) -> list[str]:
        """Those of a folder and of the folders in it."""
        below = posixpath.join(folder, "") if folder else ""
        first = bisect_left(self._paths, below)
        # The paths are sorted, so those that begin alike stand together.
        return list(takewhile(lambda path: path.startswith(below), islice(self._paths, first, None)))

    def _listed(self) -> list[str]:
        everything = git.known_files(self.top) if self.is_git else sorted(_walk(self.top))
        within = posixpath.join(_relative(self.top, self.folder), "")
        found = []
        for path in everything:
            is_inside = within == "./" or path.startswith(within)
            if not is_inside or not (path.endswith(_YAML) or posixpath.basename(path) in KUSTOMIZATIONS):
                continue
            if self._is_linked(path):
                continue
            if (self.top / path).is_file():  # one that was deleted is still tracked
                found.append(path)
        return sorted(found)

    def _is_linked(self, path: str) -> bool:
        """Whether a path goes through a link; one that leads out of the checkout is in `skipped`."""
        full = self.top / path
        if full.parent.resolve() / full.name == full and not full.is_symlink():
            return False
        target = full.resolve()
        if not target.is_relative_to(self.top):
            self.skipped[path] = "it is a symbolic link out of the repository, which is never followed"
        return True

    def resolve(self, folder: str, reference: str) -> str | None:
        """The path that a file in `folder` refers to, links within the checkout followed; None where it leads outside.

        An answer need not exist. folder: relative to the top, "" for the top itself.
        """
        if "://" in reference or reference.startswith(("/", "~")):
            return None
        joined = posixpath.normpath(posixpath.join(folder, reference))
        if joined == ".." or joined.startswith("../"):
            return None
        target = (self.top / joined).resolve()
        if not target.is_relative_to(self.top):
            self.skipped.setdefault(joined, "it is a symbolic link out of the repository, which is never followed")
            return None
        return _relative(self.top, target)

    def chart_folder(self, path: str | None) -> str | None:
        """The folder of a chart that a path from the top leads to, "" for the top; None where there is no chart."""
        folder = None if path is None else self.resolve("", path)
        folder = "" if folder == "." else folder
        return folder if folder is not None and self.is_file(posixpath.join(folder, "Chart.yaml")) else None

    def is_file(self, path: str) -> bool:
        """Whether the checkout has a file of this path."""
        return path in self._known or (not self._is_linked(path) and (self.top / path).is_file())

    def is_folder(self, path: str) -> bool:
        """Whether the checkout has a folder of this path."""
        return (self.top / path).is_dir()

    def skip(self, path: str, why: str) -> None:
        """Tell why a file is not used; the first reason stays."""
        self.skipped.setdefault(path, why)

    def content(self, path: str) -> bytes | None:
        """The bytes of a file as they were first read; None where it cannot be read."""
        self.text(path)
        return self._bytes.get(path)

    def text(self, path: str) -> str | None:
        """The text of a file, line ends as they are; None, and a reason in `skipped`, where it is not to be read."""
        if path not in self._texts:
            self._texts[path] = self._read(path)
        return self._texts[path]

    def _read(self, path: str) -> str | None:
        if path in self.skipped or self._is_linked(path):
            return None
        try:
            data = read_regular(self.top / path, _MOST_BYTES, follows_links=False)
            text = data.decode()
        except OSError as error:
            if isinstance(error, FileNotFoundError) and path not in self._known:
                return None  # a file that a change would make
            self.skip(path, f"it cannot be read: {error.strerror or error}")
            return None
        except UnicodeDecodeError:
            self.skip(path, "it is not UTF-8 text")
            return None
        if ".sops." in posixpath.basename(path) or _ENCRYPTED.search(text):
            self.skip(path, "it is encrypted by SOPS, and never touched")
            return None
        self._bytes[path] = data
        return text

    def documents(self, path: str) -> list[Document]:
        """The parsed documents of a file; none, and a reason in `skipped`, where it is a template or no YAML."""
        if path not in self._documents:
            self._documents[path] = self._parsed(path)
        return self._documents[path]

    def _parsed(self, path: str) -> list[Document]:
        text = self.text(path)
        if text is None:
            return []
        if self._is_chart_template(path):
            self.skip(path, "it is a template of a Helm chart, and never parsed as YAML")
            return []
        try:
            documents = parse(text)
        except BadInput as error:
            why = "it is a template ({{ }}), and never parsed as YAML" if "{{" in text else error.message
            self.skip(path, why)
            return []
        holds_others = _VALUES_FILE.fullmatch(posixpath.basename(path)) is not None
        if "{{" in text and is_template(text, documents, holds_others=holds_others):
            self.skip(path, "it is a template ({{ }}), and never parsed as YAML")
            return []
        if any(at(document.root, "sops", "mac") is not None for document in documents):
            self.skip(path, "it is encrypted by SOPS, and never touched")
            return []
        return documents

    def _is_chart_template(self, path: str) -> bool:
        parts = path.split("/")
        return any(
            part == "templates" and (self.top.joinpath(*parts[:place]) / "Chart.yaml").is_file()
            for place, part in enumerate(parts[:-1])
        )

    # --- objects ---

    def objects(self, *kinds: str) -> Iterator[Object]:
        """Every object of the kinds (all kinds without one), in the order of files and documents."""
        if self._objects is None:
            self._objects = [one for path in self._paths for one in self._objects_of(path)]
        return (one for one in self._objects if not kinds or one.kind in kinds)

    def _objects_of(self, path: str) -> Iterator[Object]:
        text = self.text(path)
        if text is None or (not _OBJECT.search(text) and (len(text) > _CHECKED or path.endswith(".json"))):
            return  # nothing in it; a short file is parsed all the same, so that it is named where it is no YAML
        for number, document in enumerate(self.documents(path)):
            yield from objects_in(document.root, path, number)

    def line(self, path: str, offset: int) -> int:
        """The line, from 1, of an offset of a file's text."""
        return line_of(self.text(path) or "", offset)


def objects_in(node: Node, file: str, document: int, path: tuple[Key, ...] = ()) -> Iterator[Object]:
    """The object of a node, or those of a List. A Secret is none: nothing of it is read."""
    node = resolved(node)
    kind, version = text_at(node, "kind"), text_at(node, "apiVersion")
    if not isinstance(node, Mapping) or kind is None or version is None or kind == "Secret":
        return
    if kind == "List" or (kind.endswith("List") and isinstance(at(node, "items"), Sequence)):
        for place, item in enumerate(items_at(node, "items")):
            yield from objects_in(item, file, document, (*path, "items", place))
        return
    name, namespace = text_at(node, "metadata", "name"), text_at(node, "metadata", "namespace")
    yield Object(file, document, path, version, kind, name, namespace, node)


def is_template(text: str, documents: list[Document], *, holds_others: bool = False) -> bool:
    """Whether `{{` stands anywhere but in a quoted value, in a block of text or in a comment.

    holds_others: it holds text for the templates of others, as the values of a chart do. There `{{` may stand within a
    plain value, too; at the beginning of one it is a template all the same, since that is no text in YAML.

    >>> text = "a: '{{ b }}'\\nc: d  # {{ e }}\\n"
    >>> is_template(text, parse(text)), is_template("a: b-{{ c }}", parse("a: b-{{ c }}"))
    (False, True)
    >>> is_template("a: b-{{ c }}", parse("a: b-{{ c }}"), holds_others=True)
    False
    """
    quoted: list[tuple[int, int]] = []
    bare: list[tuple[int, int]] = []
    for document in documents:
        first, last = (0, len(text)) if holds_others else _held(document)
        for node in _scalars(document.root):
            is_text = bool(node.style) or first <= node.start < last
            (quoted if is_text else bare).append((node.start, node.end))
    spans = sorted(quoted)
    plain = sorted(bare)
    offset = text.find("{{")
    while offset >= 0:
        if not _within(spans, offset) and (_within(plain, offset) or not _is_comment(text, offset, spans)):
            return True
        offset = text.find("{{", offset + 2)
    return False


def _held(document: Document) -> tuple[int, int]:
    """Where an object holds text for the templates of others: values for a chart, an application for a generator."""
    way = _HOLDERS.get(text_at(document.root, "kind") or "")
    node = None if way is None else at(document.root, *way)
    return (0, 0) if node is None else (node.start, node.end)


def _within(spans: list[tuple[int, int]], offset: int) -> bool:
    place = bisect_right(spans, offset, key=lambda span: span[0]) - 1
    return place >= 0 and offset < spans[place][1]


def _is_comment(text: str, offset: int, quoted: list[tuple[int, int]]) -> bool:
    """Whether a "#" that begins a comment stands before the offset on its line."""
    first = text.rfind("\n", 0, offset) + 1
    for place in range(first, offset):
        is_begin = text[place] == "#" and (place == first or text[place - 1] in " \t")
        if is_begin and not _within(quoted, place):
            return True
    return False


def _scalars(node: Node) -> Iterator[Scalar]:
    """Every scalar of a node; what aliases stand for is visited where it stands."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Scalar):
            yield one
        elif isinstance(one, Mapping):
            waiting += [part for pair in one.entries for part in pair]
        elif isinstance(one, Sequence):
            waiting += one.items


def _walk(top: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(top):
        folders[:] = [name for name in folders if name not in _NOT_SEARCHED]
        for name in files:
            yield _relative(top, Path(folder) / name)


def _relative(top: Path, path: Path) -> str:
    return path.relative_to(top).as_posix()
