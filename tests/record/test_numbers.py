from __future__ import annotations

from dataclasses import fields

from mora.domain import ContainerAdvice
from mora.record.numbers import NUMBERS


def test_the_numbers_are_those_of_a_recommendation() -> None:
    advised = {field.name for field in fields(ContainerAdvice)}
    assert set(NUMBERS) - {"replicas"} <= advised
