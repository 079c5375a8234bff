"""The command line: parse, call the pipeline, print.

The only room that prints, exits, or reads settings; a command is a module. Results go to stdout, talk to stderr. Exit
codes: 0 done, 1 a MoraError in words, 2 wrong usage, 3 a change is due and --fail-on-change was given, 130 interrupted.
"""

from mora.cli.front import app, main

__all__ = ["app", "main"]
