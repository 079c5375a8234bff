"""Whether `--repo` finds the place of every container in a repository of others, and changes nothing else.

    python experiments/benchmarks/repo_places.py CHECKOUT [--charts FOLDER] [--values FILE] [--in-base] [-v]

There is no cluster: what it would run is rendered from the checkout, kustomizations by `kubectl kustomize`, charts by
Helm's own engine (tests/helm.py). FOLDER has a folder for each chart that the checkout installs from elsewhere, named
like the chart, with the charts that it depends on; FILE has values that its charts need. Each workload is then
looked for, every container that was found gets numbers of its own, all changes are made in a copy, and everything
is rendered again: a container with other numbers than its own, or any other difference, is a wrong edit. So is a value
that sets two containers at once.

Counted are containers with `requests` that the repository sets; those that only a chart's own defaults give are named
apart, since no file has them. At least 95 % have to be found, with no wrong edit, and with no changed line but those of
resources, or of a patch of Kustomize that is new. A value or an anchor that sets several containers is found, and is
unchanged, since one number cannot be right for all of them.
"""

from __future__ import annotations

import argparse
import difflib
import json
import posixpath
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import yaml

from mora import registry
from mora.domain import Allocation, Container, Resources, Role, Workload, WorkloadState
from mora.errors import BadInput, MoraError
from mora.quantities import parse_cpu, parse_memory
from mora.repo import helm as charts_form
from mora.repo.addresses import Refusal
from mora.repo.checkout import KUSTOMIZATIONS, Checkout
from mora.repo.kustomizations import folders, of_folder
from mora.repo.layers import Release
from mora.repo.matching import Live, Placement, place
from mora.repo.sites import Site, Texts, Wanted, WriteOptions
from mora.repo.tree import at, plain, text_at
from mora.repo.values import sites_of
from mora.repo.writing import write_resources
from tests import helm

ENOUGH = 0.95
# Objects with keys and certificates that a chart makes anew each time.
_GENERATED = {"Secret", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "APIService"}
WORKLOADS = {"Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", "Rollout"}
_VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*(?::[-=]([^}]*))?\}")
_LINE = re.compile(
    r"""^[+-]\s*(?:-\s+)?["']?(?:resources|requests|limits|cpu|memory|value|replace|op|path)\b|^[+-]\s*[{}\]]"""
)
_INLINE = re.compile(r"resources|requests|limits|cpu|memory")

Object = dict[str, Any]
# Values below those of every release, from --values.
COMMON: Object = {}
Key = tuple[str, str, str]
"""Kind, namespace and name of a workload."""


@dataclass
class Unit:
    """What is rendered on its own: a kustomization, or a release of a chart."""

    name: str
    objects: list[Object]
    release: Release | None = None
    folder: str | None = None


@dataclass
class Count:
    """What came out for one repository."""

    containers: int = 0
    found: int = 0
    wrong: list[str] = field(default_factory=list)
    missed: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    of_charts: int = 0
    lines: int = 0
    foreign_lines: list[str] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, nargs="+")
    parser.add_argument("--charts", type=Path, help="a folder of charts, by their names")
    parser.add_argument("--values", type=Path, help="values below those of every release")
    parser.add_argument("--in-base", action="store_true", help="change values that several releases build on")
    parser.add_argument("-v", "--verbose", action="store_true", help="name what was not found, and why")
    options = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as temporary:
        charts = Path(temporary) / "charts"
        if options.charts is not None:
            shutil.copytree(options.charts, charts, ignore=shutil.ignore_patterns("values.schema.json"))
        if options.values is not None:
            COMMON.update(yaml.safe_load(options.values.read_text(encoding="utf-8")))
        for number, checkout in enumerate(options.checkout):
            results.append(
                measure(
                    checkout, charts, Path(temporary) / str(number), verbose=options.verbose, in_base=options.in_base
                )
            )
    print("\n| repository | containers with requests | found | share | wrong edits | other lines changed |")
    print("|---|---|---|---|---|---|")
    for checkout, count in zip(options.checkout, results, strict=True):
        share = count.found / count.containers if count.containers else 1.0
        row = f"{count.containers} | {count.found} | {share:.1%} | {len(count.wrong)} | {len(count.foreign_lines)}"
        print(f"| {checkout.name} | {row} |")
    is_good = all(not one.wrong and not one.foreign_lines and one.found >= ENOUGH * one.containers for one in results)
    print(f"\n{'as it should be' if is_good else 'NOT as it should be'}: at least {ENOUGH:.0%} found, no wrong edit")
    sys.exit(0 if is_good else 1)


