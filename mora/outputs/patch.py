"""A strategic merge patch: what `kubectl patch deployment NAME --patch-file p.yaml` takes.

Merged by container name. `--type merge` would replace the whole container list, so it is never offered.
"""

from __future__ import annotations

from collections.abc import Sequence

from mora.domain import Recommendation
from mora.errors import BadInput
from mora.outputs import DEFAULTS, OutputSettings
from mora.outputs.manifests import dump, header, nothing_to_write, numbers, one_line, strategic_patch


def render(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> str:
    """The patch of one workload, `null` where a limit goes; BadInput for several, NotEnoughData without a number."""
    if len(recommendations) != 1:
        names = ", ".join(recommendation.workload.name for recommendation in recommendations) or "no service"
        raise BadInput(
            f"A patch is for one workload; asked for were {len(recommendations)}: {names}.",
            hint="Ask for one service, or use -o kustomize or -o commands, which take several.",
        )
    recommendation = recommendations[0]
    patch = strategic_patch(recommendation)
    if not patch:
        why = {name: one_line(advice.reasons) for name, advice in numbers(recommendation)}
        raise nothing_to_write("a patch", recommendations, why)
    workload = recommendation.workload
    apply = f"# kubectl patch {workload.kind.lower()} {workload.name} -n {workload.namespace} --patch-file THIS_FILE"
    return "\n".join([*header(recommendation), apply]) + "\n" + dump(patch)
