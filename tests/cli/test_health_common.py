"""Options that the commands of mora health share."""

from __future__ import annotations

import pytest

from mora.cli.health_common import own_metrics
from mora.errors import BadInput


def test_a_metric_of_one_s_own_has_a_name_and_a_query() -> None:
    assert own_metrics(['queue=sum(q{a="b=c"})']) == {"queue": 'sum(q{a="b=c"})'}
    for texts, words in (
        (["queue"], "has no query"),
        (["queue= "], "has no query"),
        (["a b=1"], "not a name"),
        (["q=1", "q=2"], "given twice"),
    ):
        with pytest.raises(BadInput, match=words):
            own_metrics(texts)
