"""Exact counts of operands whose sums and products are divisible, without listing them.

Operands come from intervals. Their residues modulo q fill whole rounds of q and one arc that is
left over, so that a count over 10^50 operands is a count over residues.
"""

from __future__ import annotations

from math import comb, gcd
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST_RESIDUES = 10_000
"""Counts of products take time in the square of the modulus."""

Counts = NDArray[Any]
"""One count per residue, Python integers: they grow beyond 64 bits."""


class Interval(NamedTuple):
    """The integers from `low` up to `low + size`, that one excluded."""

    low: int
    size: int


def residues(interval: Interval, q: int) -> Counts:
    """How many integers of an interval have each residue modulo q: 5 to 9 modulo 3 is [2, 1, 2].

    Args:
        interval: the integers.
        q: at least 1.

    Returns:
        [q], Python integers.
    """
    rounds, left = divmod(interval.size, q)
    return np.array([rounds + ((r - interval.low) % q < left) for r in range(q)], object)


def sums(interval: Interval, terms: int, q: int, residue: int = 0) -> int:
    """How many tuples from an interval have a sum with a given residue.

    With size = rounds * q + left, all tuples but those whose terms all lie in the arc that is left
    over are spread evenly over the q residues: (size^terms - left^terms) / q for each. Of the
    others those with sum s are counted by inclusion and exclusion.

    Args:
        interval: of every term.
        terms: how many, at least 1.
        q: at least 1.
        residue: of the sum, modulo q.

    Returns:
        Tuples of the interval^terms with sum = residue modulo q. Time grows with terms^2, not
        with q or the interval.
    """
    left = interval.size % q
    even = (interval.size**terms - left**terms) // q
    first = (residue - terms * interval.low) % q
    return even + sum(_bounded(s, terms, left) for s in range(first, terms * (left - 1) + 1, q))


def _bounded(total: int, terms: int, below: int) -> int:
    """Tuples of integers from 0 to below - 1 with a given sum."""
    return sum(
        (-1) ** j * comb(terms, j) * comb(total - j * below + terms - 1, terms - 1)
        for j in range(min(terms, total // below) + 1)
    )


def cross_terms(first: Counts, second: Counts, low: Counts, shift: int) -> int:
    """How many (A, B, a0, b0) have A*b0 + B*a0 + shift*A*B = 0 modulo q.

    1. With C = a0 + shift*A the condition is A*b0 + C*B = 0.
    2. A is u*d with d = gcd(A, q) and u invertible. With C = u*c it is d*b0 + c*B = 0: the q values
       of A have shrunk to the divisors of q.
    3. For each d, `held[c]` counts (A, a0), and `met[c]` counts (B, b0) with d*b0 = -c*B.

    Args:
        first, second: [q], how many A and B have each residue.
        low: [q], how many a0 have each residue, and b0 likewise.
        shift: base^trained.

    Returns:
        The count. Time grows with q^2 times the number of divisors of q.

    Raises:
        ValueError: q is above MOST_RESIDUES.
    """
    q = len(low)
    if q > MOST_RESIDUES:
        raise ValueError(
            f"expected a modulus that leaves at most {MOST_RESIDUES:,} residues beyond the trained "
            f"digits, got {q:,}: products are counted in time that grows with the square of it"
        )
    every = np.arange(q)
    total = 0
    for d in (d for d in range(1, q + 1) if q % d == 0):
        held = np.zeros(q, object)
        for a in range(0, q, d):
            if gcd(a, q) == d and first[a]:
                held += first[a] * low[(_unit(a // d, d, q) * every - shift * a) % q]
        solved = np.zeros(q, object)
        np.add.at(solved, d * every % q, low)
        for c in np.flatnonzero(held):
            total += held[c] * (second @ solved[-c * every % q])
    return int(total)


def _unit(part: int, d: int, q: int) -> int:
    """A number that is invertible modulo q and equals `part` modulo q / d."""
    while gcd(part, q) > 1:
        part += q // d
    return part
