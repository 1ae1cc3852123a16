"""What the queries of a column task see, as offsets between columns.

Read off two real instances of the task, of n and n + 3 columns: a level's ids differ by a fixed
amount between tokens whose columns are a fixed number apart, so that a token is seen by each query
at the same offset (a digit, a token of a row), or stands for the whole problem and is seen by all
queries of a row or by those of a few first columns (a sign, an operand of one digit, a mark).
Whatever is seen otherwise is refused: all that both instances show must follow from these places.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from arithtf.certify.provable import CannotCertify
from arithtf.encodings import Encoding
from arithtf.encodings.windows import finite_windows
from arithtf.tasks import Batch, ColumnTask, Coupling, Operands
from arithtf.tasks.arithmetic.transducer import Rule
from arithtf.tasks.coupling import NO_ID


class Seen(NamedTuple):
    """A token that a query sees.

    Args:
        level, difference: where it sees it.
        source: "digit" of operand `number`, "body" or "end" of row `number`: tokens with a column.
            "token" `number`, "operand" of one digit, "mark" that ends row `number`: without one.
        number: see `source`.
        offset: its column less the query's; 0 for tokens without a column.
    """

    level: int
    difference: int
    source: str
    number: int
    offset: int = 0


class Places(NamedTuple):
    """What the queries for a row's tokens see.

    Args:
        moving: tokens with a column, where there is one at this offset.
        always: tokens without one.
        single: column of the query -> further tokens without one.
    """

    moving: tuple[Seen, ...]
    always: tuple[Seen, ...]
    single: dict[int, tuple[Seen, ...]]


Output = tuple[int, str]
"""A row's number, and "body" or "end"."""

_APART = 3  # columns by which the two instances differ


class _Token(NamedTuple):
    """A token of an instance: its source, and its column where it has one."""

    source: str
    number: int
    column: int | None


