"""All local contexts of worksheets, written down case by case. Python and NumPy alone.

Nothing here is shared with the enumeration that a certificate is made with
(`arithtf.tasks.worksheet_cover`): there automata find real problems that contain every context,
here it is said which digits can stand side by side, and the next token is worked out by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

from arithtf.certify.verify_addition import ABSENT, Derived
from arithtf.certify.verify_columns import (
    EOS,
    EQUALS,
    SYMBOL,
    Json,
    Row,
    Slot,
    derived,
    require,
)  # fmt: skip

Form = dict[str, int]
CELL: Form = {"left": 2, "cell": 2}
AFTER: Form = {"offset": 1, **CELL}
NEXT: Form = {"offset": 2, **CELL}


def derive_product(task: Json, coupling: Json, windows: list[list[int]]) -> Derived:
    """Multiplication: digit pairs, then sums of low, the high before, what is left, the carry."""
    mark, added = {"offset": -5}, {"final": CELL, "sum": CELL, "carry": AFTER}
    require(
        coupling,
        windows,
        [
            {
                "key": {"a": {"right": 2}, "=": mark},
                "query": {"high": {"left": 2}, "low": {"offset": 1, "left": 2}, "answer": mark},
            },
            {
                "key": {"b": {"right": 2}},
                "query": {"row": {"row": 2}, "high": {"row": 2}, "low": {"offset": 1, "row": 2}},
            },
            {"key": {"low": CELL}, "query": added},
            {"key": {"high": NEXT}, "query": added},
            {"key": {"sum": {"offset": -2, "pitch": 2, **CELL}}, "query": added},
            {"key": {"carry": NEXT}, "query": added},
            {"key": {"final": {"left": 1, "row": 1}}, "query": {"answer": {"left": 1}}},
            {"key": {"row": {"row": 1}}, "query": {"low": {"row": 1}, "carry": {"row": 1}}},
        ],
        [*[[1, 0]] * 6, [0, 0], [0, 0]],
    )
    base = task["base"]
    row_mark = base + SYMBOL + 1
    slots: list[Slot] = [*((level, d) for level in range(6) for d in (-1, 0)), (6, 0), (7, 0)]
    rows: list[Row] = []

    def add(query: int, target: int, tokens: dict[Slot, int]) -> None:
        rows.append((query, target, *(tokens.get(slot, ABSENT) for slot in slots)))

    for factor, first in product(range(base), (True, False)):
        for before, x, left, can_end in _product_columns(base, factor, first):
            high_before, carry = before or (ABSENT, ABSENT)
            low, high = x * factor % base, x * factor // base
            start = carry if before else row_mark
            add(start, high, {(0, 0): x, (1, 0): factor})
            add(high, low, {(0, -1): x, (1, -1): factor, (7, 0): row_mark})
            addends = {2: low, 3: high_before, 4: left, 5: carry}
            there = {level: token for level, token in addends.items() if token != ABSENT}
            digit, after = sum(there.values()) % base, sum(there.values()) // base
            add(low, digit, {(level, 0): token for level, token in there.items()})
            written = {(level, -1): token for level, token in there.items()}
            add(digit, after, {**written, (7, 0): row_mark})
            if can_end:
                add(after, high + after, {(3, 0): high, (5, 0): after})
    digits = range(base)
    for token, seen in product(digits, digits):
        add(token, row_mark, {(1, 0): seen})
        add(token, seen, {(0, 0): base + EQUALS, (6, 0): seen})
    for token in digits:
        add(base + EQUALS, row_mark, {(1, 0): token})
        add(base + EQUALS, token, {(0, 0): base + EQUALS, (6, 0): token})
        add(token, base + EQUALS, {})
        add(token, base + EOS, {(0, 0): base + EQUALS})
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
    added = {"sum": CELL, "carry": AFTER}
    require(
        coupling,
        windows,
        [
            {
                "key": {"a": {"right": 2, "pitch": 2}, "sum": {"pitch": 2, **CELL}},
                "query": added,
            },
            {"key": {"term": {"right": 2, "cell": 2}}, "query": added},
            {"key": {"carry": NEXT}, "query": added},
            {"key": {"+": {"row": 1}}, "query": {"row": {"row": 1}}},
            {"key": {"row": {"row": 1}}, "query": {"carry": {"row": 1}}},
        ],
        [*[[1, 0]] * 3, [0, 0], [0, 0]],
    )
    base = task["base"]
    plus, row_mark = base + SYMBOL, base + SYMBOL + 1
    slots: list[Slot] = [*((level, d) for level in range(3) for d in (-1, 0)), (3, 0), (4, 0)]
    nothing = (ABSENT,) * 6
    rows: list[Row] = [
        (base + EQUALS, row_mark, *nothing, plus, ABSENT),
        (0, row_mark, *nothing, plus, ABSENT),
        (0, base + EOS, *nothing, ABSENT, ABSENT),
    ]
    for x, y, carry in product(range(ABSENT, base), range(ABSENT, base), (ABSENT, 0, 1)):
        if carry == ABSENT and ABSENT in (x, y):
            continue  # in the units both are there
        value = sum(max(digit, 0) for digit in (x, y, carry))
        query = row_mark if carry == ABSENT else carry
        here = (ABSENT, x, ABSENT, y, ABSENT, carry, ABSENT, ABSENT)
        after = (x, ABSENT, y, ABSENT, carry, ABSENT, ABSENT, row_mark)
        rows.append((query, value % base, *here))
        rows.append((value % base, value // base, *after))
    return derived(rows, slots, base)


def derive_quotient(task: Json, coupling: Json, windows: list[list[int]]) -> Derived:
    """Long division: borrows, the remainder kept or lessened, counts."""
    base = task["base"]
    require(coupling, windows, _quotient_levels(base - 1),
            [*[[0, 0]] * 3, [1, 0], *[[0, 0]] * 3])  # fmt: skip
    over, row_mark, equals = base + SYMBOL, base + SYMBOL + 1, base + EQUALS
    slots: list[Slot] = [(0, 0), (1, 0), (2, 0), (3, -1), (3, 0), (4, 0), (5, 0), (6, 0)]
    rows: list[Row] = []

    def add(query: int, target: int, **seen: int) -> None:
        names = ("dividend", "divisor", "remainder", "taken", "flag", "count", "answer")
        kind = row_mark if "taken" in seen else ABSENT
        rows.append((query, target, *(seen.get(name, ABSENT) for name in names), kind))

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
    mark, over, copied = {"offset": -5}, {"offset": -7}, {"offset": -10, "left": -1}
    row: Form = {"row": 1}
    rows, took = {"row": 2}, {"offset": 1, "row": 2}
    column: Form = {"left": 1}
    below = {"pitch": 2, **CELL}
    starts = ("first mark", "end", "first borrow", "first digit", "first taken")
    return [
        {
            "key": {"a": {"left": trials}, "=": mark},
            "query": {**dict.fromkeys(starts, row), "answer": mark},
        },
        {
            "key": {"b": {"right": 1}, "=": mark, "/": over},
            "query": {
                **dict.fromkeys((*borrows, *digits, *taken), column),
                **dict.fromkeys(("first mark", "end"), mark),
                "remainder": over,
            },
        },
        {
            "key": {
                "first digit": below,
                "trial": below,
                "left": {"offset": 2, **below},
            },
            "query": dict.fromkeys((*borrows, *digits, *taken), CELL),
        },
        {
            "key": {"flag": rows},
            "query": {
                **dict.fromkeys(digits, rows),
                **dict.fromkeys((*taken, "count", "digit"), took),
            },
        },
        {
            "key": {"count": {"offset": 1, "row": 1}},
            "query": dict.fromkeys(("count", "digit", "mark"), row),
        },
        {
            "key": {"digit": row, "rest": copied},
            "query": {"answer": {"left": -trials, "row": 1}, "remainder": copied},
        },
        {
            "key": {"first mark": row, "mark": row},
            "query": dict.fromkeys((*taken, "count", "digit"), row),
        },
    ]


WORKSHEET_DERIVATIONS: dict[str, Callable[[Json, Json, list[list[int]]], Derived]] = {
    "multiplication": derive_product,
    "running-sum": derive_sum,
    "division": derive_quotient,
}
"""Independent enumerations by task name: (task, coupling, windows) -> contexts."""
