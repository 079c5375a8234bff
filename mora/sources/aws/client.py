"""One AWS region through boto3: every answer whole, throttling waited out, and clear errors for what AWS refuses.

The only importer of boto3. Credentials, the region and an endpoint of one's own come from where every AWS tool has them
(environment, profile, role of the machine); none is read, kept or printed here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from threading import Lock
from typing import Any

from mora.errors import BadInput, MoraError, SourceUnavailable
from mora.extras import require
from mora.sources.cloud.patience import Failure, Patience
from mora.values import shows_secrets

_BUSY = frozenset(
    {
        *("Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException"),
        *("RequestLimitExceeded", "TooManyRequestsException", "SlowDown", "LimitExceeded", "LimitExceededException"),
        *("InternalFailure", "InternalError", "InternalServiceError", "InternalServiceFault", "ServiceUnavailable"),
        *("RequestTimeout", "RequestTimeoutException"),
    }
)
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
_DENIED = frozenset(
    {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "Forbidden"}
)
_UNKNOWN_KEY = frozenset(
    {
        *("UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId", "SignatureDoesNotMatch"),
        *("IncompleteSignature", "MissingAuthenticationToken", "AuthFailure"),
    }
)
_RENEW = "Renew them (aws sso login, or your tool for temporary keys), and run the command again."
_MOST_PAGES = 20_000
_MOST_SHOWN = 300


class Incomplete(Exception):
    """An answer that CloudWatch itself marks as not whole: asked for again."""


class AwsClient:
    """The APIs of one region. region: None for that of the environment or profile. endpoint: None for Amazon's own.

    Raises BadInput for an endpoint that would show the credentials to the line.
    """

    def __init__(
        self, region: str | None = None, *, endpoint: str | None = None, patience: Patience | None = None
    ) -> None:
        require("cloud-aws", by="The source aws")
        if endpoint is not None and shows_secrets(endpoint):
            raise BadInput(
                f"aws.endpoint is {endpoint!r}: the session's token would go over the line for all to read.",
                hint="Write an address that begins with https://; http:// is for a server on this machine.",
            )
        self._region, self._endpoint = region, endpoint
        self._patience = patience or Patience()
        self._lock = Lock()
        self._session: Any = None
        self._clients: dict[str, Any] = {}

    @property
    def region(self) -> str:
        """The region that is asked; BadInput where none is configured."""
        with self._lock:
            # boto3 alone among AWS's tools reads AWS_DEFAULT_REGION only.
            found = self._region or os.environ.get("AWS_REGION") or self._sessions().region_name
        if not found:
            raise BadInput(
                "Which AWS region?",
                hint="Set AWS_REGION, or write it before the cluster: --source aws:eu-west-1/CLUSTER",
            )
        return str(found)

    def ask(self, service: str, operation: str, **arguments: Any) -> dict[str, Any]:
        """One answer of an operation such as cloudwatch, get_metric_data. SourceUnavailable says why there is none."""
        # As a policy writes it: rds:DescribeDBInstances.
        words = ("DB" if word == "db" else word.capitalize() for word in operation.split("_"))
        action = f"{service}:{''.join(words)}"

        def send() -> dict[str, Any]:
            answer: dict[str, Any] = getattr(self._client(service), operation)(**arguments)
            if any(one.get("StatusCode") == "InternalError" for one in answer.get("MetricDataResults", ())):
                raise Incomplete("CloudWatch reports an internal error for some metrics")
            return answer

        return self._patience.ask(
            send, meaning=_meaning, explained=lambda error: self._explained(error, action), renew=self._forget
        )

    def pages(self, service: str, operation: str, *, link: str = "NextToken", **arguments: Any) -> Iterator[Any]:
        """Every page of an answer. link: the name of the field that leads to the next one."""
        following: Mapping[str, Any] = {}
        for _ in range(_MOST_PAGES):
            answer = self.ask(service, operation, **arguments, **following)
            yield answer
            if not (leads_to := answer.get(link)):
                return
            if {link: leads_to} == following:
                raise SourceUnavailable(f"AWS answers {service} {operation} with the same page again and again.")
            following = {link: leads_to}
        raise SourceUnavailable(
            f"AWS answers {service} {operation} with more than {_MOST_PAGES:,} pages.",
            hint="Ask for one namespace (-n NAMESPACE), or for a shorter history.",
        )

    def _sessions(self) -> Any:
        import boto3
        from botocore.exceptions import BotoCoreError

        if self._session is None:
            try:
                self._session = boto3.session.Session()
            except BotoCoreError as error:  # such as a profile that is named and not there
                raise self._explained(error, "") from error
        return self._session

    def _client(self, service: str) -> Any:
        from botocore.config import Config

        region = self.region
        with self._lock:
            if service not in self._clients:
                # Patience tries again, for all clouds alike; botocore would do so behind its back.
                config = Config(
                    connect_timeout=10, read_timeout=60, retries={"total_max_attempts": 1}, user_agent_extra="mora"
                )
                self._clients[service] = self._sessions().client(
                    service, region_name=region, endpoint_url=self._endpoint, config=config
                )
            return self._clients[service]

    def _forget(self) -> None:
        """Read the credentials again at the next request."""
        with self._lock:
            self._session, self._clients = None, {}

    def _explained(self, error: Exception, action: str) -> MoraError:
        from botocore import exceptions as boto

        where = f"AWS ({action})" if action else "AWS"
        code, said = _code(error), _said(error)
        if code in _DENIED:
            return SourceUnavailable(
                f"AWS does not allow {action} to these credentials.",
                hint=f"Give them the right {action} (docs/clouds.md has the whole policy). AWS says: {said}",
            )
        if code in _EXPIRED or isinstance(error, (boto.UnauthorizedSSOTokenError, boto.SSOTokenLoadError)):
            return SourceUnavailable("The AWS credentials have expired.", hint=_RENEW)
        if code in _UNKNOWN_KEY:
            return SourceUnavailable(
                f"AWS does not accept these credentials ({code}).",
                hint="Check which are used: aws sts get-caller-identity. A clock that is minutes off also leads here.",
            )
        if isinstance(error, (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError)):
            return SourceUnavailable(
                "There are no AWS credentials.",
                hint="Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role. "
                "Try them: mora doctor --source aws",
            )
        if isinstance(error, boto.ProfileNotFound):
            return BadInput(f"{said}.", hint="AWS_PROFILE names it; the profiles are in ~/.aws/config.")
        if code in _BUSY or isinstance(error, Incomplete):
            return SourceUnavailable(
                f"{where} limits the rate of requests, or is overloaded: {said}",
                hint="Run the command again in a minute, or ask for less: one namespace, a shorter --history.",
            )
        if isinstance(error, boto.EndpointConnectionError):
            return SourceUnavailable(
                f"{where} is not reached: {said}",
                hint="Is the region one that exists (AWS_REGION), and is there a way to it (HTTPS_PROXY)?",
            )
        return SourceUnavailable(
            f"{where} does not answer: {said}", hint="See what is reached: mora doctor --source aws"
        )


def _meaning(error: Exception) -> Failure:
    from botocore import exceptions as boto

    code = _code(error)
    if code in _BUSY or isinstance(error, (Incomplete, boto.HTTPClientError)) or _status(error) >= 500:
        return Failure.BUSY
    return Failure.EXPIRED if code in _EXPIRED else Failure.FINAL


def _response(error: Exception) -> Mapping[str, Any]:
    response = getattr(error, "response", None)
    return response if isinstance(response, Mapping) else {}


def _code(error: Exception) -> str:
    """The code of an error that AWS answered; empty for one of the way there."""
    # AWS's newer protocols write the shape's whole name: com.amazonaws.cloudwatch#ThrottlingException.
    return str(_response(error).get("Error", {}).get("Code", "")).rpartition("#")[2]


def _status(error: Exception) -> int:
    status = _response(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status if isinstance(status, int) else 0


def _said(error: Exception) -> str:
    """What an error says, on one line and not longer than one reads."""
    text = str(_response(error).get("Error", {}).get("Message", "") or error)
    printable = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return printable[:_MOST_SHOWN].rstrip(".")
