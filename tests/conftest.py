"""What holds for every test: examples that hypothesis draws are the same on every run and machine, and none is timed."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("mora", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("mora")
