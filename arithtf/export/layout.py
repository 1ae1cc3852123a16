"""Where the tokens of a problem stand, as data: what an exported model needs of its task."""

from __future__ import annotations

from itertools import product
from typing import Any

from arithtf.encodings import Encoding
from arithtf.tasks import ArithmeticTask, Calculator, ColumnTask, Coupling
from arithtf.tasks.arithmetic.carried_addition import CarriedAddition
from arithtf.tasks.arithmetic.comparison import Comparison
from arithtf.tasks.arithmetic.division import Division
from arithtf.tasks.arithmetic.modular_addition import ModularAddition
from arithtf.tasks.arithmetic.running_sum import RunningSum
from arithtf.tasks.arithmetic.scratchpad import Where
from arithtf.tasks.arithmetic.scratchpad_task import ScratchpadTask
from arithtf.tasks.arithmetic.strings import Parity
from arithtf.tasks.vocabulary import DIGITS


def layout(task: ArithmeticTask, coupling: Coupling, encoding: Encoding) -> dict[str, Any]:
    """All but the network that `arithtf.export.interpreter` reads.

    Args:
        task: a task whose answer is columns or rows, or a calculator of such tasks.
        coupling: where its ids come from.
        encoding: its windows.

    Raises:
        ValueError: the task has no text or is none of columns or rows.
    """
    if task.base > len(DIGITS):
        raise ValueError(
            f"expected a base up to {len(DIGITS)}, whose digits have text, got {task.base}"
        )
    if isinstance(task, Calculator):
        parts = [_named(_part(part), part.name) for part in task.parts.values()]
    else:
        parts = [_part(task)]
    return {
        "base": task.base,
        "words": list(task.vocabulary.words),
        "parts": parts,
        "levels": coupling.to_dict()["levels"],
        "windows": [list(window or ()) for window in encoding.pairs()],
    }


def _part(task: ArithmeticTask) -> dict[str, Any]:
    many = isinstance(task, RunningSum)
    part: dict[str, Any] = {
        "sign": task.sign,
        "arity": 0 if many else task.arity,
        "prompt": list(task.prompt),
        "repeated": False,
        "strings": task.strings,
        "last_digit": False,
        "divides": False,
        "padded": False,
        "reversed": False,
    }
    if isinstance(task, ColumnTask):
        rule = task.rule()
        last = [rule.passes[-1].row]
        signed = [row.end for row in rule.passes if row.end == "sign"]
        return part | {
            "numbers": rule.numbers,
            "last_digit": rule.last_digit,
            "padded": rule.padded,
            "reversed": rule.reversed,
            "limit": rule.limit,
            "rows": [[row.row, row.end] for row in rule.passes],
            "answer": signed + last,
            "reads": _reads(task),
        }
    if isinstance(task, ScratchpadTask):
        return part | _scratchpad(task)
    raise ValueError(f"task {task.name!r} has no rule of columns or rows, so it has no layout")


def _reads(task: ArithmeticTask) -> str:
    """How the answer's tokens are read."""
    if isinstance(task, Comparison | Parity):
        return "last"
    special = task.strings or (isinstance(task, ModularAddition) and task.running)
    return "text" if special or task.values > task.base else "number"


def _scratchpad(task: ScratchpadTask) -> dict[str, Any]:
    pad = task.scratchpad()
    summed = isinstance(task, RunningSum | CarriedAddition)
    answer = ["sum"] if summed else [part.segment for part in pad.tail[1:]]
    passes = [
        {
            "single": one.single,
            "names": list(one.writes),
            "ends": list(one.names(last=True)),
            "segments": {
                name: {
                    "".join(map(str, map(int, where))): pad.segment(name, Where(*where))
                    for where in product((False, True), repeat=5)
                }
                for name in one.writes
            },
        }
        for one in pad.passes
    ]
    return {
        "repeated": pad.turns is None,
        "turns": pad.turns,
        "columns": pad.columns,
        "repeat": pad.repeat,
        "first_row": pad.first_row,
        "divides": pad.divides,
        "passes": passes,
        "tail": [[part.segment, list(part.lengths), part.row] for part in pad.tail],
        "answer": answer,
        "reads": "quotient" if isinstance(task, Division) else "number",
    }


def _named(part: dict[str, Any], name: str) -> dict[str, Any]:
    """The part with a task's name before its segments."""

    def long(segment: str | None) -> str | None:
        return segment and f"{name} {segment}"

    named = part | {
        "prompt": [*map(long, part["prompt"])],
        "answer": [*map(long, part["answer"])],
    }
    if "rows" in part:
        named["rows"] = [[*map(long, row)] for row in part["rows"]]
        return named
    named["tail"] = [[long(segment), *rest] for segment, *rest in part["tail"]]
    named["passes"] = [
        one
        | {
            "segments": {
                n: {where: long(s) for where, s in table.items()}
                for n, table in one["segments"].items()
            }
        }
        for one in part["passes"]
    ]
    return named
