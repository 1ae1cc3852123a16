"""The command line: commands are read, called, and their errors leave as exit codes and lines.

Exit codes: 0 good; 1 the work says no (not certified, a wrong answer, a malformed line); 2 misuse.
Nothing heavy is imported before a command runs. ARITHTF_DEBUG=1 shows tracebacks.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TextIO

from arithtf import __version__
from arithtf.commands import COMMANDS
from arithtf.console import Misuse, warn
from arithtf.origin import SourceChanged

GOOD, NO, MISUSE, INTERRUPTED, PIPE_CLOSED = 0, 1, 2, 130, 141

REFUSALS = (
    ("arithtf.runs.files", "RunError"),
    ("arithtf.certify.provable", "CannotCertify"),
    ("arithtf.certify.certificate", "CertificateError"),
)
"""Errors by which the work says no. Looked up where they are loaded: loading them takes seconds."""

CHANGES = (("arithtf.runs.stored", "RunChanged"),)
"""Warnings that are said to users as they are, likewise."""

DESCRIPTION = """Train small transformers on short arithmetic, prove them exact at every length.

Every number printed says its grade of evidence: sampled (n right of m, with a 95 % interval),
exhaustive (a small split run through once), stressed (adversarial problems up to a stated length),
computed (the law of a model) or certified (every length)."""

EXAMPLES = """start here:
  arithtf demo                          train, certify, stress, report: a few minutes
  echo 958+67 | arithtf solve runs/demo

exit codes: 0 good, 1 the work says no, 2 misuse"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: arguments; those of the process if None.

    Returns:
        The exit code; no exception leaves but those of defects.
    """
    try:
        arguments = parsed(argv)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else MISUSE
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            code = _command(arguments.run)(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone. What is still buffered must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except KeyboardInterrupt as stop:
        warn(f"arithtf {arguments.command}: {str(stop) or 'interrupted'}")
        return getattr(stop, "code", INTERRUPTED)
    except Exception as error:
        known = _exit_code(error)
        if known is None or os.environ.get("ARITHTF_DEBUG"):
            raise
        warn(f"arithtf {arguments.command}: {_message(error)}")
        return known
    return code


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """What is said to users, as a line; of other warnings also where they arose."""
    for_users = issubclass(category, (SourceChanged, *_loaded(CHANGES)))
    where = warnings.formatwarning(message, category, filename, lineno, line)
    warn(f"arithtf: {message}" if for_users else where.rstrip())


def _command(where: str) -> Callable[[argparse.Namespace], int]:
    module, _, name = where.partition(":")
    place = importlib.import_module(f"arithtf.commands.{module}")
    command: Callable[[argparse.Namespace], int] = getattr(place, name)
    return command


def _exit_code(error: Exception) -> int | None:
    """Exit code of an error that has a message for users; None for a defect."""
    if isinstance(error, Misuse | FileNotFoundError):
        return MISUSE
    if isinstance(error, OSError | MemoryError):
        return NO
    if isinstance(error, ImportError):
        return NO if "_core" in str(error) and (error.name or "").startswith("arithtf") else None
    if isinstance(error, _loaded(REFUSALS)):
        return NO
    # The library raises these, and only these, for arguments that cannot be.
    return MISUSE if isinstance(error, ValueError | TypeError) else None


def _loaded(places: Sequence[tuple[str, str]]) -> tuple[type[Any], ...]:
    """Classes of those modules that are loaded."""
    return tuple(getattr(sys.modules[m], name) for m, name in places if m in sys.modules)


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{where}"
    if isinstance(error, MemoryError):
        return f"not enough memory for this size ({error})"
    if isinstance(error, ImportError):
        return "the C++ core is not built; in a checkout run `pip install -e .`"
    return " ".join(str(error).split()) or type(error).__name__


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments of a command, settings among them wherever they stand."""
    top = parser()
    arguments, others = top.parse_known_args(argv)
    # argparse takes positional arguments in one go; settings may come after an option as well.
    settings = [text for text in others if "=" in text and not text.startswith("-")]
    unknown = [text for text in others if text not in settings or "settings" not in arguments]
    if unknown:
        top.error(f"{arguments.command} does not take {' '.join(unknown)}; see its --help")
    if settings:
        arguments.settings = [*arguments.settings, *settings]
    return arguments


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = argparse.ArgumentParser(
        prog="arithtf",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"arithtf {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, made in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=made.what,
            description=made.what[0].upper() + made.what[1:] + ".",
            epilog="examples:\n" + "\n".join(f"  {line}" for line in made.examples),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(run=made.run)
        for argument, settings in made.arguments:
            command.add_argument(argument, **settings)
    return top
