"""`mora demo`: a shop on this machine, load experiments, training, recommendations, and the proof that they work.

The demo starts the sandbox shop, drives three load experiments, trains models for every service, prints the
recommendations, lets the real kubectl apply a patch, and applies everything to the shop. Then it drives the same load
again and prints before and after side by side. All files are written to one folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from mora.demo.manifest import deployment_manifest
from mora.demo.scaling import collect_scaled, measure_scaling, with_users
from mora.domain import Allocation, Load, Recommendation, Slo, Workload
from mora.errors import BadInput, MoraError, NotEnoughData, ToolMissing
from mora.extras import require
from mora.proof import Figures, Proof, Verdict, describe_proof
from mora.seams import Reporter

if TYPE_CHECKING:
    import pandas as pd

    from mora.harness.plan import Cell, Plan
    from mora.pipeline import Place, Trained

_MARK = ".mora-demo"
_KUBECTL_SECONDS = 20
# Nothing is trained on the second run: about 1500 requests say what their p95 is.
_PROOF_DURATION = timedelta(seconds=32)
_PROOFS = 2
# How long it waits for a quieter moment before it starts.
_PATIENCE = timedelta(minutes=1)
# The service that the demo shows in detail; the others get recommendations as well.
_SUBJECT = "frontend"


def run_demo(folder: Path, *, say: Callable[[str], None], show: Callable[[str], None], reporter: Reporter) -> Proof:
    """Run the whole demo, in about five minutes on a quiet machine with two cores.

    folder: new, or that of an earlier demo, which is replaced; BadInput where it contains anything else. say: prints
    what is being done. show: prints results.
    """
    from mora import pipeline
    from mora.harness.plan import Plan
    from mora.tools import find_tool

    # Missing programs are reported now, not after four minutes of load.
    require("train", "collect", "sandbox", by="mora demo")
    kubectl = find_tool("kubectl")
    _make_folder(folder)
    data_dir, models_dir = folder / "data", folder / "models"
    plan = Plan.load("demo")
    say(f"This takes about five minutes. All files are written to {folder}/.")
    say("1/6  Start the shop: five services as processes, with requests and limits that are wrong on purpose")
    with pipeline.sandbox_place(f"demo-{os.getpid()}") as place:
        shipped = {workload: place.cluster.allocation(workload) for workload in place.workloads}
        pipeline.await_quiet(place, limit=_PATIENCE, say=say)
        say("     Drive a few users for a moment, to fit the load to the speed of this machine")
        scaling = measure_scaling(plan, _proven_cell(plan, shipped), place.site(), reporter=reporter)
        say(f"     {scaling}")
        say(f"2/6  Run {len(plan.cells)} load experiments with Locust and collect the metrics of every service")
        plan = with_users(plan, scaling.users)
        plan = collect_scaled(plan, place, data_dir=data_dir, reporter=reporter, say=say)
        proven = _proven_cell(plan, shipped)
        load = Load(proven.scenario, proven.users)
        before = figures(shipped, data_dir, proven, place.entry_service)
        proof = Proof(load, Slo(), before, None, (), contention(data_dir, place.entry_service))
        say("3/6  Train Prophet, the LSTM and the load response of every service")
        trained = _train([workload.name for workload in place.workloads], data_dir, models_dir, reporter)
        for outcome in trained:
            if isinstance(outcome.error, NotEnoughData) and proof.busy:
                return _ended(replace(proof, not_applied=outcome.error.message), folder, say, show)
            if outcome.error is not None:
                raise outcome.error
        show(pipeline.describe_training(next(one for one in trained if one.service == _SUBJECT)))
        say(f"4/6  Recommend requests, limits and replicas for {load.users} users of {load.scenario}")
        advice = _recommend(shipped, load, data_dir, models_dir, show)
        say("5/6  Print a patch, and let the real kubectl apply it to the Deployment's manifest")
        subject = next(one for one in advice if one.workload.name == _SUBJECT)
        show(_patched_by_kubectl(kubectl, subject, folder))
        proof = replace(proof, recommendations=tuple(advice), not_applied=why_not_applied(advice))
        if proof.not_applied is not None:
            say("6/6  Skipped: no recommendation here keeps the SLO, so none is applied")
            return _ended(proof, folder, say, show)
        say("6/6  Apply the recommendations to the shop and run the same load again")
        after = prove(advice, proof, place, plan, proven, data_dir=folder / "after", reporter=reporter)
    _show_repository(folder / "repository", shipped, advice, say, show)
    return _ended(after, folder, say, show)


def _show_repository(
    folder: Path,
    shipped: Mapping[Workload, Allocation],
    advice: Sequence[Recommendation],
    say: Callable[[str], None],
    show: Callable[[str], None],
) -> None:
    """The recommendations in a Git repository, as a diff; left out, with a notice, where there is no git."""
    from mora.demo.repository import diff_of, make_repository

    say("     Write the recommendations into a Git repository with the manifests of the shop")
    try:
        make_repository(folder, shipped)
        diff = diff_of(folder, advice)
    except ToolMissing as error:
        say(f"     Skipped: {error.message}")
        return
    show(f"$ mora recommend --all --repo {folder.name} --write\n{diff}")


def _ended(proof: Proof, folder: Path, say: Callable[[str], None], show: Callable[[str], None]) -> Proof:
    show(describe_proof(proof))
    if proof.recommendations:
        say(next_steps(folder))
    return proof


def next_steps(folder: Path) -> str:
    """What to do after the demo. Where a shell does not find `mora`, its virtual environment is activated first."""
    activate = Path(sys.prefix) / "bin" / "activate"
    needs_it = shutil.which("mora") is None and activate.is_file()
    steps = ([f". {os.path.relpath(activate)}"] if needs_it else []) + [f"cd {folder}"]
    asked = f"mora explain {_SUBJECT} or mora recommend {_SUBJECT} -u 40"
    return f"To look further: {', '.join(steps)}, then {asked}."


def _train(services: Sequence[str], data_dir: Path, models_dir: Path, reporter: Reporter) -> list[Trained]:
    """A model for every service, or the error; progress counts services."""
    from mora import pipeline

    trained: list[Trained] = []
    for service in services:
        reporter.advance("train", len(trained), len(services), service)
        trained += pipeline.train_all([service], data_dir=data_dir, models_dir=models_dir, jobs=1)
    reporter.advance("train", len(trained), len(services), "all services")
    return trained


def _recommend(
    shipped: Mapping[Workload, Allocation],
    load: Load,
    data_dir: Path,
    models_dir: Path,
    show: Callable[[str], None],
) -> list[Recommendation]:
    """A recommendation for every service; the subject is shown with its reasons, the others as a table."""
    from mora import pipeline
    from mora.outputs import OutputSettings
    from mora.policies import PolicySettings

    advice = [
        pipeline.recommend(
            workload.name,
            users=load.users,
            scenario=load.scenario,
            data_dir=data_dir,
            models_dir=models_dir,
            current=current,
            # The sandbox takes any step at once; on a cluster one step cuts at most 50 % CPU and 30 % memory.
            policy=PolicySettings(allow_any_step=True),
        )
        for workload, current in shipped.items()
    ]
    others = [one for one in advice if one.workload.name != _SUBJECT]
    show(pipeline.render(others, settings=OutputSettings(verbose=False)))
    show(pipeline.render([one for one in advice if one.workload.name == _SUBJECT]))
    return advice


def why_not_applied(advice: Sequence[Recommendation]) -> str | None:
    """Why the recommendations cannot keep the SLO, in the words of the first that says so; None where they can.

    Without a replica count that keeps the SLO, the other numbers are sized for the replicas that run now.
    """
    for recommendation in advice:
        if recommendation.replicas.value is None:
            reasons = (*recommendation.replicas.reasons, *recommendation.reasons)
            found = next((one.text for one in reasons if one.code == "no-replicas-keep-slo"), None)
            return found or f"no replica count for {recommendation.workload.name} keeps the SLO"
    return None


def prove(
    advice: Sequence[Recommendation],
    proof: Proof,
    place: Place,
    plan: Plan,
    cell: Cell,
    *,
    data_dir: Path,
    reporter: Reporter,
) -> Proof:
    """Apply the recommendations, drive the load of the cell again, and complete the proof with what was measured.

    Where they fall short, the load is driven once more: one window can have bad luck, and two in a row are a result.
    """
    for recommendation in advice:
        place.cluster.apply(recommendation.workload, recommendation.target)
    proven = proof
    for attempt in range(_PROOFS):
        after, busy = drive(plan, cell, place, data_dir=data_dir / str(attempt + 1), reporter=reporter)
        proven = replace(proof, after=after, recommendations=tuple(advice), contention=(*proof.contention, *busy))
        if proven.verdict is not Verdict.MISSED:
            break
    return proven


def drive(
    plan: Plan, cell: Cell, place: Place, *, data_dir: Path, reporter: Reporter
) -> tuple[Figures, tuple[tuple[str, ...], ...]]:
    """Drive the load of a cell on the services as they are now, on fresh replicas: its figures and its contention."""
    from mora import pipeline

    current = {workload: place.cluster.allocation(workload) for workload in place.workloads}
    replicas = next(a.replicas for w, a in current.items() if w.name == place.entry_service)
    same_load = replace(cell, replicas=replicas or 1, duration=_PROOF_DURATION)
    # Only targets are scaled: the entry service, to the replicas that it has.
    once = replace(
        plan,
        name=f"{plan.name}-again",
        cells=(same_load,),
        scenario_files={cell.scenario: plan.scenario_files[cell.scenario]},
        targets=(place.entry_service,),
        repeats=1,
    )
    pipeline.collect(once, place, data_dir=data_dir, reporter=reporter)
    return figures(current, data_dir, same_load, place.entry_service), contention(data_dir, place.entry_service)


def _make_folder(folder: Path) -> None:
    """An empty folder with the demo's mark; that of an earlier demo is emptied, any other is refused."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / _MARK).is_file():
            raise BadInput(
                f"{folder} is not empty and was not made by `mora demo`, so it is not replaced.",
                hint="Name another folder with --dir.",
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARK).write_text("Made by `mora demo`, which replaces this folder when it runs again.\n")


