"""mora completion: what makes a shell complete mora's commands."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from mora.cli.common import show

_VARIABLE = "_MORA_COMPLETE"


class Shell(StrEnum):
    """The shells that a script is printed for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    shell: Annotated[Shell, typer.Argument(help="bash, zsh or fish.", show_default=False)],
) -> None:
    """Print what makes a shell complete mora's commands, options and outputs.

    \b
    source <(mora completion bash)                            this shell
    mora completion bash > /etc/bash_completion.d/mora        every bash
    mora completion zsh > "${fpath[1]}/_mora"
    mora completion fish > ~/.config/fish/completions/mora.fish

    kubectl completes `kubectl mora` by itself, where `kubectl_complete-mora`
    (installed with mora) is on PATH.
    """
    show(script(shell.value))


def script(shell: str) -> str:
    """The completion script of a shell; it asks mora itself at each press of the key."""
    from typer._completion_shared import get_completion_script

    return get_completion_script(prog_name="mora", complete_var=_VARIABLE, shell=shell)
