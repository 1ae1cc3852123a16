"""Problems of a column task that contain every local context.

The automaton reads one column of digits at a time and carries the states of all rows at once. What
a later row starts from (the last operand's digit, the last state of the row before) is known only
when the word is over, so it is guessed with the first column and checked at the end. Then every
token of every row, and every token that is seen from afar, is a function of the label left of a
window and of the columns since: the proof in `columns` holds row by row. (The query token before a
row's first is the end of the row before, a function of the guess.) Where each row's state tells the
token written last, as in a running residue, the query token is a function of the
label left of its own column, and windows need no column for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arithtf import _core
from arithtf.certify.cover.columns import ColumnAutomaton, column_reach
from arithtf.encodings.windows import WindowLike
from arithtf.tasks import ABSENT, ColumnTask, Coupling, Operands, Rule
from arithtf.tasks.arithmetic.transducer import Table, tables

_ENDED, _MAY_END, _MUST_GO_ON = 0, 1, 2  # a number whose last digit so far is 0 must go on
Guess = tuple[int, ...]  # what each pass starts from


class _State(NamedTuple):
    """Where a word is.

    Args:
        read: columns read, up to one more than the rule's limit; 0 throughout if it has none. The
            last query stands right behind the limit, and must not be taken for a later column.
        ends: how each operand can go on.
        guess: number of what was guessed with the first column, -1 before it.
        rows: numbers of the rows' states.
    """

    read: int
    ends: tuple[int, ...]
    guess: int
    rows: tuple[int, ...]


class Columns(NamedTuple):
    """What the automaton's symbols stand for: symbol = guess * len(digits) + column.

    Args:
        digits: int16 [columns, numbers], -1 where an operand has ended.
        guesses: int16 [guesses], digit of the last operand where there is one.
    """

    digits: NDArray[np.int16]
    guesses: NDArray[np.int16]


def rule_automaton(rule: Rule, base: int, folded: bool) -> tuple[ColumnAutomaton, Columns]:
    """The automaton of a rule.

    Folding leaves out problems that are others with digits exchanged between the operands. That is
    exact where both operands have the same ids: exchanging the two digits of a column changes
    neither a token of the answer nor the multiset of tokens at any id. Every problem can be brought
    to the form "b not longer than a, and in each column that both have, a's digit is not the larger
    one": b's top digit only grows by it; a's top digit changes only if both end there, and then
    both are not 0 (or are the whole numbers). So both stay numbers without leading zeros.

    Args:
        rule: the rule.
        base: of the digits.
        folded: leave out words that are others with digits exchanged between the operands.

    Returns:
        The automaton, and what its symbols stand for.
    """
    rows = tables(rule, base)
    columns = list(rule.columns(base))
    if folded:
        columns = [c for c in columns if c[0] > ABSENT and (c[-1] == ABSENT or c[0] <= c[-1])]
    first = range(base) if rule.last_digit else (0,)
    guesses: list[Guess] = list(product(first, *(range(len(row.states)) for row in rows[:-1])))
    ends = tuple(_ENDED for _ in range(rule.numbers))
    begin = _State(0, ends, -1, ())
    number, reached = {begin: 0}, [begin]
    cells: list[tuple[int, int, int]] = []
    for state in reached:  # grows while it is walked
        for guess in range(len(guesses)) if state.guess < 0 else (state.guess,):
            for c, column in enumerate(columns):
                after = _step(rule, rows, guesses, state, guess, column)
                if after is None:
                    continue
                if after not in number:
                    number[after] = len(number)
                    reached.append(after)
                cells.append((number[state], guess * len(columns) + c, number[after]))
    transitions = np.full((len(reached), len(guesses) * len(columns)), -1, np.int32)
    where = np.array(cells)
    transitions[where[:, 0], where[:, 1]] = where[:, 2]
    label: dict[tuple[int, int, tuple[int, ...]], int] = {}
    labels = [label.setdefault((s.read, s.guess, s.rows), len(label)) for s in reached]
    accepting = [
        s.guess >= 0 and _MUST_GO_ON not in s.ends and s.rows[:-1] == guesses[s.guess][1:]
        for s in reached
    ]
    automaton = ColumnAutomaton(transitions, np.array(labels, np.int32), 0, np.array(accepting))
    digits = np.array(columns, np.int16).reshape(len(columns), -1)
    return automaton, Columns(digits, np.array([g[0] for g in guesses], np.int16))


def _step(
    rule: Rule,
    tables: Sequence[Table],
    guesses: Sequence[Guess],
    state: _State,
    guess: int,
    column: tuple[int, ...],
) -> _State | None:
    first = state.guess < 0
    ends = _ends(rule, state.ends, column, first)
    if ends is None:
        return None
    rows = state.rows
    if first:
        rows = tuple(int(t.start[value]) for t, value in zip(tables, guesses[guess], strict=True))
    read = state.read
    if not rule.limit or read < rule.limit:
        rows = tuple(t.step[row, column][0] for t, row in zip(tables, rows, strict=True))
    if rule.limit:
        read = min(read + 1, rule.limit + 1)
    return _State(read, ends, guess, rows)


def _ends(
    rule: Rule, before: tuple[int, ...], column: tuple[int, ...], first: bool
) -> tuple[int, ...] | None:
    """Whether each operand may end after this column; None where the column cannot follow."""
    if rule.from_left:  # one string, or padded numbers; only the first column is special
        if rule.strings:
            return tuple(_MAY_END for _ in column)
        if not first and _ENDED in before:
            return None
        # Two leading zeros are the one-digit numbers 0 and 0.
        return tuple(_ENDED if first and max(column) == 0 else _MAY_END for _ in column)
    ends = []
    for end, digit in zip(before, column, strict=True):
        if digit == ABSENT:
            if first or end == _MUST_GO_ON:
                return None
            ends.append(_ENDED)
        elif end == _ENDED and not first:
            return None
        else:
            ends.append(_MAY_END if first or digit or rule.strings else _MUST_GO_ON)
    if rule.padded and _MAY_END in ends:  # the shorter operand's leading zeros are padding
        ends = [_MAY_END for _ in ends]
    return tuple(ends)


def column_covering_set(
    task: ColumnTask,
    coupling: Coupling,
    windows: Sequence[WindowLike],
    max_windows: int = 20_000_000,
) -> Operands:
    """Problems that contain every local context of any problem of any length.

    Args:
        task: the task.
        coupling: where its ids come from; forms must be aligned with the columns.
        windows: one finite window per level.
        max_windows: the largest number of windows of columns to enumerate.

    Returns:
        The problems, short ones first.

    Raises:
        ValueError: the coupling or the windows do not allow it, or reach too far.
    """
    rule, base = task.rule(), task.base
    operands = ("a", "b")[: rule.numbers]
    # Columns are counted from the end that is read first, wherever that is written.
    form = "left" if rule.from_left != rule.reversed else "right"
    reach = column_reach(
        coupling,
        windows,
        dict.fromkeys(operands, form),
        rows=[(row.row, row.end) for row in rule.passes],
        knows_column=rule.limit > 0,
        knows_last=_knows_last(rule, base),
    )
    folded = rule.symmetric and all(
        level.key.get(operands[0]) == level.key.get(operands[-1]) for level in coupling.levels
    )
    automaton, columns = rule_automaton(rule, base, folded)
    try:
        symbols, offsets, *_ = _core.cover(
            automaton.transitions,
            automaton.labels.tolist(),
            automaton.start,
            automaton.accepting.tolist(),
            reach.past,
            reach.future,
            max_windows,
        )
    except ValueError as error:
        raise ValueError(
            f"{error}; level {reach.level!r} makes a query depend on {reach.past} columns before"
            f" and {reach.future} after its own: use narrower windows"
        ) from None
    digits = columns.digits[symbols % len(columns.digits)].astype(np.int64)
    guesses = columns.guesses[symbols[offsets[:-1]] // len(columns.digits)]
    last = guesses if rule.last_digit else None
    return Operands(*_to_operands(rule, digits, offsets, last), rule.arity)


def _knows_last(rule: Rule, base: int) -> bool:
    """Whether each row's state tells the token that was written last."""
    for table in tables(rule, base):
        written: dict[int, int] = {}
        if any(written.setdefault(after, token) != token for after, token in table.step.values()):
            return False
    return True


