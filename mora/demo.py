"""`mora demo`: the whole road on one machine, and the proof at its end.

A shop is started, a short plan is driven, models are trained for every service, and the advice is printed, checked by
the real kubectl and applied to the shop. Then the same load is driven again, and what was reserved and how it went is
set side by side. Everything lies in one folder of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from mora.domain import Allocation, Load, Recommendation, Slo, Workload
from mora.errors import BadInput, MoraError
from mora.extras import require
from mora.quantities import readable_bytes
from mora.seams import Reporter

if TYPE_CHECKING:
    import pandas as pd

    from mora.harness.plan import Cell, Plan
    from mora.pipeline import Place

_MARK = ".mora-demo"
_KUBECTL_SECONDS = 20
_READY = timedelta(minutes=1)
# The models' windows and horizons need a minute of samples, a look at how it went does not.
_PROOF_WINDOW = timedelta(seconds=45)
# The demo's subject; the other services are sized as well.
_SUBJECT = "frontend"


@dataclass(frozen=True, slots=True)
class Figures:
    """How the shop was set up for one run of the load, and how it went.

    Reserved are requests times replicas, over all services. throttled_ratio: of the worst service's CFS periods.
    reserved_by_service: service -> (millicores, bytes).
    """

    reserved_by_service: Mapping[str, tuple[int, int]]
    replicas: Mapping[str, int]
    p95_seconds: float
    error_ratio: float
    throttled_ratio: float
    oom_kills: int

    @property
    def reserved_millicores(self) -> int:
        return sum(cpu for cpu, _ in self.reserved_by_service.values())

    @property
    def reserved_bytes(self) -> int:
        return sum(memory for _, memory in self.reserved_by_service.values())


@dataclass(frozen=True, slots=True)
class Proof:
    """The same load on the shop as it shipped and as advised."""

    load: Load
    slo: Slo
    before: Figures
    after: Figures
    recommendations: tuple[Recommendation, ...]

    @property
    def failures(self) -> tuple[str, ...]:
        """What the advice promised and did not keep; empty where it held."""
        after, failed = self.after, []
        if after.oom_kills:
            failed.append(f"{after.oom_kills} OOM kills")
        if after.p95_seconds > self.slo.p95_seconds:
            failed.append(f"p95 {after.p95_seconds * 1000:.0f} ms over {self.slo.p95_seconds * 1000:.0f} ms")
        if after.error_ratio > self.slo.error_ratio:
            failed.append(f"{after.error_ratio:.2%} errors over {self.slo.error_ratio:.2%}")
        before = self.before
        if after.reserved_millicores >= before.reserved_millicores and after.reserved_bytes >= before.reserved_bytes:
            failed.append("neither less CPU nor less memory is reserved")
        return tuple(failed)

    @property
    def windows(self) -> bool:
        return not self.failures


def run_demo(folder: Path, *, say: Callable[[str], None], show: Callable[[str], None], reporter: Reporter) -> Proof:
    """The whole road; `say` gets the talk, `show` the results. Takes about seven minutes on two cores.

    folder: new, or an earlier demo's, which is replaced; BadInput where it holds anything else.
    """
    from mora import pipeline
    from mora.harness.plan import Plan
    from mora.outputs import OutputSettings
    from mora.policies import PolicySettings
    from mora.tools import find_tool

    # Before five minutes of load are driven for nothing.
    require("train", "collect", "sandbox", by="mora demo")
    kubectl = find_tool("kubectl")
    _make_folder(folder)
    data_dir, models_dir = folder / "data", folder / "models"
    plan = Plan.load("demo")
    say("1/6  Start the shop: five services as processes, with limits that are wrong on purpose")
    with pipeline.sandbox_place(f"demo-{os.getpid()}") as place:
        shipped = {workload: place.cluster.allocation(workload) for workload in place.workloads}
        say(
            f"2/6  Drive {len(plan.cells)} load experiments with Locust and collect the twelve metrics of every service"
        )
        pipeline.collect(plan, place, data_dir=data_dir, reporter=reporter)
        say("3/6  Train Prophet, LSTM and the load response of every service")
        names = [workload.name for workload in place.workloads]
        trained = pipeline.train_all(names, data_dir=data_dir, models_dir=models_dir, jobs=1, reporter=reporter)
        for outcome in trained:
            if outcome.error is not None:
                raise outcome.error
            if outcome.service == _SUBJECT:
                show(pipeline.describe_training(outcome))
        proven = _proven_cell(plan, shipped)
        load = Load(proven.scenario, proven.users)
        say(f"4/6  Recommend for {load.users} users of {load.scenario}")
        advice = [
            pipeline.recommend(
                workload.name,
                users=load.users,
                scenario=load.scenario,
                data_dir=data_dir,
                models_dir=models_dir,
                current=shipped[workload],
                # The sandbox may be cut to size at once; on a cluster one step cuts at most 50 % CPU and 30 % memory.
                policy=PolicySettings(allow_any_step=True),
            )
            for workload in place.workloads
        ]
        subject = next(r for r in advice if r.workload.name == _SUBJECT)
        show(pipeline.render([r for r in advice if r is not subject], settings=OutputSettings(why=False)))
        show(pipeline.render(subject))
        say("5/6  Print the patch, and let the real kubectl apply it to the Deployment's manifest")
        show(_patched_by_kubectl(kubectl, subject, folder))
        say("6/6  Apply the advice to the shop and drive the same load again")
        before = figures(shipped, data_dir, proven, place.entry_service)
        proof = prove(advice, before, place, plan, proven, data_dir=folder / "after", reporter=reporter)
    show(describe_proof(proof))
    return proof


def prove(
    advice: Sequence[Recommendation],
    before: Figures,
    place: Place,
    plan: Plan,
    cell: Cell,
    *,
    data_dir: Path,
    reporter: Reporter,
) -> Proof:
    """Apply the advice (requests, limits, replicas), drive the cell's load again, and set it beside `before`."""
    advised = {recommendation.workload: recommendation.target for recommendation in advice}
    for workload, allocation in advised.items():
        place.cluster.apply(workload, allocation)
    place.cluster.wait_ready(place.workloads, _READY)
    after = drive(plan, cell, place, data_dir=data_dir, reporter=reporter)
    return Proof(Load(cell.scenario, cell.users), Slo(), before, after, tuple(advice))


