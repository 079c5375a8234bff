"""MLflow as a tracker, by its client alone: a folder `mlruns` here, or where MLFLOW_TRACKING_URI leads.

The one room that imports MLflow. A model's files go there as they are: plain formats, nothing pickled, no flavour. What
MLflow raises never ends a training: it becomes one MoraError, without a password or a token in its words.
"""

from __future__ import annotations

import logging
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

from mora.errors import MoraError
from mora.extras import require
from mora.files import scratch_folder
from mora.tracking.run import TrainingRun

T = TypeVar("T")
URI = "MLFLOW_TRACKING_URI"
EXPERIMENT = "mora"
_SECRETS = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME")
# Up to the last "@" of a word: a password may have a slash or an "@" of its own.
_IN_URL = re.compile(r"//[^\s'\"]*@")
_IN_QUERY = re.compile(r"([?&][^=&\s]*(?:pass|pwd|token|secret|key)[^=&\s]*=)[^&\s'\"]+", re.IGNORECASE)
_LONGEST_WORDS = 200
# MLflow asks so before it is imported. Nothing is sent to its makers; a server that is down costs seconds, not minutes.
_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}


class MlflowTracker:
    """Runs in the experiment "mora", a registered model for each service, its aliases champion and challenger.

    A server that cannot be reached is asked once: what comes later fails at once. environment: where the address and
    the credentials come from; MLflow reads them there itself.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        require("mlflow", by="Tracking in MLflow")
        self._environment = os.environ if environment is None else environment
        self.uri = self._environment.get(URI) or (Path.cwd() / "mlruns").as_uri()
        self._is_away = False

    @property
    def place(self) -> str:
        """Its address, for people: without a user or a password."""
        return without_secrets(self.uri, self._environment)

    def log(self, run: TrainingRun) -> str:
        """A run with all that is known, and a version of the registered model. A run that fails is marked as failed."""
        return self._tried(lambda client: self._log(client, run))

    def mark(self, name: str, version: str, alias: str) -> None:
        """Let an alias point to the version of a digest; MoraError where that was never logged."""
        self._tried(lambda client: self._mark(client, name, version, alias))

    def unmark(self, name: str, alias: str) -> None:
        """Remove an alias of a registered model, where it has it."""
        self._tried(lambda client: self._unmark(client, name, alias))

    def _log(self, client: Any, run: TrainingRun) -> str:
        from mlflow.entities import Metric, Param, RunTag

        found = client.get_experiment_by_name(EXPERIMENT)
        experiment = client.create_experiment(EXPERIMENT) if found is None else found.experiment_id
        made = client.create_run(experiment, run_name=f"{run.name} {run.version[:12]}")
        key, now = made.info.run_id, int(time.time() * 1000)
        try:
            client.log_batch(
                key,
                metrics=[Metric(name, value, now, 0) for name, value in run.metrics.items()],
                params=[Param(name, value) for name, value in run.parameters.items()],
                tags=[RunTag("mora.model", run.name), RunTag("mora.version", run.version)],
            )
            with scratch_folder("mlflow") as folder:
                for name, data in [*((f"model/{name}", data) for name, data in run.model.items()), *run.extra.items()]:
                    path = folder / name
                    path.parent.mkdir(exist_ok=True)
                    path.write_bytes(data)
                client.log_artifacts(key, str(folder))
            if not client.search_registered_models(filter_string=f"name = '{run.name}'"):
                client.create_registered_model(run.name)
            source = f"{made.info.artifact_uri}/model"
            registered = client.create_model_version(run.name, source, run_id=key, tags={"mora.version": run.version})
            if run.alias:
                client.set_registered_model_alias(run.name, run.alias, registered.version)
        except BaseException:
            client.set_terminated(key, status="FAILED")
            raise
        client.set_terminated(key)
        return f"{self.place}, run {key}, {run.name} version {registered.version}"

    def _mark(self, client: Any, name: str, version: str, alias: str) -> None:
        versions = client.search_model_versions(f"name = '{name}'")
        own = [one for one in versions if (one.tags or {}).get("mora.version") == version]
        if not own:
            raise MoraError(f"Version {version[:12]} of {name} was never logged there.")
        client.set_registered_model_alias(name, alias, max(own, key=lambda one: int(one.version)).version)

    def _unmark(self, client: Any, name: str, alias: str) -> None:
        for one in client.search_registered_models(filter_string=f"name = '{name}'"):
            if alias in one.aliases:
                client.delete_registered_model_alias(name, alias)

    def _tried(self, what: Callable[[Any], T]) -> T:
        if self._is_away:
            raise MoraError(f"MLflow at {self.place} was not reached before, and is not asked again now.")
        try:
            with _quiet():
                from mlflow.tracking import MlflowClient

                return what(MlflowClient(tracking_uri=self.uri, registry_uri=self.uri))
        # Whatever MLflow, its HTTP client or its database raise: a training must not be lost by it.
        except Exception as failure:
            self._is_away = _is_of_the_way(failure)
            words = failure.message if isinstance(failure, MoraError) else str(failure)
            why = without_secrets(" ".join(words.split()), self._environment) or type(failure).__name__
            why = why if len(why) <= _LONGEST_WORDS else f"{why[:_LONGEST_WORDS]}..."
            raise MoraError(
                f"MLflow at {self.place} does not take it: {why.rstrip('.')}.",
                hint=f"Start its server, or name another by {URI}. The same facts are in the model's card.",
            ) from None


def _is_of_the_way(failure: Exception) -> bool:
    """Whether a server could not be reached at all: by a connection that failed, or took too long."""
    import requests

    one: BaseException | None = failure
    while one is not None:
        if isinstance(one, requests.exceptions.ConnectionError | requests.exceptions.Timeout):
            return True
        one = one.__cause__ or one.__context__
    return False


def without_secrets(words: str, environment: Mapping[str, str]) -> str:
    """Words without the users and passwords of addresses, and without the credentials that MLflow is given.

    >>> without_secrets("no answer from https://me:hush@mlflow.local/api", {})
    'no answer from https://***@mlflow.local/api'
    >>> without_secrets("no answer from postgresql://db/mlflow?password=hush&user=me", {})
    'no answer from postgresql://db/mlflow?password=***&user=me'
    """
    words = _IN_QUERY.sub(r"\1***", _IN_URL.sub("//***@", words))
    # Also alone: a driver names the password that was refused, or what it took for the port.
    of_address = _IN_URL.search(environment.get(URI, ""))
    password = of_address.group().removesuffix("@").partition(":")[2] if of_address else ""
    alone = [environment.get(name, "") for name in _SECRETS]
    for secret in sorted({*alone, password, unquote(password)} - {""}, key=len, reverse=True):
        words = words.replace(secret, "***")
    return words


@contextmanager
def _quiet() -> Iterator[None]:
    """MLflow's defaults as MOrA wants them, where the user has set none; no chatter, no warnings of its parts."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
