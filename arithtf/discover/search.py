"""The search: from examples to ranked coupling tables, segment by segment and then together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations, product
from math import prod

import numpy as np

from arithtf.discover.examples import Examples, draw_examples
from arithtf.discover.growth import Growth, Report
from arithtf.discover.refine import refined
from arithtf.discover.scoring import Scorer
from arithtf.discover.space import log_tables
from arithtf.discover.tables import Form, Table, Tables, length, one_lookup, tidied, to_coupling
from arithtf.tasks import Coupling, Task

SHORT, LONGER = (1, 5), (6, 12)
"""Operand lengths of the examples that are searched and of those that candidates are checked on."""

QUERIES = 12_000  # of the short examples, of the longer ones, and of those for comparison
_LEAST = 4_000  # queries of the rarest segment in the short examples
_CHECKED = 24_000  # short queries on which tables are made smaller
_PRUNED = 8  # refused solutions of a segment that are made smaller
_EACH = 4  # solutions of a segment that are tried together with the others'
_TOGETHER = 64  # combinations of the segments' tables that are scored
_REFINED = 6  # of them, divided by the number of segments, the ones that are made smaller
_ASKED = 200  # lookups shown alone to see whether any is accepted
_NEWS, _FEW = 4, 100  # how many more new contexts longer instances may bring
GENERATIONS = 6

Windows = tuple[tuple[int, int], ...]
Refuse = Callable[[Coupling, Windows], str | None]
"""Why a coupling cannot be used, or None."""


@dataclass(frozen=True)
class Found:
    """A coupling with what the examples say of it.

    Args:
        tables: the levels.
        contexts: different local contexts among all examples.
        conflicts: of them, those with two next tokens.
        length: description length.
        new_longer: contexts of longer instances that short ones do not have.
        new_short: contexts that as many queries of further short instances add.
    """

    tables: Tables
    contexts: int
    conflicts: int
    length: int
    new_longer: int = 0
    new_short: int = 0

    @property
    def saturates(self) -> bool:
        """Longer instances bring few more new contexts than further short ones do.

        Their queries see fewer beginnings and ends, so some more is no sign of ids that depend on
        the length: with such ids nearly every query of a longer instance is a new context.
        """
        return self.new_longer <= _NEWS * self.new_short + _FEW

    def rank(self) -> tuple[bool, int, int, Tables]:
        """What is preferred comes first."""
        return (not self.saturates, self.contexts, self.length, self.tables)


def drawn(task: Task, seed: int) -> tuple[Examples, Examples, Examples]:
    """The short, longer and further short examples of a task; nothing else of it is used."""
    short = draw_examples(task, seed=seed, step=0, lengths=SHORT, queries=QUERIES)
    rarest = min(short.only(short.segments.index(name)).queries for name in short.written)
    if rarest < _LEAST:
        queries = short.queries * _LEAST // max(rarest, 1)
        short = draw_examples(task, seed=seed, step=0, lengths=SHORT, queries=queries)
    longer = draw_examples(task, seed=seed, step=1, lengths=LONGER, queries=QUERIES)
    return short, longer, draw_examples(task, seed=seed, step=2, lengths=SHORT, queries=QUERIES)


class Search:
    """A search that can be asked for its next best result, and for its best when it is cut off.

    Args:
        short: the examples that are searched.
        longer: longer ones, on which candidates are checked.
        fresh: further short ones, to compare with.
        refuse: says why a coupling cannot be used; such couplings are passed over.
        report: called while it goes on.
    """

    def __init__(
        self,
        short: Examples,
        longer: Examples,
        fresh: Examples,
        *,
        refuse: Refuse = lambda coupling, windows: None,
        report: Report = lambda what, done, total: None,
    ) -> None:
        """Take the examples; nothing is scored yet."""
        self.refuse = refuse
        self.report = report
        self.refused: list[tuple[Tables, str]] = []
        self._found: list[Found] = []
        self._verdicts: dict[Tables, str | None] = {}
        self._smaller: dict[Tables, Tables] = {}
        self.enumerable = True
        self.short, self.longer, self.fresh = short, longer, fresh
        self._check = Scorer(self.short.head(_CHECKED).joined(self.longer))
        self._growths: list[Growth] = []

    @property
    def tried(self) -> int:
        """Candidates scored so far."""
        return self._check.tried + sum(growth.tried for growth in self._growths)

    def log_space(self) -> float:
        """log10 of the number of tables with as many levels as the largest table tried has."""
        levels = [len(found.tables) for found in self._found]
        return log_tables(self.short, max(levels, default=1))

    def lookups(self) -> dict[str, tuple[int, int]]:
        """Of each written segment begun: different lookups, and how many the relations gave."""
        names = self.short.written
        return {n: (len(g.lookups), g.looked) for n, g in zip(names, self._growths, strict=False)}

    def results(self) -> Iterator[Found]:
        """Couplings without conflict on any example, best first, generation by generation."""
        written = [self.short.segments.index(name) for name in self.short.written]
        for segment in written:
            self._growths.append(Growth(self.short, self.longer, segment, self.report))
            self.report("segments whose lookups are known", len(self._growths), len(written))
        self.enumerable = any(map(self._can_be_used, self._growths))
        given: set[Tables] = set()
        for extra in range(GENERATIONS):
            for growth in self._growths:
                self._grow(growth, least=1 + extra)
            ranked = sorted(self._together(), key=Found.rank)
            self._found = sorted({*self._found, *ranked}, key=Found.rank)
            for found in ranked:
                if found.tables not in given:
                    given.add(found.tables)
                    yield found

    def best(self) -> Found | None:
        """The best so far: a result, or what there is of it, conflicts included."""
        if self._found:
            return self._found[0]
        parts = [([t for *_, t in g.solved] + g.beam + [()])[0] for g in self._growths]
        tables = tidied(sum(parts, ()))
        return self._judged(tables) if tables else None

    def coupling(self, tables: Tables) -> tuple[Coupling, Windows]:
        """Tables as a recipe takes them."""
        return to_coupling(tables, self.short)

    def _grow(self, growth: Growth, least: int) -> None:
        """Grow until a generation has solutions that can be used, `least` generations at least."""
        while growth.generation < GENERATIONS:
            if growth.generation >= least and self._usable(growth, 1):
                break
            growth.step()
        growth.rest()

    def _can_be_used(self, growth: Growth) -> bool:
        """Whether any of a segment's simplest lookups is accepted, as a level of its own."""
        # At value 0: a covering set that reaches far takes long.
        levels = [(one_lookup(*lookup),) for lookup in growth.lookups[:_ASKED] if not lookup.value]
        return any(self.refuse(*self.coupling(one)) is None for one in levels)

    def _usable(self, growth: Growth, most: int) -> list[Tables]:
        """The first of a segment's solutions that are not refused, one for each number of contexts.

        As many contexts are nearly always the same contexts in other words. If all are refused,
        some are made smaller: what they are refused for may be of no use.
        """
        usable: dict[int, Tables] = {}
        refused: dict[int, Tables] = {}
        for contexts, _, tables in growth.solved:
            if contexts not in usable and self._verdict(tidied(tables)) is None:
                usable[contexts] = tables
                if len(usable) == most:
                    break
            refused.setdefault(contexts, tables)
        if not usable:
            smaller = {n: self._pruned(growth, refused[n]) for n in [*refused][:_PRUNED]}
            usable = {n: small for n, small in smaller.items() if self._verdict(small) is None}
        return list(usable.values())[:most]

    def _pruned(self, growth: Growth, tables: Tables) -> Tables:
        if tables not in self._smaller:
            self._smaller[tables] = refined(growth.fine, tables)
        return self._smaller[tables]

    def _verdict(self, tables: Tables) -> str | None:
        if tables not in self._verdicts:
            asked = tables and self.enumerable
            reason = self.refuse(*self.coupling(tables)) if asked else None
            self._verdicts[tables] = reason
            if reason is not None:
                self.refused.append((tables, reason))
        return self._verdicts[tables]

    def _together(self) -> Iterator[Found]:
        """One solution of each segment, all of them together, made smaller and checked."""
        each = min(_EACH, max(2, int(_TOGETHER ** (1 / len(self._growths)))))
        choices = [self._usable(growth, each) for growth in self._growths]
        if not prod(map(len, choices)):
            return
        candidates = list(dict.fromkeys(tidied(sum(parts, ())) for parts in product(*choices)))
        ranked = self._clean(candidates)
        if not ranked and len(choices) > 1:
            ranked = self._clean([self._told_apart(candidates[0])])
        ranked = ranked[: max(1, _REFINED // len(choices))]
        seen: set[Tables] = set()
        for at, (_, _, tables) in enumerate(ranked):
            small = refined(self._check, tables, lambda new: self._verdict(new) is None)
            self.report("making tables smaller", at + 1, len(ranked))
            if small not in seen and self._verdict(small) is None:
                yield self._judged(small)
            seen.add(small)

    def _clean(self, candidates: list[Tables]) -> list[tuple[int, int, Tables]]:
        """Those without conflict on all examples: (contexts, length, tables), best first."""
        scores = self._check.score(candidates, most_conflicts=0)
        return sorted(
            (int(scores.contexts[n]), length(candidates[n]), candidates[n])
            for n in np.flatnonzero(scores.complete)
        )

    def _told_apart(self, tables: Tables) -> Tables:
        """Tables with marks, one after the other, each the one that shortens the code most.

        Where three segments see the same, the first mark leaves as many conflicts as there were.
        """
        scores = self._check.score([tables])
        while scores.conflicts[0]:
            marked = [tables + mark for mark in self._marks()]
            bits = self._check.score(marked).bits
            if bits.min() >= scores.bits[0]:
                break
            tables = marked[int(bits.argmin())]
            scores = self._check.score([tables])
        return tables

    def _marks(self) -> Iterator[Tables]:
        """Levels on which one or two written segments' queries see a separator of the prompt.

        It tells them nothing but that they are of these segments, which is what is missing where
        queries of different segments see the same.
        """
        short, places = self.short, (0,) * len(self.short.places)
        right = short.places.index("right")
        once = [
            segment
            for segment in range(1, len(short.segments))
            if short.segments[segment] not in short.written
            and not short.key_places[:, 1 + right][short.key_places[:, 0] == segment].any()
        ]
        written = [short.segments.index(name) for name in short.written]
        for count in (1, 2):
            for segments in combinations(written, count):
                forms = tuple(Form(segment, places, 0) for segment in segments)
                for seen in once[-1:]:
                    yield (Table(forms, (Form(seen, places, 0),), 0, 0),)

    def _judged(self, tables: Tables) -> Found:
        """What the examples say of tables, short, longer and all of them."""
        whole = self._check.score([tables])

        def contexts(examples: Examples) -> int:
            return int(Scorer(examples).score([tables]).contexts[0])

        base = self.short.head(QUERIES)
        short = contexts(base)
        return Found(
            tables,
            int(whole.contexts[0]),
            int(whole.conflicts[0]),
            length(tables),
            contexts(base.joined(self.longer)) - short,
            contexts(base.joined(self.fresh)) - short,
        )
