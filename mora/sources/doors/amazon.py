"""Amazon Managed Service for Prometheus: every request is signed (AWS Signature Version 4).

https://docs.aws.amazon.com/prometheus/latest/userguide/AMP-APIReference-Prometheus-Compatible-Apis.html
"""

from __future__ import annotations

import re
import threading
from typing import Any

from requests import PreparedRequest
from requests.auth import AuthBase

from mora.errors import BadInput, SourceUnavailable
from mora.extras import require
from mora.values import address_parts

_SERVICE = "aps"
_HOST = re.compile(r"aps-workspaces\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?", re.IGNORECASE)
_SIGNED = ("Authorization", "X-Amz-Date", "X-Amz-Security-Token")
_HINT = "Give them as to the AWS CLI: AWS_PROFILE, aws sso login, or a role of the pod (IRSA, Pod Identity)."


class SigV4Auth(AuthBase):
    """Signs each request with the credentials of the environment, as they are then: botocore renews those of roles.

    region: None for that of the address (aps-workspaces.REGION.amazonaws.com), else of the environment.
    """

    def __init__(self, *, url: str, region: str | None = None) -> None:
        require("cloud-aws", by="prometheus.auth = sigv4")
        parts = address_parts(url)
        match = _HOST.fullmatch((parts.hostname or "") if parts else "")
        self._region = region or (match[1] if match else None)
        self._lock = threading.Lock()
        self._session: Any = None
        self._credentials: Any = None

    def __repr__(self) -> str:
        return f"SigV4Auth({self._region!r})"

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """The request with its signature. SourceUnavailable without credentials, BadInput without a region."""
        from botocore.auth import SigV4Auth as Signer
        from botocore.awsrequest import AWSRequest
        from botocore.exceptions import BotoCoreError

        try:
            with self._lock:
                credentials, region = self._known()
                frozen = credentials.get_frozen_credentials()
        except BotoCoreError as error:
            said = " ".join(str(error).split())[:300].rstrip(".")
            raise SourceUnavailable(f"There are no AWS credentials for Prometheus: {said}.", hint=_HINT) from error
        for name in _SIGNED:  # of a try before
            request.headers.pop(name, None)
        # requests writes a blank as "+". AWS signs it as %20, and a query with blanks would be refused.
        path, mark, query = (request.url or "").partition("?")
        request.url = f"{path}{mark}{query.replace('+', '%20')}"
        signed = AWSRequest(method=request.method, url=request.url, data=request.body or b"")
        Signer(frozen, _SERVICE, region).add_auth(signed)
        request.headers.update({name: signed.headers[name] for name in _SIGNED if name in signed.headers})
        return request

    def _known(self) -> tuple[Any, str]:
        from botocore.session import get_session

        if self._session is None:
            self._session = get_session()
        region = self._region or self._session.get_config_variable("region")
        if not region:
            raise BadInput(
                "Of which region is the Amazon Managed Prometheus? Neither its address nor the environment says it.",
                hint="Name it: MORA_PROMETHEUS_REGION, or region under [prometheus] in mora.toml.",
            )
        if self._credentials is None:
            self._credentials = self._session.get_credentials()
        if self._credentials is None:
            raise SourceUnavailable("There are no AWS credentials for Prometheus.", hint=_HINT)
        return self._credentials, region
