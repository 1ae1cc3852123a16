"""Tasks on one string of digits: copy, reverse, parity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from arithtf.tasks.arithmetic.column_task import ColumnTask
from arithtf.tasks.arithmetic.operands import digits_text
from arithtf.tasks.arithmetic.transducer import Pass, Rule
from arithtf.tasks.vocabulary import DIGITS


class _StringTask(ColumnTask):
    """One string of digits, zeros in front included."""

    strings = True
    example = "0110"

    def render(self, answer_tokens: npt.ArrayLike) -> str:
        """Answer tokens as generated -> text.

        Raises:
            ValueError: no digits, or a token that is not a digit.
        """
        return digits_text(self.digits(self.written(answer_tokens)))


_SAME = Pass(step=lambda _, column: (0, column[0]))


@dataclass(frozen=True)
class Copy(_StringTask):
    """The string again: 0110 is written ^0110=0110$.

    Args:
        base: number of different digits, 2..128.
    """

    base: int = 10

    name = "copy"

    def rule(self) -> Rule:
        """One row: the digits from the left."""
        return Rule(passes=(_SAME,), strings=True, from_left=True)

    def truth(self, *operands: object) -> str:
        """The text itself."""
        return str(operands[0])


@dataclass(frozen=True)
class Reverse(_StringTask):
    """The string from its last digit to its first: 0010 is written ^0010=0100$.

    Args:
        base: number of different digits, 2..128.
    """

    base: int = 10

    name = "reverse"

    def rule(self) -> Rule:
        """One row: the digits from the right."""
        return Rule(passes=(_SAME,), strings=True)

    def truth(self, *operands: object) -> str:
        """The text backwards."""
        return str(operands[0])[::-1]


@dataclass(frozen=True)
class Parity(_StringTask):
    """Whether the sum of the digits is odd: for bits, the parity.

    The answer is the running parity from the left, a token for each digit; the last one is the
    result: 0110 is written ^0110=0100$.

    Args:
        base: number of different digits, 2..128.
    """

    base: int = 2

    name = "parity"

    def rule(self) -> Rule:
        """One row: the running parity, which is the state too."""
        row = Pass(step=lambda odd, column: ((odd + column[0]) % 2,) * 2)
        return Rule(passes=(row,), strings=True, from_left=True)

    def truth(self, *operands: object) -> str:
        """The parity of the digits' sum."""
        return str(sum(map(DIGITS.index, str(operands[0]))) % 2)

    def scratchpad_length(self, answer_tokens: npt.NDArray[np.uint8]) -> int:
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
