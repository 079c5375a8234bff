"""mora publish: files into a ConfigMap."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mora.cli.common import Namespace, say, settings_of
from mora.errors import BadInput


def publish(
    files: Annotated[list[Path], typer.Argument(help="Files, e.g. recommendations.json.", show_default=False)],
    configmap: Annotated[
        str, typer.Option("--configmap", help="The ConfigMap to replace; it must exist.", show_default=False)
    ],
    namespace: Namespace = None,
) -> None:
    """Put files into a ConfigMap, in place of what it has.

    For a CronJob that recommends: it needs the right to patch that one
    ConfigMap, and no other. A file that is too large is stored as FILE.gz.

    \b
    mora recommend --all -n shop -o json > recommendations.json
    mora publish recommendations.json --configmap mora-recommendations -n shop
    kubectl get configmap mora-recommendations -n shop -o 'jsonpath={.data.recommendations\\.json}'
    """
    from mora.clusters.configmap import ConfigMaps
    from mora.domain import check_name

    names = [file.name for file in files]
    if len(set(names)) < len(names):
        raise BadInput(
            "Two of the files have the same name, and each file's name is its key in the ConfigMap.",
            hint="Rename one of them.",
        )
    place = settings_of(namespace=namespace).namespace
    check_name(configmap, "name of a ConfigMap")
    try:
        texts = {file.name: file.read_text(encoding="utf-8") for file in files}
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{' or '.join(names)} is not UTF-8 text.", hint="Publish text, such as the output of -o json."
        ) from error
    ConfigMaps().replace(place, configmap, texts)
    say(f"ConfigMap {configmap} in namespace {place} now contains {', '.join(names)}.")