def _proven_cell(plan: Plan, shipped: Mapping[Workload, Allocation]) -> Cell:
    """The cell of the plan that is driven again: its highest load on the replicas that the shop ships with."""
    as_shipped = {allocation.replicas for allocation in shipped.values()}
    cells = [cell for cell in plan.cells if {cell.replicas} == as_shipped]
    if not cells:
        raise MoraError(f"The plan {plan.name} has no cell with the shop's own replicas ({as_shipped}).")
    return max(cells, key=lambda cell: cell.users)


# --- what was measured -----------------------------------------------------------------------------------------------


def figures(allocations: Mapping[Workload, Allocation], data_dir: Path, cell: Cell, entry_service: str) -> Figures:
    """What the services reserve, and what the run of `cell` in `data_dir` measured."""
    from mora.dataset import read_cards, read_dataset

    rows: dict[str, pd.DataFrame] = {}
    for workload in allocations:
        frame = read_dataset(workload.name, data_dir, include_flagged=True)
        rows[workload.name] = frame[frame["experiment_id"] == cell.experiment(workload.name).id]
    load_test = read_cards(entry_service, data_dir)[cell.experiment(entry_service).id]["load_test"]
    if load_test["latency_p95_seconds"] is None:
        raise MoraError(
            f"The shop answered no request of {cell.users} users of {cell.scenario}.",
            hint="Check that this machine has idle CPU, and run `mora demo` again.",
        )
    replicas = {workload.name: allocation.replicas or 0 for workload, allocation in allocations.items()}
    return Figures(
        reserved_by_service={
            workload.name: _reserved(allocation, replicas[workload.name])
            for workload, allocation in allocations.items()
        },
        replicas=replicas,
        p95_seconds=float(load_test["latency_p95_seconds"]),
        error_ratio=float(load_test["error_ratio"]),
        # Without a CPU limit nothing is throttled, and there is no series of it.
        throttled_ratio=max(float(frame["throttled_ratio"].fillna(0.0).mean()) for frame in rows.values()),
        oom_kills=sum(round(float(frame["oom_kills"].fillna(0.0).max())) for frame in rows.values()),
    )


