"""All local contexts of a scratchpad, by exploring its declaration. Python and NumPy alone.

Why no context is missed, for any number of rows and columns.

1. *Rows* (`rows`, `bounds`, `strip`). A row is a word of columns that an automaton reads, and what
   can stand in it obeys a bound that is proved to hold in all rows. There are few kinds of rows:
   the first of all, the first of a later turn, ..., each the last of a turn or of the work or not.
2. *What is seen* (`visible`, `places`). Where the ids of query and key differ by what a window
   allows is one linear equation in their rows and columns. Those with solutions at a fixed place
   beside the query are solved: in its row, or in what the row above has left, which is what its own
   row reads. Every other one is refused.
3. *Ways* (`walk`). So a context is a function of a few columns in a row and of what belongs to the
   whole row, and all ways through them are walked, as in `columns`.
4. *Between the rows* stands the mark that begins one: its token is the row above's last. Where that
   is no digit that the row itself knows, every digit that rows can end with is taken, beside every
   first digit of the row. Digits that are copied from the tracks behind the rows are taken to be
   any. That may add contexts that no problem has; then the hash is another one than the
   certificate's, and the check fails. It cannot leave any out.

For 12*34 with lookups, the query for the sum in column 1 of row 1 stands at the low digit 3 (1 * 3
= 03) and sees low = 3, the high digit of column 0, 0, the carry there, 1, and the 0 of the sum so
far 04: the way 2, 1 of digits of a and 4, 0 of S, for the digit 3 of b, has S < a. Its target is 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from arithtf.certify.verify.bounds import bounds, carried
from arithtf.certify.verify.contexts import Contexts, from_slots, union
from arithtf.certify.verify.rows import Rows
from arithtf.certify.verify.strip import Strip, kinds
from arithtf.certify.verify.visible import Asked, Visible, segments
from arithtf.certify.verify.walk import Key, Machine, Query, Seen, Walk
from arithtf.tasks.arithmetic.scratchpad import Scratchpad
from arithtf.tasks.vocabulary import DigitVocabulary


def derive_scratchpad(
    pad: Scratchpad,
    words: DigitVocabulary,
    prompt: Sequence[str],
    coupling: Mapping[str, Any],
    windows: Sequence[Sequence[int]],
    sinks: int,
    turns: int | None = None,
) -> Contexts:
    """All contexts of a scratchpad.

    Args:
        pad: how the work is written.
        words: the task's vocabulary.
        prompt: its segments before the answer.
        coupling: its JSON form; its levels have no periods and no random ids.
        windows: (back, ahead) of each level.
        sinks: leading tokens that are no part of a context, 0 or 1.
        turns: there are so many; None: any number.

    Raises:
        NotDerivable: there are infinitely many contexts, or the scratchpad is none of those known.
    """
    rows = Rows(pad, words.base)
    free: dict[tuple[int, int], int | None] = {(0, 0): None}
    adds = pad.columns is None
    limits, phi = (free, carried(rows)) if adds else (bounds(rows), None)
    strips = [Strip(rows, kind, limits, phi) for kind in kinds(pad.repeat, turns)]
    visible = Visible(pad, words, prompt, strips, sinks, alone=turns == 1)
    parts: list[Contexts] = []
    for strip in strips:
        walk = Walk(strip.machine)
        for p, i in visible.tokens:
            found = segments(pad, strip.kind, p, i)
            for segment, last in sorted({(s, last) for s, at in found.items() for _, last in at}):
                only_first = all(first for first, _ in found[segment])
                asked = Asked(segment, strip, p, i, only_first, last)
                seen = visible.seen(asked, coupling["levels"], windows)
                for key in _keys(seen):
                    strip.output(key)
                if p < rows.wide[0]:
                    parts.append(_mark(strips, asked, seen, words))
                else:
                    parts += walk.contexts(_query(strip, asked), seen)
    return union([*parts, *_tail(strips, visible, coupling["levels"], windows, words)])


def _keys(seen: Seen) -> set[Key]:
    slots = [*seen.moving, *seen.always, *(s for some in seen.single.values() for s in some)]
    return {slot.key for slot in slots if slot.key[0] not in ("token", "fresh", "copy")}


def _query(strip: Strip, asked: Asked) -> Query:
    """The queries for a token in the columns or behind them, and the tokens before them."""
    rows, p, i = strip.rows, asked.p, asked.i
    pad, wide = rows.pad, rows.wide
    before = [(("own", p, n, None), 0) for n in reversed(range(i))]
    if p > wide[-1]:
        earlier = range(wide[-1] + 1, p)
        before += [(("own", q, n, None), 0) for q in reversed(earlier) for n in _back(rows, q)]
    columns = min(p, wide[-1])
    before += [(("own", columns, n, None), -1) for n in _back(rows, columns)]
    first: Key = ("token", 0)  # behind the columns there is no first one
    if p <= wide[-1]:
        last = pad.passes[p - 1].names(last=True)[-1]
        number = pad.passes[p - 1].writes.index(last)
        first = ("single" if pad.passes[p - 1].single else "end", p - 1, number)
    target = ("own", p, i, asked.segment, *([] if p > wide[-1] else [asked.last]))
    for key in (target, first, *(key for key, _ in before)):
        strip.output(key)
    return Query(target, before, first)


def _back(rows: Rows, p: int) -> Iterator[int]:
    return reversed(range(len(rows.pad.passes[p].writes)))


def _mark(strips: Sequence[Strip], asked: Asked, seen: Seen, words: DigitVocabulary) -> Contexts:
    """Queries for what a row begins with, step 4 of the module."""
    strip, (p, i) = asked.strip, (asked.p, asked.i)
    assert strip is not None
    rows, kind, single = strip.rows, strip.kind, strip.machine.single
    state = np.flatnonzero((strip.machine.after[: strip.machine.starts] >= 0).any(axis=1))
    if p or i:
        p, i = (p, i - 1) if i else (p - 1, len(rows.pad.passes[p - 1].writes) - 1)
        tokens = [single(strip.output(("single", p, i)), state)]
    elif kind.above is None:
        tokens = [np.full(len(state), words.equals)]
    elif rows.pad.passes[-1].writes[-1] == rows.changed and not kind.begins:
        tokens = [single(strip.output(("digit", rows.changed)), state)]
    else:
        inner = [s for s in strips if not s.kind.last]
        above = [s for s in inner if (s.kind.begins, s.kind.ends) == kind.above]
        tokens = [np.full(len(state), token) for token in _last_tokens(above)]
    target = single(strip.output(("single", asked.p, asked.i)), state)
    slots, parts = seen.always, []
    fresh = range(words.base) if any(s.key == ("fresh",) for s in slots) else (0,)
    for token, digit in product(tokens, fresh):
        seen_tokens = np.empty((len(state), len(slots)), np.int64)
        for n, slot in enumerate(slots):
            seen_tokens[:, n] = digit if slot.key == ("fresh",) else single(slot.key, state)
        places = [(slot.level, slot.difference) for slot in slots]
        parts.append(from_slots(token, target, seen_tokens, places))
    return union(parts)


def _last_tokens(strips: Sequence[Strip]) -> list[int]:
    """What rows of some kinds end with."""
    found: set[int] = set()
    for strip in strips:
        p = len(strip.rows.pad.passes) - 1
        name = strip.rows.pad.passes[p].names(last=True)[-1]
        key = ("own", p, strip.rows.pad.passes[p].writes.index(name), None)
        output = strip.machine.outputs[strip.output(key)]
        behind = p > strip.rows.wide[-1]
        there = (strip.machine.after >= 0) & (strip.place == (2 if behind else 1))
        found |= {*output[there].tolist()} - {-1}
    return sorted(found)


def _tail(
    strips: Sequence[Strip],
    visible: Visible,
    levels: Sequence[Any],
    windows: Sequence[Sequence[int]],
    words: DigitVocabulary,
) -> Iterator[Contexts]:
    """Queries for what follows the rows: any digits, then a mark."""
    before = _last_tokens([strip for strip in strips if strip.kind.last])
    base = words.base
    for number, part in enumerate(visible.pad.tail):
        end = words.eos if part.end is None else part.end
        # States: before the first digit, after one, ended. Symbols: digits, and the end.
        after = np.full((3, base + 1), -1, np.int64)
        after[:2, :base] = 1 if part.track else -1
        after[1 if part.track else 0, base] = after[2, base] = 2
        copied, ended = np.full((2, 3, base + 1), -1, np.int64)
        copied[:2, :base] = np.arange(base)
        ended[:2, base] = end
        machine = Machine(after, 1, {("copy",): copied, ("end",): ended}, {})
        asked = Asked(part.segment, None, number)
        seen = visible.seen(asked, levels, windows)
        for token, target in product(before, ("copy", "end") if part.track else ("end",)):
            query = Query((target,), [(("copy",), -1)], ("token", token))
            yield from Walk(machine).contexts(query, seen)
        before = [end]
