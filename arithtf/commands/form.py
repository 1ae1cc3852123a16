"""What a command is, and the arguments that several commands take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from arithtf.commands.arguments import directory, run_directory, whole

Argument = tuple[str, dict[str, Any]]


def argument(name: str, help: str, **settings: Any) -> Argument:
    """One argument of a command: its name and what argparse takes."""
    return name, {"help": help, **settings}


def number(name: str, help: str, least: int = 0, most: int | None = None, **more: Any) -> Argument:
    """An argument that is a whole number."""
    kind = whole(least) if most is None else whole(least, most)
    return argument(name, help, type=kind, metavar="N", **more)


def flag(name: str, help: str) -> Argument:
    """An argument without a value."""
    return argument(name, help, action="store_true")


def out(help: str, kind: Callable[[str], Path] = directory, **more: Any) -> Argument:
    """`--out`: a directory, or what `kind` reads."""
    metavar = "DIR" if kind is directory else "FILE"
    return argument("--out", help, type=kind, metavar=metavar, **more)


RUN = argument("run_directory", "run directory", type=run_directory, metavar="RUN")
RECIPE = "name of a recipe, FILE.py or FILE.py:NAME for one of your own, PACKAGE.MODULE:NAME"
SETTINGS = argument(
    "settings",
    "fields of the recipe that are to be otherwise, as in seed=3 lengths=1-8 model.width=96; those "
    "of the task, as in task.base=16, come first, and sizes and schedule follow from it",
    nargs="*",
    metavar="FIELD=VALUE",
)
JSON = flag(
    "--json", "figures to stdout as a list of objects, named as in eval.jsonl; lines go to stderr"
)
MAX_DIGITS = number(
    "--max-digits",
    "digits of the longest operands (1000000); the tour has a length of its own",
    1,
    10**8,
    default=10**6,
)


class Command(NamedTuple):
    """One command.

    Args:
        run: the function that does the work, "module:name" in this package.
        what: its one line in the list and, as a sentence, its description.
        arguments: what it takes.
        examples: command lines for its help.
    """

    run: str
    what: str
    arguments: tuple[Argument, ...]
    examples: tuple[str, ...]