def contention(data_dir: Path, service: str) -> tuple[tuple[str, ...], ...]:
    """For every experiment of a service: what else this machine did that could have changed its figures."""
    from mora.dataset import read_cards

    found = [card.get("contention") or {} for _, card in sorted(read_cards(service, data_dir).items())]
    return tuple(tuple(one.get("reasons", ())) for one in found)


def _reserved(allocation: Allocation, replicas: int) -> tuple[int, int]:
    main = allocation.main
    if main is None:
        return 0, 0
    cpu, memory = main.resources.cpu_request_millicores, main.resources.memory_request_bytes
    return replicas * (cpu or 0), replicas * (memory or 0)


# --- the patch -------------------------------------------------------------------------------------------------------


def _patched_by_kubectl(kubectl: Path, recommendation: Recommendation, folder: Path) -> str:
    """The patch, and the Deployment's replicas and resources after kubectl applied it; MoraError where it refuses."""
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
    load = recommendation.load
    asked = "" if load is None else f"-u {load.users} --scenario {load.scenario} "
    return (
        f"$ mora recommend {name} {asked}--allow-any-step -o patch > {patch.name}\n{text}"
        f'$ kubectl patch --local -f {manifest.name} -p "$(cat {patch.name})" -o yaml\n'
        f"# replicas and resources of the result:\n{after}"
    )
