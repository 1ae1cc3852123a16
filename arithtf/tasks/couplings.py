"""Ready-made couplings of the literature, as tables for a task's segments."""

from __future__ import annotations

from arithtf.tasks.arithmetic.addition import Addition
from arithtf.tasks.arithmetic.modular_addition import ModularAddition
from arithtf.tasks.arithmetic.task import ArithmeticTask
from arithtf.tasks.base import Task
from arithtf.tasks.coupling import Coupling, Level, Place
from arithtf.tasks.lookups import lookups

__all__ = [
    "abacus",
    "columns",
    "cyclic",
    "digit_columns",
    "from_left",
    "index",
    "lookups",
    "modular_columns",
    "operand_columns",
    "position_coupling",
    "randomized",
]


def _significance(task: Addition, offset: int = 0) -> dict[str, Place]:
    """Digit of significance j of either operand -> offset + j."""
    if task.reverse_operands:
        operand = Place(offset=offset, left=1)
    else:
        operand = Place(offset=offset, right=1)
    return {"a": operand, "b": operand}


def columns(task: Addition) -> Coupling:
    """Every digit has its column as id: significance j, in operands and answer, is id j.

    The query side is the column to be written. BOS, "+" and "=" have no id.
    """
    answer = {"answer": Place(left=1)}
    level = Level(name="column", key={**_significance(task), **answer}, query=answer)
    return Coupling("columns", (level,))


def operand_columns(task: Addition) -> Coupling:
    """As `columns`, but answer digits have no key id: only the operands are looked up.

    The last answer digit written is the query token itself, so to see it once more as a key tells
    nothing new; without it a query has two tokens less to tell apart, and learns faster.
    """
    level = Level(name="column", key=_significance(task), query={"answer": Place(left=1)})
    return Coupling("operand_columns", (level,))


def index(task: Task) -> Coupling:
    """Every token has its index in the instance as id: ordinary positions."""
    place = Place(index=1)
    every = {segment: place for segment in task.segments.names}
    return Coupling("index", (Level(name="index", key=every, query=every),))


def position_coupling(task: Addition, max_position: int, *, longest: int | None = None) -> Coupling:
    """Position coupling (arXiv 2405.20671): digits of one significance share an id, random start.

    The digit of significance j has id s + 1 + j, "+" and "=" have s, BOS has none.

    Args:
        task: addition.
        max_position: the largest id there is an embedding for; ids begin at 1.
        longest: digits of the longest operand trained on; starts are drawn so that its sum with EOS
            ends at max_position at the latest. Default max_position // 2.

    Raises:
        ValueError: max_position too small for such operands.
    """
    longest = max_position // 2 if longest is None else longest
    high = max_position - longest - 2
    if longest < 1 or high < 1:
        raise ValueError(
            f"operands of {longest} digits need max_position >= {max(longest, 1) + 3}, got "
            f"{max_position}"
        )
    shared = {"answer": Place(offset=1, left=1), "=": Place(), "+": Place()}
    forms = {**_significance(task, offset=1), **shared}
    level = Level(name="significance", key=forms, query=forms, start=(1, high))
    return Coupling("position_coupling", (level,))


def abacus(task: Addition, max_start: int) -> Coupling:
    """Abacus embeddings (arXiv 2405.17399): a digit's id is its place in its number, from the left.

    One random start per batch is shared by all numbers; everything but digits has no id. The paper
    writes numbers least significant digit first, so use a task with reverse_operands.

    Args:
        task: addition.
        max_start: the largest start; the paper's k.

    Raises:
        ValueError: max_start below 1.
    """
    if max_start < 1:
        raise ValueError(f"max_start must be >= 1, got {max_start}")
    digits = {segment: Place(left=1) for segment in ("a", "b", "answer")}
    level = Level(name="place", key=digits, query=digits, start=(1, max_start), shared_start=True)
    return Coupling("abacus", (level,))


def randomized(task: Task, range: int) -> Coupling:
    """Randomized positions (arXiv 2305.16843): indices become a sorted sample of [0, range).

    Args:
        task: any task.
        range: at least the number of columns an instance can fill.

    Raises:
        ValueError: range below 1.
    """
    if range < 1:
        raise ValueError(f"range must be >= 1, got {range}")
    place = Place(index=1)
    every = {segment: place for segment in task.segments.names}
    level = Level(name="randomized", key=every, query=every, randomized=range)
    return Coupling("randomized", (level,))


def digit_columns(task: ArithmeticTask) -> Coupling:
    """One number's columns: significance j has id j; a second operand of one digit is always seen.

    The multiplier of `TimesDigit` has the id 0 on a level of its own, and every query asks for it.
    """
    query = {"answer": Place(left=1)}
    column = Level(name="column", key={"a": Place(right=1)}, query=query)
    if task.arity == 1:
        return Coupling("digit_columns", (column,))
    factor = Level(name="factor", key={"b": Place()}, query={"answer": Place()})
    return Coupling("digit_columns", (column, factor))


def from_left(task: ArithmeticTask) -> Coupling:
    """Digits and answer are aligned from the left: place j has id j in operands and answer."""
    place = Place(left=1)
    key = {segment: place for segment in ("a", "b")[: task.arity]}
    level = Level(name="place", key=key, query={"answer": place})
    return Coupling("from_left", (level,))


def modular_columns(task: ModularAddition) -> Coupling:
    """As `operand_columns`, with a mark where the answer ends: "=" has id k on a level "stop".

    k is the number of columns that decide. Where the answer is its digits, the windows (1, 0) and
    (0, 1) do; a running residue is written with (0, 0), and (0, k - j) to know its column above the
    j digits of the result.
    """
    query = {"answer": Place(left=1)}
    column = Level(name="column", key={"a": Place(right=1), "b": Place(right=1)}, query=query)
    stop = Level(name="stop", key={"=": Place(offset=task.form.columns)}, query=query)
    return Coupling("modular_columns", (column, stop))


def cyclic(task: Addition, period: int) -> Coupling:
    """The columns coupling with ids modulo a period.

    Raises:
        ValueError: period below 1.
    """
    if period < 1:
        raise ValueError(f"period must be >= 1, got {period}")
    answer = {"answer": Place(left=1)}
    key = {**_significance(task), **answer}
    return Coupling("cyclic", (Level(name="cycle", key=key, query=answer, period=period),))
