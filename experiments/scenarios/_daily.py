"""Browsing by more and fewer users: from all of them (-u) down to a tenth and back, once in MORA_LOAD_PERIOD seconds.

    MORA_LOAD_PERIOD=288 locust -f experiments/scenarios/_daily.py --headless -H http://localhost:8080 -u 40 -t 30m

It begins with all users, so that a run knows when they are there.
"""

from __future__ import annotations

import math
import os

from browsing import Browser
from locust import LoadTestShape

__all__ = ["Browser", "Daily"]

_PERIOD_SECONDS = float(os.environ.get("MORA_LOAD_PERIOD", "288"))


class Daily(LoadTestShape):
    """As many users as the time of the day calls for."""

    use_common_options = True

    def tick(self) -> tuple[int, float]:
        """Users, and how many of them start or end in a second."""
        most = self.runner.environment.parsed_options.num_users
        share = 0.55 + 0.45 * math.cos(2 * math.pi * self.get_run_time() / _PERIOD_SECONDS)
        return max(1, round(most * share)), float(most)