def drive(plan: Plan, cell: Cell, place: Place, *, data_dir: Path, reporter: Reporter) -> Figures:
    """Drive a cell's load on the services as they stand, replicas included, and say how it went."""
    from mora import pipeline

    state = {workload: place.cluster.allocation(workload) for workload in place.workloads}
    replicas = next(a.replicas for w, a in state.items() if w.name == place.entry_service)
    as_it_stands = replace(cell, replicas=replicas or 1)
    # Only targets are scaled: the entry service, to what it has.
    alone = replace(
        plan,
        duration=min(plan.duration, _PROOF_WINDOW),
        name=f"{plan.name}-again",
        cells=(as_it_stands,),
        scenario_files={cell.scenario: plan.scenario_files[cell.scenario]},
        targets=(place.entry_service,),
        repeats=1,
    )
    pipeline.collect(alone, place, data_dir=data_dir, reporter=reporter)
    return figures(state, data_dir, as_it_stands, place.entry_service)


def _make_folder(folder: Path) -> None:
    """An empty folder with the demo's mark; an earlier demo's is emptied, anything else is refused."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / _MARK).is_file():
            raise BadInput(f"{folder} holds something else than a demo.", hint="Name another folder with --dir.")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARK).write_text("Made by `mora demo`, which replaces this folder when it runs again.\n")


def _proven_cell(plan: Plan, shipped: Mapping[Workload, Allocation]) -> Cell:
    """The plan's cell that is driven again: its highest load on the replicas that the shop ships with."""
    as_shipped = {allocation.replicas for allocation in shipped.values()}
    cells = [cell for cell in plan.cells if {cell.replicas} == as_shipped]
    if not cells:
        raise MoraError(f"The plan {plan.name} has no cell on the {as_shipped} replicas that the shop ships with.")
    return max(cells, key=lambda cell: cell.users)


def figures(allocations: Mapping[Workload, Allocation], data_dir: Path, cell: Cell, entry_service: str) -> Figures:
    """What was reserved and how the run of `cell` in `data_dir` went."""
    from mora.dataset import read_cards, read_dataset

    rows: dict[str, pd.DataFrame] = {}
    for workload in allocations:
        frame = read_dataset(workload.name, data_dir, include_flagged=True)
        rows[workload.name] = frame[frame["experiment_id"] == cell.experiment(workload.name).id]
    load_test = read_cards(entry_service, data_dir)[cell.experiment(entry_service).id]["load_test"]
    replicas = {workload.name: allocation.replicas or 0 for workload, allocation in allocations.items()}
    return Figures(
        reserved_by_service={
            workload.name: _reserved(allocation, replicas[workload.name])
            for workload, allocation in allocations.items()
        },
        replicas=replicas,
        p95_seconds=float(load_test["latency_p95_seconds"]),
        error_ratio=float(load_test["error_ratio"]),
        # Without a CPU limit there are no periods to throttle, and no series that would say so.
        throttled_ratio=max(float(frame["throttled_ratio"].fillna(0.0).mean()) for frame in rows.values()),
        oom_kills=sum(round(float(frame["oom_kills"].fillna(0.0).max())) for frame in rows.values()),
    )


