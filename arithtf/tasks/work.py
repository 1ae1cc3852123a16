"""The coupling of multiplication's work: what each token of it is computed from."""

from __future__ import annotations

from arithtf.tasks.coupling import Coupling, Level, Place

WORK_WINDOWS = ((1, 0), (1, 0), (1, 0), (0, 0))
"""The window of each level of `work`, (back, ahead)."""

_WRITTEN_DIGIT = ("sum", "final")
_WRITTEN_CARRY = ("carry", "top", "last")


def work() -> Coupling:
    """Four levels; a query sees at most one token on each (windows: WORK_WINDOWS).

    | level | a digit and a carry of row j, digit i of the multiplicand, see |
    |---|---|
    | multiplicand | digit i of a |
    | multiplier | digit j of b |
    | running sum | digit i + 1 of row j - 1 (for the last i its last carry): what it has left |
    | product | nothing; digit k of the answer sees the final digit k |

    On the first three a digit sees its key at difference 0 and a carry at -1: ids of a and b go in
    twos, ids of the running sum are token indices. So the two kinds of query, which alternate,
    tell themselves apart. A row has 2n + 1 tokens, so 2n - 1 tokens before a digit stands digit i
    + 1 of the row above. The separator of row j sees digit j of b, where there is one; answer
    digits see the prompt's "=" on the multiplicand's level, which nothing else does, so that the
    end of the answer does not look like the end of the rows.
    """
    digit, carry = Place(row=2), Place(row=2, offset=1)
    above = Place(index=1, offset=2, width=-1)
    multiplicand = Level(
        name="multiplicand",
        key={"a": Place(right=2), "=": Place(offset=-5)},
        query={
            **dict.fromkeys(_WRITTEN_DIGIT, Place(left=2)),
            **dict.fromkeys(_WRITTEN_CARRY, Place(left=2, offset=1)),
            "answer": Place(offset=-5),
        },
    )
    multiplier = Level(
        name="multiplier",
        key={"b": Place(right=2)},
        query={
            "row": digit,
            **dict.fromkeys(_WRITTEN_DIGIT, digit),
            **dict.fromkeys(_WRITTEN_CARRY, carry),
        },
    )
    running_sum = Level(
        name="running sum",
        key={"sum": Place(index=1), "top": Place(index=1, offset=1)},
        query=dict.fromkeys((*_WRITTEN_DIGIT, *_WRITTEN_CARRY), above),
    )
    product = Level(
        name="product",
        key={"final": Place(row=2, left=2), "last": Place(row=2, left=2, offset=2)},
        query={"answer": Place(left=2)},
    )
    return Coupling("work", (multiplicand, multiplier, running_sum, product))
