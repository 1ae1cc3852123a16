"""Closed forms for products modulo p whose parts have each residue equally often.

Both are multiplicative: the share for 51 is that for 3 times that for 17.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction


def one_longer(q: int) -> Fraction:
    """Share of (A, b) with A*b = 0 modulo q: one operand is longer than trained.

    It is Pillai's function over q^2: for q^k, q prime, ((k + 1) * q - k) / q^(k + 1).
    """
    share = Fraction(1)
    for prime, power in _factors(q):
        share *= Fraction((power + 1) * prime - power, prime ** (power + 1))
    return share


def products(q: int) -> Fraction:
    """Share of (A, B, a, b) with A*b + B*a + shift*A*B = 0 modulo q, whatever the shift.

    With c = a + shift*A it is A*b + c*B = 0. For q prime: ((2q - 1)^2 + (q - 1)^3) / q^4; for q^k,
    with phi Euler's function, q^(-4k) times the sum over v < k of
    phi(q^(k - v)) * ((v + 1) * phi(q^k))^2, plus (q^(k - 1) * ((k + 1) * q - k))^2.
    """
    share = Fraction(1)
    for prime, power in _factors(q):
        full = prime**power - prime ** (power - 1)
        count = sum(
            (prime ** (power - v) - prime ** (power - v - 1)) * ((v + 1) * full) ** 2
            for v in range(power)
        )
        count += (prime ** (power - 1) * ((power + 1) * prime - power)) ** 2
        share *= Fraction(count, prime ** (4 * power))
    return share


def _factors(number: int) -> Iterator[tuple[int, int]]:
    """Primes and their powers: 12 gives (2, 2) and (3, 1)."""
    prime = 2
    while prime * prime <= number:
        power = 0
        while number % prime == 0:
            number, power = number // prime, power + 1
        if power:
            yield prime, power
        prime += 1
    if number > 1:
        yield number, 1
