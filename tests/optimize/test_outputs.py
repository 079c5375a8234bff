"""The answer as text, and as recommendations in every output."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
import yaml

from mora import registry
from mora.cli.optimizing import give
from mora.domain import Allocation, Container, Resources, Slo, Workload
from mora.optimize.advice import recommendations
from mora.optimize.journal import Measured
from mora.optimize.prices import sensitivity
from mora.optimize.prove import Proof, best, corrected
from mora.optimize.report import describe
from mora.optimize.solve import LoadClass, Solution, Terms, solve
from mora.pipeline import render
from mora.pipeline.optimising import Optimised, Question
from mora.policies import PolicySettings
from mora.quantities import MIB
from mora.settings import Settings
from tests.optimize.test_solve import classes, learned

AS_OF = datetime(2026, 11, 26, tzinfo=UTC)
KNOWN = learned(5, 2)
TERMS = Terms()


def now(name: str) -> Allocation:
    return Allocation(2, (Container("server", Resources(400, 500, 64 * MIB, 128 * MIB), "shop:1", is_main=True),))


STANDS = {Workload("shop", name): now(name) for name in ("svc-0", "svc-1")}
BY_NAME = {workload.name: allocation for workload, allocation in STANDS.items()}


def proof_of(solution: Solution, factor: float = 1.0, *, errors: float = 0.0) -> Proof:
    pairs = list(zip(solution.classes, solution.p95_seconds, strict=True))
    p95 = {one.scenario: seconds * factor for one, seconds in pairs}
    ratios = {one.scenario: errors for one, _ in pairs}
    measured = Measured({}, dict(p95), dict(p95), dict(ratios), {}, {}, {}, {})
    kept = all(p95[one.scenario] <= one.slo.p95_seconds for one, _ in pairs)
    return Proof(solution, measured, kept, KNOWN)


def test_the_text_has_the_sizes_the_proof_the_binding_constraint_and_the_price() -> None:
    asked = classes(40, 30)
    solution = solve(KNOWN, asked, TERMS)
    proof = proof_of(solution, 0.9)
    text = describe(solution, [proof], sensitivity(KNOWN, asked, TERMS, solution), now=BY_NAME, runs=13)
    for words in ("svc-0", "SLO OF CHECKOUT", "Reserves", "now it is 1.60", "The price of the SLO:"):
        assert words in text
    assert "Binding constraint: nothing is known of svc-0, svc-1 beyond" in text
    assert "Based on 13 experiments." in text
    assert "Confirmed:" in text
    assert "predicted\nwithin 11%" in text
    assert "The sizes count on no idle CPU" in text


def test_what_is_not_served_and_the_missing_cores_are_named() -> None:
    asked = classes(70, 60)
    terms = Terms(millicores=350, cap_name="80% of the cluster")
    solution = solve(KNOWN, asked, terms)
    text = describe(solution, [], sensitivity(KNOWN, asked, terms, solution), now=BY_NAME, runs=9)
    assert not solution.is_whole
    assert "Not served:" in text
    assert "cores are missing" in text
    assert "80% of the cluster; a tenth more of it lets more users be served" in text
    assert "Not confirmed: the load was not driven" in text
    whole = solve(KNOWN, asked, Terms())
    assert f"{(whole.millicores - 350) / 1000:.2f} cores are missing" in text


@pytest.mark.parametrize(
    ("users", "terms", "words"),
    [
        (10, Terms(min_replicas=3), "at least 3 replicas; one fewer frees"),
        (1500, Terms(), "beyond the use that was measured."),
    ],
)
def test_it_says_how_the_constraint_was_relaxed(users: int, terms: Terms, words: str) -> None:
    """Not every constraint is relaxed by a tenth, and not every relaxation lets more users be served."""
    asked = classes(users)
    solution = solve(KNOWN, asked, terms)
    text = describe(solution, [], sensitivity(KNOWN, asked, terms, solution), now=BY_NAME, runs=9)
    assert words in text.replace("\n", " ")


def test_no_cores_are_named_as_missing_where_memory_is_missing_too() -> None:
    asked = classes(70, 60)
    whole = solve(KNOWN, asked, Terms())
    terms = Terms(millicores=whole.millicores - 50, memory_bytes=whole.memory_bytes)
    assert sensitivity(KNOWN, asked, terms, solve(KNOWN, asked, terms)).lacking_millicores == 50
    more_pods = solve(KNOWN, classes(1000), Terms(memory_bytes=whole.memory_bytes))
    assert not more_pods.is_whole
    short = Terms(millicores=100, memory_bytes=whole.memory_bytes)
    found = sensitivity(KNOWN, classes(1000), short, solve(KNOWN, classes(1000), short))
    assert found.lacking_millicores is None


def test_what_is_reserved_now_is_that_of_the_containers_that_are_sized() -> None:
    sidecar = Container("proxy", Resources(100), "proxy:1")
    both = {name: replace(one, containers=(*one.containers, sidecar)) for name, one in BY_NAME.items()}
    solution = solve(KNOWN, classes(40), TERMS)
    hangs = sensitivity(KNOWN, classes(40), TERMS, solution)
    assert "now it is 1.60" in describe(solution, [], hangs, now=both, runs=9)


def test_an_answer_that_broke_its_slo_is_not_to_be_applied() -> None:
    asked = classes(40)
    solution = solve(KNOWN, asked, TERMS)
    proof = proof_of(solution, 3.0)
    assert not proof.kept
    assert best([proof]) is None
    text = describe(solution, [proof], sensitivity(KNOWN, asked, TERMS, solution), now=BY_NAME, runs=9)
    assert "NOT confirmed" in text
    assert "Do not apply it" in text


@pytest.mark.parametrize(
    ("factor", "confirms", "output", "is_printed", "code"),
    [
        (0.9, True, "patch", True, 0),
        (3.0, True, "patch", False, 1),
        (3.0, True, "json", True, 1),
        (3.0, True, None, True, 1),
        (None, False, "patch", True, 0),
    ],
)
def test_what_was_not_confirmed_is_not_printed_for_kubectl(
    factor: float | None,
    confirms: bool,
    output: str | None,
    is_printed: bool,
    code: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = classes(40)
    solution = solve(KNOWN, asked, TERMS)
    proofs = () if factor is None else (proof_of(solution, factor),)
    question = Question(asked, {}, TERMS, tmp_path, confirms=confirms)
    answer = Optimised(question, solution, KNOWN, proofs, 9, tmp_path / "journal.json", STANDS)
    try:
        give(answer, output, Settings())
        ended = 0
    except typer.Exit as exit:
        ended = exit.exit_code
    found = capsys.readouterr()
    assert (bool(found.out), ended) == (is_printed, code)
    assert ("Nothing is printed: -o patch is to be applied" in found.err) == (not is_printed)
    assert ("NOT confirmed" in found.err) == (code == 1 and output is not None)


def test_the_cheapest_that_kept_its_slo_is_the_answer() -> None:
    cheap, dear = solve(KNOWN, classes(40), TERMS), solve(KNOWN, classes(60), TERMS)
    assert best([proof_of(dear), proof_of(cheap), proof_of(replace(cheap, cost=0.0), 9.0)]) == proof_of(cheap)


def test_a_correction_makes_the_next_prediction_what_was_measured() -> None:
    asked = (LoadClass("checkout", 40, Slo(0.3)),)
    solution = solve(KNOWN, asked, TERMS)
    again = corrected(proof_of(solution, 1.3))
    added = solution.p95_seconds[0] - KNOWN.baseline_p95["checkout"]
    factor = (1.3 * solution.p95_seconds[0] - KNOWN.baseline_p95["checkout"]) / added
    assert again.correction["checkout"] == pytest.approx(factor)
    assert solve(again, asked, TERMS).cost >= solution.cost


@pytest.mark.parametrize("output", registry.names("outputs"))
def test_every_output_of_recommend_writes_the_answer(output: str) -> None:
    solution = solve(KNOWN, classes(40, 30), TERMS)
    advice = recommendations(solution, STANDS, as_of=AS_OF, policy=PolicySettings(), proven="confirmed: driven")
    text = render(advice, output)
    assert text.endswith("\n")
    for one in advice:
        assert one.workload.name in text


def test_a_patch_has_the_replicas_and_requests_that_were_driven() -> None:
    solution = solve(KNOWN, classes(40), TERMS)
    policy = PolicySettings(cpu_limit="request")
    advice = recommendations(solution, STANDS, as_of=AS_OF, policy=policy, proven="confirmed: driven")
    patches = list(yaml.safe_load_all(render(advice, "patch")))
    for chosen, patch in zip(solution.chosen, patches, strict=True):
        assert patch["spec"]["replicas"] == chosen.option.replicas
        resources = patch["spec"]["template"]["spec"]["containers"][0]["resources"]
        assert resources["requests"]["cpu"] == resources["limits"]["cpu"] == f"{chosen.option.millicores}m"
        assert resources["requests"]["memory"] == resources["limits"]["memory"]
