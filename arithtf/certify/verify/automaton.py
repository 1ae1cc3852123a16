"""A column task's declared rule as a finite automaton, step 1 of `columns`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from arithtf.certify.verify.contexts import ABSENT, Ints
from arithtf.certify.verify.walk import Key, Machine, reaching
from arithtf.tasks.arithmetic.transducer import Rule
from arithtf.tasks.vocabulary import DigitVocabulary

_OVER, _MAY_END, _GOES_ON, _BEGINS = range(4)
"""How an operand can go on; one that "goes on" had the digit 0, with which no number begins."""

Column = tuple[int, ...]


class State(NamedTuple):
    """What the automaton knows before a column.

    Args:
        digit: the operand that is a single digit; 0 if there is none.
        guess: the states in which the rows before the last end.
        read: columns read, if there is a limit.
        ends: how each operand can go on.
        rows: the states of the rows; once they have ended, what they end with.
        tail: columns since then; -1 before.
    """

    digit: int
    guess: tuple[Any, ...]
    read: int
    ends: tuple[int, ...]
    rows: tuple[Any, ...]
    tail: int


class Automaton:
    """A rule as tables. Symbols are columns; the last one is an empty column.

    Args:
        rule: the rule.
        words: the task's vocabulary.
    """

    def __init__(self, rule: Rule, words: DigitVocabulary) -> None:
        self.rule, self.words = rule, words
        self.symbols: list[Column] = [*rule.columns(words.base), (ABSENT,) * rule.numbers]
        self._steps: dict[tuple[int, Any, Column], tuple[Any, int]] = {}
        self.states = list(self._starts())
        self.starts = len(self.states)
        number = {state: i for i, state in enumerate(self.states)}
        cells = []
        for state in self.states:  # grows while it is walked
            for symbol, column in enumerate(self.symbols):
                if (found := self._follow(state, column)) is not None:
                    after, written = found
                    if after not in number:
                        number[after] = len(number)
                        self.states.append(after)
                    cells.append((number[state], symbol, number[after], *written))
        table = np.array(cells, np.int64)
        shape = (len(self.states), len(self.symbols))
        following = np.full(shape, -1, np.int64)
        following[table[:, 0], table[:, 1]] = table[:, 2]
        ends = np.array([s.tail == 2 and set(s.ends) == {_OVER} for s in self.states])
        self.after = reaching(following, ends)
        # [2 R, states, symbols]: a row's token in its columns, and the token that ends it.
        self.written = np.full((2 * len(rule.passes), *shape), ABSENT, np.int64)
        self.written[:, table[:, 0], table[:, 1]] = table[:, 3:].T

    def machine(self) -> Machine:
        """The tables: outputs "body" and "end" of rows, "digit" of operands; singles of states."""
        rows = range(len(self.rule.passes))
        outputs: dict[Key, Ints] = {("body", row): self.written[row] for row in rows}
        outputs |= {("end", row): self.written[len(rows) + row] for row in rows}
        for i, digits in enumerate(np.array(self.symbols, np.int64).T):
            outputs["digit", i] = np.broadcast_to(digits, self.after.shape)
        singles: dict[Key, Ints] = {("operand",): np.array([s.digit for s in self.states])}
        for row, one in enumerate(self.rule.passes[:-1]):
            marks = [one.finish(state.guess[row])[0] for state in self.states]
            singles["mark", row] = np.array(marks, np.int64)
        return Machine(self.after, self.starts, outputs, singles)

    def _starts(self) -> Iterator[State]:
        ends = (_BEGINS,) * self.rule.numbers
        for digit in range(self.words.base) if self.rule.last_digit else (0,):
            for guess in self._guesses(0, digit):
                before = (digit if self.rule.last_digit else 0, *guess)
                rows = tuple(
                    row.first(value) for row, value in zip(self.rule.passes, before, strict=True)
                )
                yield State(digit, guess, 0, ends, rows, -1)

    def _guesses(self, row: int, before: Any) -> Iterator[tuple[Any, ...]]:
        """The states in which rows from `row` on to the last but one can end."""
        if row == len(self.rule.passes) - 1:
            yield ()
            return
        reached = [self.rule.passes[row].first(before)]
        for state in reached:  # grows while it is walked
            for column in self.symbols[:-1]:
                after = self._step(row, state, column)[0]
                if after not in reached:
                    reached.append(after)
        for state in reached:
            yield from ((state, *rest) for rest in self._guesses(row + 1, state))

    def _step(self, row: int, state: Any, column: Column) -> tuple[Any, int]:
        key = (row, state, column)
        if key not in self._steps:
            self._steps[key] = self.rule.passes[row].step(state, column)
        return self._steps[key]

    def _follow(self, state: State, column: Column) -> tuple[State, list[int]] | None:
        """The state after a column, and the tokens written there; None if it cannot follow."""
        ends = self._ends(state.ends, column)
        if ends is None:
            return None
        limit, count = self.rule.limit, len(self.rule.passes)
        if state.tail < 0 and max(column) > ABSENT and not (limit and state.read == limit):
            made = [self._step(row, s, column) for row, s in enumerate(state.rows)]
            rows = tuple(after for after, _ in made)
            read = state.read + (limit > 0)
            written = [token for _, token in made] + [ABSENT] * count
            return State(state.digit, state.guess, read, ends, rows, -1), written
        rows, tail = state.rows, state.tail
        if tail < 0:  # the rows end here
            if rows[:-1] != state.guess:
                return None
            finished = (p.finish(s) for p, s in zip(self.rule.passes, rows, strict=True))
            rows, tail = tuple(tuple(tokens) for tokens in finished), 0
        last = (*rows[-1], self.words.eos)
        body = [ABSENT] * (count - 1) + [last[tail] if tail < len(last) else ABSENT]
        apart = [tokens[0] if tail == 0 else ABSENT for tokens in rows[:-1]] + [ABSENT]
        # Two empty columns suffice for a digit and EOS; later ones are all alike.
        return State(state.digit, state.guess, 0, ends, rows, min(tail + 1, 2)), body + apart

    def _ends(self, before: tuple[int, ...], column: Column) -> tuple[int, ...] | None:
        """How the operands can go on after a column; None if it cannot follow."""
        rule, first = self.rule, _BEGINS in before
        after = []
        for end, digit in zip(before, column, strict=True):
            if digit == ABSENT:
                if end in (_GOES_ON, _BEGINS):
                    return None
                after.append(_OVER)
            elif end == _OVER:
                return None
            else:
                free = rule.strings or first or digit
                after.append(_MAY_END if free else _GOES_ON)
        if max(column) > ABSENT and not rule.strings:
            if rule.from_left:  # the first digits are in front: one is not 0, or they stand alone
                alone = first and max(column) == 0
                after = [_OVER if alone else _MAY_END] * rule.numbers
            elif rule.padded and _MAY_END in after:  # zeros of the shorter operand are padding
                after = [_MAY_END] * rule.numbers
        return tuple(after)

    def write(self, operands: Sequence[Sequence[int]]) -> list[int]:
        """The answer's tokens to operands' digits, most significant first, EOS included."""
        rule = self.rule
        numbers = [list(digits) for digits in operands[: rule.numbers]]
        longest = max(map(len, numbers))
        if rule.padded:
            numbers = [[0] * (longest - len(digits)) + digits for digits in numbers]
        if not rule.from_left:
            numbers = [digits[::-1] for digits in numbers]
        symbol = {column: i for i, column in enumerate(self.symbols)}
        word = [
            symbol[tuple(d[k] if k < len(d) else ABSENT for d in numbers)] for k in range(longest)
        ] + [len(symbol) - 1] * 2
        digit = operands[-1][0] if rule.last_digit else 0
        for start in range(self.starts):
            if self.states[start].digit != digit:
                continue
            state, columns = start, []
            for s in word:
                columns.append(self.written[:, state, s])
                if (state := int(self.after[state, s])) < 0:
                    break  # another guess is the right one
            else:
                table = np.array(columns).reshape(len(word), 2, -1)  # body and end of each row
                rows = table.transpose(2, 0, 1).reshape(-1)
                return [int(token) for token in rows if token != ABSENT]
        raise ValueError(f"the rule writes no answer to {operands}")
