"""Helm values: the resources of each container at its path in the chart's values, for one more `-f FILE`.

There is no standard for that path. A workload with one container to size gets `<workload>.resources`, as umbrella
charts have it; every other path must be given: `--helm-path server=frontend.resources`, or by the annotation
mora.dev/helm-path.<container> of the workload.
Helm drops a chart's default where a value is null: https://helm.sh/docs/chart_template_guide/values_files/.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from mora.domain import ContainerAdvice, Recommendation, Workload, check_name
from mora.errors import BadInput
from mora.outputs import DEFAULTS, OutputSettings
from mora.outputs.changes import advised_resources, sets_replicas, to_write
from mora.outputs.documents import dump
from mora.outputs.parts import Parts, checked
from mora.outputs.wording import clean, comment, header, nothing_to_write, remark, title, why_no_patch

# Keys of a values path; "\." is a dot inside of a key, as for `helm --set`.
_KEY = re.compile(r"(?:[^.\\\s\[\]{},=]|\\\.)+")
# github.com/helm/helm/issues/12741
_NULLS = "null drops the chart's default (helm 3); for a subchart helm may keep it: set it there, too"


def parse_path(text: str) -> tuple[str, str]:
    r"""The container of a flag ("server", "frontend/server", "shop/frontend/server") and its path in the values.

    >>> parse_path("frontend/server=frontend.resources")
    ('frontend/server', 'frontend.resources')
    >>> keys(parse_path(r"server=main\.app.resources")[1])
    ('main.app', 'resources')
    """
    key, found, path = text.partition("=")
    names = key.split("/")
    if not found or len(names) > 3:
        raise BadInput(
            f"{text!r} does not give the path of a container's resources.",
            hint="Write it like server=frontend.resources, or shop/frontend/server=frontend.resources.",
        )
    for name in names:
        check_name(name, "name in --helm-path")
    keys(path)
    return key, path


def keys(path: str) -> tuple[str, ...]:
    """The keys of a values path; BadInput where it is none."""
    found = _KEY.findall(path)
    if not found or ".".join(found) != path:
        raise BadInput(f"{path!r} is not a path in Helm values.", hint="Write keys joined by dots: frontend.resources.")
    return tuple(key.replace("\\.", ".") for key in found)


def render(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> str:
    """One document of values for all workloads, since Helm reads one a file; BadInput where a path is not known."""
    placed = {r.workload: _placed(r, settings) for r in recommendations}
    written = [r for r in recommendations if placed[r.workload]]
    if not written:
        why = {r.workload.name: why_no_patch(r) for r in recommendations}
        raise nothing_to_write("Helm values", recommendations, why)
    values: dict[str, Any] = {}
    taken: dict[tuple[str, ...], str] = {}
    for recommendation in written:
        for path, container in placed[recommendation.workload].items():
            _put(values, taken, path, container, recommendation.workload)
    lines = [line for r in recommendations for line in _remarks(r)]
    return "\n".join(lines) + "\n" + dump(values)


def files(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> dict[str, str]:
    """File name -> values of one workload."""
    texts: dict[Workload, str] = {}
    missing: dict[Workload, str] = {}
    for recommendation in recommendations:
        if to_write(recommendation):
            texts[recommendation.workload] = render([recommendation], settings)
        else:
            missing[recommendation.workload] = why_no_patch(recommendation)
    return checked(Parts(texts, missing), "Helm values", recommendations).files(".values.yaml")


def _placed(recommendation: Recommendation, settings: OutputSettings) -> dict[tuple[str, ...], ContainerAdvice]:
    """Path -> the container whose resources belong there."""
    containers = to_write(recommendation)
    named = {c.container: _named(recommendation.workload, c.container, settings.helm_paths) for c in containers}
    unknown = [name for name, path in named.items() if path is None]
    is_default = len(containers) == 1
    if unknown and not is_default:
        first = clean(unknown[0])
        example = f"--helm-path {shlex.quote(f'{first}={recommendation.workload.name}.resources')}"
        raise BadInput(
            f"{title(recommendation.workload)} has {len(containers)} containers to size, and the path in "
            f"the values is not known for {clean(', '.join(unknown))}.",
            hint=f"Give a path for each: {example} (or the annotation mora.dev/helm-path.{first}).",
        )
    default = _escaped(recommendation.workload.name) + ".resources"
    placed: dict[tuple[str, ...], ContainerAdvice] = {}
    for container in containers:
        path = keys(named[container.container] or default)
        if path in placed:
            raise BadInput(
                f"{title(recommendation.workload)}: containers {placed[path].container} and {container.container} "
                f"share the path {'.'.join(path)}.",
                hint="Give each its own --helm-path.",
            )
        placed[path] = container
    return placed


def _named(workload: Workload, container: str, paths: Mapping[str, str]) -> str | None:
    """The path for a container; the narrowest key wins."""
    full = (workload.namespace, workload.name, container)
    return next((paths["/".join(full[n:])] for n in range(3) if "/".join(full[n:]) in paths), None)


def _escaped(name: str) -> str:
    return name.replace(".", "\\.")


def _put(
    values: dict[str, Any],
    taken: dict[tuple[str, ...], str],
    path: tuple[str, ...],
    container: ContainerAdvice,
    workload: Workload,
) -> None:
    """Put resources at a path; BadInput where it overlaps with another container's path."""
    who = f"{title(workload)}, container {container.container}"
    for other, owner in taken.items():
        if other[: len(path)] == path or path[: len(other)] == other:
            raise BadInput(
                f"{owner} and {who} share the path {'.'.join(path)} in the values.",
                hint="Give each its own --helm-path, or let --out DIR write a file a workload.",
            )
    taken[path] = who
    inner = values
    for key in path[:-1]:
        inner = inner.setdefault(key, {})
    inner[path[-1]] = advised_resources(container)


def _remarks(recommendation: Recommendation) -> list[str]:
    if not to_write(recommendation):
        return comment(f"{title(recommendation.workload)}: {why_no_patch(recommendation)}")
    lines = header(recommendation)
    if sets_replicas(recommendation):
        lines.append(remark(f"replicas: {recommendation.replicas.value} (most charts: replicaCount)"))
    dropped = [c for c in to_write(recommendation) if None in advised_resources(c).get("limits", {}).values()]
    return [*lines, *(comment(_NULLS) if dropped else [])]
