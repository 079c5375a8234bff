"""The kubeconfig: who asks which API server, in kubectl's words, and the client that it makes.

A kubeconfig holds credentials: no message shows a value of it but names and the server's address.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mora.errors import BadInput, ClusterError, MoraError
from mora.values import known_names, without_proxy

_LONGEST_SHOWN = 500
_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class Context:
    """Where requests go and as which user, as in `kubectl config get-contexts`."""

    name: str
    cluster: str
    user: str
    namespace: str
    server: str

    def __str__(self) -> str:
        return f"context {self.name} (cluster {self.cluster} at {self.server}, user {self.user})"


def connect(kubeconfig: Path | str | None, context: str | None, retries: Any) -> Any:
    """A kubernetes.client.ApiClient. ClusterError where there is no usable kubeconfig and no service account.

    retries: urllib3's Retry, or False.
    """
    from kubernetes import client, config
    from yaml import YAMLError

    from mora.deadline import POOLS

    settings = client.Configuration()
    settings.retries = retries
    settings.no_proxy = without_proxy(settings.no_proxy)
    try:
        file = _file(kubeconfig)
        made = _loaded(file, context, settings)
        made.configuration.host = _address(made.configuration.host)
        made.rest_client.pool_manager.pool_classes_by_scheme = POOLS
        return _impersonating(made, file, context)
    except MoraError:
        raise
    except config.ConfigException as error:
        # What follows a brace is an entry of the kubeconfig, token included.
        check_context(kubeconfig, context)
        problem = _missing(kubeconfig) or str(error).partition("{")[0].rstrip(". ")
    except OSError as error:  # a file that it names, or the program that gives credentials
        problem = f"it cannot be used ({' '.join(str(error).split())})"
    except YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        problem = "it is not valid YAML" + (f" (line {line + 1})" if line is not None else "")
    except Exception as error:  # the library raises whatever an unexpected value leads to
        # Its text may quote a credential, so only its kind is shown.
        problem = f"its content is not that of a kubeconfig ({type(error).__name__})"
    if kubeconfig is None and context is None:
        try:
            config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
        except config.ConfigException:
            pass  # not inside a pod either: report what is wrong with the kubeconfig
        else:
            made = client.ApiClient(settings)
            made.rest_client.pool_manager.pool_classes_by_scheme = POOLS
            return made
    raise ClusterError(
        f"There is no usable kubeconfig: {problem}.",
        hint="Set $KUBECONFIG to one, and list its contexts: kubectl config get-contexts",
    )


def check_context(kubeconfig: Path | str | None, context: str | None, *, also: Collection[str] = ()) -> None:
    """BadInput where the kubeconfig has contexts, and none of that name. also: other names that could be meant.

    Silent where no kubeconfig can be read: connect() says why.
    """
    known = _contexts(_file(kubeconfig))
    if context is None or not known or context in known:
        return
    hint = known_names(context, {*known, *also})
    if also:
        hint += f" Of these, mora.toml has under `clusters`: {', '.join(sorted(also))}."
    raise BadInput(f"The kubeconfig has no context {context!r}.", hint=hint)


def _contexts(file: str | None) -> list[str]:
    """The names of the contexts in the kubeconfig files; none where they cannot be read."""
    import yaml

    found = []
    for part in (file or "~/.kube/config").split(os.pathsep):
        path = Path(part).expanduser()
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8")) if part and path.is_file() else None
            found += [str(entry["name"]) for entry in (content or {}).get("contexts") or []]
        except (OSError, ValueError, yaml.YAMLError, AttributeError, TypeError, KeyError):
            return []
    return found


@contextmanager
def reported() -> Iterator[list[str]]:
    """What the client library only logs: that a program or a provider gave no credentials, after which it asks without.

    Nothing of it is logged: it may quote the user's entry of the kubeconfig, token included. What follows a brace is
    left out here.
    """
    found: list[str] = []

    def take(record: logging.LogRecord) -> bool:
        if record.thread != threading.get_ident():
            return True
        found.append(record.getMessage().partition("{")[0].rstrip(" .:"))
        return False

    root, silent = logging.getLogger(), logging.NullHandler()
    root.addHandler(silent)  # without a handler the library's first line would install one
    root.addFilter(take)
    try:
        yield found
    finally:
        root.removeFilter(take)
        root.removeHandler(silent)


def _loaded(file: str | None, context: str | None, settings: Any) -> Any:
    """The library's client by the kubeconfig."""
    from kubernetes import config

    with reported() as failures:
        made = config.new_client_from_config(  # type: ignore[no-untyped-call]  # the library's
            file, context, client_configuration=settings
        )
    if failures:
        raise ClusterError(
            f"The kubeconfig's user has no credentials: {'; '.join(failures)[:_LONGEST_SHOWN]}.",
            hint="Its exec or auth-provider has to give them. Does it work for kubectl? Try: kubectl auth whoami",
        )
    return made


