"""Making tables without conflict smaller: fewer contexts first, then fewer words to say it in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations, product

import numpy as np

from arithtf.discover.scoring import Scorer
from arithtf.discover.tables import Table, Tables, length, tidied, union

_SHIFTS = (0, -1, 1, -2, 2)


def refined(
    scorer: Scorer, tables: Tables, usable: Callable[[Tables], bool] = lambda tables: True
) -> Tables:
    """Tables without conflict, with what they need not show removed and levels joined.

    Args:
        scorer: of all examples; the tables have no conflict on them.
        tables: what to make smaller.
        usable: whether tables may be the result; asked of few.

    Returns:
        Usable tables without conflict from which no single change leads to smaller ones.
    """
    tables = tidied(tables)
    size = (int(scorer.score([tables]).contexts[0]), length(tables))
    while True:
        changes = list(dict.fromkeys(tidied(new) for new in smaller(tables) if new))
        scores = scorer.score(changes, most_conflicts=0)
        ranked = sorted(
            (int(scores.contexts[n]), length(changes[n]), changes[n])
            for n in np.flatnonzero(scores.complete)
        )
        better = (new for new in ranked if new[:2] < size and usable(new[2]))
        found = next(better, None)
        if found is None:
            return tables
        size, tables = found[:2], found[2]


def smaller(tables: Tables) -> Iterator[Tables]:
    """All tables one change away: a level, form or end of a window less, or two levels as one."""
    for at, table in enumerate(tables):
        before, after = tables[:at], tables[at + 1 :]
        yield (*before, *after)
        for fewer in _less(table):
            yield (*before, fewer, *after)
    for (one, first), (two, second) in combinations(enumerate(tables), 2):
        rest = tuple(table for at, table in enumerate(tables) if at not in (one, two))
        for both in joins(first, second):
            yield (*rest, both)


def _less(table: Table) -> Iterator[Table]:
    if table.low < table.high:
        yield table.widened(1, 0)
        yield table.widened(0, -1)
    for at in range(len(table.key)):
        if len(table.key) > 1:
            yield table._replace(key=table.key[:at] + table.key[at + 1 :])
    for at in range(len(table.query)):
        if len(table.query) > 1:
            yield table._replace(query=table.query[:at] + table.query[at + 1 :])


def joins(first: Table, second: Table) -> Iterator[Table]:
    """Two levels as one: on the same ids, or on even and odd ones, so that they stay apart."""
    for ids, keys in product(_SHIFTS, _SHIFTS):
        if (both := union(first, second.moved(ids, keys))) is not None:
            yield both
    even = first.moved(0, 0, scale=2)
    for ids, keys in product((0, 2, -2), (1, -1)):
        if (both := union(even, second.moved(ids, keys, scale=2))) is not None:
            yield both
