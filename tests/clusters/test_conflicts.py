"""A conflict and a deletion are told from every other error of a write."""

from __future__ import annotations

import json

import pytest

from mora.clusters.conflicts import ChangedMeanwhile, GoneMeanwhile, conflicts, names_object
from mora.errors import ClusterError

NAMED = json.dumps({"kind": "Status", "details": {"name": "web"}})


def refused(status: int, body: str = "") -> ClusterError:
    """An error as connection.py raises it, with the client library's own as its cause."""
    error = ClusterError("refused")
    error.__cause__ = _Refusal(status, body)
    return error


class _Refusal(Exception):
    def __init__(self, status: int, body: str) -> None:
        super().__init__(status)
        self.status, self.body = status, body


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (refused(409), ChangedMeanwhile),
        (refused(404, NAMED), GoneMeanwhile),
        (refused(404, "404 page not found"), ClusterError),  # a path that the server does not have
        (refused(403), ClusterError),
        (ClusterError("the API server cannot be reached"), ClusterError),
    ],
)
def test_each_status_is_an_error_of_its_own(error: ClusterError, kind: type[ClusterError]) -> None:
    with pytest.raises(ClusterError) as raised, conflicts():
        raise error
    assert type(raised.value) is kind


@pytest.mark.parametrize(
    ("body", "expected"), [(NAMED, True), ("[]", False), ("{", False), ("{}", False), (None, False)]
)
def test_only_a_status_with_a_name_names_an_object(body: str | None, expected: bool) -> None:
    assert names_object(body) is expected