def measure(folder: Path, charts: Path, copy: Path, *, verbose: bool, in_base: bool) -> Count:
    """Look for every container of one repository, change all that were found in a copy, and render both."""
    shutil.copytree(folder, copy, symlinks=True, ignore=shutil.ignore_patterns(".git"))
    checkout = Checkout(copy)
    sites = [site for name in registry.names("repo_forms") for site in registry.load("repo_forms", name)(checkout)]
    units, unknown = rendered(checkout, copy, charts)
    print(f"\n{folder.name}: {len(checkout.paths)} files, {len(sites)} places, {len(units)} rendered")
    for chart, places in sorted(unknown.items()):
        print(f"  not rendered: {chart} ({places} places with requests)")
    count = Count()
    for unit in units:
        judge(unit, checkout, sites, copy, charts, count, verbose=verbose, in_base=in_base)
    if count.of_charts:
        print(f"  not counted: {count.of_charts} x set by the chart alone")
    for why, number in count.left.most_common():
        print(f"  found, unchanged: {number} x {why}")
    for why, number in count.missed.most_common():
        print(f"  not found: {number} x {why}")
    for one in [*count.wrong, *count.foreign_lines]:
        print(f"  WRONG: {one}")
    return count


def judge(
    unit: Unit,
    checkout: Checkout,
    sites: list[Site],
    copy: Path,
    charts: Path,
    count: Count,
    *,
    verbose: bool,
    in_base: bool,
) -> None:
    """Everything for one unit: find, change, render again, compare."""
    live = [known for item in unit.objects if (known := live_of(item)) is not None]
    placements = place(live, sites)
    asked = [one for one in placements if _has_requests(one.container.resources)]
    defaults = None if all(one.site is not None for one in asked) else defaults_of(unit, checkout, charts)
    texts: Texts = {}
    given: dict[tuple[Workload, str], tuple[str, str]] = {}
    for number, one in enumerate(asked):
        numbers = f"{1301 + number}m", f"{2301 + number}Mi"
        if (
            one.site is None
            and defaults
            and defaults.get((one.workload, one.container.name)) == one.container.resources
        ):
            count.of_charts += 1
            continue
        count.containers += 1
        why = change(checkout, texts, one, numbers, in_base=in_base)
        if why is None:
            given[one.workload, one.container.name] = numbers
            count.found += 1
        elif one.site is not None or (len(one.others) == 1 and "alike" in one.reason):
            count.found += 1
            count.left[re.sub(r"\S*[/:(]\S*", "...", why)[:90]] += 1
        else:
            count.missed[re.sub(r"\S*[/:(]\S*", "...", why)[:90]] += 1
            if verbose:
                print(f"  {unit.name}: {one.workload.kind} {one.workload.name}/{one.container.name}: {why}")
    for path, text in texts.items():
        before = checkout.text(path) or ""
        is_new = checkout.text(path) is None or posixpath.basename(path) in KUSTOMIZATIONS
        lines = list(difflib.unified_diff(before.splitlines(), text.splitlines(), lineterm="", n=0))
        lines = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
        count.lines += len(lines)
        count.foreign_lines += [
            f"{path}: {line}"
            for line in lines
            if not _LINE.match(line) and not _INLINE.search(line) and not (is_new and line.startswith("+"))
        ]
    if texts:
        after = after_changes(unit, checkout, copy, charts, texts)
        count.wrong += compared(unit, after, given, lambda: after_changes(unit, checkout, copy, charts, {}))


def change(checkout: Checkout, texts: Texts, one: Placement, numbers: tuple[str, str], *, in_base: bool) -> str | None:
    """Give a container its own numbers in the texts; why not, where that cannot be."""
    if one.site is None:
        return one.reason
    wanted = Wanted({("requests", "cpu"): numbers[0], ("requests", "memory"): numbers[1]})
    try:
        if one.site.refusal or (one.site.shared and not in_base):
            raise Refusal(one.site.refusal or str(one.site.shared))
        texts |= (one.site.writer or write_resources)(checkout, texts, one.site, wanted, WriteOptions(in_base=in_base))
    except MoraError as error:
        return error.message
    return None


