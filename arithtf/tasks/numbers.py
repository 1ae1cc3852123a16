"""Column tasks that write one number: increment, times a digit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy.typing as npt

from arithtf.tasks.batch import Bytes, operand_pair, text_digits
from arithtf.tasks.column_rule import Pass, Rule
from arithtf.tasks.column_task import ColumnTask
from arithtf.tasks.vocabulary import Vocabulary


class _NumberTask(ColumnTask):
    """The answer is the digits of a number, least significant first."""

    def render(self, answer_tokens: npt.ArrayLike) -> str:
        """Answer tokens as generated -> an ordinary number, most significant digit first.

        Raises:
            ValueError: no digits, or a token that is not a digit.
        """
        return self.number(self.written(answer_tokens))


@dataclass(frozen=True)
class Increment(_NumberTask):
    """a + 1.

    An instance is BOS, a, "=", answer; EOS is the last token of the answer.

    Args:
        base: number base, 2..128.
    """

    base: int = 10

    name: ClassVar[str] = "increment"
    arity: ClassVar[int] = 1
    segments: ClassVar[tuple[str, ...]] = ("bos", "a", "=", "answer")
    complete: ClassVar[tuple[str, ...]] = ("bos", "a", "=")
    example: ClassVar[str] = "129+1"

    def __post_init__(self) -> None:
        Vocabulary(self.base, ())

    @property
    def vocabulary(self) -> Vocabulary:
        """Digits, PAD, BOS, EOS, "="."""
        return Vocabulary(self.base, ())

    def rule(self) -> Rule:
        """One row from the carry 1."""
        words, base = self.vocabulary, self.base
        row = Pass(
            row="answer",
            start=lambda _: 1,
            step=lambda carry, column: divmod(column[0] + carry, base),
            finish=lambda carry: (1, words.eos) if carry else (words.eos,),
        )
        return Rule(base=base, control=words.pad, passes=(row,))

    def parse(self, line: str) -> tuple[Bytes, ...]:
        """A number like "129", or "129+1" -> its digits, most significant first.

        Raises:
            ValueError: what is wrong with the line.
        """
        number, plus, one = line.partition("+")
        if plus and one.strip() != "1":
            raise ValueError(f"expected a number, or one with +1, got '+{one.strip()}'")
        return (text_digits(number, self.base),)

    def question(self, numbers: list[str]) -> str:  # type: ignore[override]
        """Like "129+1"."""
        return f"{numbers[0]}+1"


@dataclass(frozen=True)
class TimesDigit(_NumberTask):
    """Products of a number and a single digit.

    An instance is BOS, a, "*", b, "=", answer. The answer has as many digits as a, and one more if
    there is a carry: times 0 it is a row of zeros.

    Args:
        base: number base, 2..128.
    """

    base: int = 10

    name: ClassVar[str] = "times-digit"
    arity: ClassVar[int] = 2
    segments: ClassVar[tuple[str, ...]] = ("bos", "a", "*", "b", "=", "answer")
    complete: ClassVar[tuple[str, ...]] = ("bos", "a", "*", "b", "=")
    example: ClassVar[str] = "1234*7"

    def __post_init__(self) -> None:
        Vocabulary(self.base, ("*",))

    @property
    def vocabulary(self) -> Vocabulary:
        """Digits, PAD, BOS, EOS, "=", "*"."""
        return Vocabulary(self.base, ("*",))

    def takes(self, problem: Sequence[Bytes]) -> bool:
        """Whether these are a number and a single digit."""
        return super().takes(problem) and problem[1].size == 1

    def shapes(self, length: int) -> list[tuple[int, ...]]:
        """Operand lengths worth a test: a number of `length` digits, and a digit."""
        return [(length, 1)]

    def rule(self) -> Rule:
        """One row: digit by digit with the carry."""
        words, base = self.vocabulary, self.base

        def step(state: tuple[int, int], column: tuple[int, ...]) -> tuple[tuple[int, int], int]:
            factor, carry = state
            after, digit = divmod(column[0] * factor + carry, base)
            return (factor, after), digit

        row = Pass(
            row="answer",
            start=lambda factor: (factor, 0),
            step=step,
            finish=lambda state: (state[1], words.eos) if state[1] else (words.eos,),
        )
        return Rule(
            base=base, control=words.pad, separators=(words.id("*"),), digit=True, passes=(row,)
        )

    def parse(self, line: str) -> tuple[Bytes, ...]:
        """A product like "1234*7" -> operands' digits, most significant first.

        Raises:
            ValueError: what is wrong with the line.
        """
        operands = operand_pair(line, "*", self.base, "1234*7")
        if operands[1].size > 1:
            raise ValueError(
                f"the second operand must be a single digit, got {operands[1].size} digits"
            )
        return operands
