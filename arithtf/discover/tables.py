"""Coupling tables while they are searched: tuples of numbers, compared and changed cheaply."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import product
from math import gcd
from typing import NamedTuple

from arithtf.discover.examples import Examples
from arithtf.tasks import Coupling, Level, Place

Slopes = tuple[int, ...]
"""Factors of the places, in the order of `Examples.places`."""


class Form(NamedTuple):
    """id = offset + sum of slopes * places, for one segment."""

    segment: int
    slopes: Slopes
    offset: int


class Relation(NamedTuple):
    """Key value minus query value, without offsets; its slopes have no common factor."""

    query_segment: int
    key_segment: int
    key: Slopes
    query: Slopes


class Table(NamedTuple):
    """One level: a query sees a key whose id minus its own is in low .. high."""

    query: tuple[Form, ...]
    key: tuple[Form, ...]
    low: int
    high: int

    def terms(self) -> Iterator[tuple[Relation, int, int]]:
        """What the level shows: (relation, its value, difference of ids) of every lookup."""
        for query, key in product(self.query, self.key):
            relation, factor = normalised(query.segment, key.segment, key.slopes, query.slopes)
            shift = key.offset - query.offset
            for difference in range(self.low, self.high + 1):
                value, rest = divmod(difference - shift, abs(factor)) if factor else (0, 0)
                if not rest and (factor or difference == shift):
                    yield relation, value if factor >= 0 else -value, difference

    def widened(self, low: int, high: int) -> Table:
        """With other ends of the window."""
        return self._replace(low=self.low + low, high=self.high + high)

    def moved(self, ids: int, keys: int, scale: int = 1) -> Table:
        """The same lookups with all ids times `scale` plus `ids`, and keys further by `keys`."""

        def form(f: Form, by: int) -> Form:
            return Form(f.segment, tuple(scale * s for s in f.slopes), scale * f.offset + by)

        return Table(
            tuple(form(f, ids) for f in self.query),
            tuple(form(f, ids + keys) for f in self.key),
            scale * self.low + keys,
            scale * self.high + keys,
        )

    def length(self) -> int:
        """Description length, roughly in bits: what a person has to write down."""
        forms = (*self.query, *self.key)
        slopes = sum(1 + abs(s) for f in forms for s in f.slopes if s)
        offsets = sum(1 + abs(f.offset) for f in forms if f.offset)
        return 8 + 2 * len(forms) + slopes + offsets + self.high - self.low


Tables = tuple[Table, ...]


@lru_cache(maxsize=1 << 14)
def normalised(
    query_segment: int, key_segment: int, key: Slopes, query: Slopes
) -> tuple[Relation, int]:
    """A relation in its one form, and the factor (with sign) taken out of it; 0: no slopes."""
    factor = gcd(*key, *query)
    lead = next((s for s in (*query, *key) if s), 0)
    if lead < 0:
        factor = -factor
    if not factor:
        return Relation(query_segment, key_segment, key, query), 0
    return (
        Relation(
            query_segment,
            key_segment,
            tuple(s // factor for s in key),
            tuple(s // factor for s in query),
        ),
        factor,
    )


def one_lookup(relation: Relation, value: int) -> Table:
    """The level that shows one value of a relation, at difference 0."""
    return Table(
        (Form(relation.query_segment, relation.query, 0),),
        (Form(relation.key_segment, relation.key, -value),),
        0,
        0,
    )


def union(first: Table, second: Table) -> Table | None:
    """Both tables as one level, the window wide enough for both; None where forms contradict."""
    sides = []
    for one, other in ((first.query, second.query), (first.key, second.key)):
        forms = {form.segment: form for form in one}
        if any(forms.setdefault(form.segment, form) != form for form in other):
            return None
        sides.append(tuple(sorted(forms.values())))
    low, high = min(first.low, second.low), max(first.high, second.high)
    return Table(sides[0], sides[1], low, high)


def length(tables: Tables) -> int:
    """Description length of all levels."""
    return sum(table.length() for table in tables)


def tidied(tables: Tables) -> Tables:
    """The same lookups with small numbers, levels in order.

    The first query's offset is 0, and most keys' too unless the window would then leave out 0.
    """
    tidy = []
    for table in dict.fromkeys(tables):
        table = table.moved(-table.query[0].offset, 0)
        offsets = sorted(form.offset for form in table.key)
        common = max(offsets, key=lambda o: (offsets.count(o), -abs(o), o))
        table = table.moved(0, -common)
        tidy.append(table.moved(0, max(0, -table.high) - max(0, table.low)))
    return tuple(sorted(tidy))


def to_coupling(
    tables: Tables, examples: Examples, name: str = "discovered"
) -> tuple[Coupling, tuple[tuple[int, int], ...]]:
    """Tables as the coupling and the windows, (back, ahead) a level, that a recipe takes."""

    def forms(side: Sequence[Form]) -> dict[str, Place]:
        return {
            examples.segments[form.segment]: Place(
                offset=form.offset, **dict(zip(examples.places, form.slopes, strict=True))
            )
            for form in side
        }

    levels: list[Level] = []
    for table in tables:
        title = " ".join(examples.segments[form.segment] for form in table.key)
        title += f" ({len(levels)})" if title in [level.name for level in levels] else ""
        levels.append(Level(name=title, key=forms(table.key), query=forms(table.query)))
    return Coupling(name, tuple(levels)), tuple((-table.low, table.high) for table in tables)
