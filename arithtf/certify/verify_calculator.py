"""All local contexts of the calculator: those of its four tasks, each with its sign in view."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from arithtf.certify.verify_addition import ABSENT, Derived, NotDerivable
from arithtf.certify.verify_columns import SYMBOL, Json, Row, Slot, derive_subtraction, derived
from arithtf.certify.verify_worksheets import derive_product, derive_quotient, derive_sum

WINDOWS = [*[[1, 0]] * 6, *[[0, 0]] * 3]
SIGN_LEVEL = 8


class Part(NamedTuple):
    """One of the tasks.

    Args:
        name: of the task.
        sign: its sign.
        symbols: its vocabulary's own symbols.
        derive: its contexts.
        windows: of its levels.
        at: the joint level of each.
        written: segments that are predicted.
    """

    name: str
    sign: str
    symbols: str
    derive: Callable[[Json, Json, list[list[int]]], Derived]
    windows: list[list[int]]
    at: list[int]
    written: str


PARTS = (
    Part("running-sum", "+", "+#", derive_sum, [*[[1, 0]] * 3, [0, 0], [0, 0]], [0, 1, 2, 3, 7],
         "row sum carry"),
    Part("subtraction", "-", "-+", derive_subtraction, [[0, 0]] * 7, [0, 1, 2, 3, 4, 5, 6],
         "difference sign answer"),
    Part("multiplication", "*", "*#", derive_product, [*[[1, 0]] * 6, [0, 0], [0, 0]],
         [0, 1, 2, 3, 4, 5, 6, 7], "row high low sum final carry end answer"),
    Part("division", "/", "/#", derive_quotient, [*[[0, 0]] * 3, [1, 0], *[[0, 0]] * 3],
         [0, 1, 2, 3, 4, 6, 7],
         "first mark,mark,first borrow,borrow,flag,first digit,trial,left,rest,top,first taken,"
         "taken,count,digit,end,answer,remainder"),
)  # fmt: skip
SYMBOLS = "+-*/#"


def derive_calculator(task: Json, coupling: Json, windows: list[list[int]]) -> Derived:
    """The contexts of the four tasks in the joint vocabulary and on the joint levels."""
    if [list(window) for window in windows] != WINDOWS or len(coupling["levels"]) != 9:
        raise NotDerivable(
            f"contexts of the calculator are derived independently for the windows {WINDOWS} only, "
            f"got {windows}"
        )
    _check_signs(coupling["levels"][SIGN_LEVEL])
    base = task["base"]
    control = base
    found: list[tuple[int, int, dict[Slot, list[int]]]] = []
    for part in PARTS:
        own = _own_coupling(coupling, part)
        contexts = part.derive({"task": part.name, "base": base}, own, part.windows)
        first = control + SYMBOL
        token = {first + i: first + SYMBOLS.index(s) for i, s in enumerate(part.symbols)}
        sign = first + SYMBOLS.index(part.sign)
        levels = contexts.levels
        assert levels is not None
        places = [
            (part.at[int(level)], int(difference))
            for level, difference in zip(levels, contexts.differences, strict=True)
        ]
        for query, target, slots in zip(
            contexts.query.tolist(), contexts.target.tolist(), contexts.slots.tolist(), strict=True
        ):
            seen: dict[Slot, list[int]] = {(SIGN_LEVEL, 0): [sign]}
            for place, value in zip(places, slots, strict=True):
                if value != ABSENT:
                    seen.setdefault(place, []).append(token.get(value, value))
            if part.name == "running-sum" and query == 0 and (3, 0) in seen:
                continue  # a sum of two has no second row
            found.append((token.get(query, query), token.get(target, target), seen))
    most: dict[Slot, int] = {}
    for _, _, seen in found:
        for place, tokens in seen.items():
            most[place] = max(most.get(place, 0), len(tokens))
    slots = [place for place in sorted(most) for _ in range(most[place])]
    rows: list[Row] = []
    for query, target, seen in found:
        left = {place: list(tokens) for place, tokens in seen.items()}
        row = [left[place].pop() if left.get(place) else ABSENT for place in slots]
        rows.append((query, target, *row))
    return derived(rows, slots, control)


def _own_coupling(coupling: Json, part: Part) -> Json:
    """What the joint coupling says of a task, with its ids as it would count them alone.

    Raises:
        NotDerivable: ids that are no multiple of what keeps them apart in a wider window, or forms
            of the task on a level that has none of its own.
    """
    prefix = f"{part.name} "
    levels: list[Json] = []
    for number, level in enumerate(coupling["levels"][:SIGN_LEVEL]):
        sides = {
            side: {
                segment.removeprefix(prefix): form
                for segment, form in level[side].items()
                if segment.startswith(prefix)
            }
            for side in ("key", "query")
        }
        if number not in part.at:
            if sides["key"] or sides["query"]:
                raise NotDerivable(f"{part.name} has ids on level {number}, which it does not read")
            continue
        window = part.windows[part.at.index(number)]
        factor = 1 if window == WINDOWS[number] else WINDOWS[number][0] + 1
        if any(v % factor for forms in sides.values() for form in forms.values()
               for v in form.values()):  # fmt: skip
            raise NotDerivable(f"ids of {part.name} on level {number} are no multiples of {factor}")
        own = {
            side: {k: {n: v // factor for n, v in form.items()} for k, form in forms.items()}
            for side, forms in sides.items()
        }
        levels.append({**level, **own})
    order = sorted(range(len(part.at)), key=lambda i: part.at[i])
    by_level: list[Json] = [{}] * len(part.at)
    for level, i in zip(levels, order, strict=True):
        by_level[i] = level
    return {**coupling, "levels": by_level}


def _check_signs(level: Json) -> None:
    """Check that every predicted token sees its sign on the last level, and nothing else there."""
    key: Json = {f"{part.name} {part.sign}": {} for part in PARTS}
    query: Json = {}
    for part in PARTS:
        between = "," if "," in part.written else " "
        query.update({f"{part.name} {s}": {} for s in part.written.split(between)})
    if level["key"] != key or level["query"] != query:
        raise NotDerivable("the last level is not the one on which every token sees its sign")
