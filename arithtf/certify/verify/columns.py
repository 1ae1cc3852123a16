"""All local contexts of a column task, by exploring its declared rule. Python and NumPy alone.

Why no context is missed and none is invented. Let a task have the rows 0 .. R-1, n columns, and a
coupling of levels with finite windows.

1. *An automaton.* It reads the columns of digits in the order of the rule, and knows how each
   operand may go on, the state of every row, and the states in which the rows before the last will
   end (guessed at the beginning, compared at the end: a later row starts from them). Behind the
   last column it goes on through empty columns, in which rows write what `finish` says. So every
   written token is an output of one edge: row and column name it. Edges that do not lie on a way
   from the beginning to an end are left out; those that do lie on the way of a real problem, since
   operands may be any digits but zeros in front.
2. *Fixed offsets.* A token of column k has the id o + s k, a query for column j the id o' + s' j.
   If s = s' is not 0, the query sees the columns j + d with o - o' + s d in the window: finitely
   many d, the same for every j. A token with one id for all (a sign, an operand of one digit, the
   end of a row) is seen by the queries of finitely many j, or by all if s' = 0. Everything else is
   refused: a query would see far columns, or ever more of them.
3. *A window.* So the context of the query for column j of a row is a function of the edges of
   columns j - past .. j + future, of the guesses, and of j as far as single tokens are concerned.
4. *All windows.* For j = 0 .. J the states before column j - past (or 0) are those reached after
   so many columns; J is so large that for larger j neither the beginning nor a single token is
   within reach, and there the states are those reached after J + 1 - past columns or more. Ways of
   past + 1 + future edges from these states are walked, all at once in arrays; what lies on one
   lies in a real problem by 1, and every real problem is one of them.

For 57+68 with the window (1, 0) and ids by columns, the query for the tens (j = 1) has past = 1 and
starts from the beginning: the edges (7, 8) with output 5, then (5, 6) with output 2. Its context is
5; 7 8 one column back; 5 6 in its own column; its target 2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from arithtf.certify.verify.automaton import Automaton
from arithtf.certify.verify.contexts import (
    ABSENT,
    Contexts,
    Ints,
    NotDerivable,
    distinct,
    from_slots,
    union,
)
from arithtf.tasks.arithmetic.transducer import Rule
from arithtf.tasks.vocabulary import DigitVocabulary

MOST = 30_000_000
"""Cases that are looked at together at most."""

FARTHEST = 1000
"""Columns that a window holds at most."""


Windows = Sequence[Sequence[int]]


class Slot(NamedTuple):
    """A token that a query sees.

    Args:
        level, difference: where it sees it.
        source: "digit" of operand `number`; "body" or "end" of row `number`; or one for the whole
            problem: the "token" `number`, the "operand" of a single digit, the "mark" that ends row
            `number`.
        number: see `source`.
        offset: its column less the query's.
    """

    level: int
    difference: int
    source: str
    number: int
    offset: int = 0


class Source(NamedTuple):
    """Tokens of a segment: `source` and `number` of their slots, the form's factor by column."""

    segment: str
    source: str
    number: int
    slope: str | None


class Seen(NamedTuple):
    """What the queries of a segment see.

    Args:
        moving: in every column.
        single: column of the query -> tokens seen from there.
        always: tokens without a column that all of them see.
    """

    moving: list[Slot]
    single: dict[int, list[Slot]]
    always: list[Slot]


def _sources(rule: Rule, words: DigitVocabulary, prompt: Sequence[str], sinks: int) -> list[Source]:
    """All tokens that can be seen, but for sinks."""
    operands, between = prompt[1:-1:2], prompt[2:-1:2]
    slope = "left" if rule.from_left != rule.reversed else "right"
    found = [] if sinks else [Source(prompt[0], "token", words.bos, None)]
    found += [Source(name, "digit", i, slope) for i, name in enumerate(operands[: rule.numbers])]
    found += [Source(name, "operand", 0, None) for name in operands[rule.numbers :]]
    found += [Source(name, "token", words.id(name), None) for name in between]
    found.append(Source(prompt[-1], "token", words.equals, None))
    for number, row in enumerate(rule.passes):
        found.append(Source(row.row, "body", number, "left"))
        found += [Source(row.end, "end", number, "left")] if row.end else []
    return found


