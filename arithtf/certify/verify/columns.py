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

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

from arithtf.certify.verify.automaton import Automaton
from arithtf.certify.verify.contexts import Contexts, NotDerivable, union
from arithtf.certify.verify.places import relation
from arithtf.certify.verify.walk import Key, Query, Seen, Slot, Walk, check_width

Windows = Sequence[Sequence[int]]


class Source(NamedTuple):
    """Tokens of a segment.

    Args:
        segment: its name.
        row: the row that writes them; -1 for the prompt.
        slope: the factor of forms that counts their columns; None: there is one token.
        moving: key of the output that they are, if they have columns.
        single: key of the single that they are, if all have one id.
    """

    segment: str
    row: int
    slope: str | None
    moving: Key | None = None
    single: Key | None = None


def _sources(automaton: Automaton, prompt: Sequence[str], sinks: int) -> list[Source]:
    """All tokens that can be seen, but for sinks."""
    rule, words = automaton.rule, automaton.words
    slope = "left" if rule.from_left != rule.reversed else "right"
    signs = {name: ("token", words.id(name)) for name in prompt[2:-1:2]}
    signs |= {prompt[-1]: ("token", words.equals)}
    signs |= {} if sinks else {prompt[0]: ("token", words.bos)}
    found = [Source(name, -1, None, single=key) for name, key in signs.items()]
    for i, name in enumerate(prompt[1:-1:2]):
        digits = Source(name, -1, slope, moving=("digit", i))
        found.append(digits if i < rule.numbers else Source(name, -1, None, single=("operand",)))
    for row, one in enumerate(rule.passes):
        found.append(Source(one.row, row, "left", moving=("body", row)))
        if one.end:
            found.append(Source(one.end, row, "left", moving=("end", row), single=("mark", row)))
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
        check_width(back, ahead)
        asks = level["query"].get(segment)
        for source, apart in product(sources, range(-back, ahead + 1)):
            has = level["key"].get(source.segment)
            written = source.row < row or source.moving == ("body", row)
            if asks is None or has is None or not written:
                continue
            places = ["left", "right"] if source.slope else []
            found = relation(_in_columns(asks), _in_columns(has), ["left"], places, apart)
            if found is None:
                continue
            along = {"column": "left", "digit": "right"}.get(found.kind)
            if source.moving and source.slope and along == source.slope:
                if source.row < row or found.by < 0:
                    seen.add(Slot(number, apart, source.moving, found.by))
            elif source.single and found.kind in ("all", "at column"):
                column = found.by if found.kind == "at column" else None
                seen.add(Slot(number, apart, source.single), column)
            else:
                raise NotDerivable(
                    f"level {level['name']!r}: queries for {segment!r} see {source.segment!r} at "
                    "no fixed number of columns from theirs, so contexts are not finitely many"
                )
    return seen


def _in_columns(form: Mapping[str, int]) -> dict[str, int]:
    """A form where there are no rows of work."""
    return {name: form.get(name, 0) for name in ("offset", "left", "right", "index")}


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
        coupling: its JSON form; its levels have no periods and no random ids.
        windows: (back, ahead) of each level.
        sinks: leading tokens that are no part of a context, 0 or 1.

    Raises:
        NotDerivable: there are infinitely many contexts, or too many to look at.
    """
    sources = _sources(automaton, prompt, sinks)
    walk = Walk(automaton.machine())
    parts: list[Contexts] = []
    for row, one in enumerate(automaton.rule.passes):
        before = ("mark", row - 1) if row else ("token", automaton.words.equals)
        for target, segment in ((("body", row), one.row), (("end", row), one.end)):
            if segment is not None:
                seen = _seen(sources, coupling["levels"], windows, row, segment)
                parts += walk.contexts(Query(target, [(("body", row), -1)], before), seen)
    return union(parts)
