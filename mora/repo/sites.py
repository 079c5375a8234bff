"""The nouns of a repository: a site is where a file sets, or could set, the resources of one container.

A form knows one way in which repositories say it (manifests, Kustomize, values of Helm) and lists its sites; which of
them is the place of a live container, the evidence decides (mora/repo/matching.py). A form is one module and one line
under `forms` in mora/registry.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from mora.repo.tree import Key

if TYPE_CHECKING:
    from mora.repo.checkout import Checkout

Field = tuple[str, str]
"""A number of a container: ("requests", "cpu"), ("limits", "memory")."""
FIELDS: tuple[Field, ...] = (("requests", "cpu"), ("requests", "memory"), ("limits", "cpu"), ("limits", "memory"))


@dataclass(frozen=True, slots=True)
class Address:
    """A value in a file: which document, and the keys that lead to it.

    inner: where the value is YAML in itself (a block of text in a config map, a patch in a kustomization), the address
    within that.
    """

    document: int
    path: tuple[Key, ...]
    inner: Address | None = None

    def below(self, *keys: Key) -> Address:
        """The address of what these keys lead to from here."""
        if self.inner is not None:
            return Address(self.document, self.path, self.inner.below(*keys))
        return Address(self.document, (*self.path, *keys))

    def __str__(self) -> str:
        own = dotted(self.path)
        return own if self.inner is None else f"{own} > {self.inner}"


def dotted(path: tuple[Key, ...]) -> str:
    """Keys as people write them: spec.containers[0].resources."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f"{'.' if text else ''}{key}"
    return text


@dataclass(frozen=True, slots=True)
class Claim:
    """What a form knows of the container that a site is for; None and empty where it knows nothing.

    What is known and differs from the live container rules the site out: kind, name, namespace, container, release.
    The rest is evidence for or against.

    kind, name, namespace: of the object as it is in the cluster, prefixes and suffixes added. namespace None: the
    repository leaves it to whoever applies it. container: its name. image: as the site's own layers have it. labels: of
    the object. release: name of the Helm release; release_namespace: the namespace that it installs into. source: the
    objects of GitOps tools that deploy it, as (kind, namespace or "", name). words: keys above the site, which
    often are the names of components and containers (("controllers", "web", "containers", "app")). charts: whose values
    these are, the outermost first. environment: what the file of values is named after (values-prod.yaml).
    """

    kind: str | None = None
    name: str | None = None
    namespace: str | None = None
    container: str | None = None
    is_init: bool | None = None
    image: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    release: str | None = None
    release_namespace: str | None = None
    source: tuple[tuple[str, str, str], ...] = ()
    words: tuple[str, ...] = ()
    charts: tuple[str, ...] = ()
    environment: str | None = None

    @property
    def is_of_chart(self) -> bool:
        """Whether it is of values of Helm, whose keys are all that names a container."""
        return bool(self.words or self.charts) or self.release is not None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to set at a site: field -> the quantity, None for one to remove. replicas: None where they stay."""

    fields: Mapping[Field, str | None]
    replicas: int | None = None


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """What the user allows. in_base: change files that others build on, too. split_anchors: copy what is shared."""

    in_base: bool = False
    split_anchors: bool = False


Texts = dict[str, str]
"""Path -> text of files, as they are after the changes so far; a path that is not in it is read from the checkout."""


class Writer(Protocol):
    """Sets numbers at a site. Raises Refusal with the reason where that cannot be done without touching more."""

    def __call__(self, checkout: Checkout, texts: Texts, site: Site, wanted: Wanted, options: WriteOptions) -> Texts:
        """The files that change, path -> new text; only lines under resources, and replicas where wanted, differ."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where the resources of one container are set, or can be.

    form: how it is called ("manifest", "Kustomize patch", "Helm values"). address: of the mapping `resources`, which
    need not be there yet. fields: addresses of single numbers that are not under `address` (a JSON patch, parameters).
    written: what the site and the layers below it say, text as written; sets: the fields that the site itself sets.
    drops_by: how a limit is removed here: "delete" its key, or "null" where a lower layer's would count without it.
    replicas: the address of the replicas, None where the site knows none. shared: who else builds on it, as text; a
    site that others share is changed only with --in-base. refusal: why it must not be changed, whatever is allowed.
    """

    form: str
    file: str
    address: Address
    claim: Claim
    written: Mapping[Field, str] = field(default_factory=dict)
    sets: frozenset[Field] = frozenset()
    fields: Mapping[Field, Address] = field(default_factory=dict)
    drops_by: Literal["delete", "null"] = "delete"
    replicas: Address | None = None
    written_replicas: str | None = None
    shared: str | None = None
    refusal: str | None = None
    line: int | None = None
    writer: Writer | None = None

    @property
    def where(self) -> str:
        """The place as text: file:line and the path in it."""
        line = "" if self.line is None else f":{self.line}"
        return f"{self.file}{line} ({self.address})"

    @property
    def key(self) -> tuple[str, Address]:
        """What tells two sites apart: file and address."""
        return self.file, self.address


Form = Callable[["Checkout"], Iterable[Site]]
"""Lists every site of one form in a checkout. What cannot be read goes to Checkout.skip(), and is no failure."""
