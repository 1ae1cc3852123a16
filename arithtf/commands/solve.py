"""`arithtf solve`: problems in, the model's own answers out, line by line."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO

from arithtf.evaluate import Solver
from arithtf.runs import load_model, write_atomic


def solve(arguments: argparse.Namespace) -> int:
    """Answer every line; exit code 1 if a line has no answer."""
    solved = False

    def answer_all(output: IO[bytes]) -> None:
        nonlocal solved
        with _input(arguments.input) as stream:
            solver = Solver(*load_model(arguments.run_directory), show_work=arguments.show_work)
            solved = solver.solve_stream(stream, output, sys.stderr)

    if arguments.output == "-":
        answer_all(sys.stdout.buffer)
    else:
        write_atomic(Path(arguments.output), answer_all)
    return 0 if solved else 1


@contextlib.contextmanager
def _input(name: str) -> Iterator[BinaryIO]:
    if name == "-":
        yield sys.stdin.buffer
        return
    with open(name, "rb") as file:
        yield file
