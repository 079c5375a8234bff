"""The Cloud Monitoring client: its credentials, its pages, and what its errors mean. Nothing else imports it."""

from __future__ import annotations

import os
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mora.domain import Window
from mora.errors import BadInput, MoraError, SourceUnavailable
from mora.extras import require
from mora.sources.cloud.patience import Failure, Patience
from mora.sources.gcp.metrics import Asked
from mora.values import address_parts, shows_secrets

VIEWER_ROLE = "roles/monitoring.viewer"
_PUBLIC = "monitoring.googleapis.com"
_READ_SCOPE = "https://www.googleapis.com/auth/monitoring.read"
_PERMISSION = re.compile(r"[Pp]ermissions? '?([a-z]+\.[a-zA-Z]+\.[a-zA-Z]+)\b")
_SWITCHED_OFF = re.compile(r"has not been used in project|it is disabled|SERVICE_DISABLED")
# Google's own largest page: 100,000 points, whatever is asked for.
_POINTS_A_PAGE = 100_000
_ANSWER_SECONDS = 60.0
_MOST_PAGES = 10_000
_LONGEST_TEXT = 300


@dataclass(frozen=True, slots=True)
class TimeSeries:
    """One time series of one page: the labels that were grouped by, its unit, its points (any order)."""

    labels: dict[str, str]
    unit: str
    seconds: NDArray[np.float64]
    values: NDArray[np.float64]