def defaults_of(unit: Unit, checkout: Checkout, charts: Path) -> dict[tuple[Workload, str], Resources]:
    """What the chart of a release gives its containers where no values in the repository say anything of resources."""
    if unit.release is None:
        return {}
    try:
        objects = helm_rendered(checkout, unit.release, charts, with_resources=False)
    except helm.Refused:
        return {}
    found = [one for item in objects if (one := live_of(item)) is not None]
    return {(one.workload, container.name): container.resources for one in found for container in one.containers}


def after_changes(unit: Unit, checkout: Checkout, copy: Path, charts: Path, texts: Texts) -> list[Object]:
    """What the unit renders to with the changed texts; the copy is as it was afterwards."""
    before = {path: checkout.content(path) for path in texts}
    try:
        for path, text in texts.items():
            (copy / path).write_bytes(text.encode())
        if unit.folder is not None:
            return kustomized(copy / unit.folder)
        helm._rendered.cache_clear()  # it knows charts by their paths, and their own values may have changed
        again = Checkout(copy)
        same = [one for one in charts_form.releases(again) if _identity(one) == _identity(unit.release)]
        return helm_rendered(again, same[0], charts)
    finally:
        for path, content in before.items():
            if content is None:
                (copy / path).unlink()
            else:
                (copy / path).write_bytes(content)


def compared(
    unit: Unit,
    after: list[Object],
    given: dict[tuple[Workload, str], tuple[str, str]],
    unchanged: Callable[[], list[Object]],
) -> list[str]:
    """What is wrong: a container without its numbers, or any other difference.

    unchanged: renders once more what was not changed; what differs there is random, and tells nothing.
    """
    found: list[str] = []
    old, new = {_key(one): one for one in unit.objects}, {_key(one): one for one in after}
    for key in sorted(set(old) | set(new)):
        if key not in old or key not in new:
            found.append(f"{unit.name}: {' '.join(key)} came or went")
            continue
        one, other = deepcopy(old[key]), deepcopy(new[key])
        for mine, its in zip(_containers(one), _containers(other), strict=False):
            numbers = given.get((Workload(key[1] or "default", key[2], key[0]), mine[1]["name"]))
            wanted = deepcopy(mine[1].get("resources") or {})
            if numbers is not None:
                wanted.setdefault("requests", {}).update(cpu=numbers[0], memory=numbers[1])
            if (its[1].get("resources") or {}) != wanted:
                found.append(f"{unit.name}: {' '.join(key)} {mine[1]['name']}: {its[1].get('resources')}, not {wanted}")
            mine[1].pop("resources", None)
            its[1].pop("resources", None)
        if key[0] in _GENERATED or _comparable(one) == _comparable(other):
            continue
        again = {_key(item): item for item in unchanged()}.get(key, {})
        if _comparable(_steady(one, old[key], again)) != _comparable(_steady(other, old[key], again)):
            found.append(f"{unit.name}: {' '.join(key)} differs in more than resources")
    return found


def _steady(item: Any, one: Any, again: Any) -> Any:
    """An object without the texts that two renderings of the same disagree on."""
    if isinstance(item, dict) and isinstance(one, dict) and isinstance(again, dict):
        return {key: _steady(value, one.get(key), again.get(key)) for key, value in item.items()}
    if isinstance(item, list) and isinstance(one, list) and isinstance(again, list) and len(one) == len(again):
        pairs = zip(item, one, again, strict=False)
        return [_steady(*each) for each in pairs] + item[len(one) :]
    return None if isinstance(item, str) and one != again else item


# --- rendering -------------------------------------------------------------------------------------------------------


