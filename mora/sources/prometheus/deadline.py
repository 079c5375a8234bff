"""Connections of requests sessions that heed a Deadline (mora/deadline.py)."""

from __future__ import annotations

from typing import Any

from requests.adapters import HTTPAdapter

from mora.deadline import POOLS


class WatchedAdapter(HTTPAdapter):
    """Connections of a requests session that heed the Deadline of their thread."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Connections to servers."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        """Connections to a proxy."""
        manager: Any = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = POOLS
        return manager
