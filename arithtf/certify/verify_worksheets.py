"""All local contexts of worksheets, written down case by case. Python and NumPy alone.

Nothing here is shared with the enumeration that a certificate is made with
(`arithtf.tasks.worksheet_cover`): there automata find real problems that contain every context,
here it is said which digits can stand side by side, and the next token is worked out by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

from arithtf.certify.verify_columns import EOS, EQUALS, SYMBOL, Json, Row, Slot, derived, require
from arithtf.certify.verify_derived import ABSENT, Derived

Form = dict[str, int]
CELL: Form = {"left": 1, "cell": 1}
NEXT: Form = {"offset": 1, **CELL}
COLUMN: Form = {"left": 1}
ROW: Form = {"row": 1}
EQUALS_AT: Form = {"offset": -1}


def _require_one_token_each(coupling: Json, windows: list[list[int]], levels: list[Json]) -> None:
    """Check that a coupling's levels are these, on each of which a query sees one token."""
    require(coupling, windows, levels, [[0, 0]] * len(levels))


def derive_product(task: Json, coupling: Json, windows: list[list[int]]) -> Derived:
    """Multiplication: digit pairs, then sums of low, the high before, what is left, the carry."""
    added = {"final": CELL, "sum": CELL, "carry": CELL}
    _require_one_token_each(
        coupling,
        windows,
        [
            {
                "key": {"a": {"right": 1}, "=": EQUALS_AT},
                "query": {"high": COLUMN, "low": COLUMN, "answer": EQUALS_AT},
            },
            {"key": {"b": {"right": 1}}, "query": {"row": ROW, "high": ROW, "low": ROW}},
            {"key": {"low": CELL}, "query": added},
            {"key": {"high": NEXT}, "query": added},
            {"key": {"sum": {"offset": -1, "row_stride": 1, **CELL}}, "query": added},
            {"key": {"carry": NEXT}, "query": added},
            {"key": {"final": {"left": 1, "row": 1}}, "query": {"answer": COLUMN}},
            {"key": {"row": ROW}, "query": {"low": ROW, "carry": ROW}},
        ],
    )
    base = task["base"]
    row_mark = base + SYMBOL + 1
    slots: list[Slot] = [(level, 0) for level in range(8)]
    rows: list[Row] = []

    def add(query: int, target: int, seen: dict[int, int]) -> None:
        rows.append((query, target, *(seen.get(level, ABSENT) for level in range(8))))

    for factor, first in product(range(base), (True, False)):
        for before, x, left, can_end in _product_columns(base, factor, first):
            high_before, carry = before or (ABSENT, ABSENT)
            low, high = x * factor % base, x * factor // base
            start = carry if before else row_mark
            add(start, high, {0: x, 1: factor})
            add(high, low, {0: x, 1: factor, 7: row_mark})
            addends = {2: low, 3: high_before, 4: left, 5: carry}
            there = {level: token for level, token in addends.items() if token != ABSENT}
            digit, after = sum(there.values()) % base, sum(there.values()) // base
            add(low, digit, there)
            add(digit, after, {**there, 7: row_mark})
            if can_end:
                add(after, high + after, {3: high, 5: after})
    digits, equals = range(base), base + EQUALS
    for token, seen in product(digits, digits):
        add(token, row_mark, {1: seen})
        add(token, seen, {0: equals, 6: seen})
    for token in digits:
        add(equals, row_mark, {1: token})
        add(equals, token, {0: equals, 6: token})
        add(token, equals, {})
        add(token, base + EOS, {0: equals})
    return derived(rows, slots, base)