@dataclass(slots=True)
class MonitoringClient:
    """Reads time series of one project over gRPC. The credentials are the Application Default Credentials.

    project: None for the credentials' own. endpoint: HOST[:PORT] of the API (Private Service Connect); an address that
    begins with http:// is that of a server on this machine, which has no TLS.
    """

    project: str | None = None
    endpoint: str | None = None
    patience: Patience = field(default_factory=Patience)
    timeout: timedelta = timedelta(seconds=_ANSWER_SECONDS)
    _client: Any = field(init=False, repr=False, default=None)
    _lock: threading.Lock = field(init=False, repr=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        require("cloud-gcp", by="The source gcp")

    def project_name(self) -> str:
        """The project that is read. BadInput where neither the settings nor the credentials name one."""
        if self.project is None:
            self._connect()
        if not self.project:
            raise BadInput(
                "Which Google Cloud project? The credentials do not name one.",
                hint="Name it: --source gcp:PROJECT, or MORA_GCP_PROJECT, or project under [gcp] in mora.toml.",
            )
        return self.project

    def series(self, asked: Asked, filter_: str, window: Window) -> Iterator[TimeSeries | str]:
        """The pages of what a filter selects, aligned to the step of the window; a text where one is incomplete."""
        request = self._request(asked, filter_, window)
        for _ in range(_MOST_PAGES):
            page = self._ask("list_time_series", request)
            for error in page.execution_errors:
                yield f"Google Cloud Monitoring says that an answer may be incomplete: {error.message}"
            for one in page.time_series:
                yield _read(one)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token
        raise SourceUnavailable(
            f"{self.where} answers with more than {_MOST_PAGES:,} pages.",
            hint="Ask for one namespace (-n NAMESPACE), or for a shorter history.",
        )

    @property
    def where(self) -> str:
        """What is asked, for messages."""
        return f"Google Cloud Monitoring (project {self.project})" if self.project else "Google Cloud Monitoring"

    def account(self) -> str:
        """Whose credentials are used, without any secret."""
        credentials = self._credentials()
        email = getattr(credentials, "service_account_email", None)
        return f"the service account {email}" if email and email != "default" else "Application Default Credentials"

    # --- the client ---

    def _request(self, asked: Asked, filter_: str, window: Window) -> Any:
        types = self._types()
        return types.ListTimeSeriesRequest(
            name=f"projects/{self.project_name()}",
            filter=filter_,
            # The block of the first row ends at the window's start, so it begins a step before.
            interval=types.TimeInterval(start_time=window.start - window.step, end_time=window.end),
            aggregation=types.Aggregation(
                alignment_period=window.step,
                per_series_aligner=types.Aggregation.Aligner[asked.aligner],
                cross_series_reducer=types.Aggregation.Reducer[asked.reducer],
                group_by_fields=list(asked.group_by),
            ),
            page_size=_POINTS_A_PAGE,
        )

    def _ask(self, method: str, request: Any) -> Any:
        """One page as a plain message, after as many tries as it takes."""

        def send() -> Any:
            client = self._connect()
            # The client's own retries cover 503 alone; ours cover throttling, too, and renew credentials.
            pager = getattr(client, method)(request=request, retry=None, timeout=self.timeout.total_seconds())
            page = next(iter(pager.pages))
            return type(page).pb(page)

        return self.patience.ask(send, meaning=_meaning, explained=self._explained, renew=self._renew)

    def _renew(self) -> None:
        self._client = None

    def _connect(self) -> Any:
        with self._lock:  # a few workloads are read at the same time
            if self._client is None:
                self._client = self._made()
            return self._client

    def _made(self) -> Any:
        os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # else a connection that ends is a line on stderr
        with _quiet():
            from google.cloud.monitoring_v3 import MetricServiceClient
            from google.cloud.monitoring_v3.services.metric_service.transports import MetricServiceGrpcTransport

        endpoint = self.endpoint or _PUBLIC
        credentials = self._credentials()
        if "://" not in endpoint:
            return MetricServiceClient(credentials=credentials, client_options={"api_endpoint": endpoint})
        parts = address_parts(endpoint)
        if parts is None or shows_secrets(endpoint):
            raise BadInput(
                f"gcp.endpoint is {endpoint!r}: the token would go over the line for all to read.",
                hint="Write HOST or HOST:PORT, which is reached by TLS; http:// is for a server on this machine.",
            )
        if parts.scheme == "https":
            return MetricServiceClient(credentials=credentials, client_options={"api_endpoint": parts.netloc})
        import grpc
        from google.auth.transport.grpc import AuthMetadataPlugin
        from google.auth.transport.requests import Request

        plugin = AuthMetadataPlugin(credentials, Request())  # type: ignore[no-untyped-call]  # google-auth's
        channel = grpc.secure_channel(
            parts.netloc,
            grpc.composite_channel_credentials(
                grpc.local_channel_credentials(), grpc.metadata_call_credentials(plugin)
            ),
        )
        return MetricServiceClient(transport=MetricServiceGrpcTransport(channel=channel))

    def _credentials(self) -> Any:
        with _quiet():
            import google.auth
            from google.auth.exceptions import DefaultCredentialsError
        try:
            with _quiet():
                credentials, project = google.auth.default(scopes=[_READ_SCOPE])
        except DefaultCredentialsError as error:
            raise SourceUnavailable(
                f"There are no Google credentials that can be used: {_text(error)}",
                hint="Get them: gcloud auth application-default login. In a pod: Workload Identity. Elsewhere: "
                "GOOGLE_APPLICATION_CREDENTIALS names a file.",
            ) from error
        self.project = self.project or project
        return credentials

    def _token_server_away(self) -> str:
        """Why no token can be asked for at all; empty where the server for them answers, whatever it says.

        gRPC hands on the words of what went wrong with a token and not its kind, so a token is asked for once more.
        """
        from google.auth.exceptions import GoogleAuthError, TransportError
        from google.auth.transport.requests import Request

        try:
            self._credentials().refresh(Request())
        except GoogleAuthError as error:
            # The credentials of a machine tell of a server that is away by an error of their own, caused by that one.
            away = next((one for one in (error, error.__cause__) if isinstance(one, TransportError)), None)
            return "" if away is None else _text(away)
        return ""

    @staticmethod
    def _types() -> Any:
        with _quiet():
            from google.cloud.monitoring_v3 import types
        return types

    def _explained(self, error: Exception) -> MoraError:
        from google.api_core import exceptions

        said = _text(error)
        if _is_of_credentials(error) and (away := self._token_server_away()):
            return SourceUnavailable(
                f"The server that gives tokens for Google's credentials is not reached: {away}",
                hint="Is there a way to it from here (HTTPS_PROXY)? The credentials themselves may be good.",
            )
        if _is_of_credentials(error) or isinstance(error, exceptions.Unauthenticated):
            return SourceUnavailable(
                f"{self.where} does not accept the credentials: {said}",
                hint="They expired or were revoked. Get new ones: gcloud auth application-default login",
            )
        if isinstance(error, exceptions.PermissionDenied) and _SWITCHED_OFF.search(said):
            return SourceUnavailable(
                f"{self.where} is switched off in its project: {said}",
                hint=f"Switch it on: gcloud services enable {_PUBLIC} --project={self.project or 'PROJECT'}",
            )
        if isinstance(error, exceptions.PermissionDenied):
            found = _PERMISSION.search(said)
            permission = found[1] if found else "monitoring.timeSeries.list"
            return SourceUnavailable(
                f"{self.where} refuses: the permission {permission} is missing. It says: {said}",
                hint=f"Grant {VIEWER_ROLE}: gcloud projects add-iam-policy-binding {self.project or 'PROJECT'} "
                f"--member=PRINCIPAL --role={VIEWER_ROLE}",
            )
        if isinstance(error, exceptions.ResourceExhausted):
            return SourceUnavailable(
                f"{self.where} still limits the rate of requests after {self.patience.tries} tries: {said}",
                hint="Try again in some minutes, ask for a shorter history, or raise the quota 'Time series queries'.",
            )
        if isinstance(error, exceptions.NotFound):
            return SourceUnavailable(
                f"{self.where} knows no such project: {said}", hint="Is the project's ID right, and not its name?"
            )
        if isinstance(error, exceptions.InvalidArgument):
            return SourceUnavailable(
                f"{self.where} rejects the request: {said}", hint="Is it a newer API? Update MOrA."
            )
        return SourceUnavailable(
            f"{self.where} does not answer: {said}",
            hint="Is there a way to it? A proxy needs HTTPS_PROXY; a private endpoint gcp.endpoint in mora.toml.",
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the libraries tell their own users of Python and of quotas; only what is known to be harmless."""
    with warnings.catch_warnings():
        # That a person's credentials name no project for quotas; ours do not ask for the APIs that need one.
        warnings.filterwarnings("ignore", message="Your application has authenticated using end user credentials")
        # That a coming release will want a newer Python than 3.11.
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"google\..*")
        yield


def _meaning(error: Exception) -> Failure:
    from google.api_core import exceptions

    if _is_of_credentials(error) or isinstance(error, exceptions.Unauthenticated):
        return Failure.EXPIRED
    if isinstance(
        error,
        exceptions.ResourceExhausted
        | exceptions.ServiceUnavailable
        | exceptions.DeadlineExceeded
        | exceptions.InternalServerError
        | exceptions.Aborted,
    ):
        return Failure.BUSY
    return Failure.FINAL


def _is_of_credentials(error: Exception) -> bool:
    """Whether a token could not be got. gRPC hands that on as a server that is not available, and keeps the text."""
    from google.auth.exceptions import GoogleAuthError

    return isinstance(error, GoogleAuthError) or "metadata from plugin failed" in str(error)


def _text(error: Exception) -> str:
    """What an error says, on one line; a token that a server repeats is no part of it."""
    text = " ".join(str(getattr(error, "message", None) or error).split())
    text = "".join(character for character in text if character.isprintable())
    return (text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]} ...").rstrip(".") + "."


def _read(one: Any) -> TimeSeries:
    labels = {f"resource.labels.{name}": value for name, value in one.resource.labels.items()}
    labels |= {
        f"metadata.system_labels.{name}": value.string_value
        for name, value in one.metadata.system_labels.fields.items()
    }
    count = len(one.points)
    ends = [point.interval.end_time for point in one.points]
    seconds = np.fromiter((at.seconds + at.nanos * 1e-9 for at in ends), dtype=np.float64, count=count)
    # A point has one of several kinds of values; of one series all have the same.
    is_whole = count > 0 and one.points[0].value.WhichOneof("value") == "int64_value"
    values = (float(point.value.int64_value) if is_whole else point.value.double_value for point in one.points)
    return TimeSeries(labels, one.unit, seconds, np.fromiter(values, dtype=np.float64, count=count))
