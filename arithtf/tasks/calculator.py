"""Addition, subtraction, multiplication and long division as one task, for one model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from arithtf.tasks.base import IGNORE, Split, Task
from arithtf.tasks.batch import Batch, Bytes, Operands
from arithtf.tasks.columns import WindowLike
from arithtf.tasks.coupling import NO_ID, Coupling
from arithtf.tasks.couplings import lookups
from arithtf.tasks.division import Division
from arithtf.tasks.joined import Part, join, of_part
from arithtf.tasks.multiplication import Multiplication
from arithtf.tasks.running_sum import RunningSum
from arithtf.tasks.signs import Subtraction
from arithtf.tasks.vocabulary import Vocabulary
from arithtf.tasks.work import Work, one_token_each
from arithtf.tasks.worksheet import ROW, WorksheetTask
from arithtf.tasks.worksheet_cover import check_shown

SIGNS = "+-*/"
"""The operations in the order of their numbers."""

_DRAWN = "+/--****"
"""What is drawn in turn: differences have most local contexts, products the rarest."""

_LEVELS = {
    "+": (0, 1, 2, 3, 7),
    "-": (0, 1, 2, 3, 4, 5, 6),
    "*": (0, 1, 2, 3, 4, 5, 6, 7),
    "/": (0, 1, 2, 3, 4, 6, 7),
}


@dataclass(frozen=True)
class Calculator(Task):
    """a + b, a - b, a * b and a / b with remainder, each written with its work.

    An instance is one of `RunningSum` (of two operands), `Subtraction`, `Multiplication` or
    `Division`, in a vocabulary that has the signs of all. A problem's first operand is the number
    of its operation, one digit: 0 for "+", 1 for "-", 2 for "*", 3 for "/".

    Args:
        base: number base, 4..36.

    Raises:
        ValueError: a base that cannot write the operations' numbers, or has no text.
    """

    base: int = 10

    name: ClassVar[str] = "calculator"
    arity: ClassVar[int] = 3
    kinds: ClassVar[tuple[str, ...]] = ("uniform",)
    example: ClassVar[str] = "12*34"
    segments: ClassVar[tuple[str, ...]] = tuple(
        f"{kind.name} {segment}"
        for kind in (RunningSum, Subtraction, Multiplication, Division)
        for segment in kind.segments
    )
    complete: ClassVar[tuple[str, ...]] = tuple(
        f"{kind.name} {segment}"
        for kind in (RunningSum, Subtraction, Multiplication, Division)
        for segment in kind.complete
    )

    def __post_init__(self) -> None:
        if not 4 <= self.base <= 36:
            raise ValueError(f"expected a base of 4..36, got {self.base}")

    @property
    def vocabulary(self) -> Vocabulary:
        """Digits, PAD, BOS, EOS, "=", the signs, the mark that begins a row."""
        return Vocabulary(self.base, (*SIGNS, ROW))

    @property
    def parts(self) -> dict[str, Task]:
        """The task of each sign."""
        return _parts(self.base)

    def to_dict(self) -> dict[str, Any]:
        """The task's fields for JSON, with its name under "task"."""
        return {"task": self.name, **asdict(self)}

    def work(self) -> Work:
        """The joint coupling and its windows, for which the local contexts are enumerated."""
        return _work(self.base)

    def cover(self, coupling: Coupling, windows: Sequence[WindowLike]) -> Operands:
        """Problems that contain every local context of any problem: those of the four tasks.

        Each query sees its sign, so that no two tasks share a context.

        Raises:
            ValueError: another coupling or a wider window than those of `work`.
        """
        self.check_coupling(coupling)
        check_shown(self.name, self.work(), coupling, windows)
        return _cover(self.base)

    def takes(self, problem: Sequence[Bytes]) -> bool:
        """Whether operands are a problem: an operation's number and its two operands."""
        if len(problem) != 3 or len(problem[0]) != 1 or problem[0][0] >= len(SIGNS):
            return False
        return self.parts[SIGNS[problem[0][0]]].takes(problem[1:])

    def shapes(self, length: int) -> list[tuple[int, ...]]:
        """Operand lengths worth a test; the operation's number has one digit."""
        pairs = [(length, length), (length, 1), (1, length)] if length > 1 else [(1, 1)]
        return [(1, *pair) for pair in pairs]

    def room(self, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Answer columns, EOS included, that any of the operations needs at these lengths."""
        lengths = np.asarray(lengths, np.int64)[:, 1:]
        return np.stack([part.room(lengths) for part in self.parts.values()]).max(axis=0)

    def columns(self, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Columns that any of the operations needs at these lengths in a batch of its own."""
        lengths = np.asarray(lengths, np.int64)[:, 1:]
        return np.stack([part.columns(lengths) for part in self.parts.values()]).max(axis=0)

    def operands(
        self,
        *,
        seed: int,
        split: Split,
        step: int,
        lengths: tuple[int, int],
        size: int,
        kind: str = "uniform",
        threads: int = 0,
    ) -> Operands:
        """The problems of the batch at the same address (see `batch`), without laying them out.

        Raises:
            ValueError: see `batch`.
        """
        if kind not in self.kinds:
            raise ValueError(f"kind must be one of {', '.join(self.kinds)}, got {kind!r}")
        turn = np.array([SIGNS.index(sign) for sign in _DRAWN])[np.arange(size) % len(_DRAWN)]
        problems: list[tuple[Bytes, ...]] = [()] * size
        for number, sign in enumerate(SIGNS):
            at = np.flatnonzero(turn == number)
            if not at.size:
                continue
            drawn = self.parts[sign].operands(
                seed=seed, split=split, step=step, lengths=lengths, size=at.size, threads=threads
            )
            for i, pair in zip(at.tolist(), drawn, strict=True):
                problems[i] = (np.array([number], np.uint8), *pair)
        return Operands.from_digits(problems, arity=self.arity)

    def batch(
        self,
        coupling: Coupling,
        *,
        seed: int,
        split: Split,
        step: int,
        lengths: tuple[int, int],
        size: int,
        kind: str = "uniform",
        threads: int = 0,
    ) -> Batch:
        """A batch by address: the same arguments give the same bytes, for any number of threads.

        Of eight problems four are products and two are differences. In split "train" half of the
        sums, products and divisions have large digits (`WorksheetTask.batch`); differences are
        uniform in every split.

        Args:
            coupling: which ids the tokens get; levels begin at their lowest start.
            seed, step: 0 .. 2^64 - 1.
            split: "train", "test" or "all", see the four tasks.
            lengths: (low, high), uniform lengths of each operand.
            size: number of instances B.
            kind: "uniform".
            threads: 0 chooses by size.

        Raises:
            ValueError: arguments outside these ranges.
        """
        operands = self.operands(
            seed=seed, split=split, step=step, lengths=lengths, size=size, kind=kind,
            threads=threads,
        )  # fmt: skip
        return self.layout(coupling, operands, width=lengths[1], threads=threads)

    def layout(
        self,
        coupling: Coupling,
        operands: Operands,
        *,
        solved: bool = True,
        width: int | None = None,
        threads: int = 0,
    ) -> Batch:
        """Given problems as a batch.

        Args:
            coupling: which ids the tokens get. Every level starts at its lowest start.
            operands: the problems, an operation's number before each.
            solved: False leaves the work and the answer to a decoder.
            width: digits of the operands that the columns are made for; default: no more columns
                than the problems need.
            threads: 0 chooses by size.

        Raises:
            ValueError: an operation that does not exist; see the four tasks.
        """
        self.check_coupling(coupling)
        laid = [
            (sign, at, self.parts[sign].layout(
                of_part(coupling, self.parts[sign].name), pairs, solved=solved, width=width,
                threads=threads,
            ))
            for sign, at, pairs in self._by_sign(operands)
        ]  # fmt: skip
        start = max(batch.start for _, _, batch in laid)
        answers = max(batch.tokens.shape[1] - batch.start for _, _, batch in laid)
        shape = (len(operands), start + answers)
        ids = (len(operands), len(coupling.levels), shape[1])
        out = Batch(
            np.full(shape, self.vocabulary.pad, np.uint8), np.full(ids, NO_ID, np.int32),
            np.full(ids, NO_ID, np.int32), np.full(shape, IGNORE, np.uint8), start,
        )  # fmt: skip
        for sign, at, batch in laid:
            table = self._tokens(sign)
            shift = start - batch.start
            here = slice(1 + shift, batch.tokens.shape[1] + shift)
            moves: tuple[tuple[npt.NDArray[Any], npt.NDArray[Any]], ...] = (
                (out.tokens, table[batch.tokens]),
                (out.query_ids, batch.query_ids),
                (out.key_ids, batch.key_ids),
                (out.targets, table[batch.targets]),
            )
            for target, source in moves:
                target[at, ..., 0] = source[..., 0]
                target[at, ..., here] = source[..., 1:]
        return out

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
        signs = [sign for sign in SIGNS if sign in line]
        if len(signs) != 1:
            raise ValueError(
                f"expected two operands with one of {' '.join(SIGNS)} between them, like "
                f"{self.example}; got {line.strip()!r}"
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

    def shown_work(self, answer_tokens: npt.ArrayLike) -> list[str]:
        """All that a model wrote, as aligned rows for people."""
        sign = self._sign_of(answer_tokens)
        return self.parts[sign].shown_work(self._own(sign, answer_tokens))

    def final(self, answer_tokens: npt.NDArray[np.uint8]) -> int:
        """How many of the answer's tokens are work that leads to the answer proper."""
        sign = self._sign_of(answer_tokens)
        return self.parts[sign].final(self._own(sign, answer_tokens).astype(np.uint8))

    def problem(self, operands: Operands, i: int) -> str:
        """Problem i with its true answer, like "12*34=408"."""
        number, *pair = operands.problem(i)
        part = self.parts[SIGNS[int(number[0])]]
        return part.problem(Operands.from_digits([pair]), 0)

    def _by_sign(self, operands: Operands) -> list[tuple[str, npt.NDArray[np.int64], Operands]]:
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

    def _tokens(self, sign: str) -> npt.NDArray[np.uint8]:
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
def _parts(base: int) -> dict[str, Task]:
    tasks = (RunningSum(base, terms=2), Subtraction(base), Multiplication(base), Division(base))
    return dict(zip(SIGNS, tasks, strict=True))


def _own_work(task: Task) -> Work:
    """The coupling of one of the tasks, and its windows."""
    return task.work() if isinstance(task, WorksheetTask) else one_token_each(lookups(task))


@lru_cache(maxsize=16)
def _work(base: int) -> Work:
    parts = [
        Part(
            task.name, _own_work(task).coupling, _LEVELS[sign], sign,
            tuple(s for s in task.segments if s not in task.complete),
        )
        for sign, task in _parts(base).items()
    ]  # fmt: skip
    return join(parts)


@lru_cache(maxsize=16)
def _cover(base: int) -> Operands:
    problems: list[tuple[Bytes, ...]] = []
    for number, task in enumerate(_parts(base).values()):
        # A sum of two has one row, whose contexts the first two operands of the sums of three show.
        found = task.cover(*_own_work(task))
        problems += [(np.array([number], np.uint8), *problem[:2]) for problem in found]
    problems.sort(key=lambda problem: sum(map(len, problem)))
    return Operands.from_digits(problems, arity=3)


@lru_cache(maxsize=64)
def _tokens(task: Calculator, sign: str) -> npt.NDArray[np.uint8]:
    own, words = task.parts[sign].vocabulary, task.vocabulary
    table = np.full(256, IGNORE, np.uint8)
    table[: own.size] = np.arange(own.size)
    for symbol in own.symbols:
        table[own.id(symbol)] = words.id(symbol)
    return table
