"""Calls of what makes tasks, problems and ids, with arguments that are right; see fuzz_bindings."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from arithtf import _core
from arithtf.tasks import (
    Addition,
    Division,
    Increment,
    Multiplication,
    Parity,
    RunningSum,
    Subtraction,
    TimesDigit,
)
from arithtf.tasks.arithmetic import column_task, scratchpad_task

RECORDED = ("ColumnPass", "column_task", "ScratchpadPass", "scratchpad_task")
SEGMENTS = 16
PASSES: list[tuple[Any, dict[str, Any]]] = []


class Call(NamedTuple):
    """A function and its arguments; `self` is the first one without a name."""

    name: str
    run: Callable[..., Any]
    arguments: dict[str, Any]
    typed: bool = False
    """Written in Python: kinds of arguments are the caller's business, values are not."""


@contextmanager
def recording(made: dict[str, list[dict[str, Any]]]) -> Iterator[None]:
    """Keep the arguments of the constructors that tasks call."""
    originals = {name: getattr(_core, name) for name in RECORDED}

    def recorder(name: str) -> Callable[..., Any]:
        def record(**arguments: Any) -> Any:
            made[name].append(arguments)
            result = originals[name](**arguments)
            if name.endswith("Pass"):
                PASSES.append((result, arguments))
            return result

        return record

    for name in RECORDED:
        setattr(_core, name, recorder(name))
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(_core, name, original)


@lru_cache(maxsize=1)
def known() -> tuple[list[Any], dict[str, list[dict[str, Any]]]]:
    """Tasks, and what they tell the core."""
    made: dict[str, list[dict[str, Any]]] = {name: [] for name in RECORDED}
    for module in (column_task, scratchpad_task):  # what was made before tells nothing again
        module._compiled.cache_clear()
    with recording(made):
        tasks = [Addition(9), Addition(16, "padded", True), Subtraction(), TimesDigit(7)]
        tasks += [Increment(), Parity(), RunningSum(7), Division(3), Multiplication(2)]
        for task in tasks:
            assert task.core is not None
    return tasks, made


def where(rng: random.Random, arity: int) -> tuple[Any, ...]:
    """The address of problems."""
    kind = rng.choice(["uniform", "uniform", "chain", "ripple", "kill", "alternating"])
    split = rng.choice(["train", "test", "all"]) if kind == "uniform" else "all"
    chain = (1, 1) if kind == "chain" else None
    return arity, rng.randrange(99), split, rng.randrange(99), (2, 5), kind, chain, 0


def operands(rng: random.Random, arity: int, *, last_digit: bool = False) -> tuple[Any, Any]:
    """Digits and offsets of one to three problems."""
    lengths = [rng.randint(1, 5) for _ in range(arity * rng.randint(1, 3))]
    if last_digit:
        lengths[arity - 1 :: arity] = [1] * len(lengths[arity - 1 :: arity])
    digits = [d for n in lengths for d in (1, *(rng.randrange(2) for _ in range(n - 1)))]
    return np.array(digits, np.uint8), np.cumsum([0, *lengths])


def ids_of(runs: Any, columns: int, coupling: Any = None) -> None:
    """What a task wrote must be safe to give ids to."""
    table = np.zeros((2, SEGMENTS, 8), np.int64)
    table[..., :5], table[0, :, 5:] = 1, 1
    settings = np.array([[0, 0, 3, 0, 0], [7, 0, 0, 0, 300]], np.int64)
    made = coupling or _core.Coupling(table, table, settings)
    for ahead in (0, 1):
        made.ids(runs, columns, ahead, 1)


def use_task(task: Any) -> None:
    """Whatever tables a task was made of, what it writes stays within its arrays."""
    for arity in (1, 2, 3):
        try:
            task.sizes(np.full((1, arity), 4))
        except ValueError:
            continue
        for size in (1, 5):
            at = (arity, 1, "all", 1, (1, size), "uniform", None, 0)
            tokens, _, runs, _ = task.sample(at, 2, 1)
            ids_of(runs, tokens.shape[1])
        given = np.ones(3 * arity, np.uint8), np.arange(0, 3 * arity + 1, 3)
        for solved in (True, False):
            tokens, _, runs, _ = task.instances(
                arity, *given, max_length=4, solved=solved, threads=0
            )
            ids_of(runs, tokens.shape[1])
        task.answers(arity, *given)


