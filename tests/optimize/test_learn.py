"""Whole runs on a shop by arithmetic: what is driven, what is learnt, what is wrong with the input."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mora.domain import Slo
from mora.errors import BadInput, MoraError
from mora.optimize.journal import read_journal
from mora.optimize.learn import MOST_RUNS, Pace
from mora.optimize.prices import sensitivity
from mora.optimize.readings import size_of
from mora.optimize.solve import LoadClass, Terms
from mora.pipeline import optimising
from mora.pipeline.optimising import Optimised, Question, optimize
from mora.policies import PolicySettings
from tests.optimize.fake_shop import WEB, FakeService, FakeShop

CLASSES = (LoadClass("checkout", 30, Slo()), LoadClass("browsing", 40, Slo()))


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a question on a shop; the site's clock and load are the shop's."""

    def run(shop: FakeShop, classes: tuple[LoadClass, ...] = CLASSES, **more: Any) -> Optimised:
        files = {}
        for one in classes:
            files[one.scenario] = tmp_path / f"{one.scenario}.py"
            files[one.scenario].write_text("# a scenario")
        monkeypatch.setattr(optimising, "_site_of", lambda place, question: shop.site)
        return optimize(Question(classes, files, Terms(), tmp_path, **more), shop.place)

    return run


def test_the_answer_is_confirmed_and_everything_restored(ask: Any) -> None:
    shop = FakeShop()
    before = dict(shop.state)
    answer = ask(shop)
    assert answer.is_kept
    assert answer.runs <= MOST_RUNS
    assert shop.state == before
    assert answer.solution.millicores < 0.85 * sum(2 * 400 for _ in before)
    proof = answer.proofs[-1]
    assert all(abs(proof.error(number) or 0) <= 0.2 for number in range(2))


def test_each_service_is_squeezed_alone_from_half_use_to_where_it_breaks(ask: Any) -> None:
    shop = FakeShop()
    answer = ask(shop)
    names = list(answer.learned.baseline_p95)
    steps = read_journal(answer.journal).steps
    assert list(steps)[:3] == ["probe checkout", "probe browsing", "baseline"]
    assert names == ["checkout", "browsing"]
    for service in WEB:
        sizes = [size for name in steps if (size := size_of(name, service)) is not None]
        assert sizes, service
        assert len(sizes) <= 4
        if service != "idle":
            others = [
                {size for other, (_, size) in step.setting.items() if other != service}
                for name, step in steps.items()
                if size_of(name, service) is not None
            ]
            assert all(one == {1000} for one in others)


def test_a_step_that_breaks_the_slo_beyond_doubt_ends_early(ask: Any) -> None:
    slow = {**WEB, "payment": FakeService({"browsing": 0.0, "checkout": 0.002}, 0.03)}
    answer = ask(FakeShop(slow))
    steps = read_journal(answer.journal).steps
    squeezed = [step for name, step in steps.items() if size_of(name, "payment") is not None]
    broken = [step for step in squeezed if (step.p95_seconds["checkout"] or 0.0) > 0.3]
    assert broken
    assert all(step.was_cut for step in broken)
    assert answer.is_kept


def test_what_services_add_together_is_corrected_by_what_is_measured(ask: Any) -> None:
    """Here, squeezed together, they add more than each does alone: a later answer keeps what the first one broke."""
    answer = ask(FakeShop(together=0.8))
    assert not answer.proofs[0].kept
    assert answer.is_kept
    assert len(answer.proofs) <= 3
    assert answer.solution.millicores > answer.proofs[0].solution.millicores


def test_a_killed_run_continues_where_it_was(ask: Any, tmp_path: Path) -> None:
    dying = FakeShop(dies_at=7)
    before = dict(dying.state)
    with pytest.raises(MoraError, match="ended by itself"):
        ask(dying)
    assert dying.state == before
    again = FakeShop()
    answer = ask(again, resume=True)
    whole = FakeShop()
    assert ask(whole).solution.chosen == answer.solution.chosen
    assert whole.drives - again.drives == 6


def test_there_is_nothing_to_resume_without_an_earlier_run(ask: Any) -> None:
    with pytest.raises(BadInput, match="nothing to resume"):
        ask(FakeShop(), resume=True)


def test_another_load_is_answered_from_what_was_measured(ask: Any) -> None:
    first = ask(FakeShop())
    shop = FakeShop()
    smaller = (LoadClass("checkout", 15, Slo()), LoadClass("browsing", 20, Slo()))
    answer = ask(shop, smaller, reuse=first.journal)
    assert shop.drives == len(answer.proofs)
    assert answer.is_kept
    assert answer.solution.millicores < 0.7 * first.solution.millicores


def test_a_load_in_requests_per_second_is_driven_as_a_rate(ask: Any) -> None:
    """In this shop a user sends as one request per second does, so both have the same answer."""
    rates = (LoadClass("checkout", 30, Slo(), is_rate=True), LoadClass("browsing", 40, Slo()))
    answer = ask(FakeShop(), rates)
    assert answer.is_kept
    assert answer.solution.chosen == ask(FakeShop()).solution.chosen
    assert "30 req/s" in optimising.describe_answer(answer)


