"""mora mcp: read-only tools for assistants."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mora.cli.common import DataDir, ModelsDir, Namespace, PrometheusUrl, settings_of

if TYPE_CHECKING:
    from mora.settings import Settings


def mcp(
    prometheus: PrometheusUrl = None,
    namespace: Namespace = None,
    history: Annotated[
        str | None, typer.Option("--history", help="How far back Prometheus is read.", show_default="14d")
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster", help="Value of the label `cluster`, where one Prometheus has several.", show_default=False
        ),
    ] = None,
    no_kubernetes: Annotated[
        bool, typer.Option("--no-kubernetes", help="Leave the Kubernetes API out; the default without any kubeconfig.")
    ] = False,
    keep: Annotated[str, typer.Option("--keep", help="How long an answer is used again.")] = "5m",
    data: DataDir = None,
    models: ModelsDir = None,
) -> None:
    """Serve read-only tools to an assistant, by the Model Context Protocol.

    Over stdin and stdout: an assistant starts it, you do not. Its tools are
    list_workloads, recommend, explain and what_if; none of them changes
    anything. A namespace is at most 2,000 tokens for 50 workloads, with the
    numbers of mora recommend -o json. Needs the extra `mcp`.

    \b
    pip install 'mora-rightsizing\\[mcp]'
    {"mcpServers": {"mora": {"command": "mora",
      "args": ["mcp", "-n", "shop", "--prometheus", "http://127.0.0.1:9090"]}}}
    """
    from mora.extras import require
    from mora.quantities import parse_duration

    require("mcp", by="mora mcp")
    from mora.mcp.questions import Questions
    from mora.mcp.server import serve
    from mora.pipeline import Request

    given: dict[str, Any] = {
        "prometheus_url": prometheus,
        "prometheus_cluster": cluster,
        "history": history,
        "data_dir": data,
        "models_dir": models,
    }

    def settings(*, namespace: str | None, all_namespaces: bool, **more: Any) -> Settings:
        place = None if all_namespaces else namespace or usual
        return settings_of(**{**given, **more, "namespace": place})

    usual = namespace
    settings(namespace=None, all_namespaces=False)  # a wrong setting ends the command now, before the assistant asks
    asked = Request(use_kubernetes=not no_kubernetes)
    serve(Questions(settings, asked, keep=parse_duration(keep), clock=time.monotonic))
