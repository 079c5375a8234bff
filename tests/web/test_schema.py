from __future__ import annotations

import pytest
from pydantic import ValidationError

from mora.web import documents, schema
from mora.web.live import Live
from tests.web.making import answer


def test_the_types_know_every_field_that_is_sent() -> None:
    live = Live(("",), 900.0)
    live.answered("", answer())
    shown = live.shown()
    whole = schema.Recommendations.model_validate_json(documents.recommendations(shown, shown.entries()))
    assert whole.model_extra == {}
    for one in whole.recommendations:
        for container in one.containers:
            assert container.model_extra == {}
            assert container.cpu_request_millicores.model_extra == {}
    state = schema.Status.model_validate_json(documents.status(shown, 0.0))
    assert (state.model_extra, state.clusters[0].model_extra) == ({}, {})


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(ValidationError):
        schema.Asked.model_validate({"namspace": "shop"})