def test_a_rate_beyond_what_the_generator_can_drive_is_named(ask: Any) -> None:
    shop = FakeShop(most_rate=20)
    before = dict(shop.state)
    with pytest.raises(MoraError, match="was not offered as asked: 20 in place of 30 requests/s"):
        ask(shop, (LoadClass("checkout", 30, Slo(), is_rate=True),))
    assert shop.state == before


def test_a_reused_file_has_to_have_the_same_services_and_scenarios(ask: Any) -> None:
    first = ask(FakeShop())
    with pytest.raises(BadInput, match="has no experiments of these scenarios and services"):
        ask(FakeShop({name: WEB[name] for name in ("frontend", "catalog")}), reuse=first.journal)


def test_an_autoscaler_is_refused_before_anything_changes(ask: Any) -> None:
    shop = FakeShop(has_autoscaler=True)
    with pytest.raises(BadInput, match="The autoscaler web scales catalog"):
        ask(shop)
    assert shop.applied == []


def test_a_scenario_that_sends_nothing_is_named(ask: Any) -> None:
    shop = FakeShop(silent=frozenset({"browsing"}))
    before = dict(shop.state)
    with pytest.raises(MoraError, match="No request of browsing was answered"):
        ask(shop)
    assert shop.state == before


def test_a_target_that_answers_errors_only_is_named(ask: Any) -> None:
    with pytest.raises(MoraError, match="100% of the requests of checkout fail"):
        ask(FakeShop(fails=1.0))


def test_an_slo_below_the_latency_without_load_is_named_after_the_baseline(ask: Any) -> None:
    shop = FakeShop(base_seconds=0.4)
    before = dict(shop.state)
    with pytest.raises(BadInput, match=r"checkout has a p95 of 40\d ms with ample resources"):
        ask(shop)
    assert shop.drives == 3
    assert shop.state == before


def test_the_binding_constraint_is_named_and_a_faster_slo_costs_more(ask: Any) -> None:
    answer = ask(FakeShop())
    found = sensitivity(answer.learned, CLASSES, answer.question.terms, answer.solution)
    assert found.binding is not None
    prices = [price.millicores for price in found.prices]
    known = [price for price in prices if price is not None]
    assert len(known) == 3
    assert known[0] >= known[1] >= known[2]


class Moody(FakeShop):
    """Much faster than predicted the first time, much slower from then on."""

    def p95(self, scenario: str) -> float:
        self.together = -0.9 if self.drives == 1 else 8.0
        return super().p95(scenario)


def test_the_price_of_the_slo_is_that_of_the_answer(ask: Any) -> None:
    """Later confirmations correct what is known; what the answer hangs on is asked of what it was computed from."""
    answer = ask(Moody(), reuse=ask(FakeShop()).journal)
    assert len(answer.proofs) > 1
    assert answer.solution is answer.proofs[0].solution
    found = sensitivity(answer.learned, CLASSES, answer.question.terms, answer.solution)
    assert [price.millicores for price in found.prices if price.factor == 1.0] == [answer.solution.millicores]
    assert answer.is_kept


@pytest.mark.parametrize("seconds", [1, 15, 30])
def test_runs_are_long_enough_for_the_samples_they_need(seconds: int) -> None:
    pace = Pace.of(timedelta(seconds=seconds))
    for times in (pace.probe, pace.baseline):
        assert times.settle >= 4 * times.sample_interval
        assert times.duration / times.sample_interval >= 12


def test_a_contended_run_is_driven_again_and_not_used_where_others_are_left(ask: Any) -> None:
    """Busy while the frontend is squeezed for the first time: its times are ten times those of a quiet machine."""
    calm, busy = ask(FakeShop()), FakeShop(busy_at=frozenset({4, 5}))
    answer = ask(busy)
    steps = read_journal(answer.journal).steps
    contended = [name for name, one in steps.items() if one.contended]
    assert len(contended) == 1
    assert busy.drives == len(steps) + 1 + len(answer.proofs)
    assert answer.is_kept
    assert answer.solution.millicores <= calm.solution.millicores * 1.2


def test_a_confirmation_on_a_busy_machine_that_breaks_the_slo_is_no_verdict(ask: Any) -> None:
    first = ask(FakeShop())
    answer = ask(FakeShop(busy_at=frozenset(range(1, 9))), reuse=first.journal)
    assert answer.is_contended
    assert not answer.is_kept
    assert len(answer.proofs) == 1
    from mora.pipeline.optimising import describe_answer

    text = describe_answer(answer)
    assert "No verdict: the machine was busy" in text
    assert "NOT confirmed" not in text
    reasons = {one.reasons[0].text for one in optimising.recommendations_of(answer, PolicySettings())}
    assert reasons == {"not confirmed: the machine was busy while the load was driven on it, so there is no verdict"}
