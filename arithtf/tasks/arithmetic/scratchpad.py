"""Scratchpads as data: work written out row by row, by finite transducers over columns of digits.

A scratchpad is a loop of rows. A row is one pass or several: each reads the columns one after the
other, least significant first, keeps a state of finitely many values, and writes a token or several
for each column. What is left for the next row stands on *tracks*, arrays of digits of which a row
sees a window. In 12*34, written ^12*34=#088004400#060103400=8040$, there are three:

| track | at first | before the second row | at the end |
|---|---|---|---|
| a; all rows see the digits 2 1 0 | 2 1 0 | 2 1 0 | 2 1 0 |
| b; each row sees one digit, the first row the 4 | 4 3 | 4 3 | 4 3 |
| sum; a row sees three digits, the second row 4 0 0 | 0 0 0 0 | 8 4 0 0 | 8 0 4 0 |

How many rows and columns there are depends on the operands' lengths alone. So the segment of every
token, and with it its position ids, are known before the work is.

`write` runs a scratchpad in plain Python. `arithtf.tasks.arithmetic.scratchpad_tables` makes tables
of it for the C++ core, which writes the same tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from arithtf.tasks.vocabulary import DigitVocabulary

_MOST_READS, _MOST_TOKENS = 2, 4  # of a column: the core reads an entry of its tables at once


@dataclass(frozen=True, kw_only=True)
class Track:
    """Digits that passes read, least significant first, and those that they leave for later rows.

    Args:
        operand: the track holds this operand's digits at first, zeros beyond them; None: zeros.
        each: the operand is another one in every turn, that of turn t is `operand` + t.
        moves: cells by which what a row sees moves from turn to turn: 0, 1 (up from the lowest
            cell) or -1 (down to it).
    """

    operand: int | None = None
    each: bool = False
    moves: Literal[-1, 0, 1] = 0

    def begin(self, turn: int, turns: int) -> int:
        """The lowest cell that the rows of a turn see."""
        return turn if self.moves > 0 else (turns - 1 - turn) * -self.moves


@dataclass(frozen=True, kw_only=True)
class Pass:
    """A part of a row: tokens for every column, or for one.

    Args:
        reads: tracks of whose windows each column gets one digit.
        writes: a name for each token of a column. A token with a track's name replaces the digit
            there.
        ends: those of the names that the last column writes; None: all.
        start: state before the first column, from the last state of the pass before (in a row's
            first pass from 0). The default goes on in that state.
        step: state and the column's digits -> next state and a token for each name.
        single: there is one column, and of the tracks it reads each row sees one cell.
    """

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...]
    ends: tuple[str, ...] | None = None
    start: Callable[[Any], Hashable] = lambda before: before
    step: Callable[[Any, tuple[int, ...]], tuple[Hashable, tuple[int, ...]]]
    single: bool = False

    def names(self, *, last: bool) -> tuple[str, ...]:
        """What a column writes."""
        return self.ends if last and self.ends is not None else self.writes


@dataclass(frozen=True, kw_only=True)
class Part:
    """What follows the rows: digits copied from a track, then a mark.

    Args:
        segment: of all its tokens.
        track: where the digits are, from the lowest cell on.
        lengths: there are as many digits as these operands have in all.
        end: the token after them; None in the last part, which ends with EOS.
        row: the part's row number is that of the last row, the one after it, or 0.
    """

    segment: str
    track: str | None = None
    lengths: tuple[int, ...] = ()
    end: int | None = None
    row: Literal["zero", "last", "next"] = "zero"


class Where(NamedTuple):
    """What a token's segment can depend on, besides its name.

    Args:
        begins, ends: its row is the first or the last one of a turn.
        last_row: its row is the last one of all.
        first_column, last_column: its column in the pass; a single one is both.
    """

    begins: bool
    ends: bool
    last_row: bool
    first_column: bool
    last_column: bool


@dataclass(frozen=True, kw_only=True)
class Scratchpad:
    """How the work of a task is written out.

    Args:
        segments: names of the parts of work and answer, as they are numbered after the prompt's.
        tracks: by name.
        passes: what a row consists of.
        segment: a token's name and where it stands -> its segment.
        tail: what follows the rows.
        turns: there is a turn of rows for each digit of this operand. None: for each operand after
            the first; rows are then numbered from 1, like the operands and the signs before them.
        columns: a row has a column more than this operand has digits. None: a column more than the
            longest operand and the number of turns have together, for the sum of all operands.
        repeat: rows in a turn.
        divides: the last operand is not 0.

    Raises:
        ValueError: parts that do not fit together.
    """

    segments: tuple[str, ...]
    tracks: Mapping[str, Track]
    passes: tuple[Pass, ...]
    segment: Callable[[str, Where], str] = lambda name, _: name
    tail: tuple[Part, ...]
    turns: int | None = None
    columns: int | None = None
    repeat: int = 1
    divides: bool = False

    def __post_init__(self) -> None:
        for one in self.passes:
            if len(one.writes) > _MOST_TOKENS or len(one.reads) > _MOST_READS:
                raise ValueError(
                    f"expected a pass of at most {_MOST_READS} tracks and {_MOST_TOKENS} tokens a "
                    f"column, got {one.reads} and {one.writes}; make two passes of it"
                )
            changed = [name for name in one.writes if name in self.tracks]
            if len(changed) > 1 or not set(changed) <= set(one.names(last=True)):
                raise ValueError(
                    f"a pass can change one track, in every column; {one.writes} has {changed}"
                )
            if any(self.tracks[name].each for name in changed):
                raise ValueError(f"track {changed[0]!r} is another one in every turn: read it only")
            for name in (*one.reads, *changed):
                if name not in self.tracks:
                    raise ValueError(f"expected one of the tracks {[*self.tracks]}, got {name!r}")
                if self.single(name) != one.single:
                    raise ValueError(f"of track {name!r} a row sees one cell or every column's")
        ends = [part.end is None for part in self.tail]
        if not ends or ends != [part is self.tail[-1] for part in self.tail]:
            raise ValueError("expected an `end` in every part but the last, which ends with EOS")

    @property
    def first_row(self) -> int:
        """The number of the first row."""
        return 1 if self.turns is None else 0

    def single(self, track: str) -> bool:
        """Whether a row sees one cell of a track."""
        uses = (one.single for one in self.passes if track in (*one.reads, *one.writes))
        return next(uses, False)

    def sizes(self, lengths: Sequence[int], base: int) -> tuple[int, int]:
        """Turns and columns of problems whose operands have so many digits."""
        if self.turns is not None and self.columns is not None:
            return lengths[self.turns], lengths[self.columns] + 1
        turns = rest = len(lengths) - 1
        columns = max(lengths) + 1
        while rest:  # k numbers below base^L have a sum below k base^L
            rest //= base
            columns += 1
        return turns, columns


class Written(NamedTuple):
    """A token of the work or the answer.

    Args:
        token: of the vocabulary.
        segment: its name.
        row: number of its row.
        left: how many tokens of its segment stand before it in this row; in a pass, its column.
    """

    token: int
    segment: str
    row: int
    left: int


def write(
    pad: Scratchpad, words: DigitVocabulary, operands: Sequence[Sequence[int]]
) -> list[Written]:
    """Work and answer, token by token: what the C++ core must write, as plainly as possible.

    Args:
        pad: how the work is written.
        words: the task's vocabulary.
        operands: digits of each, most significant first.

    Returns:
        All that follows the prompt, EOS included.
    """
    turns, columns = pad.sizes([len(digits) for digits in operands], words.base)
    changed: dict[tuple[str, int], int] = {}  # (track, cell) -> digit
    out = []

    def digit(name: str, cell: int, turn: int) -> int:
        track = pad.tracks[name]
        digits: Sequence[int] = ()
        if track.operand is not None:
            digits = operands[track.operand + turn * track.each]
        first = digits[-1 - cell] if cell < len(digits) else 0
        return changed.get((name, cell), first)

    rows = turns * pad.repeat
    for row in range(rows):
        turn, nth = divmod(row, pad.repeat)
        begin = {name: track.begin(turn, turns) for name, track in pad.tracks.items()}
        kind = (nth == 0, nth == pad.repeat - 1, row == rows - 1)
        state: Hashable = 0
        for one in pad.passes:
            state = one.start(state)
            last = 0 if one.single else columns - 1
            for i in range(last + 1):
                read = tuple(digit(name, begin[name] + i, turn) for name in one.reads)
                state, tokens = one.step(state, read)
                where = Where(*kind, first_column=i == 0, last_column=i == last)
                for name, token in zip(one.writes, tokens, strict=True):
                    if name in one.names(last=i == last):
                        out.append(Written(token, pad.segment(name, where), pad.first_row + row, i))
                        if name in pad.tracks:
                            changed[name, begin[name] + i] = token
    number = {"zero": 0, "last": pad.first_row + rows - 1, "next": pad.first_row + rows}
    for part in pad.tail:
        count = sum(len(operands[k]) for k in part.lengths)
        copied = [digit(part.track, cell, 0) for cell in range(count)] if part.track else []
        copied.append(words.eos if part.end is None else part.end)
        out += [Written(t, part.segment, number[part.row], i) for i, t in enumerate(copied)]
    return out