def rendered(checkout: Checkout, copy: Path, charts: Path) -> tuple[list[Unit], dict[str, int]]:
    """Every unit that can be rendered, and the charts of the others with the places that they have."""
    units, unknown = [], Counter[str]()
    seen = set()
    for one in charts_form.releases(checkout):
        if (one.name, one.namespace) in seen and one.name is not None:
            continue  # such as what a helmfile installs once, before Flux does
        seen.add((one.name, one.namespace))
        try:
            units.append(Unit(f"release {one.name}", helm_rendered(checkout, one, charts), release=one))
        except (LookupError, helm.Refused, yaml.YAMLError) as error:
            reason = "its chart is not here" if isinstance(error, LookupError) else str(error).splitlines()[0][:80]
            unknown[f"{one.name} of {one.chart}: {reason}"] += _places(checkout, one)
    has_manifests = any(checkout.objects(*WORKLOADS))
    for folder in kustomizations(checkout) if has_manifests else ():
        try:
            units.append(Unit(folder or ".", kustomized(copy / folder), folder=folder))
        except helm.Refused as error:
            unknown[f"kustomization {folder}: {str(error).splitlines()[-1][:120]}"] += 0
    return units, unknown


def _places(checkout: Checkout, release: Release) -> int:
    return sum(("requests", "cpu") in one.written for one in sites_of(checkout, [release]))


def _identity(release: Release | None) -> object:
    return None if release is None else (release.form, release.name, release.namespace, [x.key for x in release.layers])


def helm_rendered(checkout: Checkout, release: Release, charts: Path, *, with_resources: bool = True) -> list[Object]:
    """The objects of a release, with the annotations that Helm, or Argo CD, gives them in a cluster."""
    chart = charts / (release.chart or "?")
    own = [layer for layer in release.layers if layer.is_chart and not layer.under]
    if own:
        chart = checkout.top / posixpath.dirname(own[0].file)
    if not (chart / "Chart.yaml").is_file():
        raise LookupError(release.chart)
    chart = with_dependencies(chart, checkout.top, with_resources=with_resources) if own else chart
    values: Object = deepcopy(COMMON)
    for layer in release.layers:
        if layer.node is not None and not layer.is_chart:
            values = _merged(values, _filled(plain(layer.node)))
    for keys, parameter in release.parameters.items():
        values = _merged(values, _nested(keys, parameter.text))
    values = values if with_resources else _without_resources(values)
    name, namespace = release.name or release.chart or "release", release.namespace or "default"
    found = []
    for one in helm.documents(chart, values, name=name, namespace=namespace):
        one.setdefault("metadata", {}).setdefault("namespace", namespace)
        annotations = one["metadata"].get("annotations") or {}
        if any(kind == "Application" for kind, _, _ in release.source):
            annotations["argocd.argoproj.io/tracking-id"] = f"{release.source[0][2]}:x/{one['kind']}:{namespace}/x"
        else:
            annotations |= {"meta.helm.sh/release-name": name, "meta.helm.sh/release-namespace": namespace}
        one["metadata"]["annotations"] = annotations
        found += [one, *_of_operator(one)]
    return found


def with_dependencies(chart: Path, top: Path, *, with_resources: bool = True) -> Path:
    """A copy of a chart with what it takes from `file://` in its folder `charts`, as `helm dependency build` puts it.

    The chart itself, where it takes nothing from there. Without resources: those of its values are taken out, so that
    what its templates set is left.
    """
    declared = yaml.safe_load((chart / "Chart.yaml").read_text(encoding="utf-8")).get("dependencies") or []
    inner = {one["name"]: one["repository"][7:] for one in declared if "file://" in str(one.get("repository"))}
    if not inner and with_resources:
        return chart
    copy = Path(tempfile.mkdtemp(dir=top.parent)) / chart.name
    shutil.copytree(chart, copy, ignore=shutil.ignore_patterns("values.schema.json"))
    for name, path in inner.items():
        shutil.copytree(with_dependencies((chart / path).resolve(), top), copy / "charts" / name, dirs_exist_ok=True)
    for path in () if with_resources else copy.rglob("values.y*ml"):
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        path.write_text(yaml.safe_dump(_without_resources(values)), encoding="utf-8")
    return copy


def _of_operator(one: Object) -> list[Object]:
    """The StatefulSet that the operator of Prometheus makes of its objects."""
    kind = one.get("kind")
    if kind not in ("Prometheus", "Alertmanager"):
        return []
    container = {"name": kind.lower(), "image": one["spec"].get("image"), "resources": one["spec"].get("resources")}
    meta = {**one["metadata"], "name": f"{kind.lower()}-{one['metadata']['name']}"}
    return [{"kind": "StatefulSet", "metadata": meta, "spec": {"template": {"spec": {"containers": [container]}}}}]


