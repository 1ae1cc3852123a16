"""How often the rule of truncated operands has each digit of the answer right.

The answer is written with as many digits as the longest answer needs, zeros in front.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from math import gcd

import numpy as np
from numpy.typing import NDArray

from arithtf.theory.counting import Interval, residues, sums
from arithtf.theory.domains import Block
from arithtf.theory.truncated import Truncated, check_length

MOST_PAIRS = 11_000
"""Residues modulo p and p' that digits of products are counted by; time grows with the square."""


def by_digit(rule: Truncated, tested: int) -> tuple[Fraction, ...]:
    """Share of the problems of a length in which each digit of the answer is right.

    Args:
        rule: the rule.
        tested: digits, at least 1.

    Returns:
        Units first. Of products without a modulus the lowest trained + 1 digits: the higher ones
        have no count that is faster than listing all products.

    Raises:
        ValueError: there is no such length, or a count is too large.
    """
    check_length(tested)
    if not rule.modular and rule.multiplies:
        return _of_products(rule, tested)
    places = _places(rule, tested)
    if tested <= rule.trained:
        return (Fraction(1),) * places
    counts = [0] * places
    for block in rule.blocks(tested):
        if rule.modulus is None:
            found = _of_sums(rule, block, places)
        else:
            found = _of_residues(rule, block, rule.modulus, places)
        counts = [count + block.sign * more for count, more in zip(counts, found, strict=True)]
    problems = sum(
        block.sign * block.interval(rule.base).size ** block.longer for block in rule.blocks(tested)
    )
    return tuple(Fraction(count, problems * rule.unit**rule.terms) for count in counts)


def _places(rule: Truncated, tested: int) -> int:
    """Digits of the largest answer."""
    highest = rule.base**tested - 1
    others = highest if rule.operands != "one" else rule.base ** min(tested, rule.trained) - 1
    largest = highest + (rule.terms - 1) * others
    return length(largest if rule.modulus is None else rule.modulus - 1, rule.base)


def length(number: int, base: int) -> int:
    """Digits of a number; 0 has one."""
    digits = 1
    while number := number // base:
        digits += 1
    return digits


def _of_sums(rule: Truncated, block: Block, places: int) -> list[int]:
    """Problems of a block in which each digit is right.

    From the units on, two carries go through the columns: that of the sum and that of the rule's
    sum, in which all columns beyond the trained ones are 0. How many problems lead to each pair of
    carries is all that has to be kept.
    """
    base, top = rule.base, rule.trained + block.digits
    problems = block.interval(base).size ** block.longer * rule.unit**rule.terms
    carries, seen = {(0, 0): 1}, 1
    right = []
    for place in range(places):
        trained = place < rule.trained
        columns = _column_sums(range(base), rule.terms)
        if not trained:
            first = int(block.leading and place == top - 1)
            columns = _column_sums(range(first, base if place < top else 1), block.longer)
        after: dict[tuple[int, int], int] = defaultdict(int)
        matched = 0
        for (true, said), ways in carries.items():
            for total, count in enumerate(columns):
                next_true, true_digit = divmod(total + true, base)
                next_said, said_digit = divmod(total * trained + said, base)
                after[next_true, next_said] += ways * count
                matched += (true_digit == said_digit) * ways * count
        carries, seen = after, seen * sum(columns)
        right.append(matched * (problems // seen))  # the columns above are free
    return right


def _column_sums(digits: range, terms: int) -> list[int]:
    """How many tuples of digits have each sum."""
    ways = [1]
    for _ in range(terms):
        longer = [0] * (len(ways) + digits.stop - 1)
        for total, count in enumerate(ways):
            for digit in digits:
                longer[total + digit] += count
        ways = longer
    return ways


def _of_residues(rule: Truncated, block: Block, modulus: int, places: int) -> list[int]:
    """Problems of a block in which each digit of the residue is right.

    The truth is the rule's answer plus a shift, base^trained times the sum of the high parts. Both
    are independent, so it is enough to count each by its residue.
    """
    if rule.multiplies:
        return _of_product_residues(rule, block, modulus, places)
    low, high = Interval(0, rule.unit), block.interval(rule.base)
    reduced = modulus // gcd(modulus, rule.unit)
    said = np.array([sums(low, rule.terms, modulus, r) for r in range(modulus)], object)
    every = np.arange(modulus)
    right = [0] * places
    for left_out in range(reduced):
        ways = sums(high, block.longer, reduced, left_out)
        true = (every + rule.unit * left_out) % modulus
        for place, equal in enumerate(_equal_digits(every, true, rule.base, places)):
            right[place] += ways * int(said[equal].sum())
    return right


def _of_product_residues(rule: Truncated, block: Block, modulus: int, places: int) -> list[int]:
    """The same for products, where the shift depends on the low parts.

    For each pair (A, a0) of the first operand all pairs (B, b0) of the second are looked at by
    their residues: p'^2 * p^2 pairs in all, so that it is for small moduli.
    """
    reduced = modulus // gcd(modulus, rule.unit)
    if modulus * reduced > MOST_PAIRS:
        raise ValueError(
            f"expected modulus * p' of at most {MOST_PAIRS:,} for single digits of products, got "
            f"{modulus * reduced:,}; ask for accuracies without digits"
        )
    high = residues(block.interval(rule.base), reduced)
    others = high if block.longer == 2 else residues(Interval(0, 1), reduced)
    low = residues(Interval(0, rule.unit), modulus)
    # The pairs (B, b0), and (A, a0): the residues of the low part and of the whole operand.
    parts, shifts = np.arange(modulus), rule.unit * np.arange(reduced)
    short = np.repeat(parts, reduced)
    whole = (short + np.tile(shifts, modulus)) % modulus
    second = np.outer(low, others).ravel()
    right = [0] * places
    for a0, a, ways in zip(short, whole, np.outer(low, high).ravel(), strict=True):
        if ways:
            said, true = a0 * short % modulus, a * whole % modulus
            for place, equal in enumerate(_equal_digits(said, true, rule.base, places)):
                right[place] += ways * int(second[equal].sum())
    return right


def _equal_digits(
    said: NDArray[np.int64], true: NDArray[np.int64], base: int, places: int
) -> Iterator[NDArray[np.bool_]]:
    """For each digit, units first, where two numbers have the same one."""
    for place in range(places):
        yield said // base**place % base == true // base**place % base


def _of_products(rule: Truncated, tested: int) -> tuple[Fraction, ...]:
    """The lowest digits of products: those trained are right, and the next one is if what the rule
    leaves out, A*b0 + B*a0 + base^trained*A*B, is 0 modulo the base."""
    ones = (Fraction(1),) * rule.trained
    if tested <= rule.trained:
        return (*ones, Fraction(1))
    modulus = rule.base ** (rule.trained + 1)
    next_one = replace(rule, task="modular-multiplication", modulus=modulus)
    return (*ones, next_one.accuracy(tested))
