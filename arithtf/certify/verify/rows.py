"""The rows of a scratchpad as a finite automaton.

A row reads, in every column, a digit of the number Y that no row changes (the multiplicand, the
divisor, the next term) and of the number X that it changes (the sum so far, what is left). The
automaton knows the single digits that the row reads, the state of every pass, and how the passes
before the last will end (guessed at the beginning, compared at the end).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from arithtf.certify.verify.contexts import ABSENT, Ints, NotDerivable
from arithtf.tasks.arithmetic.scratchpad import Pass, Scratchpad

Bools = NDArray[np.bool_]


class Guess(NamedTuple):
    """How a pass ends: its last state, and the tokens of its last column (ABSENT: none)."""

    state: Any
    tokens: tuple[int, ...]


class State(NamedTuple):
    """What a row's automaton knows: digits of the single passes, guesses, states of the others."""

    digits: tuple[int, ...]
    guesses: tuple[Guess, ...]
    states: tuple[Any, ...]


class Rows:
    """The automaton of a scratchpad's rows; its symbols are columns, (digit of X, digit of Y).

    Args:
        pad: how the work is written.
        base: of the digits.

    Raises:
        NotDerivable: rows of another kind.
    """

    def __init__(self, pad: Scratchpad, base: int) -> None:
        self.pad, self.base = pad, base
        self.x, self.y, self.changed = _numbers(pad)
        self.wide = [p for p, one in enumerate(pad.passes) if not one.single]
        self.narrow = [p for p, one in enumerate(pad.passes) if one.single]
        self.states: list[State] = list(self._starts())
        self.starts = len(self.states)
        self._explore()

    def _chain(self, digits: Sequence[int], guesses: Sequence[Guess], last: Any = None) -> Any:
        """First states of the wide passes; with the last state of the last one, singles' tokens.

        Returns:
            States of wide passes, and the tokens of single passes as far as they are known.
        """
        state: Any = 0
        firsts: list[Any] = []
        tokens: list[tuple[int, ...]] = []
        wide = 0
        for one in self.pad.passes:
            state = one.start(state)
            if one.single:
                read = (digits[len(tokens)],) * len(one.reads)
                state, written = one.step(state, read)
                tokens.append(written)
                continue
            firsts.append(state)
            wide += 1
            if wide <= len(guesses):
                state = guesses[wide - 1].state
            elif last is None:
                break
            else:
                state = last
        return tuple(firsts), tuple(tokens)

    def _starts(self) -> Any:
        singles = [range(self.base) if self.pad.passes[p].reads else (0,) for p in self.narrow]
        for digits in product(*singles):
            guesses: list[tuple[Guess, ...]] = [()]
            for p in self.wide[:-1]:
                guesses = [
                    (*known, guess)
                    for known in guesses
                    for guess in self._ends(self.pad.passes[p], self._chain(digits, known)[0][-1])
                ]
            for known in guesses:
                yield State(digits, known, self._chain(digits, known)[0])

    def _columns(self) -> list[tuple[int, int]]:
        return [(x, y) for x in range(self.base) for y in range(self.base)]

    def _read(self, one: Pass, column: tuple[int, int]) -> tuple[int, ...]:
        return tuple(column[0] if name == self.x else column[1] for name in one.reads)

    def _ends(self, one: Pass, first: Any) -> set[Guess]:
        """All ways in which a pass can end."""
        reached, found = [first], set()
        for state in reached:  # grows while it is walked
            for column in self._columns():
                after, tokens = one.step(state, self._read(one, column))
                found.add(Guess(after, _last(one, tokens)))
                if after not in reached:
                    reached.append(after)
        return found

    def _explore(self) -> None:
        """Tables [states, symbols]: next states, tokens of every wide pass, right guesses."""
        number = {state: i for i, state in enumerate(self.states)}
        following, written, right = [], [], []
        passes = [self.pad.passes[p] for p in self.wide]
        for state in self.states:  # grows while it is walked
            nexts, tokens, fits = [], [], []
            for column in self._columns():
                made = [
                    one.step(s, self._read(one, column))
                    for one, s in zip(passes, state.states, strict=True)
                ]
                after = State(state.digits, state.guesses, tuple(s for s, _ in made))
                if after not in number:
                    number[after] = len(number)
                    self.states.append(after)
                nexts.append(number[after])
                tokens.append([token for _, column_tokens in made for token in column_tokens])
                ends = [Guess(s, _last(p, t)) for p, (s, t) in zip(passes, made, strict=True)]
                fits.append(tuple(ends[:-1]) == state.guesses)
            following.append(nexts)
            written.append(tokens)
            right.append(fits)
        self.next = np.array(following, np.int64)
        self.right = np.array(right, np.bool_)
        table = np.array(written, np.int64)
        names = [(p, i) for p in self.wide for i in range(len(self.pad.passes[p].writes))]
        self.tokens = {place: table[:, :, i] for i, place in enumerate(names)}

    def guessed(self, p: int, i: int) -> Ints:
        """A token of the last column of a pass before the last, [states]."""
        n = self.wide.index(p)
        return np.array([state.guesses[n].tokens[i] for state in self.states], np.int64)

    @cached_property
    def endings(self) -> dict[tuple[int, int], Ints]:
        """Tokens of single passes in the states after a row's last column, [states]."""
        made = [self._chain(s.digits, s.guesses, s.states[-1])[1] for s in self.states]
        return {
            (p, i): np.array([tokens[n][i] for tokens in made], np.int64)
            for n, p in enumerate(self.narrow)
            for i in range(len(self.pad.passes[p].writes))
        }

    def left(self) -> Ints:
        """What is left on the changed single track after the last column, [states]; else 0."""
        for (p, i), tokens in self.endings.items():
            if self.changed and self.pad.passes[p].writes[i] == self.changed:
                return tokens
        return np.zeros(len(self.states), np.int64)

    def digit(self, track: str) -> Ints:
        """The digit of a single track that a row reads, [states]."""
        n = [track in self.pad.passes[p].reads for p in self.narrow].index(True)
        return np.array([state.digits[n] for state in self.states], np.int64)

    @property
    def replaced(self) -> tuple[int, int]:
        """Pass and number of the token that replaces the digit of X."""
        return next(
            (p, self.pad.passes[p].writes.index(self.x))
            for p in self.wide
            if self.x in self.pad.passes[p].writes
        )


