"""The contract of a policy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mora.domain import Allocation, Container, Recommendation, Resources
from mora.policies import PolicySettings
from mora.seams import Policy
from mora.testing import examples


class PolicyContract:
    """Inherit it and fill in the fixture `policy`."""

    @pytest.fixture
    def policy(self) -> Policy:
        """The policy that is tested."""
        raise NotImplementedError("Fill in the fixture `policy`: return the policy that is tested.")

    def test_it_answers_for_the_workload_and_its_main_container(self, policy: Policy) -> None:
        """A Recommendation of the demand's workload and moment."""
        advice = policy(examples.demand(), examples.current())
        assert isinstance(advice, Recommendation)
        assert (advice.workload, advice.main.container) == (examples.WORKLOAD, "server")
        assert advice.as_of == examples.AS_OF

    def test_the_same_question_has_the_same_answer(self, policy: Policy) -> None:
        """A policy is pure."""
        first = policy(examples.demand(), examples.current(), PolicySettings())
        assert policy(examples.demand(), examples.current(), PolicySettings()) == first

    def test_memory_is_never_below_the_peak(self, policy: Policy) -> None:
        """Or the container would be killed again at what it has used before."""
        advice = policy(examples.demand(), examples.current())
        assert advice.main.memory_request.value is not None
        assert advice.main.memory_request.value >= 2.2e8

    def test_a_request_is_an_integer_and_not_above_its_limit(self, policy: Policy) -> None:
        """Millicores and bytes; a limit may be unset."""
        advice = policy(examples.demand(), examples.current())
        for request, limit in (
            (advice.main.cpu_request.value, advice.main.cpu_limit.value),
            (advice.main.memory_request.value, advice.main.memory_limit.value),
        ):
            assert isinstance(request, int)
            assert limit is None or limit >= request

    def test_every_number_has_a_reason(self, policy: Policy) -> None:
        """A number that cannot be explained is not recommended."""
        advice = policy(examples.demand(), examples.current())
        assert all(number.reasons for number in (advice.main.cpu_request, advice.main.memory_request, advice.replicas))

    def test_without_a_demand_there_is_no_number_but_a_reason(self, policy: Policy) -> None:
        """Nothing is made up."""
        nothing = replace(examples.demand(), cpu=None, memory=None, replicas=None)
        bare = Allocation(1, (Container("server", is_main=True),))
        advice = policy(nothing, bare)
        assert advice.main.resources == Resources()
        assert all(number.reasons for number in (advice.main.cpu_request, advice.main.memory_request, advice.replicas))