def _to_operands(
    rule: Rule,
    columns: NDArray[np.int64],
    offsets: NDArray[np.int64],
    last: NDArray[np.int16] | None,
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Walks (columns [total, numbers] in the order read) as operands, short walks first."""
    walks, numbers = len(offsets) - 1, rule.numbers
    sizes = np.diff(offsets)
    rank = np.empty(walks, np.int64)
    rank[np.argsort(sizes, kind="stable")] = np.arange(walks)
    walk = np.repeat(np.arange(walks), sizes)
    place = np.arange(len(columns)) - offsets[walk]
    if rule.from_left:
        place = sizes[walk] - 1 - place  # significance of each column in its walk
    lengths = np.ones((walks, rule.arity), np.int64)
    for side in range(numbers):
        shown = columns[:, side] > 0 if rule.padded else columns[:, side] != ABSENT
        np.maximum.at(lengths[:, side], walk[shown], place[shown] + 1)
    in_order = np.empty_like(lengths)
    in_order[rank] = lengths
    ends = np.concatenate([[0], np.cumsum(in_order.ravel())])
    digits = np.empty(ends[-1], np.uint8)
    table = ends[1:].reshape(walks, rule.arity)
    for side in range(numbers):
        kept = place < lengths[walk, side]
        end = table[rank[walk[kept]], side]
        digits[end - 1 - place[kept]] = columns[kept, side]
    if last is not None:
        digits[table[rank, -1] - 1] = last
    return digits, ends
