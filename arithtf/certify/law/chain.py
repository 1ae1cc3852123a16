"""Column tasks as chains: what a window of columns shows, and where a model answers it rightly.

An *edge* is a column with the state before it: the digits, the tokens that each row has there. A
*node* is the last edges that a window still holds. To append a column is a transition; it is good
if the model is right in all contexts that the window shows for the column in its middle.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from arithtf.certify.law.places import Output, Places, Seen
from arithtf.certify.provable import CannotCertify
from arithtf.model import ContextSet
from arithtf.tasks import ColumnTask
from arithtf.tasks.arithmetic.transducer import Rule, tables

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
ABSENT = -1
MOST = 4_000_000
"""Transitions that are looked at together at most."""


class State(NamedTuple):
    """What is known before a column.

    Args:
        digit: the operand of one digit; 0 if there is none.
        guess: states in which the rows before the last end.
        rows: the states of the rows; once they have ended, what the last one has yet to write.
        ended: columns since they ended; 2 stands for more.
    """

    digit: int
    guess: tuple[Hashable, ...]
    rows: tuple[Any, ...]
    ended: int = -1


class Edges:
    """The columns that there can be, numbered as they are met. Rows are numbered from 0.

    Args:
        task: the task.
    """

    def __init__(self, task: ColumnTask) -> None:
        self.rule: Rule = task.rule()
        self.words = task.vocabulary
        self.base = task.base
        self.columns = list(product(range(task.base), repeat=self.rule.numbers))
        self.numbers: dict[tuple[State, tuple[int, ...], bool], int] = {}
        self.states: list[State] = []
        self._of_state: dict[State, int] = {}
        self._rows: list[list[int]] = []
        self.starts = [self.number(state) for state in self._starts()]

    def number(self, state: State) -> int:
        """The number of a state."""
        if state not in self._of_state:
            self._of_state[state] = len(self.states)
            self.states.append(state)
        return self._of_state[state]

    def _starts(self) -> list[State]:
        rule, found = self.rule, []
        reached = [[*range(self.base)] if rule.last_digit else [0]]
        for table in tables(rule, self.base)[:-1]:
            reached.append(list(table.states))
        for digit in range(self.base) if rule.last_digit else (0,):
            for guess in product(*reached[1:]):
                before = (digit, *guess)
                rows = tuple(p.first(v) for p, v in zip(rule.passes, before, strict=True))
                found.append(State(digit, guess, rows))
        return found

    def table(self) -> Ints:
        """Of every edge: state before, state after, digits [numbers], body [rows], end [rows]."""
        return np.array(self._rows, np.int64)

    def edge(self, state: int, digits: tuple[int, ...], active: bool) -> int:
        """The edge of a column; -1 if the rows cannot end in this state.

        Args:
            state: number of the state before.
            digits: empty beyond the operands.
            active: the rows go on.
        """
        key = (self.states[state], digits, active)
        if key not in self.numbers:
            made = self._follow(self.states[state], digits, active)
            self.numbers[key] = -1 if made is None else len(self._rows)
            if made is not None:
                after, body, end = made
                shown = digits or (ABSENT,) * self.rule.numbers
                self._rows.append([state, self.number(after), *shown, *body, *end])
        return self.numbers[key]

    def _follow(
        self, state: State, digits: tuple[int, ...], active: bool
    ) -> tuple[State, list[int], list[int]] | None:
        passes = self.rule.passes
        none = [ABSENT] * len(passes)
        if active:
            made = [p.step(s, digits) for p, s in zip(passes, state.rows, strict=True)]
            rows = tuple(after for after, _ in made)
            return state._replace(rows=rows), [token for _, token in made], none
        if state.ended >= 0:
            last, *rest = (*state.rows, ABSENT)[: 1 + len(state.rows)]
            after = state._replace(rows=tuple(rest[:-1]) if state.rows else (), ended=2)
            return after, [*none[1:], last], none
        if state.rows[:-1] != state.guess:
            return None
        ends = [p.finish(s) for p, s in zip(passes, state.rows, strict=True)]
        last, *rest = (*ends[-1], self.words.eos)
        after = state._replace(rows=tuple(rest), ended=0)
        return after, [*none[1:], last], [*(tokens[0] for tokens in ends[:-1]), ABSENT]


class Nodes(NamedTuple):
    """N windows: numbers of the last W edges (-1 before the first column), of the state after."""

    edges: Ints
    state: Ints


class Transitions(NamedTuple):
    """T ways to append a column.

    Args:
        nodes: those reached, by good ways.
        source, target: numbers of nodes, of the good ways alone.
        wrong: contexts shown by ways that are not good: (way's source, number of context), each
            context of a way once.
    """

    nodes: Nodes
    source: Ints
    target: Ints
    wrong: Ints


class Chain:
    """The windows of a column task.

    Args:
        task: the task.
        seen: what queries see, by output.
        contexts: all contexts of the task.
        wrong: bool [N], those in which the model errs.
    """

    def __init__(
        self,
        task: ColumnTask,
        seen: dict[Output, Places],
        contexts: ContextSet,
        wrong: Flags,
    ) -> None:
        self.edges, self.seen, self.wrong = Edges(task), seen, wrong
        offsets = [slot.offset for one in seen.values() for slot in one.moving]
        self.past, self.future = max(1, -min(offsets, default=0)), max(0, *offsets, 0)
        self.singles = max((max(one.single, default=-1) for one in seen.values()), default=-1)
        self.width = int(np.diff(contexts.offsets).max(initial=0))
        self._keys = _context_rows(contexts, self.width)
        self._cache: dict[Any, Transitions] = {}

    def begin(self) -> Nodes:
        """The nodes before the first column."""
        starts = np.array(self.edges.starts, np.int64)
        window = np.full((len(starts), self.past + self.future), -1, np.int64)
        return Nodes(window, starts)

    def append(
        self, nodes: Nodes, column: int, allowed: Sequence[tuple[int, ...]], active: bool
    ) -> Transitions:
        """Append a column to every node, by each of the allowed digits.

        Args:
            nodes: N nodes.
            column: number of the column.
            allowed: its digits; one empty tuple beyond the operands.
            active: rows go on.

        Raises:
            CannotCertify: too many ways.
        """
        query = column - self.future
        special = min(query, self.singles + 1)
        key = (nodes.edges.tobytes(), nodes.state.tobytes(), special, tuple(allowed), active)
        if key not in self._cache:
            self._cache[key] = self._append(nodes, query, allowed, active)
        return self._cache[key]

    def _append(
        self, nodes: Nodes, query: int, allowed: Sequence[tuple[int, ...]], active: bool
    ) -> Transitions:
        if not len(nodes.state):  # all ways have gone wrong
            none = np.zeros(0, np.int64)
            return Transitions(nodes, none, none, np.zeros((0, 2), np.int64))
        if len(nodes.state) * len(allowed) > MOST:
            raise CannotCertify(
                f"the window holds {self.past + self.future + 1} columns, in more than {MOST:,} "
                "ways; there is a law for narrower windows or a smaller base"
            )
        kinds, number = np.unique(nodes.state, return_inverse=True)
        step = np.array([[self.edges.edge(s, d, active) for d in allowed] for s in kinds.tolist()])
        ways = step[number.ravel()]
        source, digit = np.nonzero(ways >= 0)
        edges = np.column_stack([nodes.edges[source], ways[source, digit]])
        table = self.edges.table()
        good, wrong = np.ones(len(edges), np.bool_), []
        if query >= 0:
            for output, places in self.seen.items():
                at, context = self._contexts(output, places, query, edges, table)
                bad = self.wrong[context]
                good[at[bad]] = False
                wrong.append(np.column_stack([source[at[bad]], context[bad]]))
        after = np.column_stack([edges[good, 1:], table[edges[good, -1], 1]])
        unique, target = np.unique(after, axis=0, return_inverse=True)
        reached = Nodes(np.ascontiguousarray(unique[:, :-1]), unique[:, -1].copy())
        costs = np.concatenate(wrong) if wrong else np.zeros((0, 2), np.int64)
        return Transitions(reached, source[good], target.ravel(), costs)

    def _contexts(
        self, output: Output, places: Places, query: int, edges: Ints, table: Ints
    ) -> tuple[Ints, Ints]:
        """The ways in which an output has a token at the query's column, and their contexts."""
        row, kind = output
        numbers, rows = self.edges.rule.numbers, len(self.edges.rule.passes)
        body, end = 2 + numbers, 2 + numbers + rows

        def token(edge: Ints, column: int) -> Ints:
            return np.where(edge >= 0, table[edge, column], ABSENT)

        target = token(edges[:, self.past], (body if kind == "body" else end) + row)
        at = np.flatnonzero(target != ABSENT)
        here, target = edges[at], target[at]
        own = table[here[:, self.past], 0]
        before = token(here[:, self.past - 1], body + row)
        first = self._mark(own, row - 1) if row else np.full(len(at), self.edges.words.equals)
        asked = np.where(before == ABSENT, first, before)
        columns = {"digit": 2, "body": body, "end": end}
        slots = list(places.moving)
        found = [
            token(here[:, self.past + slot.offset], columns[slot.source] + slot.number)
            for slot in slots
        ]
        for slot in (*places.always, *places.single.get(query, ())):
            slots.append(slot)
            found.append(self._whole(slot, own))
        shape = (len(at), len(found))
        shown = np.stack(found, axis=1) if found else np.zeros(shape, np.int64)
        rows_ = _rows(asked, target, shown, slots, self.width)
        return at, self._find(rows_)

    def _whole(self, slot: Seen, state: Ints) -> Ints:
        """A token without a column."""
        if slot.source == "token":
            return np.full(len(state), slot.number)
        if slot.source == "mark":
            return self._mark(state, slot.number)
        return np.array([s.digit for s in self.edges.states], np.int64)[state]

    def _mark(self, state: Ints, row: int) -> Ints:
        """The token that ends a row, by the guess of where it ends."""
        finish = self.edges.rule.passes[row].finish
        return np.array([finish(s.guess[row])[0] for s in self.edges.states], np.int64)[state]

    def _find(self, rows: Ints) -> Ints:
        """Numbers of contexts given as rows.

        Raises:
            CannotCertify: one is not among those enumerated.
        """
        order, keys = self._keys
        wanted = _codes(rows)
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        if (keys[place] != wanted).any():
            raise CannotCertify(
                "the law's windows show a context that the enumeration does not have; this is a "
                "defect of arithtf, please report task and coupling"
            )
        return order[place]


def _context_rows(contexts: ContextSet, width: int) -> tuple[Ints, NDArray[Any]]:
    """Numbers of contexts in the order of their codes, and the codes."""
    count = np.diff(contexts.offsets)
    seen = np.full((len(count), width, 3), -1, np.int64)
    row = np.repeat(np.arange(len(count)), count)
    at = np.arange(len(row)) - np.repeat(contexts.offsets[:-1], count)
    seen[row, at] = np.stack([contexts.level, contexts.difference, contexts.token], axis=1)
    head = np.stack([contexts.query_token, contexts.target], axis=1).astype(np.int64)
    codes = _codes(np.concatenate([head, seen.reshape(len(count), 3 * width)], axis=1))
    order = np.argsort(codes)
    return order, codes[order]


def _rows(query: Ints, target: Ints, tokens: Ints, slots: Sequence[Seen], width: int) -> Ints:
    """Contexts as rows: query, target, (level, difference, token) ascending, -1 beyond."""
    count = len(query)
    seen = np.full((count, max(width, len(slots)), 3), -1, np.int64)
    for i, slot in enumerate(slots):
        seen[:, i, 0], seen[:, i, 1], seen[:, i, 2] = slot.level, slot.difference, tokens[:, i]
    seen[seen[:, :, 2] == ABSENT] = -1
    # Absent ones are last: level -1 counts as the largest.
    level = np.where(seen[:, :, 0] < 0, 1 << 20, seen[:, :, 0])
    order = np.lexsort((seen[:, :, 2], seen[:, :, 1], level), axis=1)
    seen = np.take_along_axis(seen, order[:, :, None], axis=1)[:, :width]
    return np.concatenate(
        [np.stack([query, target], axis=1), seen.reshape(count, 3 * width)], axis=1
    )


def _codes(rows: Ints) -> NDArray[Any]:
    """Rows of an integer array as single items that can be sorted."""
    narrow = np.ascontiguousarray(rows.astype(">i4"))
    codes: NDArray[Any] = narrow.view(f"V{4 * rows.shape[1]}").reshape(-1)
    return codes
