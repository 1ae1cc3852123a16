"""The command line: what the commands are called and take, and how their errors leave.

Exit codes: 0 good; 1 the work says no (not certified, a wrong answer, a malformed line); 2 misuse.
Nothing heavy is imported before a command runs. ARITHTF_DEBUG=1 shows tracebacks.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from arithtf import __version__
from arithtf.commands.arguments import directory as _directory
from arithtf.commands.arguments import file as _file
from arithtf.commands.arguments import lengths as _lengths
from arithtf.commands.arguments import new_file as _new_file
from arithtf.commands.arguments import or_pipe as _or_pipe
from arithtf.commands.arguments import run_directory as _run_directory
from arithtf.commands.arguments import whole as _whole
from arithtf.commands.console import Failed, Misuse, warn

GOOD, NO, MISUSE, INTERRUPTED, PIPE_CLOSED = 0, 1, 2, 130, 141

REFUSALS = (
    ("arithtf.runs", "RunError"),
    ("arithtf.certify.provable", "CannotCertify"),
    ("arithtf.certify.certificate", "CertificateError"),
)
"""Errors by which the work says no. Looked up where they are loaded: loading them takes seconds."""

DESCRIPTION = """Train small transformers on short arithmetic, prove them exact at every length.

Every number printed says its grade of evidence: sampled (n right of m, with a 95 % interval),
stressed (adversarial problems up to a stated length) or certified (every length)."""

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
        arguments = parser().parse_args(argv)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else MISUSE
    try:
        code = _command(arguments.run)(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone. What is still buffered must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except KeyboardInterrupt:
        warn(f"arithtf {arguments.command}: interrupted")
        return INTERRUPTED
    except Exception as error:
        known = _exit_code(error)
        if known is None or os.environ.get("ARITHTF_DEBUG"):
            raise
        warn(f"arithtf {arguments.command}: {_message(error)}")
        return known
    return code


def _command(where: str) -> Callable[[argparse.Namespace], int]:
    module, _, name = where.partition(":")
    command: Callable[[argparse.Namespace], int] = getattr(importlib.import_module(module), name)
    return command


def _exit_code(error: Exception) -> int | None:
    """Exit code of an error that has a message for users; None for a defect."""
    if isinstance(error, Misuse | FileNotFoundError):
        return MISUSE
    if isinstance(error, Failed | OSError | MemoryError):
        return NO
    if isinstance(error, ImportError):
        return NO if "_core" in str(error) and (error.name or "").startswith("arithtf") else None
    loaded = [getattr(sys.modules[m], name) for m, name in REFUSALS if m in sys.modules]
    if isinstance(error, tuple(loaded)):
        return NO
    # The library raises these, and only these, for arguments that cannot be.
    return MISUSE if isinstance(error, ValueError | TypeError) else None


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{where}"
    if isinstance(error, MemoryError):
        return f"not enough memory for this size ({error})"
    if isinstance(error, ImportError):
        return "the C++ core is not built; in a checkout run `pip install -e .`"
    return " ".join(str(error).split()) or type(error).__name__


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = argparse.ArgumentParser(
        prog="arithtf",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"arithtf {_version()}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for add in (
        _add_demo, _add_train, _add_evaluate, _add_stress, _add_certify, _add_verify,
        _add_solve, _add_discover, _add_data, _add_report, _add_table, _add_doctor,
        _add_tune,
    ):  # fmt: skip
        add(commands)
    return top


def _version() -> str:
    try:
        return metadata.version("arithtf")
    except metadata.PackageNotFoundError:
        return __version__


if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def _add(
    commands: Commands, name: str, run: str, what: str, examples: str
) -> argparse.ArgumentParser:
    """A command: `what` is its one line in the list and its description."""
    command = commands.add_parser(
        name,
        help=what,
        description=what[0].upper() + what[1:] + ".",
        epilog="examples:\n" + "\n".join(f"  {line}" for line in examples.splitlines()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=run)
    return command


def _add_demo(commands: Commands) -> None:
    command = _add(
        commands,
        "demo",
        "arithtf.demo:run",
        "train the adder, certify it, stress it, write the report: the whole story in one table",
        "arithtf demo\narithtf demo --out runs/adder --max-digits 100000",
    )
    _out(command, "runs/demo")
    _max_digits(command)


def _add_train(commands: Commands) -> None:
    command = _add(
        commands,
        "train",
        "arithtf.commands.training:train",
        "train a recipe; `arithtf data` without arguments lists the recipes",
        "arithtf train addition\n"
        "arithtf train addition --seed 3 --out runs/seed-3\n"
        "arithtf train addition --resume",
    )
    command.add_argument("recipe", metavar="RECIPE", help="name of what to train")
    command.add_argument(
        "--out", type=_directory, metavar="DIR", help="run directory (runs/RECIPE)"
    )
    command.add_argument("--seed", type=_whole(0), metavar="N", help="of weights and data")
    command.add_argument("--steps", type=_whole(1), metavar="N", help="optimiser steps")
    command.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    command.add_argument(
        "--anyway", action="store_true",
        help="train even if two problems show the same local context and need different tokens",
    )  # fmt: skip


def _add_evaluate(commands: Commands) -> None:
    command = _add(
        commands,
        "evaluate",
        "arithtf.commands.evidence:evaluate",
        "sampled exact match and per-digit accuracy, with Wilson intervals",
        "arithtf evaluate runs/addition\n"
        "arithtf evaluate runs/addition --lengths 10,100,1000 --count 500",
    )
    _run(command)
    command.add_argument(
        "--lengths", type=_lengths, metavar="N,N,...", help="digits of the operands (10,100,1000)"
    )
    command.add_argument("--count", type=_whole(1), metavar="N", help="problems per length")
    command.add_argument("--seed", type=_whole(0), default=0, metavar="N", help="of the problems")


def _add_stress(commands: Commands) -> None:
    command = _add(
        commands,
        "stress",
        "arithtf.commands.evidence:stress",
        "adversarial problems of every size: hard digits, ladders up to a million digits, lopsided",
        "arithtf stress runs/addition --suite carry\n"
        "arithtf stress runs/addition --max-digits 1000000\n"
        "arithtf stress runs/multiplication --suite ladder --max-tokens 20000000",
    )
    _run(command)
    command.add_argument(
        "--suite", choices=("carry", "adversarial", "ladder", "grid", "tour", "all"), default="all",
        help="carry: chain length x place, of sums; adversarial: hard digits in every shape; "
        "ladder: 10, 100, ... digits; grid: length x length; "
        "tour: problems that contain every local context (all that the task has)",
    )  # fmt: skip
    _max_digits(command)
    command.add_argument(
        "--max-tokens", type=_whole(1), default=1 << 22, metavar="N",
        help="tokens of the largest problem, its work included: the work of a product grows with "
        "the square of its digits (4194304)",
    )  # fmt: skip


def _add_certify(commands: Commands) -> None:
    command = _add(
        commands,
        "certify",
        "arithtf.commands.evidence:certify",
        "check every local context of any problem of any length; exit code 0 only if certified",
        "arithtf certify runs/addition\narithtf certify runs/addition --out addition.json",
    )
    _run(command)
    command.add_argument(
        "--out", type=_new_file, metavar="FILE", help="the certificate (RUN/certificate.json)"
    )


def _add_verify(commands: Commands) -> None:
    command = _add(
        commands,
        "verify-certificate",
        "arithtf.commands.evidence:verify_certificate",
        "check a certificate against a run by a second, independent path",
        "arithtf verify-certificate runs/addition/certificate.json runs/addition",
    )
    command.add_argument("certificate", type=_file, metavar="FILE", help="a certificate")
    _run(command)


def _add_solve(commands: Commands) -> None:
    command = _add(
        commands,
        "solve",
        "arithtf.commands.solve:solve",
        "let the model solve problems, one a line; `error` where a line is malformed",
        "echo 958+67 | arithtf solve runs/addition\n"
        "arithtf solve runs/addition --input sums.txt --output answers.txt\n"
        "echo 7-12 | arithtf solve runs/subtraction --show-work",
    )
    _run(command)
    command.add_argument(
        "--show-work", action="store_true", help="print all that the model writes, and the answer"
    )
    for name, what, kind in (("--input", "problems", _file), ("--output", "answers", _new_file)):
        command.add_argument(
            name, type=_or_pipe(kind), default="-", metavar="FILE", help=f"{what}; - for a pipe (-)"
        )


def _add_discover(commands: Commands) -> None:
    command = _add(
        commands,
        "discover",
        "arithtf.commands.discover:discover",
        "find a task's coupling from examples alone, train with it, certify; Ctrl-C keeps the best",
        "arithtf discover addition\n"
        "arithtf discover subtraction --no-train\n"
        "arithtf discover copy --seed 3 --out runs/found",
    )
    command.add_argument("task", metavar="TASK", help="a task's name, like addition")
    command.add_argument(
        "--seed", type=_whole(0), default=0, metavar="N", help="of examples, weights and data (0)"
    )
    command.add_argument(
        "--out", type=_directory, metavar="DIR", help="directory (runs/discover-TASK)"
    )
    command.add_argument(
        "--no-train", action="store_true", help="stop at the coupling, written to discovery.json"
    )


def _add_data(commands: Commands) -> None:
    command = _add(
        commands,
        "data",
        "arithtf.commands.data:data",
        "show a recipe's instances: tokens, ids and targets, aligned",
        "arithtf data\narithtf data addition --show 2",
    )
    command.add_argument(
        "recipe", metavar="RECIPE", nargs="?", help="without one, all recipes are listed"
    )
    command.add_argument(
        "--show", type=_whole(1, 10**4), default=3, metavar="N", help="instances (3)"
    )
    command.add_argument("--seed", type=_whole(0), default=0, metavar="N", help="of the data")


def _add_report(commands: Commands) -> None:
    command = _add(
        commands,
        "report",
        "arithtf.commands.evidence:report",
        "write RUN/report.html: one file with all figures, readable without a network",
        "arithtf report runs/addition",
    )
    _run(command)


def _add_table(commands: Commands) -> None:
    command = _add(
        commands,
        "table",
        "arithtf.commands.overview:show",
        "all runs on one page, with the best published results beside them",
        "arithtf table\narithtf table runs/addition runs/subtraction --out table.md",
    )
    command.add_argument(
        "run_directories", type=_run_directory, metavar="RUN", nargs="*",
        help="run directories (all under runs/)",
    )  # fmt: skip
    command.add_argument(
        "--out", type=_new_file, metavar="FILE", help="write it as Markdown as well"
    )
    command.add_argument(
        "--verify", action="store_true", help="check each certificate by the second path"
    )


def _add_doctor(commands: Commands) -> None:
    _add(
        commands,
        "doctor",
        "arithtf.doctor:run",
        "say what is installed, which implementation would run and why, and what is missing",
        "arithtf doctor",
    )


def _add_tune(commands: Commands) -> None:
    command = _add(
        commands,
        "tune",
        "arithtf.commands.tune:tune",
        "time tiles of the Triton kernels on this GPU and rewrite its configuration file",
        "arithtf tune\narithtf tune --kernel short short_backward --out mine.json",
    )
    command.add_argument("--kernel", nargs="+", metavar="NAME", help="only these kernels")
    sizes = "only numbers of 2 or 4 bytes; 4i: float32 in IEEE arithmetic (2 4)"
    command.add_argument("--size", nargs="+", choices=("2", "4", "4i"), help=sizes)
    command.add_argument("--out", type=Path, metavar="FILE", help="instead of the package's file")


def _run(command: argparse.ArgumentParser) -> None:
    command.add_argument("run_directory", type=_run_directory, metavar="RUN", help="run directory")


def _out(command: argparse.ArgumentParser, default: str) -> None:
    command.add_argument(
        "--out",
        type=_directory,
        default=Path(default),
        metavar="DIR",
        help=f"run directory ({default})",
    )


def _max_digits(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--max-digits", type=_whole(1, 10**8), default=10**6, metavar="N",
        help="digits of the longest operands (1000000); the tour has a length of its own",
    )  # fmt: skip