def _seen(
    sources: Sequence[Source], levels: Sequence[Any], windows: Windows, row: int, segment: str
) -> Seen:
    """What the queries for a segment of a row see.

    Raises:
        NotDerivable: tokens at no fixed offset.
    """
    seen = Seen([], {}, [])
    for number, (level, (back, ahead)) in enumerate(zip(levels, windows, strict=True)):
        asks = level["query"].get(segment)
        for source in sources if asks is not None else ():
            has = level["key"].get(source.segment)
            own = source.source in ("body", "end") and source.number >= row
            written = not own or (source.source == "body" and source.number == row)
            if has is None or not written:
                continue
            kind, step = source.source, asks.get("left", 0)
            slope = has.get(source.slope, 0) if source.slope else 0
            if kind == "end" and not slope:
                kind = "mark"  # one id in every problem
            apart = has.get("offset", 0) - asks.get("offset", 0)
            others = {"left": "right", "right": "left"}.get(source.slope or "", "index")
            plain = not (asks.get("index", 0) or asks.get("right", 0) or has.get("index", 0))

            def slot(difference: int, offset: int = 0) -> Slot:
                return Slot(number, difference, kind, source.number, offset)  # noqa: B023

            if plain and not has.get(others, 0):
                if slope == step and slope:
                    last = -1 if own else None
                    offsets = _multiples(slope, -back - apart, ahead - apart, None, last)
                    seen.moving.extend(slot(apart + slope * d, d) for d in offsets)
                    continue
                if not slope and step:
                    columns = _multiples(-step, -back - apart, ahead - apart, 0, None)
                    if kind in ("token", "operand", "mark"):
                        for j in columns:
                            seen.single.setdefault(j, []).append(slot(apart - step * j))
                        continue
                    if not columns:
                        continue
                elif not slope:
                    inside = -back <= apart <= ahead
                    if not inside or kind in ("token", "operand", "mark"):
                        seen.always.extend([slot(apart)] * inside)
                        continue
            raise NotDerivable(
                f"level {level['name']!r}: queries for {segment!r} see {source.segment!r} at no "
                "fixed number of columns from theirs, so there is no finite set of contexts"
            )
    return seen