def places(
    task: ColumnTask, coupling: Coupling, encoding: Encoding, rule: Rule
) -> dict[Output, Places]:
    """What the queries of each output see.

    Args:
        task: the task.
        coupling: where ids come from.
        encoding: its windows and sinks.
        rule: the task's.

    Raises:
        CannotCertify: something is seen at no fixed offset.
    """
    windows = finite_windows(encoding.windows, coupling.levels)
    reach = max(max(window) for window in windows)
    if reach > 20:
        raise CannotCertify(f"expected windows of at most 20 ids, got {reach}")
    size = 2 * reach + 8
    both = [
        _instance(task, coupling, windows, encoding.sinks, rule, n) for n in (size, size + _APART)
    ]
    found = {}
    for output in {output for output, _ in both[0].seen}:
        made = _merged(output, both, size // 2)
        for one in both:
            _expect_explained(task, output, made, one)
        found[output] = made
    return found


class _Instance(NamedTuple):
    """One instance.

    Args:
        columns: of operands.
        seen: output and column of a query -> what it sees, with the column of each or None.
        exist: tokens that stand before each query.
    """

    columns: int
    seen: dict[tuple[Output, int], list[tuple[Seen, int | None]]]
    exist: dict[tuple[Output, int], set[_Token]]


def _instance(
    task: ColumnTask,
    coupling: Coupling,
    windows: Sequence[tuple[int, int]],
    sinks: int,
    rule: Rule,
    columns: int,
) -> _Instance:
    digits = [np.ones(columns, np.uint8)] * rule.numbers
    digits += [np.ones(1, np.uint8)] * rule.last_digit
    batch = Batch.of(task.instances(Operands.from_digits([digits], arity=task.arity)), coupling)
    tokens = _tokens(task, batch, rule, columns)
    seen: dict[tuple[Output, int], list[tuple[Seen, int | None]]] = {}
    exist: dict[tuple[Output, int], set[_Token]] = {}
    for t, token in enumerate(tokens[1:]):
        if token.source not in ("body", "end"):
            continue
        assert token.column is not None
        own = ((token.number, token.source), token.column)
        exist[own] = set(tokens[sinks : t + 1])
        seen[own] = []
        for level, (back, ahead) in enumerate(windows):
            query = int(batch.query_ids[0, level, t])
            for k in range(sinks, t + 1) if query != NO_ID else ():
                key, other = int(batch.key_ids[0, level, k]), tokens[k]
                if key != NO_ID and -back <= key - query <= ahead:
                    offset = 0 if other.column is None else other.column - token.column
                    one = Seen(level, key - query, other.source, other.number, offset)
                    seen[own].append((one, other.column))
    return _Instance(columns, seen, exist)


def _tokens(task: ColumnTask, batch: Batch, rule: Rule, columns: int) -> list[_Token]:
    """What each token of an instance is, in order."""
    assert batch.instances is not None
    names = task.segments.names
    operands = {name: i for i, name in enumerate(task.prompt[1:-1:2])}
    rows = {row.row: i for i, row in enumerate(rule.passes)}
    ends = {row.end: i for i, row in enumerate(rule.passes) if row.end}
    written = min(columns, rule.limit or columns)
    found: dict[int, _Token] = {}
    for segment, _, length, first, stride, token in batch.instances.runs.arrays()[0].tolist():
        name = names[segment]
        for k in range(length):
            at, i = token + k * stride, first + k
            if name in rows:
                found[at] = _Token("body", rows[name], i)
            elif name in ends:
                found[at] = _Token("end", ends[name], written)
            elif operands.get(name, rule.numbers) < rule.numbers:
                place = i if rule.reversed else columns - 1 - i
                column = columns - 1 - place if rule.from_left else place
                found[at] = _Token("digit", operands[name], column)
            elif name in operands:
                found[at] = _Token("operand", 0, None)
            else:
                found[at] = _Token("token", int(batch.tokens[0, at]), None)
    return [found[at] for at in sorted(found)]


def _merged(output: Output, both: Sequence[_Instance], middle: int) -> Places:
    """The places that explain what the queries of an output see, if any do."""
    moving, where = set(), [dict[Seen, set[int]](), dict[Seen, set[int]]()]
    for one, columns in zip(both, where, strict=True):
        for (own, column), seen in one.seen.items():
            for slot, _ in seen if own == output else ():
                whole = slot.source in ("token", "operand")
                if not whole and not (slot.source == "end" and _stands(both, output, slot)):
                    moving.add(slot)
                else:
                    source = "mark" if slot.source == "end" else slot.source
                    named = slot._replace(source=source, offset=0)
                    columns.setdefault(named, set()).add(column)
    always, single = [], dict[int, tuple[Seen, ...]]()
    for one_for_all, queries in where[1].items():
        if middle in queries:
            always.append(one_for_all)
            continue
        for column in queries:
            single[column] = (*single.get(column, ()), one_for_all)
    return Places(tuple(sorted(moving)), tuple(sorted(always)), single)


def _stands(both: Sequence[_Instance], output: Output, slot: Seen) -> bool:
    """Whether the end of a row has one id in both instances: the same queries see it there."""
    queries = [
        {
            column
            for (own, column), seen in one.seen.items()
            if own == output and any(s[:4] == slot[:4] for s, _ in seen)
        }
        for one in both
    ]
    low = [min(columns, default=-1) for columns in queries]
    return low[0] == low[1]


def _expect_explained(task: ColumnTask, output: Output, made: Places, one: _Instance) -> None:
    """Check that an instance shows what the places say.

    Raises:
        CannotCertify: it does not.
    """
    for (own, column), seen in one.seen.items():
        if own != output:
            continue
        exist = one.exist[own, column]
        predicted = [
            slot
            for slot in made.moving
            if _Token(slot.source, slot.number, column + slot.offset) in exist
        ]
        predicted += [*made.always, *made.single.get(column, ())]
        actual = [slot for slot, _ in seen]
        if sorted(s[:2] + s[3:4] for s in predicted) != sorted(s[:2] + s[3:4] for s in actual):
            row = task.rule().passes[output[0]].row
            raise CannotCertify(
                f"the query for column {column} of {row!r} sees tokens at no fixed number of "
                "columns from its own, so what it sees is no chain of columns"
            )
