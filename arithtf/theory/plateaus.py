"""The staircase: accuracies and losses at which training rests before it knows all digits.

A model that has learnt the lowest k digits of both operands cannot do better than the likeliest
answer given these. It rests there until it learns a digit more. The operands are all pairs of at
most n digits, each as likely as any other, as in arXiv 2308.08268.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import gcd

import numpy as np

from arithtf.theory.counting import Interval, residues, sums
from arithtf.theory.truncated import Truncated

MOST_ANSWERS = 10**6
MOST_PAIRS = 10**8
LARGEST = 10**9


@dataclass(frozen=True)
class Plateau:
    """What is possible for a model that knows operands modulo `known`.

    Args:
        known: base^k for k known digits, or a divisor of the base times that; 2 is parity.
        accuracy: share of answers that are right, at best.
        loss: nats an answer, at best: the entropy of the answer given what is known. A loss per
            token is this over the tokens of the answer.
        even: gcd(p, known) / p, what the accuracy tends to for long operands, of sums modulo p; the
            loss then tends to -ln(even). None for others.
    """

    known: int
    accuracy: Fraction
    loss: float
    even: Fraction | None


def plateaus(rule: Truncated) -> list[Plateau]:
    """The staircase that training on operands of at most `rule.trained` digits can pass.

    Args:
        rule: task, base, modulus, trained digits and number of operands; which operands are long is
            of no matter.

    Returns:
        From knowing nothing to the first step that knows all.

    Raises:
        ValueError: there are too many answers, or pairs of operands, to be counted.

    Example: sums modulo 200 of at most 4 digits rest at accuracies 1/200, 1/20 and 1/2 while 0, 1
    and 2 digits are known.
    """
    found = []
    for known in _steps(rule):
        accuracy, loss = _of_products(rule, known) if rule.multiplies else _of_sums(rule, known)
        even = None
        if rule.modulus is not None and not rule.multiplies:
            even = Fraction(gcd(rule.modulus, known), rule.modulus)
        found.append(Plateau(known, accuracy, loss, even))
        if accuracy == 1:
            break
    return found


def _steps(rule: Truncated) -> Iterator[int]:
    """Moduli that operands may be known by: powers of the base; of sums modulo p also divisors of
    the base times these, where they tell more of the answer."""
    parts = [1]
    if rule.modulus is not None and not rule.multiplies:
        parts = [part for part in range(1, rule.base) if rule.base % part == 0]
    for digits in range(rule.trained):
        power = rule.base**digits
        for part in parts:
            known = [gcd(rule.modulus or 1, power * more) for more in (1, part)]
            if part == 1 or known[1] > known[0]:
                yield power * part
    yield rule.unit


def _of_sums(rule: Truncated, known: int) -> tuple[Fraction, float]:
    """Accuracy and loss where what is unknown is `known` times a sum of high parts."""
    high = Interval(0, rule.unit // known)
    different = rule.terms * (high.size - 1) + 1
    if rule.modulus is not None:
        different = min(different, rule.modulus // gcd(rule.modulus, known))
    if different > MOST_ANSWERS:
        raise ValueError(
            f"expected at most {MOST_ANSWERS:,} different answers for a plateau, got {different:,};"
            " take fewer trained digits"
        )
    ways = [sums(high, rule.terms, different, answer) for answer in range(different)]
    total = high.size**rule.terms
    loss = math.log(total) - math.fsum(w / total * math.log(w) for w in ways if w)
    return Fraction(max(ways), total), max(loss, 0.0)


def _of_products(rule: Truncated, known: int) -> tuple[Fraction, float]:
    """The same for products, by listing the residues of all pairs.

    Operands that are equal modulo `known` and modulo p are one class; the values in a class are
    known + a multiple of `known`, listed once for each residue modulo p, with a weight.
    """
    modulus = min(rule.modulus or rule.unit**2, rule.unit**2)  # no product is larger
    size = rule.unit // known
    values = min(size, modulus // gcd(modulus, known))
    classes = min(known, modulus)
    if max(rule.unit, modulus) > LARGEST or (classes * values) ** 2 > MOST_PAIRS:
        raise ValueError(
            f"expected at most {MOST_PAIRS:,} pairs of operands, and numbers of at most "
            f"{LARGEST:,}, for a plateau of products; take fewer trained digits"
        )
    weight = residues(Interval(0, size), values).astype(np.int64)
    often = residues(Interval(0, known), classes)
    listed = np.arange(classes)[:, None] + known * np.arange(values)
    names = np.arange(classes)[:, None] * modulus
    right, surprise, total = 0, 0.0, rule.unit**2
    for first in range(classes):
        products = listed[first][:, None, None] % modulus * (listed % modulus) % modulus + names
        keys, place = np.unique(products, return_inverse=True)
        ways = np.zeros(len(keys), np.int64)
        np.add.at(ways, place.ravel(), np.outer(weight, np.tile(weight, classes)).ravel())
        best = np.zeros(classes, np.int64)
        np.maximum.at(best, keys // modulus, ways)
        right += int(often[first] * (often @ best))
        frequent = often[keys // modulus].astype(float) * float(often[first])
        surprise += float(frequent @ (ways * np.log(ways)))
    return Fraction(right, total), max(2 * math.log(size) - surprise / total, 0.0)
