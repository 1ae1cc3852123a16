"""What the queries of a scratchpad see, step 2 of `scratchpads`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

from arithtf.certify.verify.contexts import NotDerivable
from arithtf.certify.verify.places import Relation, relation
from arithtf.certify.verify.strip import Kind, Strip
from arithtf.certify.verify.walk import Seen, Slot, check_width
from arithtf.tasks.arithmetic.scratchpad import Part, Scratchpad
from arithtf.tasks.vocabulary import DigitVocabulary


class Asked(NamedTuple):
    """The queries for a token.

    Args:
        segment: theirs.
        strip: the kind of row they are in; None: they are for a part that follows the rows.
        p, i: pass and number of the token; or the number of the part, and 0.
        only_first: only in the first column they have this segment.
        last: they are in the last column, where a pass may write fewer tokens.
    """

    segment: str
    strip: Strip | None
    p: int
    i: int = 0
    only_first: bool = False
    last: bool = False


class Refused(Exception):
    """Tokens at no fixed place relative to the query."""


def segments(pad: Scratchpad, kind: Kind, p: int, i: int) -> dict[str, list[tuple[bool, bool]]]:
    """Segments of a token of a row, and the columns with them: the first, the last, or neither."""
    one, found = pad.passes[p], dict[str, list[tuple[bool, bool]]]()
    for first, last in product((False, True), repeat=2):
        if (first and last) == one.single and one.writes[i] in one.names(last=last):
            segment = pad.segment(one.writes[i], kind.where(first=first, last=last))
            found.setdefault(segment, []).append((first, last))
    return found


def _in_row(form: Mapping[str, int], row: int) -> Mapping[str, int]:
    """A form of tokens that are all in the row of this number."""
    offset = form.get("offset", 0) + row * form.get("row", 0)
    stride = form.get("row_stride", 0) + row * form.get("cell", 0)
    return {**form, "offset": offset, "row_stride": stride, "row": 0, "cell": 0}


class Visible:
    """The tokens that queries see.

    Args:
        pad: how the work is written.
        words: the task's vocabulary.
        prompt: its segments before the answer.
        strips: the kinds of rows.
        sinks: leading tokens that are no part of a context, 0 or 1.
        alone: there is one row, numbered 1.
    """

    def __init__(
        self,
        pad: Scratchpad,
        words: DigitVocabulary,
        prompt: Sequence[str],
        strips: Sequence[Strip],
        sinks: int,
        *,
        alone: bool,
    ) -> None:
        self.alone = alone
        self.pad, self.rows, self.track = pad, strips[0].rows, strips[0].track
        self.signs = {name: words.id(name) for name in prompt[2:-1:2]} | {prompt[-1]: words.equals}
        self.signs |= {} if sinks else {prompt[0]: words.bos}
        self.operands = {name: i for i, name in enumerate(prompt[1:-1:2])}
        self.tokens = [(p, i) for p, one in enumerate(pad.passes) for i in range(len(one.writes))]
        places = {name: {"left", "right"} for name in self.operands}
        if pad.turns is None:  # operands from the second on, and the signs before them, have rows
            for name in prompt[-3:-1]:
                places.setdefault(name, set()).add("row")
        self.all_kinds = [strip.kind for strip in strips]
        self.kinds: dict[str, set[Kind]] = {}
        for strip, (p, i) in product(strips, self.tokens):
            for segment in segments(pad, strip.kind, p, i):
                single = pad.passes[p].single
                places.setdefault(segment, set()).update({"row"} if single else {"left", "row"})
                self.kinds.setdefault(segment, set()).add(strip.kind)
        for part in pad.tail:
            more = {"left"} if part.track else set()
            more |= {"row"} if part.row != "zero" else set()
            places.setdefault(part.segment, set()).update(more)
        never = {"row"} if alone else set()
        self.places = {segment: sorted(found - never) for segment, found in places.items()}

    def seen(self, asked: Asked, levels: Sequence[Any], windows: Sequence[Sequence[int]]) -> Seen:
        """What queries see.

        Raises:
            NotDerivable: tokens at no fixed place.
        """
        seen = Seen([], {}, [])
        for number, (level, (back, ahead)) in enumerate(zip(levels, windows, strict=True)):
            asks = level["query"].get(asked.segment)
            check_width(back, ahead)
            keys = level["key"] if asks is not None else {}
            for (key, has), apart in product(keys.items(), range(-back, ahead + 1)):
                if key not in self.places and key not in self.signs:
                    continue  # a sink
                try:
                    for slot, column in self._solved(asked, key, asks, has, apart):
                        seen.add(slot._replace(level=number, difference=apart), column)
                except Refused:
                    raise NotDerivable(
                        f"level {level['name']!r}: queries for {asked.segment!r} see {key!r} at no "
                        "fixed place beside theirs that is known here"
                    ) from None
        return seen

    def _solved(
        self, asked: Asked, key: str, asks: Mapping[str, int], has: Mapping[str, int], apart: int
    ) -> Iterator[tuple[Slot, int | None]]:
        """Slots, and the column of the query that alone sees it."""
        known = self.places.get(key, [])
        if self.alone:
            behind = asked.strip is None and self.pad.tail[asked.p].row == "next"
            asks, has = _in_row(asks, 1 + behind), _in_row(has, 1)
        asks = self._turned(asked, asks)
        own = self.places[asked.segment]
        long = key in self.operands and self.operands[key] != self.pad.tracks[self.rows.y].operand
        within = asked.strip is not None and not (long and self.pad.columns is not None)
        found = relation(asks, has, [*own, "back"], known, apart, within=within)
        if found is None or not self._row_is(asked, found.only_row):
            return
        if found.kind == "index":
            yield from self._in_text(asked, key, -found.by)
        elif key in self.signs:
            yield from self._sign(asked, key, found)
        elif asked.strip is None:
            yield from self._after_rows(asked, key, found)
        elif key in self.operands:
            yield from self._operand(asked, asked.strip, key, found)
        else:
            yield from self._own_row(asked, asked.strip, key, found)
            yield from self._row_above(asked.strip, key, found)

    def _turned(self, asked: Asked, asks: Mapping[str, int]) -> Mapping[str, int]:
        """Digits copied once a turn, row - repeat * left, as repeat * back - 1.

        With as many digits as turns, `back` counts from the mark behind them on: row is the last.
        """
        pad, row = self.pad, asks.get("row", 0)
        part = None if asked.strip else pad.tail[asked.p]
        if part is None or (part.row, part.lengths) != ("last", (pad.turns,)):
            return asks
        if not row or asks.get("left") != -row * pad.repeat:
            return asks
        offset = asks.get("offset", 0) - row
        return {**asks, "row": 0, "left": 0, "back": row * pad.repeat, "offset": offset}

    def _row_is(self, asked: Asked, row: int | None) -> bool:
        """Whether the query's row has a number."""
        if row is None:
            return True
        if asked.strip is None or row > self.pad.first_row:
            raise Refused
        return row == self.pad.first_row and asked.strip.kind.above is None

    def _exists(self, asked: Asked, row: int | None) -> bool:
        """Whether the row beside the query's one exists, of which one token is asked for."""
        if self.alone:
            return True
        if row is None:
            raise Refused
        if asked.strip is not None:
            return row == 0
        number = {"zero": row - self.pad.first_row, "last": -row, "next": -1 - row}
        rows_away = number[self.pad.tail[asked.p].row]  # from the first or the last row inwards
        if rows_away > 0:
            raise Refused
        return rows_away == 0

    def _sign(self, asked: Asked, key: str, found: Relation) -> Iterator[tuple[Slot, int | None]]:
        if "row" in self.places.get(key, []):
            if asked.strip is not None and found.row:
                raise Refused
            if not self._exists(asked, found.row):
                return
        slot = Slot(0, 0, ("token", self.signs[key]))
        if found.kind == "at column":
            yield slot, found.by
        elif found.kind == "all":
            yield slot, None
        else:
            raise Refused

    def _operand(
        self, asked: Asked, strip: Strip, key: str, found: Relation
    ) -> Iterator[tuple[Slot, int | None]]:
        pad, operand, kind = self.pad, self.operands[key], strip.kind
        names = [name for name, track in pad.tracks.items() if track.operand == operand]
        name = names[0] if len(names) == 1 else ""
        own_row = found.row == (0 if "row" in self.places[key] else None)
        if name == self.rows.y and found.kind == "digit" and own_row:
            yield Slot(0, 0, ("y",), found.by), None
        elif name == self.rows.x and not self.track.moves and found.kind == "digit":
            if kind.above is not None:
                raise Refused
            yield Slot(0, 0, ("x",), found.by), None
        elif name == self.rows.x and (found.kind, found.by) == ("turn", 0):
            # Turn t begins with the operand's digit t, from the most significant one.
            if (found.every, operand, self.track.moves) != (pad.repeat, pad.turns, -1):
                raise Refused
            if kind.begins and asked.p < self.rows.wide[0]:
                yield Slot(0, 0, ("fresh",)), None
            elif kind.begins and asked.only_first and asked.p in self.rows.wide:
                yield Slot(0, 0, ("x",), 0), None
            elif kind.begins:
                raise Refused
        elif (found.kind, found.by, operand, pad.repeat) == ("by row", 0, pad.turns, 1):
            if not name or pad.tracks[name].moves != 1 or not pad.single(name):
                raise Refused
            yield Slot(0, 0, ("digit", name)), None
        else:
            raise Refused

    def _in_text(self, asked: Asked, key: str, back: int) -> Iterator[tuple[Slot, int | None]]:
        """The token so far back in the text."""
        if back <= 0:
            return
        strip, p = asked.strip, asked.p
        if strip is None or p not in self.rows.wide:
            raise Refused
        one, before = self.pad.passes[p], self.pad.passes[p - 1]
        place, width = one.names(last=asked.last).index(one.writes[asked.i]), len(one.writes)
        for i in range(width):
            column, rest = divmod(place - back - i, width)
            if not rest and key in segments(self.pad, strip.kind, p, i):
                yield Slot(0, 0, ("own", p, i, key), column), None
        # From the first columns it stands before the pass.
        for column in range(int(asked.last), -(-(back - place) // width)):
            i = len(before.writes) - (back - column * width - place)
            if i < 0 or not before.single:
                raise Refused
            if key in segments(self.pad, strip.kind, p - 1, i):
                yield Slot(0, 0, ("single", p - 1, i)), column

    def _own_row(
        self, asked: Asked, strip: Strip, key: str, found: Relation
    ) -> Iterator[tuple[Slot, int | None]]:
        wide, here = self.rows.wide, (asked.p, asked.i)
        for p, i in self.tokens:
            at = segments(self.pad, strip.kind, p, i).get(key)
            one = self.pad.passes[p]
            if at is None or p > asked.p or (one.single and (p, i) >= here):
                continue
            if found.row is None and not self.alone:
                raise Refused  # tokens of every row
            if found.row:
                continue
            if one.single and p > wide[-1] and found.kind == "all":
                yield Slot(0, 0, ("own", p, i, key), 0), None
            elif one.single and p < wide[0] and found.kind in ("all", "at column"):
                yield Slot(0, 0, ("single", p, i)), found.by if found.kind != "all" else None
            elif found.kind == "column" and not one.single:
                if p < asked.p or found.by < 0 or (found.by == 0 and i < asked.i):
                    yield Slot(0, 0, ("own", p, i, key), found.by), None
            elif found.kind == "all" and at == [(False, True)]:
                if p < wide[-1]:
                    if p < asked.p:
                        yield Slot(0, 0, ("end", p, i)), None
                elif p < asked.p:
                    yield Slot(0, 0, ("own", p, i, key), -1), None
            else:
                raise Refused

    def _constant(self, p: int, i: int) -> int | None:
        """The token of a single pass that writes the same in every row."""
        values = {*self.rows.endings[p, i].tolist()} if self.pad.passes[p].single else set()
        return values.pop() if len(values) == 1 else None

    def _row_above(
        self, strip: Strip, key: str, found: Relation
    ) -> Iterator[tuple[Slot, int | None]]:
        above, rows = strip.kind.above, self.rows
        if above is None or (found.row is not None and found.row >= 0):
            return
        kind = Kind(None, *above, False, range(0))
        for p, i in self.tokens:
            if found.row != -1 and key in self.kinds:
                raise Refused
            if (at := segments(self.pad, kind, p, i).get(key)) is None:
                continue
            constant = self._constant(p, i)
            if (p, i) == rows.replaced and found.kind == "column":
                # Where X has moved, its first or its last column is beside this row's.
                below = strip.shift > 0 >= found.by and any(first for first, _ in at)
                if below or (strip.shift < 0 <= found.by and any(last for _, last in at)):
                    raise Refused
                yield Slot(0, 0, ("above", key), found.by - strip.shift), None
            elif constant is not None and found.kind == "all":
                yield Slot(0, 0, ("token", constant)), None
            elif self.pad.passes[p].writes[i] == rows.changed and found.kind == "all":
                if strip.kind.begins:
                    raise Refused
                yield Slot(0, 0, ("digit", rows.changed)), None
            else:
                raise Refused

    def _after_rows(
        self, asked: Asked, key: str, found: Relation
    ) -> Iterator[tuple[Slot, int | None]]:
        """What the copied digits and the marks behind them see."""
        part, pad = self.pad.tail[asked.p], self.pad
        if key in self.operands:
            turned = found.kind in ("by row", "turn") and found.every in (0, pad.repeat)
            behind = (self.operands[key], part.row, found.by) == (pad.turns, "next", 0)
            if not (turned and behind):
                raise Refused
            return  # there are no more digits than turns
        for p, i in self.tokens:
            if not any(key in segments(pad, kind, p, i) for kind in self.kinds.get(key, ())):
                continue
            constant = self._constant(p, i)
            if constant is not None and found.kind == "all":
                if self._exists(asked, found.row):
                    first = part.row == "zero"
                    ends = [k for k in self.all_kinds if (k.above is None if first else k.last)]
                    if not all(key in segments(pad, kind, p, i) for kind in ends):
                        raise Refused
                    yield Slot(0, 0, ("token", constant)), None
            elif self._is_copied(part, p, i, key, found):
                yield Slot(0, 0, ("copy",), 0), None
            else:
                raise Refused
        for number, other in enumerate(pad.tail[: asked.p + 1]):
            if other.segment != key:
                continue
            if number == asked.p and other.track and found.kind == "column" and not found.row:
                if found.by < 0:
                    yield Slot(0, 0, ("copy",), found.by), None
            elif number < asked.p and other.track is None and found.kind == "all" and not found.row:
                yield Slot(0, 0, ("token", other.end)), None
            elif number < asked.p or other.track:
                raise Refused

    def _is_copied(self, part: Part, p: int, i: int, key: str, found: Relation) -> bool:
        """Whether what is seen is the token that the part's copied digit was copied from."""
        pad, name = self.pad, self.pad.passes[p].writes[i]
        if name != part.track:
            return False
        moves, kinds = pad.tracks[name].moves, self.kinds[key]
        if found.kind == "back":  # once a turn, from the last one on
            fits = moves == -1 and all(kind.ends for kind in kinds) and part.row == "last"
            turned = (found.every, found.by) == (pad.repeat, -1)
            return fits and turned and pad.single(name)
        if found.by:
            return False
        if found.kind == "column":  # in the last row alone, in which cells are columns
            inside = not any(last for k in kinds for _, last in segments(pad, k, p, i)[key])
            fits = moves <= 0 and part.lengths == (pad.columns,) and found.row is None
            return fits and inside and all(kind.last for kind in kinds)
        # Row j leaves the cell j in its first column, the last row all its cells.
        where = (
            (pad.segment(name, kind.where(first=first, last=last)) == key) == (first or kind.last)
            for kind in self.all_kinds
            for first, last in ((False, False), (True, False), (False, True))
        )
        return found.kind == "diagonal" and moves == 1 and pad.repeat == 1 and all(where)
