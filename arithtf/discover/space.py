"""The space that is searched: relations of places, the lookups they give, and how many tables."""

from __future__ import annotations

from itertools import product
from math import log10
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arithtf.discover.examples import Examples
from arithtf.discover.tables import Relation, Slopes, normalised
from arithtf.tasks import NO_ID

RADIUS = 4
"""Largest distance, in ids, at which a key is looked for."""
TERMS = 2
"""Most places in one form."""
_CHUNK = 256  # relations looked at together
_CROWD = 2  # tokens of one segment that a query may see at one place


class Lookup(NamedTuple):
    """One value of a relation: at most a few tokens, at a fixed place relative to the query's."""

    relation: Relation
    value: int


def slopes(examples: Examples, segment: int, *, asking: bool) -> list[Slopes]:
    """The slopes that forms of a segment can have: -1, 0 or 1 a place, at most TERMS not 0.

    Args:
        examples: places that are 0 throughout are left out.
        segment: its number.
        asking: for queries, which never count from the right: that would tell the answer's length.
    """
    side = examples.query_places if asking else examples.key_places
    here = side[:, :1] == segment
    choices = []
    for at, name in enumerate(examples.places):
        values = np.where(here[:, 0], side[:, 1 + at], 0)
        usable = values.any() and NO_ID not in values and not (asking and name == "right")
        choices.append((0, 1, -1) if usable else (0,))
    return [c for c in product(*choices) if np.count_nonzero(c) <= TERMS]


def relations(examples: Examples, segment: int) -> list[Relation]:
    """All relations of a written segment's queries to tokens, simple ones first."""
    found = set()
    queries = slopes(examples, segment, asking=True)
    for seen in range(1, len(examples.segments)):  # 0 is BOS, which every query sees
        keys = slopes(examples, seen, asking=False)
        single = [key for key in keys if np.count_nonzero(key) == 1]
        usable = np.any([key for key in keys], axis=0)
        for query in queries:
            # Where both sides have the same form, the key's may have one place more: a row before.
            more = [tuple(np.add(query, key).tolist()) for key in single]
            same = all(usable[at] for at in np.flatnonzero(query))
            for key in keys + [form for form in more if same and max(map(abs, form)) == 1]:
                found.add(normalised(segment, seen, key, query)[0])
    # On a sheet, the row and column of a token say more than its place in the text.
    sheet = examples.key_places[:, 1 + examples.places.index("row_stride")] > 0
    avoided = examples.places.index("index") if sheet.any() else None
    return sorted(found, key=lambda relation: _simplicity(relation, avoided))


def _simplicity(relation: Relation, avoided: int | None) -> tuple[object, ...]:
    factors = (*relation.query, *relation.key)
    return (
        avoided is not None and bool(relation.query[avoided] or relation.key[avoided]),
        sum(map(abs, factors)),
        tuple(-abs(f) for f in factors),
        tuple(-f for f in factors),
        relation,
    )


def lookups(examples: Examples, longer: Examples, segment: int) -> tuple[list[Lookup], int]:
    """The different lookups of a segment's queries.

    A lookup of which longer instances show a query more tokens cannot belong to a finite set of
    contexts. Of lookups that show all queries the same tokens, the simplest is kept.

    Args:
        examples: short instances, with queries of that segment alone.
        longer: longer ones, likewise.
        segment: number of the written segment.

    Returns:
        The lookups that are left, and how many there were.
    """
    every = relations(examples, segment)
    values = sorted(range(-RADIUS, RADIUS + 1), key=abs)
    kept: dict[int, Lookup] = {}
    for at in range(0, len(every), _CHUNK):
        part = every[at : at + _CHUNK]
        table = np.array([(r.query_segment, r.key_segment, *r.key, *r.query) for r in part])
        sums, most = examples.lookups(table, -RADIUS, RADIUS)
        _, most_longer = longer.lookups(table, -RADIUS, RADIUS)
        bounded = (most > 0) & (most <= _CROWD) & (most_longer <= most)
        places = np.nonzero(bounded)
        prints = np.zeros(most.shape, np.uint64)
        prints[places] = _fingerprints(sums[places], examples.query_token)
        for n, relation in enumerate(part):
            for value in values:
                if mark := int(prints[n, value + RADIUS]):
                    kept.setdefault(mark, Lookup(relation, value))
    return list(kept.values()), len(every) * len(values)


def _fingerprints(sums: NDArray[np.uint64], query_token: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """A number per lookup, equal for equal ones; 0 where the query token says as much already."""
    weights = np.random.Generator(np.random.Philox(0)).integers(
        0, 2**63, sums.shape[1], dtype=np.uint64
    )
    prints: NDArray[np.uint64] = sums @ weights
    order = np.argsort(query_token, kind="stable")
    same = query_token[order][1:] == query_token[order][:-1]
    for n, row in enumerate(sums):
        if not (row[order][1:] != row[order][:-1])[same].any():
            prints[n] = 0
    return prints


def log_tables(examples: Examples, levels: int) -> float:
    """log10 of the number of coupling tables of up to so many levels, windows included.

    Every level gives each segment a form or none on the key side and each written one on the query
    side; shifts of all ids, a change of sign and the order of levels are counted once.
    """
    forms = 0.0
    for segment in range(1, len(examples.segments)):
        count = len(slopes(examples, segment, asking=False)) * (2 * RADIUS + 1)
        forms += log10(1 + count)
    for name in examples.written:
        count = len(slopes(examples, examples.segments.index(name), asking=True))
        forms += log10(1 + count * (2 * RADIUS + 1))
    windows = log10((2 * RADIUS + 1) * (2 * RADIUS + 2) // 2)
    symmetric = log10(2 * (2 * RADIUS + 1))
    one = forms + windows - symmetric
    return levels * one - sum(log10(n) for n in range(2, levels + 1))