def kustomizations(checkout: Checkout) -> list[str]:
    """Folders of kustomizations that no other one builds on, and that need no chart."""
    found = [(folder, one) for folder in folders(checkout) if (one := of_folder(checkout, folder)) is not None]
    used = {path for _, one in found for path in (*one.resources, *one.components)}
    return sorted(
        folder
        for folder, one in found
        if folder not in used and text_at(one.node, "kind") != "Component" and at(one.node, "helmCharts") is None
    )


def kustomized(folder: Path) -> list[Object]:
    """What `kubectl kustomize` makes of a folder; Refused with its words where it cannot."""
    done = subprocess.run(
        ["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode:
        raise helm.Refused(done.stderr.strip() or "failed")
    return [one for one in yaml.safe_load_all(_VARIABLE.sub(lambda found: found[1] or "x", done.stdout)) if one]


def _filled(values: Any) -> Any:
    """Values with the variables of Flux filled in, by their defaults."""
    if isinstance(values, dict):
        return {key: _filled(value) for key, value in values.items()}
    if isinstance(values, list):
        return [_filled(value) for value in values]
    return _VARIABLE.sub(lambda found: found[1] or "x", values) if isinstance(values, str) else values


def _merged(below: Any, above: Any) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return {key: _merged(below.get(key), above.get(key, below.get(key))) for key in {**below, **above}}
    return above


def _nested(keys: tuple[str, ...], value: str) -> Any:
    return {keys[0]: _nested(keys[1:], value)} if keys else value


# --- what a cluster would have ---------------------------------------------------------------------------------------


def live_of(item: Object) -> Live | None:
    """A rendered workload as an inventory would have it; None for any other object."""
    if item.get("kind") not in WORKLOADS:
        return None
    meta = item["metadata"]
    containers = tuple(
        Container(one["name"], _resources(one), image=one.get("image"), role=Role.INIT if is_init else Role.APP)
        for is_init, one in _containers(item)
    )
    labels = {str(key): str(value) for key, value in (meta.get("labels") or {}).items()}
    annotations = {str(key): str(value) for key, value in (meta.get("annotations") or {}).items()}
    workload = Workload(meta.get("namespace") or "default", meta["name"], item["kind"])
    return Live.of_state(WorkloadState(workload, Allocation(1, containers), labels=labels, annotations=annotations))


def _containers(item: Object) -> list[tuple[bool, Object]]:
    spec = item.get("spec") or {}
    if item.get("kind") == "CronJob":
        spec = (spec.get("jobTemplate") or {}).get("spec") or {}
    pod = (spec.get("template") or {}).get("spec") or {} if item.get("kind") in WORKLOADS else {}
    return [(True, one) for one in pod.get("initContainers") or []] + [
        (False, one) for one in pod.get("containers") or []
    ]


def _resources(one: Object) -> Resources:
    resources = one.get("resources") or {}
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    try:
        return Resources(
            parse_cpu(str(requests["cpu"])) if "cpu" in requests else None,
            parse_cpu(str(limits["cpu"])) if "cpu" in limits else None,
            parse_memory(str(requests["memory"])) if "memory" in requests else None,
            parse_memory(str(limits["memory"])) if "memory" in limits else None,
        )
    except BadInput:
        return Resources()


def _has_requests(resources: Resources) -> bool:
    return resources.cpu_request_millicores is not None or resources.memory_request_bytes is not None


def _key(item: Object) -> Key:
    meta = item.get("metadata") or {}
    return str(item.get("kind")), str(meta.get("namespace") or ""), str(meta.get("name"))


def _comparable(item: Object) -> str:
    """An object as text, without resources, and without the checksums that charts compute from their values."""
    text = json.dumps(_without_resources(item), sort_keys=True)
    return re.sub(r'"(?:[^"]*checksum[^"]*)": "[^"]*"', "", text)


def _without_resources(item: Any) -> Any:
    """An object or values without any resources; those of an operator's object have no place of their own here."""
    if isinstance(item, dict):
        is_resources = {
            key: re.search("resources$", str(key), re.IGNORECASE) and isinstance(item[key], dict) for key in item
        }
        return {key: _without_resources(value) for key, value in item.items() if not is_resources[key]}
    return [_without_resources(one) for one in item] if isinstance(item, list) else item


if __name__ == "__main__":
    main()
