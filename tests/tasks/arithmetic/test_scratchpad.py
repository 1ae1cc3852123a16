"""Scratchpads: the interpreter and the core write what Python's integers say."""

from dataclasses import replace

import numpy as np
import pytest
import scratchpad_oracle as oracle

from arithtf.tasks import Division, Multiplication, Operands, RunningSum
from arithtf.tasks.arithmetic.scratchpad import Part, Pass, Scratchpad, Track, write
from arithtf.tasks.arithmetic.scratchpad_tables import core_task, tables
from arithtf.tasks.vocabulary import DigitVocabulary

CASES = [
    (kind, base)
    for kind in (Multiplication, RunningSum, Division)
    for base in range(2, 17)
    if (kind, base) != (Division, 2)
]


def problems_of(kind, base: int) -> list[tuple[int, ...]]:
    """A third of all lengths from 1 to 12 on each side; random, largest and small digits."""
    rng = np.random.default_rng(base)
    found = []
    for n in range(1, 13):
        for m in range(1 + (n + base) % 3, 13, 3):
            sizes = [n, m] + ([int(rng.integers(1, 13))] * (m % 3) if kind is RunningSum else [])
            low, high = [(0, base), (base - 1, base), (0, 2)][n % 3]
            numbers = []
            for size in sizes:
                digits = rng.integers(low, high, size)
                digits[0] = max(digits[0], 1)
                numbers.append(sum(int(d) * base**i for i, d in enumerate(digits[::-1])))
            found.append(tuple(numbers))
    return [*found, (0, 1), (0, base**5), (1, base**3), (base**4, base**2 - 1)]


def places(runs, segments) -> list[tuple[str, int, int]]:
    """Segment, index from the left and row of every token of an instance, from its runs."""
    found = {}
    for segment, row, length, first, stride, token in runs.tolist():
        for k in range(length):
            assert token + k * stride not in found
            found[token + k * stride] = (segments[segment], first + k, row)
    assert sorted(found) == [*range(len(found))]
    return [found[k] for k in range(len(found))]


@pytest.mark.parametrize(("kind", "base"), CASES)
def test_core_writes_what_python_integers_say(kind, base):
    task = kind(base)
    for problem in problems_of(kind, base):
        expected, stride = oracle.ORACLES[kind](base, *problem)
        operands = Operands.from_ints([problem], base=base, arity=len(problem))
        for solved in (True, False):
            made = task.instances(operands, solved=solved)
            runs, _, facts, _ = made.runs.arrays()
            assert facts[0, 2] == stride
            assert places(runs, made.segments.names) == [
                (s, i, row) for s, _, i, _, row in expected
            ]
        tokens = [token for _, token, *_ in expected]
        assert task.instances(operands).tokens.tolist() == [tokens]
        assert task.answer(operands)[0].tolist() == tokens[made.start + 1 : -1]
        assert task.sequence_length([[*map(len, operands.problem(0))]]) == [len(tokens)]


@pytest.mark.parametrize(("kind", "base"), CASES)
def test_interpreter_writes_what_python_integers_say(kind, base):
    task = kind(base)
    pad = task.scratchpad()
    for problem in problems_of(kind, base):
        digits = [oracle.digits_of(number, base)[::-1] for number in problem]
        expected, _ = oracle.ORACLES[kind](base, *problem)
        prompt = 1 + sum(len(number) + 1 for number in digits)
        assert write(pad, task.vocabulary, digits) == [
            (token, segment, row, left) for segment, token, left, _, row in expected[prompt:]
        ]


@pytest.mark.parametrize(("kind", "base"), CASES)
def test_tables_are_the_steps(kind, base):
    task = kind(base)
    pad = task.scratchpad()
    before = {0: True}
    for one, table in zip(pad.passes, tables(pad, task.vocabulary), strict=True):
        number = {state: k for k, state in enumerate(table.states)}
        starts = [one.start(state) for state, ends in before.items() if ends]
        assert table.start[[*before.values()]].tolist() == [number[s] for s in starts]
        walked = starts if one.single else table.states
        for state in walked[:: max(1, len(walked) // 20)]:
            for symbol in range(base ** len(one.reads)):
                column = tuple(symbol // base**k % base for k in range(len(one.reads)))
                after, tokens = one.step(state, column)
                assert table.next[number[state], symbol] == number[after]
                assert tuple(table.tokens[number[state], symbol].tolist()) == tokens
        before = dict(zip(table.states, table.can_end.tolist(), strict=True))


def test_states_of_a_product_are_those_that_occur():
    """A high digit is below the factor; 2 is carried only where all that is added is large."""
    task = Multiplication(10)
    _, table = tables(task.scratchpad(), task.vocabulary)
    for factor, high, carry in table.states:
        assert high <= max(factor - 1, 0)
        assert carry <= (9 + max(factor - 1, 0) + 9 + 2) // 10
    assert len(table.states) == 119


def test_large_bases_of_products_are_refused():
    assert Multiplication(36).base == 36
    with pytest.raises(ValueError, match=r"at most 4,194,304 entries, got base 64: .*smaller base"):
        Multiplication(64)
    for kind in (RunningSum, Division):
        assert kind(128).base == 128


WORDS = DigitVocabulary(10, ("+", "#"))
PROMPT = ("bos", "a", "+", "term", "=")


def pad_of(*passes: Pass, **fields) -> Scratchpad:
    """A scratchpad of two operands whose rows are these passes."""
    arguments = {
        "segments": ("row", "sum", "carry"),
        "tracks": {"sum": Track(operand=0), "term": Track(operand=1, each=True)},
        "passes": passes,
        "tail": (Part(segment="row"),),
        **fields,
    }
    return Scratchpad(**arguments)


def digit(state, column):
    return state, (column[0],)


def test_refusals():
    good = Pass(reads=("sum",), writes=("sum",), step=digit)
    with pytest.raises(ValueError, match="at most 2 tracks and 4 tokens"):
        pad_of(replace(good, writes=tuple("abcde")))
    with pytest.raises(ValueError, match="one of the tracks"):
        pad_of(replace(good, reads=("row",)))
    with pytest.raises(ValueError, match="change one track, in every column"):
        pad_of(replace(good, ends=()))
    with pytest.raises(ValueError, match="read it only"):
        pad_of(replace(good, writes=("term",)))
    with pytest.raises(ValueError, match="sees one cell or every column's"):
        pad_of(good, replace(good, single=True))
    with pytest.raises(ValueError, match="every part but the last, which ends with EOS"):
        pad_of(good, tail=(Part(segment="row", end=WORDS.equals),))
    with pytest.raises(ValueError, match=r"tokens of 0\.\.15 for sum, got -1"):
        tables(pad_of(replace(good, step=lambda state, column: (state, (column[0] - 1,)))), WORDS)
    no_digit = pad_of(replace(good, step=lambda state, _: (state, (WORDS.pad,))))
    with pytest.raises(ValueError, match="digits for the track"):
        core_task(no_digit, WORDS, PROMPT, "+")
    with pytest.raises(ValueError, match="turns and columns"):
        core_task(pad_of(good, turns=0), WORDS, PROMPT, "+")