def _address(server: str) -> str:
    """The server's address; http:// where it names no scheme, as with kubectl.

    It is shown in messages and handed to Prometheus' client, so it must hold no credentials.
    """
    address = server if "://" in server or not server else f"http://{server}"
    parts = urlsplit(address)
    if "@" in parts.netloc:
        raise ClusterError(
            "The server's address in the kubeconfig holds a user name or a password, which no API server takes.",
            hint="Take them out of the address: kubectl config set-cluster NAME --server=https://HOST:PORT",
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ClusterError(
            f"The server's address in the kubeconfig, {server!r}, is not an http or https URL.",
            hint="Correct it: kubectl config set-cluster NAME --server=https://HOST:PORT",
        )
    return address


def _missing(kubeconfig: Path | str | None) -> str | None:
    """That no file is there, in plainer words than the library's; None where one is."""
    named = str(kubeconfig) if kubeconfig is not None else os.environ.get("KUBECONFIG", "")
    paths = [path for path in named.split(os.pathsep) if path]
    if any(Path(path).expanduser().exists() for path in paths or ["~/.kube/config"]):
        return None
    if not paths:
        return "$KUBECONFIG is not set, ~/.kube/config does not exist, and this is not a pod"
    return f"{', '.join(paths)} does not exist"


def is_configured() -> bool:
    """Whether $KUBECONFIG (even one whose file is missing), ~/.kube/config or a pod's account names a cluster."""
    if any(filter(None, os.environ.get("KUBECONFIG", "").split(os.pathsep))):
        return True
    return (Path.home() / ".kube" / "config").exists() or (_SERVICE_ACCOUNT / "token").is_file()


def _impersonating(made: Any, file: str | None, context: str | None) -> Any:
    """The client, impersonating the kubeconfig's `as`; the library ignores it, and the user himself may do more."""
    from kubernetes import config

    known, current = config.list_kube_config_contexts(file)  # type: ignore[no-untyped-call]  # the library's
    chosen = current if context is None else next(one for one in known if one["name"] == context)
    user = _user(file, (chosen or {}).get("context", {}).get("user"))
    unknown = [name for name in ("as-groups", "as-uid", "as-user-extra") if user.get(name)]
    if unknown:
        raise ClusterError(
            f"The kubeconfig's user impersonates with {', '.join(unknown)}, which MOrA does not support.",
            hint="Use a context whose user has only `as`, or credentials of its own.",
        )
    if user.get("as"):
        made.set_default_header("Impersonate-User", user["as"])
    return made


def _user(file: str | None, name: str | None) -> Mapping[str, Any]:
    """A user's entry in the kubeconfig files: the first one found, as with kubectl."""
    import yaml

    for part in (file or "~/.kube/config").split(os.pathsep):
        path = Path(part).expanduser()
        content = yaml.safe_load(path.read_text(encoding="utf-8")) if part and path.is_file() else None
        for entry in (content or {}).get("users") or []:
            if entry["name"] == name:
                return entry.get("user") or {}
    return {}


def _file(kubeconfig: Path | str | None) -> str | None:
    """The kubeconfig file or files to read; the library reads $KUBECONFIG only once, when it is imported."""
    return str(kubeconfig) if kubeconfig is not None else os.environ.get("KUBECONFIG")


def read_context(kubeconfig: Path | str | None, context: str | None, server: str) -> Context:
    """The names that a kubeconfig gives to `server`; inside a pod, those of its service account."""
    from kubernetes import config

    try:
        known, current = config.list_kube_config_contexts(  # type: ignore[no-untyped-call]  # the library's
            _file(kubeconfig)
        )
    except config.ConfigException:
        place = _SERVICE_ACCOUNT / "namespace"
        namespace = place.read_text(encoding="utf-8").strip() if place.is_file() else "default"
        return Context("in the cluster", "its own", "the pod's service account", namespace, server)
    chosen = current if context is None else next(one for one in known if one["name"] == context)
    names = chosen["context"]
    cluster, user, namespace = (str(names.get(key) or "") for key in ("cluster", "user", "namespace"))
    return Context(str(chosen["name"]), cluster, user, namespace or "default", server)
