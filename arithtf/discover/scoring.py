"""Scoring coupling tables on examples: contexts, conflicts, code length."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import inf
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arithtf import _core
from arithtf.discover.examples import Examples
from arithtf.discover.tables import Relation, Table, Tables

ALPHA = 0.5
"""Weight of the prior in the code length: how soon a context is believed."""

_MASK = (1 << 64) - 1
_ANY = 1 << 62
_QUERY_TOKEN, _DIFFERENCE = 1 << 20, 1 << 30  # numbers that no token has


class Scores(NamedTuple):
    """Of candidates in turn; those given up have the numbers reached until then.

    Args:
        contexts: int64 [N], different local contexts.
        conflicts: int64 [N], of them those with two next tokens.
        bits: float64 [N], code length of the next tokens for a reader of the contexts alone, as a
            Dirichlet-multinomial with ALPHA: contexts cost by being many, conflicts by being.
        complete: bool [N], not given up.
    """

    contexts: NDArray[np.int64]
    conflicts: NDArray[np.int64]
    bits: NDArray[np.float64]
    complete: NDArray[np.bool_]


@lru_cache(maxsize=1 << 16)
def terms(table: Table) -> tuple[tuple[tuple[Relation, int], int], ...]:
    """A level's lookups (relation, value), each with its difference of ids."""
    return tuple(((relation, value), difference) for relation, value, difference in table.terms())


def factor(level: int, difference: int) -> int:
    """The number by which what is seen at a difference of a level enters a context's sum."""
    return _core.token_code(_DIFFERENCE + 2048 * level + difference + 1024)


class Scorer:
    """Scores tables on a set of examples; what queries see is computed once and kept.

    A context is the sum, modulo 2^64, of a code per query token and codes of seen tokens times a
    factor per level and difference: a hash of the multiset that a local context is. Equal contexts
    have equal sums; the covering set settles in the end what a hash cannot promise.
    """

    def __init__(self, examples: Examples) -> None:
        """Take the examples."""
        self.examples = examples
        self.tried = 0
        known = np.unique(examples.target)
        self._symbols = len(known)
        self._targets = np.searchsorted(known, examples.target).astype(np.uint8)
        codes = np.array([_core.token_code(_QUERY_TOKEN + t) for t in range(256)], np.uint64)
        self._start = codes[examples.query_token]
        self._factors: dict[tuple[int, int], int] = {}
        self.forget()

    def forget(self) -> None:
        """Free what queries see; it is computed again where it is asked for."""
        self._sums = np.empty((64, self.examples.queries), np.uint64)
        self._rows: dict[tuple[Relation, int], int] = {}

    def rows(self, wanted: Sequence[tuple[Relation, int]]) -> list[int]:
        """Numbers of lookups (relation, value), which are computed where they are new."""
        new = [w for w in dict.fromkeys(wanted) if w not in self._rows]
        for value in sorted({value for _, value in new}):
            part = [r for r, v in new if v == value]
            table = np.array([(r.query_segment, r.key_segment, *r.key, *r.query) for r in part])
            sums, _ = self.examples.lookups(table, value, value)
            first = len(self._rows)
            while first + len(part) > len(self._sums):
                self._sums = np.concatenate([self._sums, np.empty_like(self._sums)])
            self._sums[first : first + len(part)] = sums[:, 0]
            self._rows.update({(r, value): first + n for n, r in enumerate(part)})
        return [self._rows[w] for w in wanted]

    def score(
        self, candidates: Sequence[Tables], *, most_bits: float = inf, most_conflicts: int = _ANY
    ) -> Scores:
        """Score candidates; give each up beyond so many bits or conflicts."""
        wanted: list[tuple[Relation, int]] = []
        factors: list[int] = []
        offsets = [0]
        for tables in candidates:
            for level, table in enumerate(tables):
                for lookup, difference in terms(table):
                    wanted.append(lookup)
                    factors.append(self._factor(level, difference))
            offsets.append(len(wanted))
        return self.score_terms(
            np.array(offsets),
            np.array(self.rows(wanted), np.int64),
            np.array(factors, np.uint64),
            most_bits=most_bits,
            most_conflicts=most_conflicts,
        )

    def score_terms(
        self,
        offsets: NDArray[np.int64],
        rows: NDArray[np.int64],
        factors: NDArray[np.uint64],
        *,
        most_bits: float = inf,
        most_conflicts: int = _ANY,
    ) -> Scores:
        """Score candidates given as terms: lookup `rows` times `factors`, split at `offsets`."""
        self.tried += len(offsets) - 1
        return Scores(
            *_core.score_candidates(
                self._sums[: max(1, len(self._rows))],
                self._start,
                self._targets,
                self._symbols,
                offsets,
                rows,
                factors,
                alpha=ALPHA,
                most_bits=most_bits,
                most_conflicts=most_conflicts,
                threads=0,
            )
        )

    def _factor(self, level: int, difference: int) -> int:
        at = (level, difference)
        if at not in self._factors:
            self._factors[at] = factor(level, difference)
        return self._factors[at]
