"""Which pairs are tested: both operands exactly that long, the longer one, or one of them.

An operand is A * base^trained + a0: a high part beyond the trained digits and a low part. A domain
of operands longer than trained leaves a0 free, so that it is a sum of blocks of high parts, some of
them with a minus.
"""

from __future__ import annotations

from typing import NamedTuple

from arithtf.theory.counting import Interval

OPERANDS = ("both", "longest", "one")


class Block(NamedTuple):
    """Tuples of high parts.

    Args:
        sign: 1, or -1 for tuples that are taken away.
        digits: of a high part at most; 0: it is 0.
        leading: whether a high part has exactly so many digits, the first of them not 0.
        longer: operands that have such a high part; that of the others is 0.
    """

    sign: int
    digits: int
    leading: bool
    longer: int

    def interval(self, base: int) -> Interval:
        """The high parts of one operand: 10 to 99 for two digits in base 10."""
        low = base ** (self.digits - 1) if self.leading else 0
        return Interval(low, base**self.digits - low)


def blocks(operands: str, beyond: int, terms: int) -> tuple[Block, ...]:
    """The high parts of a domain.

    Args:
        operands: "both": every operand has exactly that many digits; "longest": the longest of them
            has; "one": one has, and the others have at most the trained digits.
        beyond: digits tested minus digits trained, at least 1.
        terms: number of operands.
    """
    if operands == "both":
        return (Block(1, beyond, True, terms),)
    if operands == "one":
        return (Block(1, beyond, True, 1),)
    return Block(1, beyond, False, terms), Block(-1, beyond - 1, False, terms)
