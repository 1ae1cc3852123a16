"""A scratchpad as tables: its passes with their states numbered, its rows as runs of segments."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arithtf import _core
from arithtf.tasks.arithmetic.scratchpad import Pass, Scratchpad, Where
from arithtf.tasks.vocabulary import DigitVocabulary

_LARGEST = 1 << 22  # entries of a pass's table


class Table(NamedTuple):
    """A pass with its states numbered.

    Args:
        states: all that can be reached.
        can_end: bool [states], whether it can be the state after the last column.
        start: int64 [states of the pass before], numbers of states; 0 where that pass cannot end.
        next: int64 [states, symbols], numbers of states. A column's symbol is its digits, the first
            one the least significant place in the base.
        tokens: uint8 [states, symbols, names]. Of a single pass both hold 0 for states in which it
            does not start.
    """

    states: tuple[Hashable, ...]
    can_end: NDArray[np.bool_]
    start: NDArray[np.int64]
    next: NDArray[np.int64]
    tokens: NDArray[np.uint8]


def tables(pad: Scratchpad, words: DigitVocabulary) -> tuple[Table, ...]:
    """Number the states of every pass.

    Raises:
        ValueError: a pass has too many states and symbols, or writes what is no token.
    """
    found: list[Table] = []
    before: list[tuple[Hashable, bool]] = [(0, True)]
    for one in pad.passes:
        number: dict[Hashable, int] = {}
        start = [
            number.setdefault(one.start(state), len(number)) if can_end else 0
            for state, can_end in before
        ]
        following, written = _walk(one, number, words)
        shape = (len(number), following.shape[1])
        table = Table(
            states=tuple(number),
            can_end=np.isin(np.arange(len(number)), following),
            start=np.array(start, np.int64),
            next=np.zeros(shape, np.int64),
            tokens=np.zeros((*shape, len(one.writes)), np.uint8),
        )
        table.next[: len(following)], table.tokens[: len(written)] = following, written
        found.append(table)
        before = list(zip(table.states, table.can_end.tolist(), strict=True))
    return tuple(found)


def _walk(
    one: Pass, number: dict[Hashable, int], words: DigitVocabulary
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Next states and tokens, from the states that are numbered on; numbers those that follow."""
    columns = [c[::-1] for c in product(range(words.base), repeat=len(one.reads))]
    following, written = [], []
    walked = list(number)
    for state in walked:  # grows on the way; the one column of a single pass is not walked from
        steps = [one.step(state, column) for column in columns]
        for after, _ in steps:
            if after not in number:
                number[after] = len(number)
                walked += [] if one.single else [after]
        if len(number) * len(columns) > _LARGEST:
            raise ValueError(
                f"expected tables of at most {_LARGEST:,} entries, got base {words.base}: the pass "
                f"that writes {', '.join(one.writes)} has {len(number):,} states or more and "
                f"{len(columns):,} symbols; use a smaller base"
            )
        tokens = np.array([tokens for _, tokens in steps]).reshape(len(columns), len(one.writes))
        if tokens.size and not 0 <= tokens.min() <= tokens.max() < words.size:
            raise ValueError(
                f"expected tokens of 0..{words.size - 1} for {', '.join(one.writes)}, got "
                f"{tokens.min()}..{tokens.max()} in state {state!r}"
            )
        following.append(np.array([number[after] for after, _ in steps], np.int64))
        written.append(tokens.astype(np.uint8))
    return np.stack(following), np.stack(written)


def core_task(
    pad: Scratchpad, words: DigitVocabulary, prompt: Sequence[str], sign: str
) -> _core.Task:
    """A scratchpad as tables of the C++ core.

    Args:
        pad: how the work is written.
        words: the task's vocabulary.
        prompt: segments of the prompt.
        sign: what stands between operands.

    Raises:
        ValueError: a pass with tables that are too large, or that leaves on a track what is no
            digit; a segment that is not one of the scratchpad's.
    """
    names = [*pad.tracks]
    segments = {name: len(prompt) + i for i, name in enumerate(pad.segments)}
    passes = [
        _core.ScratchpadPass(
            single=one.single,
            reads=[names.index(name) for name in one.reads],
            changes=next(
                ((names.index(n), i) for i, n in enumerate(one.writes) if n in names), None
            ),
            last=[one.writes.index(name) for name in one.names(last=True)],
            start=table.start,
            next=table.next,
            tokens=table.tokens,
        )
        for one, table in zip(pad.passes, tables(pad, words), strict=True)
    ]
    return _core.scratchpad_task(
        base=words.base,
        segments=len(prompt) + len(pad.segments),
        tracks=[(t.operand, t.each, t.moves, pad.single(n)) for n, t in pad.tracks.items()],
        passes=passes,
        runs=[_row_runs(pad, kind, segments) for kind in range(8)],
        tail=[
            (
                segments[part.segment],
                None if part.track is None else names.index(part.track),
                list(part.lengths),
                words.eos if part.end is None else part.end,
                ("zero", "last", "next").index(part.row),
            )
            for part in pad.tail
        ],
        turns=pad.turns,
        columns=pad.columns,
        repeat=pad.repeat,
        divides=pad.divides,
        separator=words.id(sign),
    )


def _row_runs(pad: Scratchpad, kind: int, segments: Mapping[str, int]) -> NDArray[np.int64]:
    """Where the tokens of each segment stand in a row of any number of columns.

    All columns between the first and the last are alike, so that the runs of rows of three and four
    columns tell how those of all rows follow from the number of columns.

    Args:
        pad: how the work is written.
        kind: of row, bits for `Where.begins`, `ends` and `last_row`.
        segments: their numbers.

    Returns:
        int64 [runs, 5, 2]: segment, distance of two tokens, column of the first, how many they are,
        place of the first in the row; each as what it is with no column and what every column adds.
    """
    three, four = (np.array(_runs_of(pad, kind, columns, segments)) for columns in (3, 4))
    by_column = four - three
    return np.stack([three - 3 * by_column, by_column], axis=-1)


def _runs_of(
    pad: Scratchpad, kind: int, columns: int, segments: Mapping[str, int]
) -> list[list[int]]:
    """The runs of a row of so many columns, see `_row_runs`."""
    row = bool(kind & 1), bool(kind & 2), bool(kind & 4)
    runs: list[list[int]] = []
    begin = 0
    for one in pad.passes:
        last, stride = 0 if one.single else columns - 1, len(one.writes)
        for name in one.writes:
            for i in range(last + 1):
                names = one.names(last=i == last)
                if name not in names:
                    continue
                token = begin + i * stride + names.index(name)
                where = Where(*row, first_column=i == 0, last_column=i == last)
                segment = segments[pad.segment(name, where)]
                if i > 0 and runs[-1][0] == segment and runs[-1][4] + runs[-1][3] * stride == token:
                    runs[-1][3] += 1  # goes on with the column before
                else:
                    runs.append([segment, stride, i, 1, token])
        begin += last * stride + len(one.names(last=True))
    return runs
