"""All local contexts of the calculator: those of its four tasks, each with its sign in view."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from arithtf.certify.verify_columns import SYMBOL, Json, Row, derive_subtraction, derived
from arithtf.certify.verify_derived import ABSENT, Derived, NotDerivable
from arithtf.certify.verify_worksheets import derive_product, derive_quotient, derive_sum

SIGN_LEVEL = 8
WINDOWS = [[0, 0]] * (SIGN_LEVEL + 1)


class Part(NamedTuple):
    """One of the tasks.

    Args:
        name: of the task.
        sign: its sign.
        symbols: its vocabulary's own symbols.
        derive: its contexts.
        at: the joint level of each of its levels, ascending.
        written: segments that are predicted.
    """

    name: str
    sign: str
    symbols: str
    derive: Callable[[Json, Json, list[list[int]]], Derived]
    at: list[int]
    written: str


PARTS = (
    Part("running-sum", "+", "+#", derive_sum, [0, 1, 2, 3, 7], "row sum carry"),
    Part(
        "subtraction",
        "-",
        "-+",
        derive_subtraction,
        [0, 1, 2, 3, 4, 5, 6],
        "difference sign answer",
    ),
    Part(
        "multiplication",
        "*",
        "*#",
        derive_product,
        [0, 1, 2, 3, 4, 5, 6, 7],
        "row high low sum final carry end answer",
    ),
    Part(
        "division",
        "/",
        "/#",
        derive_quotient,
        [0, 1, 2, 3, 4, 6, 7],
        "first mark,mark,first borrow,borrow,flag,first digit,trial,left,rest,top,first taken,"
        "taken,count,digit,end,answer,remainder",
    ),
)
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
    first = base + SYMBOL
    rows: list[Row] = []
    for part in PARTS:
        own = _own_coupling(coupling, part)
        contexts = part.derive({"task": part.name, "base": base}, own, [[0, 0]] * len(part.at))
        token = {first + i: first + SYMBOLS.index(s) for i, s in enumerate(part.symbols)}
        assert contexts.levels is not None
        places = [part.at[level] for level in contexts.levels.tolist()]
        for query, target, slots in zip(
            contexts.query.tolist(), contexts.target.tolist(), contexts.slots.tolist(), strict=True
        ):
            seen = [ABSENT] * len(WINDOWS)
            for place, value in zip(places, slots, strict=True):
                seen[place] = token.get(value, value)
            seen[SIGN_LEVEL] = first + SYMBOLS.index(part.sign)
            if part.name == "running-sum" and query == 0 and seen[3] != ABSENT:
                continue  # a sum of two has no second row
            rows.append((token.get(query, query), token.get(target, target), *seen))
    return derived(rows, [(level, 0) for level in range(len(WINDOWS))], base)


def _own_coupling(coupling: Json, part: Part) -> Json:
    """What the joint coupling says of a task, in the task's own segments.

    Raises:
        NotDerivable: forms of the task on a level that has none of its own.
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
        if number in part.at:
            levels.append({**level, **sides})
        elif sides["key"] or sides["query"]:
            raise NotDerivable(f"{part.name} has ids on level {number}, which it does not read")
    return {**coupling, "levels": levels}


def _check_signs(level: Json) -> None:
    """Check that every predicted token sees its sign on the last level, and nothing else there."""
    key: Json = {f"{part.name} {part.sign}": {} for part in PARTS}
    query: Json = {}
    for part in PARTS:
        between = "," if "," in part.written else " "
        query.update({f"{part.name} {s}": {} for s in part.written.split(between)})
    if level["key"] != key or level["query"] != query:
        raise NotDerivable("the last level is not the one on which every token sees its sign")