def _reserved(allocation: Allocation, replicas: int) -> tuple[int, int]:
    main = allocation.main
    if main is None:
        return 0, 0
    cpu, memory = main.resources.cpu_request_millicores, main.resources.memory_request_bytes
    return replicas * (cpu or 0), replicas * (memory or 0)


# --- the patch -------------------------------------------------------------------------------------------------------


def deployment_manifest(workload: Workload, allocation: Allocation) -> dict[str, object]:
    """The Deployment of a sandbox service, as it would stand in a repository; what the patch is tried on."""
    from mora.outputs.changes import plain_resources

    labels = {"app": workload.name}
    containers = [
        {
            "name": container.name,
            "image": container.image,
            "env": [{"name": "PORT", "value": "8080"}],
            "resources": plain_resources(container.resources),
        }
        for container in allocation.containers
    ]
    return {
        "apiVersion": "apps/v1",
        "kind": workload.kind,
        "metadata": {"name": workload.name, "namespace": workload.namespace},
        "spec": {
            "replicas": allocation.replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
        },
    }


def _patched_by_kubectl(kubectl: Path, recommendation: Recommendation, folder: Path) -> str:
    """The patch, and what the real kubectl makes of it on the Deployment's manifest; MoraError where it refuses."""
    import yaml

    from mora import pipeline

    name = recommendation.workload.name
    manifest, patch = folder / f"{name}.yaml", folder / f"{name}.patch.yaml"
    manifest.write_text(yaml.safe_dump(deployment_manifest(recommendation.workload, recommendation.current)))
    text = pipeline.render(recommendation, "patch")
    patch.write_text(text)
    command = ["patch", "--local", "-f", str(manifest), "--type", "strategic", "-p", text, "-o", "yaml"]
    done = subprocess.run(
        [str(kubectl), *command], capture_output=True, text=True, timeout=_KUBECTL_SECONDS, check=False
    )
    if done.returncode != 0:
        raise MoraError(f"kubectl refused the patch: {done.stderr.strip()}")
    spec = yaml.safe_load(done.stdout)["spec"]
    container = spec["template"]["spec"]["containers"][0]
    after = yaml.safe_dump({"replicas": spec["replicas"], "resources": container["resources"]}, sort_keys=False)
    return (
        f"$ mora recommend {name} -o patch > {patch.name}\n{text}"
        f'$ kubectl patch --local -f {manifest.name} -p "$(cat {patch.name})" -o yaml   # then holds\n{after}'
    )


# --- the proof -------------------------------------------------------------------------------------------------------


def describe_proof(proof: Proof) -> str:
    """Before and after side by side, and what every service reserves."""
    before, after = proof.before, proof.after
    rows = [
        ("cores reserved", f"{before.reserved_millicores / 1000:.2f}", f"{after.reserved_millicores / 1000:.2f}"),
        ("memory reserved", readable_bytes(before.reserved_bytes), readable_bytes(after.reserved_bytes)),
        ("replicas", str(sum(before.replicas.values())), str(sum(after.replicas.values()))),
        ("p95", f"{before.p95_seconds * 1000:.0f} ms", f"{after.p95_seconds * 1000:.0f} ms"),
        ("errors", f"{before.error_ratio:.2%}", f"{after.error_ratio:.2%}"),
        ("throttled CPU periods", f"{before.throttled_ratio:.1%}", f"{after.throttled_ratio:.1%}"),
        ("OOM kills", str(before.oom_kills), str(after.oom_kills)),
    ]
    lines = [
        f"The same load, {proof.load.users} users of {proof.load.scenario}, on the shop as it shipped and as advised:",
        "",
        *_columns([("", "BEFORE", "AFTER"), *rows]),
        "",
        *_columns(
            [
                ("pods and their requests", "BEFORE", "AFTER"),
                *((service, _service(before, service), _service(after, service)) for service in before.replicas),
            ]
        ),
        "",
        "The advice held: no OOM kill, the SLO kept."
        if proof.windows
        else f"The advice did NOT hold: {'; '.join(proof.failures)}.",
    ]
    return "\n".join(lines)


def _service(figures: Figures, service: str) -> str:
    """Replicas, and what each of them reserves."""
    (cpu, memory), replicas = figures.reserved_by_service[service], figures.replicas[service]
    each = max(replicas, 1)
    return f"{replicas} x {cpu // each}m, {readable_bytes(memory // each)}"


def _columns(rows: Sequence[tuple[str, str, str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [f"  {a:<{widths[0]}}   {b:>{widths[1]}}   {c:>{widths[2]}}" for a, b, c in rows]
