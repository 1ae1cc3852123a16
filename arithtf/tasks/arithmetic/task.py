"""Tasks on operands: numbers or strings of digits, drawn and written by the C++ core."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from arithtf import _core
from arithtf.plain import FieldsOnly
from arithtf.tasks.arithmetic.lines import plain_line, sides
from arithtf.tasks.arithmetic.operands import (
    Bytes,
    Operands,
    digits_text,
    int_digits,
    strip_zeros,
    text_digits,
)
from arithtf.tasks.base import Address, Draw, Task
from arithtf.tasks.instances import Instances
from arithtf.tasks.vocabulary import DIGITS, DigitVocabulary, digit_vocabulary

Longs = npt.NDArray[np.int64]

ALONE = ("uniform", "ripple", "repdigit", "zeros", "alternating")
"""Distributions of one number. "ripple" has the largest digits, "repdigit" equal ones, "zeros" has
zeros inside or is a power of the base, "alternating" has two digits in turn."""

PAIRS = (
    "uniform",
    "chain",
    "complement",
    "complement_plus",
    "ripple",
    "repdigit",
    "kill",
    "lopsided",
    "zeros",
    "double",
    "alternating",
)
"""Distributions of two numbers; all but "uniform" have a carry structure, in split "all"."""


class ArithmeticTask(FieldsOnly, Task):
    """A task on operands, written by a program of the C++ core.

    A subclass is a frozen dataclass with a field `base`. It says how answers are written, what the
    true answer is, and where its lines differ from "operands with a sign between them".

    `sign` stands between the operands, `symbols` are further tokens, `values` says up to which
    number tokens are numbers.
    """

    base: int
    sign: ClassVar[str] = ""
    symbols: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        self.vocabulary  # noqa: B018  refuses a base that does not exist

    @property
    @abstractmethod
    def core(self) -> _core.Task:
        """The task as tables of the C++ core."""

    @abstractmethod
    def truth(self, *operands: int) -> int | str:
        """The answer by Python's own integers, as a number or as a person writes it.

        Args:
            operands: integers; of a task on strings, texts.
        """

    @property
    def strings(self) -> bool:
        """Whether operands may begin with zeros."""
        return False

    @property
    def frame(self) -> tuple[str, str]:
        """What a person may write before and after the operands: of (12+34)%7, "(" and ")%7"."""
        return "", ""

    @property
    def values(self) -> int:
        """Numbers that are tokens, if more than the base's digits."""
        return 0

    @property
    def vocabulary(self) -> DigitVocabulary:
        """Digits, larger numbers if there are any, PAD, BOS, EOS, "=", the sign, the symbols."""
        return digit_vocabulary(self.base, (*self.sign, *self.symbols), self.values)

    @property
    def example(self) -> str:
        """A problem as a person writes it."""
        return ""

    @property
    def arity(self) -> int:
        """Number of operands; of tasks with any number of them, of those that are drawn."""
        return 2 if self.sign else 1

    @property
    def prompt(self) -> tuple[str, ...]:
        """Segments of the prompt."""
        return ("bos", "a", self.sign, "b", "=") if self.sign else ("bos", "a", "=")

    @property
    def distributions(self) -> tuple[str, ...]:
        """How problems can be drawn."""
        return PAIRS

    def sample(self, address: Address, draw: Draw, *, threads: int = 0) -> Instances:
        """See `Task.sample`; the columns are made for operands of `draw.lengths[1]` digits."""
        made = self.core.sample(self._where(address, draw), draw.size, threads)
        tokens, targets, runs, start = made
        return Instances(tokens, targets, runs, self.segments, start)

    def operands(self, address: Address, draw: Draw, *, threads: int = 0) -> Operands:
        """The problems of the sample at the same address, without writing them.

        Raises:
            ValueError: see `sample`.
        """
        drawn = self.core.operands(self._where(address, draw), draw.size, threads)
        return Operands(*drawn, self.arity)

    def _where(self, address: Address, draw: Draw) -> Any:
        """An address and a draw as the core reads them."""
        address.check()
        draw.check()
        if draw.distribution not in self.distributions:
            raise ValueError(
                f"distribution must be one of {', '.join(self.distributions)}, got "
                f"{draw.distribution!r}"
            )
        how = (draw.lengths, draw.distribution, draw.chain, draw.pool)
        return self.arity, *address, *how

    def instances(
        self,
        problems: Operands,
        *,
        solved: bool = True,
        max_length: int | None = None,
        threads: int = 0,
    ) -> Instances:
        """Given problems. Levels of ids start at their lowest start, and what is random in ids
        follows from the problem alone.

        Args:
            problems: the operands.
            solved: False leaves the answer to a decoder: PAD tokens, segments of an answer that
                fills its columns, no targets.
            max_length: digits of the longest operand that there are columns for; default: no more
                columns than the problems need.
            threads: 0 chooses by size.

        Raises:
            ValueError: operands with leading zeros, digits not below the base, longer than
                max_length, or answers with more tokens than ids can number.
        """
        if max_length is not None and max_length < 1:
            raise ValueError(f"expected max_length >= 1, got {max_length}")
        tokens, targets, runs, start = self.core.instances(
            *self._given(problems), max_length=max_length, solved=solved, threads=threads
        )
        return Instances(tokens, targets, runs, self.segments, start)

    def answer(self, operands: Operands) -> list[Bytes]:
        """The answers as written, work included and without EOS.

        Raises:
            ValueError: operands with leading zeros or digits not below the base.
        """
        return self.core.answers(*self._given(operands))

    def in_test_split(self, operands: Operands) -> npt.NDArray[np.bool_]:
        """Which problems belong to the test split, bool [B]; the order of operands is irrelevant.

        Raises:
            ValueError: operands with leading zeros or digits not below the base.
        """
        return self.core.test_split(*self._given(operands))

    def _given(self, operands: Operands) -> tuple[int, Bytes, Longs]:
        if len(operands) == 0:
            raise ValueError("expected at least one problem, got none")
        return operands.arity, operands.digits, operands.offsets

    def max_answer_tokens(self, lengths: npt.ArrayLike) -> Longs:
        """The most tokens, EOS included, of answers to operands of lengths [B, arity], [B]."""
        return self.core.sizes(_lengths(lengths))[1]

    def answer_room(self, problems: Operands) -> Longs:
        """The most tokens, EOS included, that the answer of each problem may have, [B].

        A problem's own, whatever others are beside it.
        """
        lengths = np.diff(problems.offsets).reshape(-1, problems.arity)
        return self.max_answer_tokens(lengths)

    def sequence_length(self, lengths: npt.ArrayLike) -> Longs:
        """Columns that problems of operand lengths [B, arity] need in a batch of their own, [B]."""
        prompt, answer = self.core.sizes(_lengths(lengths))
        return prompt + answer

    def is_valid(self, problem: Sequence[Bytes]) -> bool:
        """Whether operands without leading zeros are a problem of this task."""
        return len(problem) == self.arity

    def stress_lengths(self, length: int) -> list[tuple[int, ...]]:
        """Operand lengths worth a test, the longest of `length` digits: even ones, lopsided ones.

        Args:
            length: digits of the longest operand.
        """
        if self.arity == 1 or length == 1:
            return [(length,) * self.arity]
        lopsided = [
            tuple(length if j == i else 1 for j in range(self.arity)) for i in range(self.arity)
        ]
        return [(length,) * self.arity, *lopsided]

    def describe_lengths(self, lengths: tuple[int, int]) -> str:
        """What problems drawn at these lengths have, for people: "1 to 10 digits"."""
        low, high = lengths
        return f"{low} to {high} digits" if low < high else f"{low} digit{'s' if low > 1 else ''}"

    def scratchpad_length(self, answer_tokens: npt.NDArray[np.uint8]) -> int:
        """How many of the answer's tokens are work that leads to the answer proper; 0: none are.

        Args:
            answer_tokens: [n], a true answer without EOS.
        """
        return 0

    def parse(self, line: str) -> tuple[Bytes, ...]:
        """A problem as a person writes it -> its operands' digits, most significant first.

        Args:
            line: operands with the sign between them, like `example`; spaces around operands are
                allowed, leading zeros of numbers are dropped. See `lines` for signs that are taken.

        Raises:
            ValueError: what is wrong with the line.
        """
        line = self._unframed(plain_line(line))
        if not self.sign:
            name = "the string" if self.strings else "operand"
            return (text_digits(line, self.base, name=name, strip=not self.strings),)
        parts = sides(line, self.sign, self.example)
        names = ("the first operand", "the second operand")
        return tuple(text_digits(p, self.base, name=n) for p, n in zip(parts, names, strict=True))

    def _unframed(self, line: str) -> str:
        """The operands alone; spaces are allowed between all parts of the frame."""
        if self.frame == ("", ""):
            return line
        before, after = (
            r"\s*".join(map(re.escape, re.findall(r"\w+|\S", text))) for text in self.frame
        )
        if found := re.fullmatch(rf"\s*{before}(.*?)\s*{after}\s*", line):
            return found[1]
        if set("".join(self.frame)) - {*self.sign, *DIGITS} & {*line}:
            raise ValueError(f"expected a problem like {self.example}, got {line.strip()[:80]!r}")
        return line

    def render(self, answer_tokens: npt.ArrayLike) -> str:
        """Answer tokens as generated -> an ordinary number, most significant digit first.

        Args:
            answer_tokens: [n], least significant digit first; ignored from the first EOS on.

        Raises:
            ValueError: no digits, or a token that is not a digit.
        """
        return self.number(self.written(answer_tokens))

    def answer_text(self, tokens: Longs) -> str:
        """The answer proper as a person writes it; by default it reads as one with its work does.

        Args:
            tokens: [n], an answer without its work and without EOS.

        Raises:
            ValueError: tokens that are no answer.
        """
        return self.render(tokens)

    def question(self, operands: Sequence[str]) -> str:
        """Operands as a person writes the problem."""
        before, after = self.frame
        return before + self.sign.join(operands) + after

    def problem_text(self, operands: Operands, i: int) -> str:
        """Problem i with its true answer, like "7-12=-5".

        Raises:
            ValueError: a base above 36.
        """
        one = Operands.from_digits([operands.problem(i)], arity=operands.arity)
        question = self.question([digits_text(digits) for digits in operands.problem(i)])
        return f"{question}={self.render(self.answer(one)[0])}"

    def text(self, value: int) -> str:
        """An integer as text in the task's base."""
        return "-" * (value < 0) + self.number(
            int_digits(abs(value), self.base)[::-1].astype(np.int64)
        )

    def shown_work(self, answer_tokens: npt.ArrayLike) -> list[str]:
        """All that a model wrote, as aligned rows for people; by default one row, as written.

        Args:
            answer_tokens: [n], the work and the answer; ignored from the first EOS on.
        """
        return [f"written  {self.vocabulary.text(self.before_end(answer_tokens))}"]

    def before_end(self, answer_tokens: npt.ArrayLike) -> Longs:
        """Answer tokens up to the first EOS."""
        tokens = np.asarray(answer_tokens).astype(np.int64)
        ends = np.flatnonzero(tokens == self.vocabulary.eos)
        return tokens[: ends[0]] if ends.size else tokens

    def written(self, answer_tokens: npt.ArrayLike) -> Longs:
        """Answer tokens up to the first EOS.

        Raises:
            ValueError: there are none.
        """
        tokens = self.before_end(answer_tokens)
        if tokens.size == 0:
            raise ValueError("the answer is empty")
        return tokens

    def digits(self, tokens: Longs) -> Bytes:
        """Tokens of an answer as digits.

        Raises:
            ValueError: none, a token that is no digit, or a base that cannot be written as text.
        """
        words = self.vocabulary
        if words.base > len(DIGITS):
            raise ValueError(f"numbers can be written up to base {len(DIGITS)}, got {words.base}")
        if tokens.size == 0:
            raise ValueError("the answer has no digits")
        wrong = np.flatnonzero((tokens < 0) | (tokens >= words.base))
        if wrong.size:
            token = words.token_text(int(tokens[wrong[0]]))
            raise ValueError(f"the answer has {token!r} where a digit was expected")
        return tokens.astype(np.uint8)

    def number(self, tokens: Longs) -> str:
        """Digits, least significant first, as an ordinary number without leading zeros.

        Raises:
            ValueError: see `digits`.
        """
        return digits_text(strip_zeros(self.digits(tokens)[::-1]))


def aligned(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Labels and texts as lines, the texts right-aligned below each other."""
    left = max((len(label) for label, _ in rows), default=0)
    right = max((len(text) for _, text in rows), default=0)
    return [f"{label:<{left}}  {text:>{right}}" for label, text in rows]


def as_arithmetic(task: Task) -> ArithmeticTask:
    """A task that is one on operands.

    Raises:
        ValueError: it is another kind of task.
    """
    if not isinstance(task, ArithmeticTask):
        raise ValueError(
            f"expected a task on operands (an ArithmeticTask), got {task.name!r}, which has none"
        )
    return task


def _lengths(lengths: npt.ArrayLike) -> Longs:
    return np.ascontiguousarray(lengths, np.int64)
