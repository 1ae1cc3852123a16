"""The rule of truncated operands: trained on n digits, answer f(a mod base^n, b mod base^n).

arXiv 2308.08268 saw it in trained models, arXiv 2407.17963 predicts accuracies from it. It is a
hypothesis: nothing in training forces a model to ignore digits that were always 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import gcd

from arithtf.theory import limits
from arithtf.theory.counting import Interval, cross_terms, residues, sums
from arithtf.theory.domains import OPERANDS, Block, blocks

TASKS = ("addition", "multiplication", "modular-addition", "modular-multiplication")


@dataclass(frozen=True)
class Truncated:
    """What a model that reads the lowest `trained` digits of each operand gets right, exactly.

    Args:
        task: one of TASKS.
        trained: digits of the longest operand in training, n.
        base: of the digits.
        modulus: p, of the two modular tasks only.
        operands: which of them have the tested length, see `arithtf.theory.domains.blocks`. The
            number 0 has one digit.
        terms: number of operands; other than 2 for sums only.

    Raises:
        ValueError: one of them cannot be.

    Example: `Truncated("modular-addition", 3, modulus=15).accuracy(4)` is 1/3.
    """

    task: str
    trained: int
    base: int = 10
    modulus: int | None = None
    operands: str = "both"
    terms: int = 2

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ValueError(f"expected one of the tasks {', '.join(TASKS)}, got {self.task!r}")
        if self.operands not in OPERANDS:
            raise ValueError(f"expected operands {', '.join(OPERANDS)}, got {self.operands!r}")
        if self.modular and self.modulus is None:
            raise ValueError(f"{self.task} needs a modulus, as in modulus=101")
        if not self.modular and self.modulus is not None:
            raise ValueError(f"{self.task} has no modulus; did you mean modular-{self.task}?")
        for name, least in (("trained", 1), ("base", 2), ("modulus", 1), ("terms", 2)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"expected {name} of at least {least}, got {value}")
        if self.terms > 2 and self.multiplies:
            raise ValueError(f"{self.task} is computed for two operands, got {self.terms}")

    @property
    def modular(self) -> bool:
        """Whether the answer is a residue."""
        return self.task.startswith("modular-")

    @property
    def multiplies(self) -> bool:
        """Whether the answer is a product."""
        return self.task.endswith("multiplication")

    @property
    def unit(self) -> int:
        """base^trained: what one unit of a high part is worth."""
        return self.base**self.trained

    @property
    def reduced(self) -> int | None:
        """p' = p / gcd(p, base^trained): the answer is right if what was left out is 0 modulo p'.
        None without a modulus: then it must be 0."""
        return None if self.modulus is None else self.modulus // gcd(self.modulus, self.unit)

    def truth(self, *operands: int) -> int:
        """The right answer."""
        value = sum(operands)
        if self.multiplies:
            value = operands[0] * operands[1]
        return value if self.modulus is None else value % self.modulus

    def answer(self, *operands: int) -> int:
        """The rule's answer."""
        return self.truth(*(operand % self.unit for operand in operands))

    def blocks(self, tested: int) -> tuple[Block, ...]:
        """The high parts of the operands of a tested length above the trained one."""
        return blocks(self.operands, tested - self.trained, self.terms)

    def accuracy(self, tested: int) -> Fraction:
        """Share of the problems of a length that the rule answers rightly.

        Args:
            tested: digits, at least 1; which operands have them says `operands`.

        Raises:
            ValueError: there is no such length, or the count is too large (`cross_terms`).
        """
        check_length(tested)
        if tested <= self.trained:
            return Fraction(1)
        found = self.blocks(tested)
        right = sum(block.sign * self._right(block) for block in found)
        problems = sum(
            block.sign * block.interval(self.base).size ** block.longer for block in found
        )
        return Fraction(right, problems * self.unit**self.terms)

    @cached_property
    def limit(self) -> Fraction:
        """What the accuracy tends to as tested operands grow: their high parts then have each
        residue equally often, while the low parts stay those of the trained digits."""
        if self.reduced is None:
            zero = self.multiplies and self.operands == "one"
            return Fraction(1, self.unit) if zero else Fraction(0)
        if not self.multiplies:
            return Fraction(1, self.reduced)
        even = Interval(0, self.reduced)
        longer = 1 if self.operands == "one" else 2
        return Fraction(self._products(even, longer), self.reduced**longer * self.unit**2)

    @property
    def even_limit(self) -> Fraction:
        """The limit where low parts have each residue equally often as well, as they nearly have
        after long training operands: 1/p' for sums; for products `limits.products`."""
        if self.reduced is None or not self.multiplies:
            return Fraction(0) if self.reduced is None else Fraction(1, self.reduced)
        if self.operands == "one":
            return limits.one_longer(self.reduced)
        return limits.products(self.reduced)

    @cached_property
    def first(self) -> int | None:
        """The first length above the trained one at which an answer can be right; None: never.

        Sums are right where a multiple of p' lies among the sums of high parts, which reach
        terms * (base^beyond - 1).
        """
        if self.reduced is None:
            zero = self.multiplies and self.operands != "both"
            return self.trained + 1 if zero else None
        tested = self.trained + 1
        while not self.accuracy(tested):
            tested += 1
        return tested

    def _right(self, block: Block) -> int:
        """Operands with high parts in a block that are answered rightly."""
        high = block.interval(self.base)
        if self.reduced is None:
            return self._without_modulus(block, high)
        if self.multiplies:
            return self._products(high, block.longer)
        return sums(high, block.longer, self.reduced) * self.unit**self.terms

    def _without_modulus(self, block: Block, high: Interval) -> int:
        """Nothing may be left out: all high parts are 0, or one factor of a product is 0."""
        zero = high.low == 0
        right = zero * self.unit**self.terms
        if self.multiplies and (zero or block.longer == 1):
            right += block.longer * (high.size - zero) * self.unit
        return right

    def _products(self, high: Interval, longer: int) -> int:
        assert self.reduced is not None
        first = residues(high, self.reduced)
        second = first if longer == 2 else residues(Interval(0, 1), self.reduced)
        low = residues(Interval(0, self.unit), self.reduced)
        return cross_terms(first, second, low, self.unit)


def check_length(tested: int) -> None:
    """Refuse a length below 1."""
    if tested < 1:
        raise ValueError(f"expected a tested length of at least 1 digit, got {tested}")