def _product_columns(
    base: int, factor: int, first: bool
) -> Iterator[tuple[tuple[int, int] | None, int, int, bool]]:
    """What a row's columns hold, and what stands before them.

    Yields:
        High and carry of the column before (None: there is none), the digit of a, the digit that is
        left, and whether the column can be the last: a's last digit is not 0, and what the rows
        before have left is below a.
    """
    lefts = [ABSENT] if first else range(base)
    begin = (ABSENT, ABSENT, first)  # high, carry, "is below a so far"
    known, queue = {begin}, [begin]
    while queue:
        high_before, carry, below = state = queue.pop()
        before = None if state == begin else (high_before, carry)
        for x, left in product(range(base), lefts):
            smaller = left < x or (left == x and below)
            yield before, x, left, smaller and x > 0
            value = x * factor % base + max(high_before, 0) + max(carry, 0) + max(left, 0)
            after = (x * factor // base, value // base, smaller)
            if after not in known:
                known.add(after)
                queue.append(after)


def derive_sum(task: Json, coupling: Json, windows: list[list[int]]) -> Derived:
    """Running sums: two digits or fewer, and a carry."""
    added = {"sum": CELL, "carry": CELL}
    _require_one_token_each(
        coupling,
        windows,
        [
            {
                "key": {"a": {"right": 1, "row_stride": 1}, "sum": {"row_stride": 1, **CELL}},
                "query": added,
            },
            {"key": {"term": {"right": 1, "cell": 1}}, "query": added},
            {"key": {"carry": NEXT}, "query": added},
            {"key": {"+": ROW}, "query": {"row": ROW}},
            {"key": {"row": ROW}, "query": {"carry": ROW}},
        ],
    )
    base = task["base"]
    plus, row_mark = base + SYMBOL, base + SYMBOL + 1
    slots: list[Slot] = [(level, 0) for level in range(5)]
    rows: list[Row] = [
        (base + EQUALS, row_mark, ABSENT, ABSENT, ABSENT, plus, ABSENT),
        (0, row_mark, ABSENT, ABSENT, ABSENT, plus, ABSENT),
        (0, base + EOS, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT),
    ]
    for x, y, carry in product(range(ABSENT, base), range(ABSENT, base), (ABSENT, 0, 1)):
        if carry == ABSENT and ABSENT in (x, y):
            continue  # in the units both are there
        value = sum(max(digit, 0) for digit in (x, y, carry))
        query = row_mark if carry == ABSENT else carry
        rows.append((query, value % base, x, y, carry, ABSENT, ABSENT))
        rows.append((value % base, value // base, x, y, carry, ABSENT, row_mark))
    return derived(rows, slots, base)


def derive_quotient(task: Json, coupling: Json, windows: list[list[int]]) -> Derived:
    """Long division: borrows, the remainder kept or lessened, counts."""
    base = task["base"]
    _require_one_token_each(coupling, windows, _quotient_levels(base - 1))
    over, row_mark, equals = base + SYMBOL, base + SYMBOL + 1, base + EQUALS
    names = ("dividend", "divisor", "remainder", "flag", "count", "answer", "kind")
    slots: list[Slot] = [(level, 0) for level in range(len(names))]
    rows: list[Row] = []

    def add(query: int, target: int, **seen: int) -> None:
        """A context; `taken` is the row's last borrow, seen with its mark."""
        if "taken" in seen:
            seen = {**seen, "flag": seen["taken"], "kind": row_mark}
        rows.append((query, target, *(seen.get(name, ABSENT) for name in names)))

    digits = range(base)
    for r, b, level in product(digits, digits, ("dividend", "remainder")):  # the units
        cell = {"divisor": b, level: r}
        add(row_mark, int(r < b), **cell)
        for fails, digit in ((1, r), (0, (r - b) % base)):
            add(fails, digit, flag=fails, **cell)
            add(digit, 0 if fails else int(r < b), taken=fails, **cell)
    for before, r, b in product((0, 1), digits, digits):  # between
        digit, borrow = (r - b - before) % base, int(r < b + before)
        add(before, borrow, divisor=b, remainder=r)
        add(before, digit, divisor=b, remainder=r, flag=0)
        add(digit, borrow, divisor=b, remainder=r, taken=0)
        add(0, r, divisor=b, remainder=r, flag=1)
        add(r, 0, divisor=b, remainder=r, taken=1)
    for before, b in product((0, 1), digits):  # the remainder is one digit, the divisor has more
        add(before, int(b + before > 0), divisor=b)
        add(0, 0, divisor=b, flag=1)
        add(0, 0, divisor=b, taken=1)
    _quotient_tops(base, add)
    for trials, top in product(digits[:-1], digits):
        counted = {} if trials == 0 else {"count": trials}
        if top <= base - 2 - trials:  # what is left is below base - 1 - trials divisors
            add(top, trials + 1, taken=0, **counted)
        add(0, trials, taken=1, count=trials)
        add(trials, row_mark, count=trials)
    add(0, 0, taken=1)
    for query, seen in product((*digits, equals), digits):
        add(query, row_mark, dividend=seen, divisor=equals)
        add(query, seen, dividend=equals, answer=seen)
        add(row_mark if query == equals else query, seen, divisor=over, answer=seen)
    for token in digits:
        add(token, equals, divisor=equals)
        add(token, row_mark, dividend=equals)
        add(token, base + EOS, divisor=over)
    return derived(rows, slots, base)


def _quotient_tops(base: int, add: Callable[..., None]) -> None:
    """The column above the divisor's last."""
    for r, borrow in product((ABSENT, *range(base)), (0, 1)):
        if r + 1 < base or borrow:  # (base - 1) base^m and a divisor more are base divisors or more
            add(borrow, int(max(r, 0) < borrow), remainder=r)
        if 0 <= r - borrow < base - 1:  # below base - 1 divisors are left
            add(borrow, r - borrow, remainder=r, flag=0)
    add(0, 0, flag=0)  # one digit less a divisor of one digit
    add(0, 0, flag=1)
    add(0, 0, remainder=0, flag=1)


def _quotient_levels(trials: int) -> list[Json]:
    """The coupling that the contexts are derived for."""
    borrows = ("first borrow", "borrow", "flag")
    digits = ("first digit", "trial", "left", "rest", "top")
    taken = ("first taken", "taken")
    cells = (*borrows, *digits, *taken)
    over, copied = {"offset": -2}, {"offset": -2, "left": -1}
    below = {"row_stride": 1, **CELL}
    starts = ("first mark", "end", "first borrow", "first digit", "first taken")
    return [
        {
            "key": {"a": {"left": trials}, "=": EQUALS_AT},
            "query": {**dict.fromkeys(starts, ROW), "answer": EQUALS_AT},
        },
        {
            "key": {"b": {"right": 1}, "=": EQUALS_AT, "/": over},
            "query": {
                **dict.fromkeys(cells, COLUMN),
                **dict.fromkeys(("first mark", "end"), EQUALS_AT),
                "remainder": over,
            },
        },
        {
            "key": {"first digit": below, "trial": below, "left": {"offset": 1, **below}},
            "query": dict.fromkeys(cells, CELL),
        },
        {
            "key": {"flag": ROW},
            "query": dict.fromkeys((*digits, *taken, "count", "digit"), ROW),
        },
        {
            "key": {"count": {"offset": 1, "row": 1}},
            "query": dict.fromkeys(("count", "digit", "mark"), ROW),
        },
        {
            "key": {"digit": ROW, "rest": copied},
            "query": {"answer": {"left": -trials, "row": 1}, "remainder": copied},
        },
        {
            "key": {"first mark": ROW, "mark": ROW},
            "query": dict.fromkeys((*taken, "count", "digit"), ROW),
        },
    ]


WORKSHEET_DERIVATIONS: dict[str, Callable[[Json, Json, list[list[int]]], Derived]] = {
    "multiplication": derive_product,
    "running-sum": derive_sum,
    "division": derive_quotient,
}
"""Independent enumerations by task name: (task, coupling, windows) -> contexts."""
