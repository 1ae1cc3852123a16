"""Problems as text in, answers as text out. The answer is the model's own greedy decoding."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import IO

import numpy as np
import numpy.typing as npt

from arithtf.evaluate.decode import Decoder
from arithtf.model import Model
from arithtf.recipes import Recipe
from arithtf.tasks import TASKS, ArithmeticTask, Calculator, Operands, View
from arithtf.tasks.arithmetic.lines import plain_line

Bytes = npt.NDArray[np.uint8]

ERROR = "error"
"""What a line gets that has no answer."""

PENDING = 1 << 22
"""Characters of problems read before they are solved."""

READ = 1 << 20
"""Bytes read at a time."""


@dataclass(frozen=True)
class Answer:
    """The model's answer to one line, or why there is none.

    Args:
        text: an ordinary number, most significant digit first; None if there is none.
        error: what is wrong with the line, or with the model's answer.
        work: all that the model wrote, in rows for people, if the solver shows it.
    """

    text: str | None
    error: str | None = None
    work: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ERROR if self.text is None else self.text


class Solver:
    """Solves problems written as text with a trained model.

    Args:
        model: the model.
        recipe: the recipe it was trained by: how a problem is written down for it.
        impl: implementation of attention, see `arithtf.attention`.
        show_work: answers hold all that the model wrote.

    Raises:
        ValueError: a weight is NaN or infinite.
    """

    def __init__(
        self, model: Model, recipe: Recipe, *, impl: str = "auto", show_work: bool = False
    ) -> None:
        for name, weight in model.state_dict().items():
            if not bool(weight.isfinite().all()):
                raise ValueError(
                    f"expected finite weights, got NaN or infinity in {name}; train the model again"
                )
        self.model, self.task, self.coupling = model, recipe.arithmetic, recipe.coupling
        self.show_work = show_work
        self.decode = Decoder(model, self.task, self.coupling, impl=impl)

    def solve(self, lines: Iterable[str | bytes]) -> list[Answer]:
        """Answers of all lines, in order.

        Args:
            lines: problems as a person writes them, such as "123+45"; bytes are UTF-8.

        Raises:
            TypeError: one text instead of several, or something that is none.
        """
        if isinstance(lines, str | bytes):
            raise TypeError(f"expected several problems, got one text; pass [{lines[:40]!r}]")
        return list(self.answers(lines))

    def answers(self, lines: Iterable[str | bytes]) -> Iterator[Answer]:
        """Answers while lines come in, in bounded memory (see `solve`)."""
        problems: list[tuple[Bytes, ...] | Answer] = []
        pending = 0
        for line in lines:
            if not isinstance(line, str | bytes):
                raise TypeError(
                    f"expected problems as text, such as {self.task.example!r}, got {line!r}"
                )
            problems.append(self._parse(line))
            pending += len(line) + 1
            if pending >= PENDING:
                yield from self._answer(problems)
                problems, pending = [], 0
        yield from self._answer(problems)

    def solve_stream(self, source: IO[bytes], output: IO[bytes], errors: IO[str]) -> bool:
        """Solve a file: one problem a line, one answer a line, `error` where there is none.

        Lines are answered as they arrive, in bounded memory. A solver that shows its work repeats
        the line first, then the work, indented, then "= " and the answer.

        Args:
            source: a binary stream. Line ends may be LF or CRLF, the last may be missing, and a
                byte order mark at the beginning is skipped.
            output: gets one line for each.
            errors: gets a message with the line's number for each `error`.

        Returns:
            Every line has an answer.
        """
        solved, number = True, 0
        for lines in _arriving(source):
            for line, answer in zip(lines, self.answers(lines), strict=True):
                number += 1
                if self.show_work:
                    output.write(line + b"\n")
                    output.writelines(f"  {row}\n".encode() for row in answer.work)
                output.write(f"{'= ' if self.show_work else ''}{answer}\n".encode())
                if answer.text is None:
                    solved = False
                    errors.write(f"line {number}: {answer.error}\n")
            output.flush()
        return solved

    def _parse(self, line: str | bytes) -> tuple[Bytes, ...] | Answer:
        try:
            text = line.decode("utf-8") if isinstance(line, bytes) else line
            return self.task.parse(text)
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
            return Answer(None, f"byte {error.start + 1} (0x{byte:02x}) is not UTF-8 text")
        except ValueError as error:
            return Answer(None, f"{error}{_of_another_task(self.task, text)}")

    def _answer(self, problems: list[tuple[Bytes, ...] | Answer]) -> list[Answer]:
        answers: dict[int, Answer] = {}
        # A task may take any number of operands; those of one batch are equally many.
        by_arity: dict[int, dict[int, tuple[Bytes, ...]]] = {}
        for i, problem in enumerate(problems):
            if isinstance(problem, Answer):
                answers[i] = problem
            else:
                by_arity.setdefault(len(problem), {})[i] = problem
        for arity, alike in sorted(by_arity.items()):
            answers |= zip(alike, self._decode_alike([*alike.values()], arity), strict=True)
        return [answers[i] for i in range(len(problems))]

    def _decode_alike(self, problems: list[tuple[Bytes, ...]], arity: int) -> list[Answer]:
        operands = Operands.from_digits(problems, arity=arity)
        try:
            return [self._render(tokens) for tokens in self.decode(operands)]
        except ValueError as error:
            # The model has a limit of its own, such as the table of a learned embedding.
            if len(problems) == 1:
                return [Answer(None, f"the model cannot read the problem: {error}")]
            half = len(problems) // 2
            parts = (problems[:half], problems[half:])
            return [answer for part in parts for answer in self._decode_alike(part, arity)]

    def _render(self, tokens: Bytes) -> Answer:
        text, error = read_answer(self.task, tokens)
        return Answer(text, error, tuple(self.task.shown_work(tokens)) if self.show_work else ())


def read_answer(task: ArithmeticTask, tokens: Bytes) -> tuple[str | None, str | None]:
    """What a model wrote, as an answer for people; or None, and why it is none.

    Args:
        task: the task.
        tokens: [n], as decoded.
    """
    if not (tokens == task.vocabulary.eos).any():
        return None, f"the model's answer does not end within the {tokens.size} tokens it may have"
    try:
        return task.render(tokens), None
    except ValueError as error:
        return None, f"the model's answer is not a number: {error}"


def _of_another_task(task: ArithmeticTask, line: str) -> str:
    """What to add to an error about a line that has the signs of another task; else nothing."""
    signs = _signs(plain_line(line))
    parts = task.parts.values() if isinstance(task, Calculator) else ()
    own = [task.example, *(part.example for part in parts)]
    if not signs or signs in map(_signs, own):
        return ""
    others = [name for name, example in _examples().items() if signs == _signs(example)]
    if not others:
        return ""
    return (
        f"; this is a line of {' or '.join(others)}, and this run does {task.name} "
        f"(lines like {task.example})"
    )


@lru_cache(maxsize=1)
def _examples() -> dict[str, str]:
    """A line of each task that is made without arguments."""
    made = {name: task() for name, task in TASKS.items() if task is not View}
    return {name: task.example for name, task in made.items() if isinstance(task, ArithmeticTask)}


def _signs(line: str) -> str:
    """The signs of a line, each once, in a fixed order."""
    return "".join(sorted({c for c in line if not c.isalnum() and not c.isspace()}))


def _arriving(source: IO[bytes]) -> Iterator[list[bytes]]:
    """Lines without their ends: as many at a time as have arrived, so that nobody is kept waiting.

    Args:
        source: a binary stream; one with `read1` gives what it has and does not wait for more.
    """
    read = getattr(source, "read1", source.read)
    rest = bytearray()
    begun = False
    while data := read(READ):
        rest += data
        end = rest.rfind(b"\n", len(rest) - len(data))
        if end < 0:
            continue
        lines = bytes(rest[:end]).split(b"\n")
        del rest[: end + 1]
        yield _trimmed(lines, begun)
        begun = True
    if rest:
        yield _trimmed([bytes(rest)], begun)


def _trimmed(lines: list[bytes], begun: bool) -> list[bytes]:
    if not begun:
        lines[0] = lines[0].removeprefix(codecs.BOM_UTF8)
    return [line.removesuffix(b"\r") for line in lines]
