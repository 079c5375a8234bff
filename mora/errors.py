"""The errors that MOrA raises.

Every error that a user can cause or cure is a MoraError; the command line prints it and exits with 1. Anything
else that escapes is a bug.

    MoraError
    ├── BadInput           a flag, a name or a quantity that is invalid
    │   └── StateUnusable  what is kept between runs: of another cluster, in use, damaged, on a full disk
    ├── BadConfig          mora.toml, MORA_* or a plan; names the place
    ├── BadDataset         a CSV or its JSON; names file and line
    ├── NotEnoughData      says how much there is, how much is needed, how to get it
    ├── BadModel           a model folder that is torn, edited, or from a newer version
    ├── StaleAnswer        the data no longer describes what runs; --stale-ok overrides
    ├── SourceUnavailable  a Prometheus (or file) that does not answer
    ├── ClusterError       Kubernetes or the sandbox refuses, or does not get ready
    └── ToolMissing        a program (prometheus, kubectl) or a package that is not installed
"""

from __future__ import annotations


class MoraError(Exception):
    """A failure with a message: what happened, why, and what to do.

    >>> str(MoraError("No model of 'frontend'.", hint="Train one: mora train frontend"))
    "No model of 'frontend'.\\nTrain one: mora train frontend"
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        self.message = message
        self.hint = hint
        super().__init__(message if hint is None else f"{message}\n{hint}")


class BadInput(MoraError):
    """A value that a user gave is invalid."""


class StateUnusable(BadInput):
    """The folder of what is kept between runs cannot be used, whatever is asked for."""


class BadConfig(MoraError):
    """A setting is unknown or unusable; the message names its place."""


class BadDataset(MoraError):
    """A data file breaks its contract; the message names file and line."""


class NotEnoughData(MoraError):
    """Too little data for an honest answer; the message says how much is needed and how to get it."""


class BadModel(MoraError):
    """A model folder is incomplete, was edited, or was written by a newer MOrA."""


class StaleAnswer(MoraError):
    """The data at hand does not describe what runs now."""


class SourceUnavailable(MoraError):
    """A source of metrics does not answer, or refuses."""


class ClusterError(MoraError):
    """The place where services run refuses, or does not become ready."""


class ToolMissing(MoraError):
    """A program or package that is needed is not installed; the hint names it."""
