"""Addition, subtraction, multiplication and long division as one task, for one model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from arithtf import _core
from arithtf.tasks.arithmetic.division import Division
from arithtf.tasks.arithmetic.lines import odd_signs, plain_line
from arithtf.tasks.arithmetic.multiplication import Multiplication
from arithtf.tasks.arithmetic.operands import Bytes, Operands
from arithtf.tasks.arithmetic.running_sum import RunningSum
from arithtf.tasks.arithmetic.scratchpad_task import ROW
from arithtf.tasks.arithmetic.subtraction import Subtraction
from arithtf.tasks.arithmetic.task import ArithmeticTask, Longs
from arithtf.tasks.base import Address, Draw
from arithtf.tasks.instances import IGNORE, Instances, Segments
from arithtf.tasks.vocabulary import DigitVocabulary, digit_vocabulary

SIGNS = "+-*/"
"""The operations in the order of their numbers."""

_DRAWN = "+/--****"
"""What is drawn in turn: differences have most local contexts, products the rarest."""


@dataclass(frozen=True)
class Calculator(ArithmeticTask):
    """a + b, a - b, a * b and a / b with remainder, each written with its work.

    An instance is one of `RunningSum` (of two operands), `Subtraction`, `Multiplication` or
    `Division`, in a vocabulary that has the signs of all; its segments are theirs, with their names
    before them. A problem's first operand is the number of its operation, one digit: 0 for "+", 1
    for "-", 2 for "*", 3 for "/". Of eight problems drawn four are products and two differences;
    each is drawn as its own task draws it, from a pool of its own where pools are finite.

    Args:
        base: number base, 4..36.

    Raises:
        ValueError: a base that cannot write the operations' numbers, or has no text.
    """

    base: int = 10

    name = "calculator"
    example = "12*34"

    def __post_init__(self) -> None:
        if not 4 <= self.base <= 36:
            raise ValueError(f"expected a base of 4..36, got {self.base}")

    @property
    def core(self) -> _core.Task:
        """There is none: the parts have theirs."""
        raise TypeError("a joint task has no program of its own; ask its parts")

    @property
    def vocabulary(self) -> DigitVocabulary:
        """Digits, PAD, BOS, EOS, "=", the signs, the mark that begins a row."""
        return digit_vocabulary(self.base, (*SIGNS, ROW))

    @property
    def parts(self) -> dict[str, ArithmeticTask]:
        """The task of each sign."""
        return _parts(self.base)

    @property
    def segments(self) -> Segments:
        """Those of the parts, like "division rest"."""
        names, prompt = (
            tuple(f"{part.name} {s}" for part in self.parts.values() for s in part.segments[which])
            for which in (0, 1)
        )
        return Segments(names, prompt)

    @property
    def arity(self) -> int:
        """An operation's number and two operands."""
        return 3

    @property
    def distributions(self) -> tuple[str, ...]:
        """Uniform digits only."""
        return ("uniform",)

    def truth(self, *operands: int) -> int | str:
        """The answer of the operation's task."""
        return self.parts[SIGNS[operands[0]]].truth(*operands[1:])

    def is_valid(self, problem: Sequence[Bytes]) -> bool:
        """Whether operands are a problem: an operation's number and its two operands."""
        if len(problem) != 3 or len(problem[0]) != 1 or problem[0][0] >= len(SIGNS):
            return False
        return self.parts[SIGNS[problem[0][0]]].is_valid(problem[1:])

    def stress_lengths(self, length: int) -> list[tuple[int, ...]]:
        """Operand lengths worth a test; the operation's number has one digit."""
        pairs = [(length, length), (length, 1), (1, length)] if length > 1 else [(1, 1)]
        return [(1, *pair) for pair in pairs]

    def max_answer_tokens(self, lengths: npt.ArrayLike) -> Longs:
        """The most tokens that an answer of any of the operations has at these lengths."""
        pairs = np.asarray(lengths, np.int64)[:, 1:]
        return np.stack([p.max_answer_tokens(pairs) for p in self.parts.values()]).max(axis=0)

    def answer_room(self, problems: Operands) -> Longs:
        """The most tokens of each problem's answer, by its operation, [B]."""
        room = np.zeros(len(problems), np.int64)
        for sign, at, pairs in self._by_sign(problems):
            room[at] = self.parts[sign].answer_room(pairs)
        return room

    def sequence_length(self, lengths: npt.ArrayLike) -> Longs:
        """The most columns that any of the operations needs at these lengths."""
        pairs = np.asarray(lengths, np.int64)[:, 1:]
        return np.stack([p.sequence_length(pairs) for p in self.parts.values()]).max(axis=0)

    def operands(self, address: Address, draw: Draw, *, threads: int = 0) -> Operands:
        """The problems of the sample at the same address.

        Raises:
            ValueError: see `sample`.
        """
        if draw.distribution not in self.distributions:
            raise ValueError(
                f"distribution must be one of {', '.join(self.distributions)}, got "
                f"{draw.distribution!r}"
            )
        turn = np.array([SIGNS.index(s) for s in _DRAWN])[np.arange(draw.size) % len(_DRAWN)]
        problems: list[tuple[Bytes, ...]] = [()] * draw.size
        for number, sign in enumerate(SIGNS):
            at = np.flatnonzero(turn == number)
            if at.size:
                own = draw._replace(size=at.size)
                drawn = self.parts[sign].operands(address, own, threads=threads)
                for i, pair in zip(at.tolist(), drawn, strict=True):
                    problems[i] = (np.array([number], np.uint8), *pair)
        return Operands.from_digits(problems, arity=self.arity)

    def sample(self, address: Address, draw: Draw, *, threads: int = 0) -> Instances:
        """See `Task.sample`; levels of ids begin at their lowest start."""
        operands = self.operands(address, draw, threads=threads)
        return self.instances(operands, max_length=draw.lengths[1], threads=threads)

    def instances(
        self,
        problems: Operands,
        *,
        solved: bool = True,
        max_length: int | None = None,
        threads: int = 0,
    ) -> Instances:
        """Given problems, an operation's number before each; see `ArithmeticTask.instances`.

        Raises:
            ValueError: an operation that does not exist; see the four tasks.
        """
        made = [
            (
                sign,
                at,
                self.parts[sign].instances(
                    pairs, solved=solved, max_length=max_length, threads=threads
                ),
            )
            for sign, at, pairs in self._by_sign(problems)
        ]
        start = max(part.start for _, _, part in made)
        shape = (len(problems), start + max(p.tokens.shape[1] - p.start for _, _, p in made))
        tokens = np.full(shape, self.vocabulary.pad, np.uint8)
        targets = np.full(shape, IGNORE, np.uint8)
        runs: list[Any] = [None] * len(problems)
        facts = np.zeros((len(problems), 4), np.int64)
        before = 0
        for sign, part in self.parts.items():
            for _, at, own in (found for found in made if found[0] == sign):
                shift = start - own.start  # prompts end at the same column
                here = slice(1 + shift, own.tokens.shape[1] + shift)
                for out, source in ((tokens, own.tokens), (targets, own.targets)):
                    words = self._tokens(sign)[source]
                    out[at, 0], out[at, here] = words[:, 0], words[:, 1:]
                cells, offsets, own_facts, _ = own.runs.arrays()
                cells[:, 0] += before
                own_facts[:, 0] += shift
                facts[at] = own_facts
                for i, first, last in zip(at.tolist(), offsets, offsets[1:], strict=False):
                    runs[i] = cells[first:last]
            before += len(part.segments.names)
        ends = np.cumsum([0, *map(len, runs)])
        return Instances(
            tokens, targets, _core.Runs(np.concatenate(runs), ends, facts), self.segments, start
        )

    def answer(self, operands: Operands) -> list[Bytes]:
        """The work and the answers as written, without EOS.

        Raises:
            ValueError: an operation that does not exist; see the four tasks.
        """
        answers: list[Bytes] = [np.zeros(0, np.uint8)] * len(operands)
        for sign, at, pairs in self._by_sign(operands):
            for i, tokens in zip(at.tolist(), self.parts[sign].answer(pairs), strict=True):
                answers[i] = self._tokens(sign)[tokens]
        return answers

    def in_test_split(self, operands: Operands) -> npt.NDArray[np.bool_]:
        """Which problems belong to the test split of their task, bool [B]."""
        found = np.zeros(len(operands), np.bool_)
        for sign, at, pairs in self._by_sign(operands):
            found[at] = self.parts[sign].in_test_split(pairs)
        return found

    def parse(self, line: str) -> tuple[Bytes, ...]:
        """A problem like "12*34" -> the operation's number and its operands' digits.

        Raises:
            ValueError: what is wrong with the line.
        """
        line = plain_line(line)
        signs = [sign for sign in SIGNS if sign in line]
        if len(signs) != 1:
            raise ValueError(
                f"expected two operands with one of {' '.join(SIGNS)} between them, like "
                f"{self.example}; got {line.strip()[:80]!r}{odd_signs(line)}"
            )
        pair = self.parts[signs[0]].parse(line)
        if len(pair) != 2:
            raise ValueError(f"expected two operands, got {len(pair)}")
        return np.array([SIGNS.index(signs[0])], np.uint8), *pair

    def render(self, answer_tokens: npt.ArrayLike) -> str:
        """Answer tokens as generated -> the answer as a person writes it.

        Which operation it was is read off the rows: a difference has a sign among its digits, a
        quotient a remainder after it, a sum no "=".

        Raises:
            ValueError: tokens that are none of these answers.
        """
        sign = self._sign_of(answer_tokens)
        return self.parts[sign].render(self._own(sign, answer_tokens))

    def answer_text(self, tokens: Longs) -> str:
        """There is none: a sum and a product look alike without their work.

        Raises:
            ValueError: always.
        """
        raise ValueError("expected the work with the answer: it says which operation it was")

    def shown_work(self, answer_tokens: npt.ArrayLike) -> list[str]:
        """All that a model wrote, as aligned rows for people."""
        sign = self._sign_of(answer_tokens)
        return self.parts[sign].shown_work(self._own(sign, answer_tokens))

    def scratchpad_length(self, answer_tokens: npt.NDArray[np.uint8]) -> int:
        """How many of the answer's tokens are work that leads to the answer proper."""
        sign = self._sign_of(answer_tokens)
        return self.parts[sign].scratchpad_length(self._own(sign, answer_tokens).astype(np.uint8))

    def problem_text(self, operands: Operands, i: int) -> str:
        """Problem i with its true answer, like "12*34=408"."""
        number, *pair = operands.problem(i)
        part = self.parts[SIGNS[int(number[0])]]
        return part.problem_text(Operands.from_digits([pair]), 0)

    def _by_sign(self, operands: Operands) -> list[tuple[str, Longs, Operands]]:
        """The problems of each operation: its sign, their numbers, their two operands."""
        if operands.arity != self.arity or len(operands) == 0:
            raise ValueError(
                f"expected at least one problem of an operation's number and two operands, got "
                f"{len(operands)} of {operands.arity} operands"
            )
        lengths = np.diff(operands.offsets).reshape(-1, self.arity)
        numbers = operands.digits[operands.offsets[: -1 : self.arity]]
        if (lengths[:, 0] != 1).any() or (numbers >= len(SIGNS)).any():
            raise ValueError(f"expected operations of the numbers 0..3 ({' '.join(SIGNS)})")
        found = []
        for number in np.unique(numbers).tolist():
            at = np.flatnonzero(numbers == number)
            pairs = Operands.from_digits([operands.problem(i)[1:] for i in at.tolist()])
            found.append((SIGNS[number], at, pairs))
        return found

    def _tokens(self, sign: str) -> Bytes:
        """The token here of each token of an operation's task; IGNORE stays."""
        return _tokens(self, sign)

    def _own(self, sign: str, answer_tokens: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Tokens as the operation's task numbers them; PAD for those it does not have."""
        own = self.parts[sign].vocabulary
        back = np.full(256, own.pad, np.int64)
        table = self._tokens(sign)[: own.size]
        back[table] = np.arange(own.size)
        return back[np.asarray(answer_tokens).astype(np.int64)]

    def _sign_of(self, answer_tokens: npt.ArrayLike) -> str:
        words = self.vocabulary
        tokens = self.before_end(answer_tokens)
        equals = np.flatnonzero(tokens == words.equals)
        if equals.size:
            return "/" if (tokens[equals[-1] :] == words.id(ROW)).any() else "*"
        return "+" if (tokens == words.id(ROW)).any() else "-"


@lru_cache(maxsize=16)
def _parts(base: int) -> dict[str, ArithmeticTask]:
    tasks = (RunningSum(base, terms=2), Subtraction(base), Multiplication(base), Division(base))
    return dict(zip(SIGNS, tasks, strict=True))


@lru_cache(maxsize=64)
def _tokens(task: Calculator, sign: str) -> npt.NDArray[np.uint8]:
    own, words = task.parts[sign].vocabulary, task.vocabulary
    table = np.full(256, IGNORE, np.uint8)
    table[: own.size] = np.arange(own.size)
    for symbol in own.symbols:
        table[own.id(symbol)] = words.id(symbol)
    return table