def _multiples(step: int, low: int, high: int, least: int | None, most: int | None) -> range:
    """The k of least .. most with low <= step k <= high.

    Raises:
        NotDerivable: they are too many.
    """
    if step < 0:
        step, low, high = -step, -high, -low
    first, last = -(-low // step), high // step
    first = first if least is None else max(first, least)
    last = last if most is None else min(last, most)
    if last - first > FARTHEST:
        raise NotDerivable(f"a window holds {last - first} columns; verify a narrower one")
    return range(first, last + 1)


class _Walk:
    """All ways of an automaton through the columns that a query depends on."""

    def __init__(self, automaton: Automaton) -> None:
        self.automaton = automaton
        passes = automaton.rule.passes
        # Of every state: the digit operand, and the tokens that end the rows but the last.
        self.digit = np.array([state.digit for state in automaton.states])
        self.mark = np.array(
            [
                [p.finish(s)[0] for p, s in zip(passes, state.guess, strict=False)]
                for state in automaton.states
            ],
            np.int64,
        ).reshape(len(automaton.states), -1)
        self.reached = [np.arange(len(automaton.states)) < automaton.starts]

    def contexts(self, row: int, output: int, seen: Seen) -> Iterator[Contexts]:
        """Contexts of the queries for an output of a row, column by column.

        Args:
            row: the row.
            output: number of the output in `Automaton.written`.
            seen: what they see.
        """
        offsets = [slot.offset for slot in seen.moving]
        past, future = max(1, -min(offsets, default=0)), max(0, max(offsets, default=0))
        last = max([past - 1, *seen.single])
        for j in range(last + 1):
            fixed = [*seen.single.get(j, []), *seen.always]
            near = [slot for slot in seen.moving if slot.offset >= -j]
            begin = self._after(max(0, j - past))
            yield self._walk(row, output, begin, min(j, past), future, near, fixed)
        begin = self._after(last + 1 - past)
        while (more := begin | self._next(begin)).sum() > begin.sum():
            begin = more
        yield self._walk(row, output, begin, past, future, seen.moving, seen.always)

    def _after(self, columns: int) -> NDArray[np.bool_]:
        """The states after so many columns."""
        while len(self.reached) <= columns:
            self.reached.append(self._next(self.reached[-1]))
        return self.reached[columns]

    def _next(self, states: NDArray[np.bool_]) -> NDArray[np.bool_]:
        after = self.automaton.after[states]
        found = np.zeros_like(states)
        found[after[after >= 0]] = True
        return found

    def _walk(
        self,
        row: int,
        output: int,
        begin: NDArray[np.bool_],
        past: int,
        future: int,
        moving: Sequence[Slot],
        fixed: Sequence[Slot],
    ) -> Contexts:
        """Contexts of the ways from the states `begin`, `past` columns before the query's."""
        a = self.automaton
        state = np.flatnonzero(begin)
        if past:
            token = np.full(len(state), ABSENT)  # of the query; known one column before its own
        else:
            token = self.mark[state, row - 1] if row else np.full(len(state), a.words.equals)
        target = np.full(len(state), ABSENT)
        slots: list[Slot] = []
        tokens = np.empty((len(state), 0), np.int64)
        for d in range(-past, future + 1):
            if len(state) * len(a.symbols) > MOST:
                raise NotDerivable(f"more than {MOST:,} cases; verify narrower windows")
            at, symbol = np.nonzero(a.after[state] >= 0)
            before = state[at]
            state, token, target = a.after[before, symbol], token[at], target[at]
            if d == -1:
                token = a.written[row, before, symbol]
            if d == 0:
                target = a.written[output, before, symbol]
            here = [slot for slot in moving if slot.offset == d]
            columns = [self._token(slot, before, symbol) for slot in here]
            tokens = np.column_stack([tokens[at], *columns])
            slots += here
            _sort_alike(tokens, slots)
            kept = np.ones(len(state), bool)
            kept &= (token != ABSENT) | (d < -1)
            kept &= (target != ABSENT) | (d < 0)
            state, token, target, tokens = (x[kept] for x in (state, token, target, tokens))
            once = distinct(np.column_stack([state, token, target, tokens]))
            state, token, target, tokens = (x[once] for x in (state, token, target, tokens))
        columns = [self._single(slot, state) for slot in fixed]
        places = [(slot.level, slot.difference) for slot in (*slots, *fixed)]
        return from_slots(token, target, np.column_stack([tokens, *columns]), places)

    def _token(self, slot: Slot, before: Ints, symbol: Ints) -> Ints:
        a = self.automaton
        if slot.source == "digit":
            return a.digits[symbol, slot.number]
        shift = len(a.rule.passes) if slot.source == "end" else 0
        return a.written[slot.number + shift, before, symbol]

    def _single(self, slot: Slot, state: Ints) -> Ints:
        if slot.source == "token":
            return np.full(len(state), slot.number)
        return self.digit[state] if slot.source == "operand" else self.mark[state, slot.number]


def _sort_alike(tokens: Ints, slots: Sequence[Slot]) -> None:
    """Sort tokens of the same level and difference: a context does not know their order."""
    places = [slot[:2] for slot in slots]
    for place in set(places):
        alike = [i for i, other in enumerate(places) if other == place]
        if len(alike) > 1:
            tokens[:, alike] = np.sort(tokens[:, alike], axis=1)


def derive_columns(
    automaton: Automaton,
    prompt: Sequence[str],
    coupling: Mapping[str, Any],
    windows: Windows,
    sinks: int,
) -> Contexts:
    """All contexts of a column task.

    Args:
        automaton: of the task's rule.
        prompt: the task's segments before the answer.
        coupling: its JSON form.
        windows: (back, ahead) of each level.
        sinks: leading tokens that are no part of a context, 0 or 1.

    Raises:
        NotDerivable: there are infinitely many contexts, or too many to look at.
    """
    rule = automaton.rule
    for level in coupling["levels"]:
        if level["period"] or level["randomized"]:
            raise NotDerivable(f"level {level['name']!r}: its ids are periodic or random")
    sources = _sources(rule, automaton.words, prompt, sinks)
    named = {name for level in coupling["levels"] for name in (*level["key"], *level["query"])}
    if unknown := sorted(named - {*prompt, *(source.segment for source in sources)}):
        raise ValueError(f"the coupling has forms for {unknown}, which are no segments of the task")
    walk = _Walk(automaton)
    parts: list[Contexts] = []
    for row, one in enumerate(rule.passes):
        for output, segment in ((row, one.row), (len(rule.passes) + row, one.end)):
            if segment is not None:
                seen = _seen(sources, coupling["levels"], windows, row, segment)
                parts += walk.contexts(row, output, seen)
    return union(parts)
