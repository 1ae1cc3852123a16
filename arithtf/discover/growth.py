"""Growing tables for one written segment's queries, from nothing to the first without conflict.

Nothing is known of a carry's cause until both digits are seen, and one digit of a sum alone tells
nothing of it. So growth begins with all lookups and all pairs of lookups, and then goes on from the
best by single steps: another lookup, or a wider window. The best are those with the shortest code
for the answers: what decides them often is worth more than what makes every context another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from arithtf.discover.examples import Examples
from arithtf.discover.scoring import Scorer, Scores, factor
from arithtf.discover.space import RADIUS, Lookup
from arithtf.discover.space import lookups as find_lookups
from arithtf.discover.tables import Form, Table, Tables, length, one_lookup, union

BEAM = 16
_PAIRS = 48  # best pairs of lookups that are scored on all examples
_QUERIES = 12000  # of the segment that are used, at most
_WIDE = 4  # best tables to which every lookup is added, whatever it tells alone
_LOOKUPS = 750  # of the simplest, and of those that tell most alone; all, if they are not more
_MANY, _FEW = 400_000, 400  # more pairs than that are first scored on a few queries
_COARSE = 1500  # queries that pairs are first scored on
_FINE = 256  # candidates of a generation that are scored on all examples
_CHUNK = 8192  # pairs scored between two reports of progress
_TABLES = 512  # and tables: on all examples, so each takes longer
MOST_LEVELS = 6

Report = Callable[[str, int, int], None]
"""Called with what is done, how many candidates of it, of how many."""


class Growth:
    """Tables for one written segment, generation by generation.

    Args:
        examples: short instances.
        longer: longer instances.
        segment: number of the written segment.
        report: called while it goes on.
    """

    def __init__(self, examples: Examples, longer: Examples, segment: int, report: Report) -> None:
        """Find the segment's lookups; nothing is scored yet."""
        self._report = report
        self._name = examples.segments[segment]
        own = examples.only(segment).head(_QUERIES)
        self.coarse = Scorer(own.head(_COARSE))
        self.fine = Scorer(own)
        self.lookups, self.looked = find_lookups(
            self.coarse.examples, longer.only(segment).head(_COARSE), segment
        )
        self._kept = self.lookups
        self.beam: list[Tables] = []
        self.solved: list[tuple[int, int, Tables]] = []
        self.generation = 0
        self._known: set[tuple[int, float]] = set()

    @property
    def tried(self) -> int:
        """Candidates scored so far."""
        return self.coarse.tried + self.fine.tried

    def step(self) -> None:
        """One more generation: `solved` gains those without conflict, `beam` holds the others.

        Solutions are (contexts, description length, tables), the best of a generation first.
        """
        if not self.generation and not self.fine.score([()]).conflicts[0]:
            candidates: list[Tables] = [()]  # the query token decides
        elif not self.generation:
            self._shorten()
            candidates = [(one_lookup(*lookup),) for lookup in self._kept]
            pairs = self._pairs()
            self.beam = [_pair(*pairs[0])[0]]  # what there is if the search is cut off now
            candidates += [tables for pair in pairs for tables in _pair(*pair)]
        else:
            candidates = [
                new
                for place, tables in enumerate(self.beam)
                for new in self._grown(tables, self.lookups if place < _WIDE else self._kept)
            ]
        self.generation += 1
        self._select(list(dict.fromkeys(candidates)))

    def rest(self) -> None:
        """Free what the next step computes again: on a sheet, most of a gigabyte a segment."""
        self.coarse.forget()
        self.fine.forget()

    def _shorten(self) -> None:
        """Of very many lookups, keep the simplest and those that tell most by themselves."""
        if len(self.lookups) > 2 * _LOOKUPS:
            alone = self._score(self.fine, [(one_lookup(*lookup),) for lookup in self.lookups])
            telling = np.argsort(alone.bits, kind="stable")[:_LOOKUPS].tolist()
            self._kept = [self.lookups[n] for n in sorted({*range(_LOOKUPS), *telling})]

    def _pairs(self) -> list[tuple[Lookup, Lookup]]:
        """The pairs of lookups with the shortest code, of all pairs."""
        pairs = np.stack(np.triu_indices(len(self._kept), 1), 1)
        if len(pairs) > _MANY:
            few = Scorer(self.coarse.examples.head(_FEW))
            bits = self._score_pairs(few, pairs, "a few examples")
            pairs = pairs[np.argsort(bits, kind="stable")[: _MANY // 2]]
        bits = self._score_pairs(self.coarse, pairs, "pairs")
        best = pairs[np.argsort(bits, kind="stable")[:_PAIRS]].tolist()
        return [(self._kept[first], self._kept[second]) for first, second in best]

    def _score_pairs(
        self, scorer: Scorer, pairs: NDArray[np.int64], what: str
    ) -> NDArray[np.float64]:
        """Code lengths of pairs [N, 2] of lookups, on two levels."""
        rows = np.array(scorer.rows(self._kept), np.int64)
        factors = np.array([factor(0, 0), factor(1, 0)], np.uint64)
        bits = np.empty(len(pairs))
        for at in range(0, len(pairs), _CHUNK):
            part = rows[pairs[at : at + _CHUNK]]
            bits[at : at + _CHUNK] = scorer.score_terms(
                np.arange(0, part.size + 1, 2), part.ravel(), np.tile(factors, len(part))
            ).bits
            self._report(f"{self._name}: {what}", min(at + _CHUNK, len(pairs)), len(pairs))
        return bits

    def _grown(self, tables: Tables, lookups: list[Lookup]) -> Iterator[Tables]:
        for low, high in ((-1, 0), (0, 1)):
            for at, table in enumerate(tables):
                if table.high - table.low < 2 * RADIUS:
                    yield (*tables[:at], table.widened(low, high), *tables[at + 1 :])
            # What lies beside two tokens, a digit of each operand, may be needed of both or not.
            for slopes in {table.query[0].slopes for table in tables}:
                yield tuple(
                    table.widened(low, high) if table.query[0].slopes == slopes else table
                    for table in tables
                )
        for lookup in lookups:
            level = one_lookup(*lookup)
            if len(tables) < MOST_LEVELS:
                yield (*tables, level)
            for at, table in enumerate(tables):
                if (wider := union(table, level)) is not None:
                    yield (*tables[:at], wider, *tables[at + 1 :])

    def _select(self, candidates: list[Tables]) -> None:
        """Sort out candidates without conflict, and keep the best of the others."""
        coarse = self._score(self.coarse, candidates)
        whole = self.fine.score([()]).bits[0]
        clean = np.flatnonzero(coarse.conflicts == 0)
        clean = clean[np.argsort(coarse.contexts[clean], kind="stable")]
        part = [candidates[n] for n in clean]
        scores = self.fine.score(part, most_conflicts=0)
        # Contexts that seldom recur have no conflict either: they must also save something. (The
        # empty table saves nothing, and is a solution where the query token decides.)
        saves = np.array([not tables for tables in part], np.bool_) | (scores.bits < whole)
        good = scores.complete & saves
        ranked = sorted(
            (int(scores.contexts[n]), length(part[n]), part[n]) for n in np.flatnonzero(good)
        )
        self.solved += ranked
        order = np.argsort(coarse.bits, kind="stable")
        rest = [candidates[n] for n in order[: _FINE + len(clean)] if coarse.conflicts[n]][:_FINE]
        scores = self.fine.score(rest)
        self.beam = []
        for n in np.argsort(scores.bits, kind="stable"):
            # The same numbers are the same contexts in other words: the first is kept.
            mark = (int(scores.contexts[n]), float(scores.bits[n]))
            if mark not in self._known and len(self.beam) < BEAM:
                self._known.add(mark)
                self.beam.append(rest[n])

    def _score(self, scorer: Scorer, candidates: list[Tables]) -> Scores:
        parts = []
        for at in range(0, max(len(candidates), 1), _TABLES):
            parts.append(scorer.score(candidates[at : at + _TABLES]))
            done = min(at + _TABLES, len(candidates))
            self._report(f"{self._name}: tables of step {self.generation}", done, len(candidates))
        return Scores(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _pair(first: Lookup, second: Lookup) -> list[Tables]:
    """Two lookups as two levels and, where the forms allow it, as one."""
    one, other = one_lookup(*first), one_lookup(*second)
    found: list[Tables] = [(one, other)]
    if (both := union(one, other)) is not None:
        found.append((both,))
    if first.relation == second.relation:
        ends = sorted((first.value, second.value))
        form = Form(first.relation.key_segment, first.relation.key, 0)
        found = [(Table(one.query, (form,), ends[0], ends[1]),)]
    return found
