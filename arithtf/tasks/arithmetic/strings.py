"""Tasks on one string of digits, zeros in front included: copy, reverse, parity."""

from __future__ import annotations

from dataclasses import dataclass

from arithtf.tasks.arithmetic.column_task import ColumnTask
from arithtf.tasks.arithmetic.transducer import Pass, Rule
from arithtf.tasks.vocabulary import DIGITS

_SAME = Pass(step=lambda _, column: (0, column[0]))


@dataclass(frozen=True)
class Copy(ColumnTask):
    """The string again: 0110 is written ^0110=0110$."""

    name = "copy"
    example = "0110"

    def rule(self) -> Rule:
        """One row: the digits from the left."""
        return Rule(passes=(_SAME,), strings=True, from_left=True)

    def truth(self, *operands: object) -> str:
        """The text itself."""
        return str(operands[0])


@dataclass(frozen=True)
class Reverse(ColumnTask):
    """The string from its last digit to its first: 0010 is written ^0010=0100$."""

    name = "reverse"
    example = "0110"

    def rule(self) -> Rule:
        """One row: the digits from the right."""
        return Rule(passes=(_SAME,), strings=True)

    def truth(self, *operands: object) -> str:
        """The text backwards."""
        return str(operands[0])[::-1]


@dataclass(frozen=True)
class Parity(ColumnTask):
    """Whether the sum of the digits is odd: for bits, the parity.

    The answer is the running parity from the left: 0110 is written ^0110=0100$.
    """

    base: int = 2

    name = "parity"
    example = "0110"

    def rule(self) -> Rule:
        """One row: the running parity, which is the state too."""
        row = Pass(step=lambda odd, column: ((odd + column[0]) % 2,) * 2)
        return Rule(passes=(row,), strings=True, from_left=True, running=True)

    def truth(self, *operands: object) -> str:
        """The parity of the digits' sum."""
        return str(sum(map(DIGITS.index, str(operands[0]))) % 2)
