"""`arithtf solve`: problems in, the model's own answers out, line by line."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, BinaryIO

from arithtf.commands.console import misuse, warn
from arithtf.evaluate import Solver
from arithtf.runs import load_model, write_atomic

READ = 1 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def solve(arguments: argparse.Namespace) -> int:
    """Answer every line; exit code 1 if a line has no answer."""
    failures = 0

    def answer_all(output: IO[bytes]) -> None:
        nonlocal failures
        with _input(arguments.input) as stream:
            solver = Solver(*load_model(arguments.run_directory))
            number = 0
            for lines in arriving_lines(stream):
                answers = solver.solve(lines)
                output.write("".join(f"{answer}\n" for answer in answers).encode())
                output.flush()
                for at, answer in enumerate(answers, start=number + 1):
                    if answer.text is None:
                        failures += 1
                        warn(f"line {at}: {answer.error}")
                number += len(answers)

    _write(arguments.output, answer_all)
    return 1 if failures else 0


def arriving_lines(stream: BinaryIO) -> Iterator[list[bytes]]:
    """Lines as they arrive: as many as are there, so that whoever feeds a pipe is not kept waiting.

    Args:
        stream: a binary file. Lines end by LF or CRLF; the last one may have no end. A byte order
            mark before the first is skipped.

    Yields:
        Lists of lines without their ends.
    """
    read = getattr(stream, "read1", stream.read)
    pending, at_start = bytearray(), True
    while data := read(READ):
        known = len(pending)
        pending += data
        if at_start and len(pending) >= len(BYTE_ORDER_MARK):
            at_start = False
            if pending.startswith(BYTE_ORDER_MARK):
                del pending[: len(BYTE_ORDER_MARK)]
                known = 0
        end = pending.rfind(b"\n", known)
        if end >= 0:
            yield [line.removesuffix(b"\r") for line in bytes(pending[:end]).split(b"\n")]
            del pending[: end + 1]
    if pending:
        yield [bytes(pending).removesuffix(b"\r")]


@contextlib.contextmanager
def _input(name: str) -> Iterator[BinaryIO]:
    if name == "-":
        yield sys.stdin.buffer
        return
    if not Path(name).exists():
        misuse(f"there is no file {name}")
    with open(name, "rb") as file:
        yield file


def _write(name: str, write: Callable[[IO[bytes]], None]) -> None:
    """Write to a pipe or device directly, to a file atomically."""
    path = Path(name)
    if name == "-":
        write(sys.stdout.buffer)
    elif path.exists() and not path.is_file():
        with open(path, "wb") as device:
            write(device)
    else:
        write_atomic(path, write)
