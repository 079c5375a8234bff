"""Google Cloud Managed Service for Prometheus: tokens of the Application Default Credentials."""

from __future__ import annotations

import threading
import warnings
from typing import Any

from requests import PreparedRequest
from requests.auth import AuthBase

from mora.errors import SourceUnavailable
from mora.extras import require

_READ_SCOPE = "https://www.googleapis.com/auth/monitoring.read"
_HINT = "Get new ones: gcloud auth application-default login. In a pod: Workload Identity."


class GoogleAuth(AuthBase):
    """A bearer token for each request, renewed before it expires."""

    def __init__(self, *, url: str, region: str | None = None) -> None:
        require("cloud-gcp", by="prometheus.auth = gcp")
        self._lock = threading.Lock()
        self._credentials: Any = None

    def __repr__(self) -> str:
        return "GoogleAuth()"

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """The request with the token. SourceUnavailable where there are no credentials, or none that are accepted."""
        from google.auth import default
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import Request

        try:
            with self._lock:
                if self._credentials is None:
                    with warnings.catch_warnings():
                        # That a person's credentials name no project for quotas: queries need none.
                        warnings.filterwarnings("ignore", message="Your application has authenticated using end user")
                        self._credentials, _ = default(scopes=[_READ_SCOPE])
                self._credentials.before_request(Request(), request.method, request.url, request.headers)
        except GoogleAuthError as error:
            said = " ".join(str(error).split())[:300].rstrip(".")
            raise SourceUnavailable(f"There is no Google token for Prometheus: {said}.", hint=_HINT) from error
        return request
