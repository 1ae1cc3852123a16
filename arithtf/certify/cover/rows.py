"""Rows of scratchpads as finite automata: which local contexts occur, and words that show them.

A row of a scratchpad is written column by column from a finite state. What stands in its columns
(digits of operands, digits that the row above has left) is a word; which words there can be is
said by an invariant, itself kept by the state. What a query sees is a function of the state before
its column and of the column, so the contexts that occur are those of the edges that lie on a path
from a start to an accepting state. There are finitely many, however long the words are.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from arithtf.tasks.arithmetic.operands import Operands, int_digits


class RowMachine(NamedTuple):
    """A kind of row.

    Args:
        starts: states before the first column, for every value of what is the same in all columns.
        symbols: what a column can hold.
        step: state and symbol -> next state; None where the symbol cannot follow.
        accepts: whether the row can end in a state.
        shown: state, and symbol or None for the end of the row -> all that the queries there see.
    """

    starts: Sequence[Hashable]
    symbols: Sequence[Any]
    step: Callable[[Any, Any], Hashable | None]
    accepts: Callable[[Any], bool]
    shown: Callable[[Any, Any], Iterable[Hashable]]


class Word(NamedTuple):
    """A row: the state it starts from and its columns, tuples of digits or None."""

    start: Any
    columns: tuple[tuple[int | None, ...], ...]

    def numbers(self, base: int) -> list[int]:
        """The numbers whose digits stand in the columns, least significant first; None is a 0."""
        values = [0] * len(self.columns[0])
        for column in reversed(self.columns):
            values = [v * base + (d or 0) for v, d in zip(values, column, strict=True)]
        return values


class _Graph:
    """All states of a machine that can be reached, with the shortest ways to and from each."""

    def __init__(self, machine: RowMachine) -> None:
        self.machine = machine
        self.edges: dict[Hashable, list[tuple[Any, Hashable]]] = {}
        self.came: dict[Hashable, tuple[Hashable, Any] | None] = dict.fromkeys(machine.starts)
        queue = list(self.came)
        before: dict[Hashable, list[tuple[Any, Hashable]]] = {}
        for state in queue:  # grows while it is walked
            out = self.edges[state] = []
            for symbol in machine.symbols:
                after = machine.step(state, symbol)
                if after is None:
                    continue
                out.append((symbol, after))
                before.setdefault(after, []).append((symbol, state))
                if after not in self.came:
                    self.came[after] = (state, symbol)
                    queue.append(after)
        self.goes: dict[Hashable, tuple[Any, Hashable] | None] = {
            state: None for state in queue if machine.accepts(state)
        }
        ends = list(self.goes)
        for state in ends:
            for symbol, earlier in before.get(state, []):
                if earlier not in self.goes:
                    self.goes[earlier] = (symbol, state)
                    ends.append(earlier)

    def word(self, state: Hashable, symbols: Sequence[Any], after: Hashable) -> Word:
        """The shortest row through an edge (or, with no symbol, a state)."""
        columns = list(symbols)
        while (came := self.came[state]) is not None:
            state = came[0]
            columns.insert(0, came[1])
        while (goes := self.goes[after]) is not None:
            columns.append(goes[0])
            after = goes[1]
        return Word(state, tuple(columns))


def row_words(machine: RowMachine) -> Iterator[Word]:
    """Rows that show all that any row of the machine shows."""
    graph = _Graph(machine)
    found: set[Hashable] = set()

    def note(word: Word) -> Word:
        state = word.start
        for symbol in word.columns:
            found.update(machine.shown(state, symbol))
            state = machine.step(state, symbol)
        found.update(machine.shown(state, None))
        return word

    for state, edges in graph.edges.items():
        for symbol, after in edges:
            if after in graph.goes and not found.issuperset(machine.shown(state, symbol)):
                yield note(graph.word(state, (symbol,), after))
        if machine.accepts(state) and not found.issuperset(machine.shown(state, None)):
            yield note(graph.word(state, (), state))


def shortest_first(problems: Iterable[tuple[int, ...]], base: int, arity: int) -> Operands:
    """Distinct problems, those of little work first."""
    ordered = sorted(set(problems), key=lambda p: (sum(len(int_digits(x, base)) for x in p), p))
    return Operands.from_ints(ordered, base=base, arity=arity)
