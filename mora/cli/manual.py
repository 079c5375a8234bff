"""mora man: the man page, made from the help of every command, so that it is never behind."""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
import sys
from typing import Any

import typer


def man(context: typer.Context) -> None:
    """Show the man page, or print it where the output is no terminal.

    \b
    mora man
    mora man > /usr/local/share/man/man1/mora.1       then: man mora
    """
    text = page(context.find_root().command)
    reader = shutil.which("man")
    if not sys.stdout.isatty() or reader is None:
        sys.stdout.write(text)
        return
    shown = subprocess.run([reader, "-l", "-"], input=text, text=True, check=False)
    raise typer.Exit(shown.returncode)


def _escape(text: str) -> str:
    """Text for roff: a hyphen is one that can be copied, and no line begins as a request does."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def _styled(text: str) -> str:
    """Help with rich's [bold], as roff's; a bracket that rich is to show has a backslash before it."""
    return re.sub(r"\[bold\](.+?)\[/bold\]", r"\\fB\1\\fR", _escape(text.replace("\\[", "[")))


def _paragraphs(text: str) -> list[str]:
    """A help text: paragraphs filled, those that begin with \\b as they stand."""
    lines = []
    for block in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        is_verbatim = block.startswith("\b")
        block = block.removeprefix("\b").strip("\n")
        if is_verbatim:
            lines += [".PP", ".nf", ".RS", _styled(block), ".RE", ".fi"]
        elif block:
            lines += [".PP", _styled(" ".join(block.split()))]
    return lines


def _option(one: Any, context: Any) -> list[str]:
    """One option or argument: how it is written, what it does, its default."""
    record = one.get_help_record(context)
    if record is None:
        return []
    names, about = record
    return [".TP", "\\fB" + _escape(names) + "\\fR", _styled(" ".join(about.split()))]


def _command(name: str, one: Any) -> list[str]:
    """A command with its options; the commands under it follow."""
    if one.hidden:
        return []
    context = one.make_context(name, [], resilient_parsing=True)
    lines = [f'.SS "{_escape(name)}"', *_paragraphs(one.help or "")]
    for parameter in one.params:
        lines += _option(parameter, context)
    for inner in getattr(one, "commands", {}).values():
        lines += _command(f"{name} {inner.name}", inner)
    return lines


def page(main: Any) -> str:
    """The whole page of a command and those under it, for man: roff."""
    from mora import __version__
    from mora.settings import SETTINGS

    summary, *more = (main.help or "").split("\n\n")
    commands = list(getattr(main, "commands", {}).values())
    lines = [
        f'.TH MORA 1 "" "mora {__version__}" "MOrA"',
        ".SH NAME",
        f"mora \\- {_escape(summary[0].lower() + summary[1:].rstrip('.'))}",
        ".SH SYNOPSIS",
        "\\fBmora\\fR [\\fIOPTIONS\\fR] \\fICOMMAND\\fR [\\fIARGUMENTS\\fR]",
        ".br",
        "\\fBkubectl mora\\fR [\\fIOPTIONS\\fR] \\fICOMMAND\\fR [\\fIARGUMENTS\\fR]",
        ".SH DESCRIPTION",
        *_paragraphs("\n\n".join(more)),
        ".SH OPTIONS",
    ]
    context = main.make_context("mora", ["--help"], resilient_parsing=True)
    for parameter in main.params:
        lines += _option(parameter, context)
    lines.append(".SH COMMANDS")
    for one in commands:
        lines += _command(f"mora {one.name}", one)
    lines += [
        ".SH EXIT STATUS",
        "0 done, 1 an error, 2 wrong usage, 3 a change is due (\\-\\-fail\\-on\\-change) or something lacks resources "
        "(\\-\\-fail\\-on\\-lack, mora repo check), 4 a load experiment was no measurement, 130 interrupted.",
        ".SH ENVIRONMENT",
        "A flag wins over a variable, a variable over mora.toml.",
    ]
    for setting in SETTINGS:
        about = setting.about if setting.secret else f"{setting.about} In mora.toml: {setting.key}."
        lines += [".TP", f"\\fB{setting.variable}\\fR", _escape(about)]
    lines += [
        ".TP",
        "\\fBMORA_CONFIG\\fR",
        _escape("The settings file, in place of mora.toml in the working directory."),
        ".SH FILES",
        ".TP",
        "\\fImora.toml\\fR",
        "Settings, in the working directory.",
        ".TP",
        "\\fIdata/\\fR, \\fImodels/\\fR",
        "What was collected and what was learnt, in the working directory.",
    ]
    return "\n".join(lines) + "\n"
