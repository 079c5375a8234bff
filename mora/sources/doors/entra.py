"""Azure Monitor workspaces (managed Prometheus): tokens of Microsoft Entra."""

from __future__ import annotations

import logging
import threading
from typing import Any

from requests import PreparedRequest
from requests.auth import AuthBase

from mora.errors import SourceUnavailable
from mora.extras import require

_SCOPE = "https://prometheus.monitor.azure.com/.default"
_HINT = "Log in: az login. In a pod: Workload Identity. Its role on the workspace is Monitoring Data Reader."


class EntraAuth(AuthBase):
    """A bearer token for each request; azure-identity keeps it, and renews it before it expires."""

    def __init__(self, *, url: str, region: str | None = None) -> None:
        require("cloud-azure", by="prometheus.auth = entra")
        self._lock = threading.Lock()
        self._credential: Any = None

    def __repr__(self) -> str:
        return "EntraAuth()"

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """The request with the token. SourceUnavailable where there are no credentials, or none that are accepted."""
        from azure.core.exceptions import AzureError
        from azure.identity import DefaultAzureCredential

        try:
            with self._lock:
                if self._credential is None:
                    # It warns of each way that it tries in vain; the error says them all.
                    logging.getLogger("azure").setLevel(logging.ERROR)
                    self._credential = DefaultAzureCredential()
                token = self._credential.get_token(_SCOPE)
        except AzureError as error:
            said = " ".join(str(error).split())[:300].rstrip(".")
            raise SourceUnavailable(f"There is no Entra token for Prometheus: {said}.", hint=_HINT) from error
        request.headers["Authorization"] = f"Bearer {token.token}"
        return request
