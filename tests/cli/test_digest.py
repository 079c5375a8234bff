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
        (("-n", "shpo"), "knows no namespace 'shpo'.\n      Did you mean shop? There are: shop."),
        (("--cluster", "prod"), "knows no cluster 'prod'.\n      It was written for one cluster: leave out --cluster."),
        (("--record", "none.sqlite"), "There is no record of recommendations in none.sqlite"),
    ],
)
def test_what_cannot_be_meant_is_refused(home: Path, flags: tuple[str, ...], words: str) -> None:
    told = mora("digest", *flags, cwd=home)
    assert told.returncode == 1
    assert words in told.stderr
    assert "secret" not in told.stderr


def test_a_namespace_of_another_cluster_is_refused_and_one_of_nothing_but_sums_is_not(tmp_path: Path) -> None:
    with Record(tmp_path / "mora-record.sqlite") as record:
        record.take("east", time.time(), [], [total("bank", cluster="east")])
        record.take("west", time.time(), [seen(500, 120, cluster="west")], [total(cluster="west")])
    assert mora("digest", "-n", "bank", "--cluster", "east", cwd=tmp_path).returncode == 0
    told = mora("digest", "-n", "bank", "--cluster", "west", cwd=tmp_path)
    assert (told.returncode, told.stdout) == (1, "")
    assert "knows no namespace 'bank' of cluster west" in told.stderr
    told = mora("digest", "--cluster", "wst", cwd=tmp_path)
    assert "knows no cluster 'wst'.\n      Did you mean west? There are: east, west." in told.stderr


def test_a_record_without_an_answer_says_so(tmp_path: Path) -> None:
    with Record(tmp_path / "mora-record.sqlite"):
        pass
    told = mora("digest", "-n", "shop", cwd=tmp_path)
    assert told.returncode == 1
    assert "It holds no answer yet" in told.stderr
