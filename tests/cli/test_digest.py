from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from mora.record.store import Record
from tests.pipeline.test_digesting import SECRET, webhook
from tests.record.making import seen, total
from tests.running import mora


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a record of two days."""
    with Record(tmp_path / "mora-record.sqlite") as record:
        now = time.time()
        record.take("", now - 2 * 86_400, [seen(500, 120)], [total()])
        record.take("", now - 86_400, [seen(120, 120)], [total()])
    return tmp_path


def test_it_prints_what_happened(home: Path) -> None:
    told = mora("digest", "--since", "7d", cwd=home)
    assert told.returncode == 0, told.stderr
    assert "Applied: 1 change at 1 workload." in told.stdout
    assert json.loads(mora("digest", "-o", "json", cwd=home).stdout)["applied"][0]["after"] == 120


@pytest.mark.parametrize("by", ["flag", "variable"])
def test_it_posts_and_never_prints_the_address(home: Path, by: str) -> None:
    with webhook() as server:
        if by == "flag":
            told = mora("--debug", "digest", "--webhook", server.url, cwd=home)
        else:
            told = mora("--debug", "digest", "--webhook", "env", cwd=home, MORA_DIGEST_WEBHOOK=server.url)
        assert told.returncode == 0, told.stderr
        assert "Sent to 127.0.0.1" in told.stderr
        (posted,) = server.got
        assert json.loads(posted[2])["blocks"]
        server.status = 500
        refused = mora("--debug", "digest", "--webhook", server.url, cwd=home)
    assert refused.returncode == 1
    assert "answered 500" in refused.stderr
    assert all(SECRET not in text for text in (told.stdout, told.stderr, refused.stdout, refused.stderr))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("-o", "html"), "is not a form of a digest"),
        (("--since", "yesterday"), "is not a span of time"),
        (("--webhook", "env"), "MORA_DIGEST_WEBHOOK, which is not set"),
        (("--webhook", "hooks.slack.com/secret"), "is not an address that begins with https://"),
        (("--record", "none.sqlite"), "There is no record of recommendations in none.sqlite"),
    ],
)
def test_what_cannot_be_meant_is_refused(home: Path, flags: tuple[str, ...], words: str) -> None:
    told = mora("digest", *flags, cwd=home)
    assert told.returncode == 1
    assert words in told.stderr
    assert "secret" not in told.stderr
