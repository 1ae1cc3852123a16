"""Tasks on one string of digits: copy, reverse, parity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from arithtf.tasks.batch import Bytes, digits_text, text_digits
from arithtf.tasks.column_rule import Pass, Rule
from arithtf.tasks.column_task import ColumnTask
from arithtf.tasks.vocabulary import Vocabulary


class _StringTask(ColumnTask):
    """One string of digits, zeros in front included: BOS, a, "=", answer."""

    base: int
    arity: ClassVar[int] = 1
    segments: ClassVar[tuple[str, ...]] = ("bos", "a", "=", "answer")
    complete: ClassVar[tuple[str, ...]] = ("bos", "a", "=")
    example: ClassVar[str] = "0110"
    strings: ClassVar[bool] = True

    @property
    def vocabulary(self) -> Vocabulary:
        """Digits, PAD, BOS, EOS, "="."""
        return Vocabulary(self.base, ())

    def parse(self, line: str) -> tuple[Bytes, ...]:
        """A string of digits -> its digits; zeros in front are kept.

        Raises:
            ValueError: what is wrong with the line.
        """
        return (text_digits(line, self.base, name="the string", strip=False),)

    def render(self, answer_tokens: npt.ArrayLike) -> str:
        """Answer tokens as generated -> text.

        Raises:
            ValueError: no digits, or a token that is not a digit.
        """
        return digits_text(self.digits(self.written(answer_tokens)))


@dataclass(frozen=True)
class Copy(_StringTask):
    """The string again.

    Args:
        base: number of different digits, 2..128.
    """

    base: int = 10

    name: ClassVar[str] = "copy"

    def __post_init__(self) -> None:
        Vocabulary(self.base, ())

    def rule(self) -> Rule:
        """One row: the digits from the left."""
        words = self.vocabulary
        row = Pass(
            row="answer",
            start=lambda _: 0,
            step=lambda _, column: (0, column[0]),
            finish=lambda _: (words.eos,),
        )
        return Rule(base=self.base, control=words.pad, strings=True, from_left=True, passes=(row,))


@dataclass(frozen=True)
class Reverse(_StringTask):
    """The string from its last digit to its first.

    Args:
        base: number of different digits, 2..128.
    """

    base: int = 10

    name: ClassVar[str] = "reverse"

    def __post_init__(self) -> None:
        Vocabulary(self.base, ())

    def rule(self) -> Rule:
        """One row: the digits from the right."""
        words = self.vocabulary
        row = Pass(
            row="answer",
            start=lambda _: 0,
            step=lambda _, column: (0, column[0]),
            finish=lambda _: (words.eos,),
        )
        return Rule(base=self.base, control=words.pad, strings=True, passes=(row,))


@dataclass(frozen=True)
class Parity(_StringTask):
    """Whether the sum of the digits is odd: for bits, the parity.

    The answer is the running parity from the left, a token for each digit; the last one is the
    result.

    Args:
        base: number of different digits, 2..128.
    """

    base: int = 2

    name: ClassVar[str] = "parity"

    def __post_init__(self) -> None:
        Vocabulary(self.base, ())

    def rule(self) -> Rule:
        """One row: the running parity."""
        words = self.vocabulary

        def step(state: int, column: tuple[int, ...]) -> tuple[int, int]:
            after = (state + column[0]) % 2
            return after, after

        row = Pass(row="answer", start=lambda _: 0, step=step, finish=lambda _: (words.eos,))
        return Rule(base=self.base, control=words.pad, strings=True, from_left=True, passes=(row,))

    def final(self, answer_tokens: npt.NDArray[np.uint8]) -> int:
        """All tokens but the last are work."""
        return answer_tokens.size - 1

    def render(self, answer_tokens: npt.ArrayLike) -> str:
        """Answer tokens as generated -> "0" or "1", the last running parity.

        Raises:
            ValueError: a token that is not a parity.
        """
        tokens = self.written(answer_tokens)
        if tokens.min() < 0 or tokens.max() > 1:
            raise ValueError("the running parity has a token other than 0 and 1")
        return str(int(tokens[-1]))
