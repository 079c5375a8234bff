"""The command line: parse, call the pipeline, print.

The only package that prints, exits, or reads settings; each command is a module. Results go to stdout, notes and
progress to stderr. Exit codes: 0 done, 1 a MoraError, 2 wrong usage, 3 a change is due (--fail-on-change), something
lacks resources (--fail-on-lack, repo check) or is abnormal (--fail-on-anomaly), 4 a load experiment was no measurement,
130 interrupted.
"""

from mora.cli.front import app, main

__all__ = ["app", "main"]
