"""Outputs of one text a workload: as one stream, or as a file each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mora.domain import Recommendation, Workload
from mora.outputs.documents import documents, file_names
from mora.outputs.wording import clean, comment, nothing_to_write, title

# Placeholder in a text for the name of its own file.
THIS_FILE = "THIS_FILE"
SKIPPED = "skipped.txt"


@dataclass(frozen=True, slots=True)
class Parts:
    """The text of each workload, and why the others have none."""

    texts: Mapping[Workload, str]
    missing: Mapping[Workload, str]

    def stream(self) -> str:
        """All texts as YAML documents, those without one in comments before them."""
        return "".join(f"{line}\n" for line in self._skipped()) + documents(list(self.texts.values()))

    def files(self, ending: str) -> dict[str, str]:
        """File name -> text; workloads without one are listed in a file of its own."""
        names = file_names(list(self.texts), ending)
        files = {names[workload]: text.replace(THIS_FILE, names[workload]) for workload, text in self.texts.items()}
        if self.missing:
            files[SKIPPED] = "".join(f"{title(workload)}: {clean(why)}\n" for workload, why in self.missing.items())
        return files

    def _skipped(self) -> list[str]:
        return [line for workload, why in self.missing.items() for line in comment(f"{title(workload)}: {why}")]


def checked(parts: Parts, what: str, recommendations: Sequence[Recommendation]) -> Parts:
    """`parts` itself; NotEnoughData where it has no text at all."""
    if not parts.texts:
        raise nothing_to_write(what, recommendations, {w.name: why for w, why in parts.missing.items()})
    return parts
