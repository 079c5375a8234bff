"""Markdown of what comes from a cluster or a repository: its text, and nothing that it could do."""

from __future__ import annotations

import re

from mora.outputs.wording import clean

# What GitHub and GitLab make a link of without any brackets: https://..., www...., somebody@..., @somebody.
_LINKED = re.compile(r"(\b[A-Za-z]+(?=://)|\bwww(?=\.)|(?=@))([:.@])")


def plain(text: str) -> str:
    """Text that Markdown and HTML take literally; nothing in it becomes a link or mentions somebody.

    >>> plain("at p95 < 300 ms | *now*")
    'at p95 &lt; 300 ms \\\\| \\\\*now\\\\*'
    """
    escaped = clean(text).replace("&", "&amp;").replace("<", "&lt;")
    escaped = re.sub(r"([\\`*_\[\]|~])", r"\\\1", escaped)
    return _LINKED.sub(lambda found: f"{found[1]}&#{ord(found[2])};", escaped)
