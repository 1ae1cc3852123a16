"""All that queries can see on the ways of a finite automaton through columns.

An automaton reads a row's columns, and every token that stands in a column is an output of an edge.
A query for an output sees other outputs at fixed distances, and tokens that belong to the whole way
(they are functions of the state). So its context is a function of a few edges in a row. All such
ways are walked at once in arrays, column by column; what looks alike from then on is kept once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from arithtf.certify.verify.contexts import (
    ABSENT,
    Contexts,
    Ints,
    NotDerivable,
    distinct,
    from_slots,
)

MOST = 30_000_000
"""Cases that are looked at together at most."""

WIDEST = 1000
"""Id differences that a window holds at most."""

Key = tuple[Any, ...]


class Machine(NamedTuple):
    """An automaton of S states and A symbols, on whose edges tokens stand.

    Args:
        after: [S, A], the next state; -1 where the symbol cannot follow. States from which no end
            is reached are no next ones; the end goes on in itself, and nothing stands there.
        starts: as many states from the first on are before the first column.
        outputs: by key [S, A], the token that stands there, ABSENT where there is none.
        singles: by key [S], tokens that are the same on the whole way.
    """

    after: Ints
    starts: int
    outputs: Mapping[Key, Ints]
    singles: Mapping[Key, Ints]

    def single(self, key: Key, states: Ints) -> Ints:
        """A token of some states; the key ("token", t) is t in all."""
        return np.full(len(states), key[1]) if key[0] == "token" else self.singles[key][states]


class Slot(NamedTuple):
    """A token that a query sees.

    Args:
        level, difference: where it sees it.
        key: of an output; without offset, of a single.
        offset: its column less the query's.
    """

    level: int
    difference: int
    key: Key
    offset: int | None = None


class Seen(NamedTuple):
    """What the queries for an output see.

    Args:
        moving: outputs, in every column.
        single: column of the query -> singles seen from there.
        always: singles that all of them see.
    """

    moving: list[Slot]
    single: dict[int, list[Slot]]
    always: list[Slot]

    def add(self, slot: Slot, column: int | None = None) -> None:
        """Add a token; one without offset can be seen from one column alone."""
        if slot.offset is not None:
            self.moving.append(slot)
        else:
            (self.always if column is None else self.single.setdefault(column, [])).append(slot)


class Query(NamedTuple):
    """What is to be written, and the token before it.

    Args:
        target: key of an output.
        before: keys of outputs and offsets, 0 or -1; the query's token is the first that is there.
        first: key of a single, the token where none of these is there, in the first column.
    """

    target: Key
    before: Sequence[tuple[Key, int]]
    first: Key


class Walk:
    """The ways of an automaton."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.reached = [np.arange(len(machine.after)) < machine.starts]

    def contexts(self, query: Query, seen: Seen) -> Iterator[Contexts]:
        """Contexts of the queries for an output: by column, then those of all later ones."""
        offsets = [slot.offset or 0 for slot in seen.moving]
        past, future = max(1, -min(offsets, default=0)), max(0, max(offsets, default=0))
        last = max([past - 1, *seen.single])
        for j in range(last + 1):
            fixed = [*seen.single.get(j, []), *seen.always]
            near = [slot for slot in seen.moving if (slot.offset or 0) >= -j]
            begin = self._after(max(0, j - past))
            yield self._ways(query, begin, range(-min(j, past), future + 1), near, fixed)
        begin = self._after(last + 1 - past)
        while (more := begin | self._next(begin)).sum() > begin.sum():
            begin = more
        yield self._ways(query, begin, range(-past, future + 1), seen.moving, seen.always)

    def _after(self, columns: int) -> NDArray[np.bool_]:
        """The states after so many columns."""
        while len(self.reached) <= columns:
            self.reached.append(self._next(self.reached[-1]))
        return self.reached[columns]

    def _next(self, states: NDArray[np.bool_]) -> NDArray[np.bool_]:
        after = self.machine.after[states]
        found = np.zeros_like(states)
        found[after[after >= 0]] = True
        return found

    def _ways(
        self,
        query: Query,
        begin: NDArray[np.bool_],
        offsets: range,
        moving: Sequence[Slot],
        fixed: Sequence[Slot],
    ) -> Contexts:
        """Contexts of the ways from the states `begin` through columns from offsets[0] on."""
        after, outputs = self.machine.after, self.machine.outputs
        state = np.flatnonzero(begin)
        token = np.full(len(state), ABSENT)
        if offsets.start == 0:
            token = self.machine.single(query.first, state)
        target, tokens = np.full(len(state), ABSENT), np.empty((len(state), 0), np.int64)
        slots: list[Slot] = []
        for d in offsets:
            if len(state) * after.shape[1] > MOST:
                raise NotDerivable(f"more than {MOST:,} cases; verify narrower windows")
            at, symbol = np.nonzero(after[state] >= 0)
            before, target, token = state[at], target[at], token[at]
            state = after[before, symbol]
            for key, offset in reversed(query.before):
                if offset == d:
                    there = outputs[key][before, symbol]
                    token = np.where(there == ABSENT, token, there)
            if d == 0:
                target = outputs[query.target][before, symbol]
            here = [slot for slot in moving if slot.offset == d]
            columns = [outputs[slot.key][before, symbol] for slot in here]
            tokens = np.column_stack([tokens[at], *columns])
            slots += here
            if d == 0:
                kept = (token != ABSENT) & (target != ABSENT)
                state, token, target, tokens = (x[kept] for x in (state, token, target, tokens))
            once = distinct(np.column_stack([state, token, target, tokens]))
            state, token, target, tokens = (x[once] for x in (state, token, target, tokens))
        columns = [self.machine.single(slot.key, state) for slot in fixed]
        places = [(slot.level, slot.difference) for slot in (*slots, *fixed)]
        return from_slots(token, target, np.column_stack([tokens, *columns]), places)


def reaching(after: Ints, ends: NDArray[np.bool_]) -> Ints:
    """The next states [S, A] without those from which no end is reached."""
    alive = ends
    while True:
        more = alive | (alive[after] & (after >= 0)).any(axis=1)
        if (more == alive).all():
            return np.where(alive[after], after, -1)
        alive = more


def check_width(back: int, ahead: int) -> None:
    """Refuse windows of so many ids that nothing is gained by looking.

    Raises:
        NotDerivable: this one.
    """
    if back + ahead > WIDEST:
        raise NotDerivable(f"a window holds {back + ahead} ids; verify a narrower one")