def _last(one: Pass, tokens: tuple[int, ...]) -> tuple[int, ...]:
    names = one.names(last=True)
    return tuple(t if n in names else ABSENT for n, t in zip(one.writes, tokens, strict=True))


def _numbers(pad: Scratchpad) -> tuple[str, str, str]:
    """Names of X, of Y, and of the single track that rows change, if there is one.

    Raises:
        NotDerivable: tracks or passes of another kind.
    """
    writes = [(name, p) for p, one in enumerate(pad.passes) for name in one.writes]
    reads = [(name, p) for p, one in enumerate(pad.passes) for name in one.reads]
    changed = [name for name, _ in writes if name in pad.tracks]
    kept = [n for n in pad.tracks if n in dict(reads) and n not in changed and not pad.single(n)]
    singles = [name for name in changed if pad.single(name)]
    numbers = [name for name in changed if not pad.single(name)]
    if len(numbers) != 1 or len(kept) != 1 or len(singles) > 1:
        raise NotDerivable("a row is known that changes one number by another, and one digit")
    x, y = pad.tracks[numbers[0]], pad.tracks[kept[0]]
    wide = [p for p, one in enumerate(pad.passes) if not one.single]
    narrow = [name for name, p in reads if p not in wide]
    adds = (x.operand, x.moves, y.operand, y.each, singles, pad.repeat) == (0, 0, 1, True, [], 1)
    first = None if x.moves >= 0 else pad.turns
    last = max(track.operand or 0 for track in pad.tracks.values())
    holds = {
        "passes over columns are neighbours behind a mark": wide[0] > 0
        and wide == [*range(wide[0], wide[-1] + 1)],
        "what is copied behind the rows has digits": all(p.lengths for p in pad.tail if p.track),
        "what is changed is read no more": all(
            p <= dict(writes)[name] for name, p in reads if name in changed
        ),
        "single passes read a digit each": len({*narrow}) == len(narrow)
        and all(len(one.reads) < 2 for one in pad.passes if one.single),
        "single digits that rows change are 0 at a turn's beginning": all(
            pad.tracks[name].moves and pad.tracks[name].operand is None for name in singles
        ),
        "operands begin where rows do": adds
        if pad.columns is None
        else (x.operand, y.operand, y.moves, y.each) == (first, pad.columns, 0, False),
        "a divisor is what rows change nothing of": not pad.divides or y.operand == last,
    }
    if unlike := [what for what, fits in holds.items() if not fits]:
        raise NotDerivable(f"a scratchpad is known in which {unlike[0]}")
    return numbers[0], kept[0], singles[0] if singles else ""
