"""The calculator: instances of its four tasks, contexts of theirs with the sign."""

import itertools

import numpy as np
import pytest
from addresses import batch_at, operands_at

from arithtf.certify.contexts import collect, layouts
from arithtf.certify.cover import covering_set
from arithtf.tasks import (
    IGNORE,
    NO_ID,
    Batch,
    Calculator,
    Coupling,
    Level,
    Operands,
    couplings,
    task_from_dict,
    task_to_dict,
)

LINES = ["12+345", "0+0", "7-12", "100-99", "12*34", "0*7", "100/7", "3/20", "999999/1000"]


def of_part(coupling, name):
    """What a joint coupling says of one task, in the task's own segments."""
    prefix = f"{name} "

    def own(forms):
        return {s.removeprefix(prefix): p for s, p in forms.items() if s.startswith(prefix)}

    levels = (Level(name=x.name, key=own(x.key), query=own(x.query)) for x in coupling.levels)
    return Coupling(coupling.name, tuple(levels))


def operands_of(task, lines):
    return Operands.from_digits([task.parse(line) for line in lines], arity=3)


def test_answers_are_pythons():
    task = Calculator()
    operands = operands_of(task, LINES)
    for i, (line, tokens) in enumerate(zip(LINES, task.answer(operands), strict=True)):
        sign = next(s for s in "+-*/" if s in line)
        a, b = map(int, line.split(sign))
        true = {"+": a + b, "-": a - b, "*": a * b, "/": f"{a // b} r {a % b}" if b else 0}[sign]
        assert task.render(tokens) == str(true)
        assert task.problem_text(operands, i) == f"{line}={true}"
        assert task.shown_work(tokens)
        assert 0 <= task.scratchpad_length(tokens) < len(tokens)


def test_rows_of_a_batch_are_those_of_the_parts():
    task = Calculator()
    coupling = couplings.lookups(task)
    operands = operands_of(task, LINES)
    batch = Batch.of(task.instances(operands), coupling)
    words = task.vocabulary
    for row, line in enumerate(LINES):
        sign = next(s for s in "+-*/" if s in line)
        part = task.parts[sign]
        own = Batch.of(
            part.instances(Operands.from_digits([part.parse(line)])), of_part(coupling, part.name)
        )
        text = part.vocabulary.text(own.tokens[0]).replace("_", "")
        assert words.text(batch.tokens[row]).replace("_", "") == text
        for joint, alone in ((batch.query_ids, own.query_ids), (batch.key_ids, own.key_ids)):
            for level in range(len(coupling.levels)):
                there = joint[row, level][joint[row, level] != NO_ID]
                assert np.array_equal(there, alone[0, level][alone[0, level] != NO_ID])
        counted = np.flatnonzero(batch.targets[row] != IGNORE)
        assert (batch.targets[row, counted] == batch.tokens[row, counted + 1]).all()
        assert counted[0] == batch.start
        assert words.text(batch.tokens[row, [batch.start]]) == "="


def test_batches_are_pure_and_disjoint():
    task = Calculator()
    coupling = couplings.lookups(task)
    address = {"seed": 3, "step": 4, "lengths": (1, 3), "size": 48}
    first = batch_at(task, coupling, split="train", **address)
    again = batch_at(task, coupling, split="train", threads=3, **address)
    for x, y in zip(first[:4], again[:4], strict=True):
        assert np.array_equal(x, y)
    for split in ("train", "test"):
        drawn = operands_at(task, split=split, **address)
        assert (task.in_test_split(drawn) == (split == "test")).all()
        assert set(drawn.digits[drawn.offsets[:-1:3]].tolist()) == {0, 1, 2, 3}


def test_each_problem_is_in_the_split_that_its_own_task_says():
    task = Calculator()
    lines = [f"{a}{sign}{7 * a + 1}" for a in range(1, 40) for sign in "+-*/"]
    found = task.in_test_split(operands_of(task, lines))
    alone = [
        bool(part.in_test_split(Operands.from_digits([part.parse(line)]))[0])
        for line in lines
        for part in [next(task.parts[sign] for sign in "+-*/" if sign in line)]
    ]
    assert found.tolist() == alone
    assert 0 < sum(alone) < len(alone)


# All pairs of operands below the first number, and so many random ones below the second (numbers of
# up to five digits) that every context of the operation occurs.
PAIRS = {"+": (64, 64, 0), "-": (32, 256, 16000), "*": (32, 1024, 10000), "/": (32, 256, 4000)}


@pytest.mark.parametrize("sign", PAIRS)
def test_cover_holds_just_what_small_problems_show(sign):
    """Base 4, both ways: nothing occurs that the set lacks, nothing is in it that never occurs.

    The first against the whole set, the second against the part that is of this operation.
    """
    task, number = Calculator(4), "+-*/".index(sign)
    coupling = couplings.lookups(task)
    windows = ((0, 0),) * len(coupling.levels)
    small, below, count = PAIRS[sign]
    drawn = np.random.default_rng(0).integers(0, below, (count, 2)).tolist()
    pairs = [*itertools.product(range(small), repeat=2), *drawn]
    problems = [(number, a, b) for a, b in pairs if b or sign != "/"]

    def contexts_of(operands):
        return collect(layouts(task, coupling, operands), list(windows), 0)

    occurring = contexts_of(Operands.from_ints(problems, base=4, arity=3))
    cover = covering_set(task, coupling, windows)
    own = [problem for problem in cover if problem[0][0] == number]
    assert contexts_of(cover).missing(occurring) == 0
    assert occurring.missing(contexts_of(Operands.from_digits(own, arity=3))) == 0
    assert not occurring.conflicts()


def test_no_long_problem_shows_anything_else():
    task = Calculator()
    coupling = couplings.lookups(task)
    windows = ((0, 0),) * len(coupling.levels)
    cover = collect(
        layouts(task, coupling, covering_set(task, coupling, windows)), list(windows), 0
    )
    lines = [f"{10**40 - 1}{s}{10**20 - 3}" for s in "+-*/"] + ["98765432101234567890/97"]
    found = collect(layouts(task, coupling, operands_of(task, lines)), list(windows), 0)
    assert cover.missing(found) == 0


@pytest.mark.parametrize("line", ["12", "1+2+3", "1+2*3", "1/0", "*3", "a+1"])
def test_lines_that_are_no_problem(line):
    task = Calculator()
    with pytest.raises(ValueError, match=r"operand|divisor|one of"):
        task.answer(operands_of(task, [line]))


def test_refusals():
    task = Calculator()
    with pytest.raises(ValueError, match=r"numbers 0\.\.3"):
        task.answer(Operands.from_ints([(4, 1, 2)], arity=3))
    with pytest.raises(ValueError, match="operation's number"):
        task.answer(Operands.from_ints([(1, 2)]))
    with pytest.raises(ValueError, match=r"4\.\.36"):
        Calculator(3)
    assert task_from_dict(task_to_dict(task)) == task