def task_call(rng: random.Random) -> Call:
    """A method of a task, or a constructor, whose task is then used."""
    tasks, made = known()
    task = rng.choice(tasks)
    core, digit = task.core, isinstance(task, TimesDigit)
    given = dict(
        zip(("digits", "offsets"), operands(rng, task.arity, last_digit=digit), strict=True)
    )
    problems = {"self": core, "arity": task.arity, **given}
    lengths = np.array([[rng.randint(1, 5) for _ in range(task.arity)] for _ in range(2)])
    drawn = {"self": core, "where": where(rng, task.arity), "size": rng.randint(1, 3), "threads": 1}
    kind = _core.Task
    written = {"max_length": rng.choice([None, 6]), "solved": rng.random() < 0.5, "threads": 0}
    name = rng.choice([*RECORDED, *["methods"] * 6])
    if name == "methods":
        return rng.choice(
            [
                Call("Task.sample", kind.sample, drawn),
                Call("Task.operands", kind.operands, drawn),
                Call("Task.instances", kind.instances, {**problems, **written}),
                Call("Task.answers", kind.answers, problems),
                Call("Task.test_split", kind.test_split, problems),
                Call("Task.sizes", kind.sizes, {"self": core, "lengths": lengths}),
            ]
        )
    arguments = rng.choice(made[name])
    make = getattr(_core, name)
    if name.endswith("Pass"):
        builder = name.removesuffix("Pass").lower() + "_task"
        whole, build = rng.choice(made[builder]), getattr(_core, builder)
        at = rng.randrange(len(whole["passes"]))

        def made_of(**tables: Any) -> None:
            one = make(**tables)
            passes = [*whole["passes"][:at], one, *whole["passes"][at + 1 :]]
            use_task(build(**{**whole, "passes": passes}))

        own = next(tables for one, tables in PASSES if one is whole["passes"][at])
        return Call(name, made_of, own)
    return Call(name, lambda **tables: use_task(make(**tables)), arguments)


def data_call(rng: random.Random) -> Call:
    """Couplings, runs, ids, random words."""
    batch, rows = rng.randint(1, 3), rng.randint(1, 3)
    run = np.array([[0, 0, 1, 0, 1, 0], [1, 2, 3, 0, 2, 1], [3, 1, 2, 1, 1, 7]], np.int64)[:rows]
    runs = np.concatenate([run] * batch)
    facts = np.array([[rng.randrange(3), 9, rng.randrange(5), 1]] * batch, np.int64)
    offsets = np.arange(0, batch * rows + 1, rows)
    tables = np.array(
        [[[1, *(rng.randint(-2, 2) for _ in range(7))] for _ in range(4)] for _ in range(2)]
    )
    settings = np.array([[0, -1, 2, 0, 0], [5, 0, 0, 1, rng.choice([0, 20])]], np.int64)
    spelled = {"runs": runs, "offsets": offsets, "facts": facts, "draws": (1, 2, 3, True)}
    coupled = {"key": tables, "query": tables[::-1].copy(), "settings": settings}
    made = _core.Coupling(**coupled)

    def runs_and_ids(**arguments: Any) -> None:
        found = _core.Runs(**arguments)
        found.arrays()
        ids_of(found, 40)

    def coupling_and_ids(**arguments: Any) -> None:
        ids_of(_core.Runs(**spelled), 20, _core.Coupling(**arguments))

    asked = {"self": made, "runs": _core.Runs(**spelled), "columns": 20, "ahead": 1, "threads": 0}
    words = {"counter": [1, 2, 3, 4], "key0": 5, "key1": 6}
    return rng.choice(
        [
            Call("Runs", runs_and_ids, spelled),
            Call("Coupling", coupling_and_ids, coupled),
            Call("Coupling.ids", _core.Coupling.ids, asked),
            Call("philox", _core.philox, words),
        ]
    )
