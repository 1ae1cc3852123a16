"""Rules as the core's tables against the rules themselves, run in Python column by column."""

import itertools
from dataclasses import dataclass, replace

import numpy as np
import pytest

from arithtf.certify.contexts import collect, layouts
from arithtf.certify.cover import covering_set
from arithtf.tasks import ABSENT, ColumnTask, Level, Operands, Pass, Place, Rule
from arithtf.tasks.arithmetic.transducer import core_task
from arithtf.tasks.coupling import Coupling
from arithtf.tasks.vocabulary import digit_vocabulary

BASE = 3
WORDS = digit_vocabulary(BASE, ("+", "#"))


def written(rule, problem):
    """The answer as a rule says it, EOS included."""
    numbers = problem[: rule.numbers]
    longest = max(map(len, numbers))
    fill = 0 if rule.padded else ABSENT
    columns = [*zip(*([fill] * (longest - len(n)) + n for n in numbers), strict=True)]
    columns = columns if rule.from_left else columns[::-1]
    tokens, value = [], problem[-1][0] if rule.last_digit else 0
    for row in rule.passes:
        state = row.first(value)
        for column in columns[: rule.limit or None]:
            state, token = row.step(state, column)
            tokens.append(token)
        tokens += row.finish(state)
        value = state
    return [*tokens, WORDS.eos]


def some_problems(rule, count=250, seed=0):
    """Random numbers of up to 30 digits, many of them with long carries, and all small ones."""
    rng = np.random.default_rng(seed)

    def number(longest=30):
        digits = rng.integers(0, BASE, rng.integers(1, longest + 1))
        if rng.random() < 0.3:
            digits[:] = rng.integers(0, BASE)
        digits[0] = max(digits[0], digits.size > 1)
        return digits.tolist()

    small = [[d] for d in range(BASE)] + [[1, d] for d in range(BASE)]
    yield from (
        [a, b][: rule.arity] for a in small for b in (small[:3] if rule.last_digit else small)
    )
    for _ in range(count):
        yield [number(), number(1 if rule.last_digit else 30)][: rule.arity]


def check(rule):
    problems = list(some_problems(rule))
    operands = Operands.from_digits(problems, arity=rule.arity)
    core = core_task(rule, WORDS, ("+",) * (rule.arity - 1))
    answers = core.answers(operands.arity, operands.digits, operands.offsets)
    for problem, answer in zip(problems, answers, strict=True):
        assert [*answer.tolist(), WORDS.eos] == written(rule, problem), problem
    lengths = np.array([[len(n) for n in problem] for problem in problems])
    most = core.sizes(lengths)[1]
    assert all(len(written(rule, p)) <= size for p, size in zip(problems, most, strict=True))


def add(carry, column):
    return divmod(carry + sum(max(d, 0) for d in column), BASE)


SUM = Rule(passes=(Pass(step=add, finish=lambda carry: (carry,) if carry else ()),), numbers=2)
CELLS = [(carry, column) for carry in (0, 1) for column in SUM.columns(BASE)]


def with_pass(**change):
    return replace(SUM, passes=(replace(SUM.passes[0], **change),))


@pytest.mark.parametrize("change", ["state", "token"])
@pytest.mark.parametrize(("carry", "column"), CELLS)
def test_a_rule_that_differs_from_addition_in_one_cell_is_not_added(carry, column, change):
    """The core adds eight columns at once where the tables are those of addition, only there."""

    def step(state, digits):
        after, token = add(state, digits)
        if (state, digits) != (carry, column):
            return after, token
        return (1 - after, token) if change == "state" else (after, (token + 1) % BASE)

    check(with_pass(step=step))


LETTERS = with_pass(
    start="none",
    step=lambda s, column: (("none", "one")[(found := add(s == "one", column))[0]], found[1]),
    finish=lambda s: (1,) if s == "one" else (),
)
ROWS = (
    Pass(step=add, finish=lambda _: (WORDS.id("#"),), end="end"),
    Pass(start=lambda carry: carry, step=add),
)
FROM_DIGIT = Pass(start=lambda digit: digit > 1, step=lambda s, c: divmod(s + c[0], BASE))
RULES = {
    "sum": SUM,
    "padded": replace(SUM, padded=True),
    "reversed": replace(SUM, reversed=True),
    "letters": LETTERS,
    "strings": replace(SUM, strings=True),
    "carry always": with_pass(finish=lambda carry: (carry,)),
    "carry never": with_pass(finish=lambda carry: ()),
    "another carry": with_pass(finish=lambda carry: (WORDS.id("#"),) if carry else (2,)),
    "one more": with_pass(start=1),
    "three columns": replace(SUM, limit=3),
    "many columns": replace(SUM, limit=40),
    "from the left": replace(SUM, padded=True, from_left=True),
    "two rows": replace(SUM, passes=ROWS),
    "one number": replace(SUM, numbers=1),
    "a digit": Rule(passes=(FROM_DIGIT,), last_digit=True),
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_rules_like_addition(rule):
    check(rule)


@dataclass(frozen=True)
class Signs(ColumnTask):
    """A running comparison of padded numbers, as they are read, whichever way they are written."""

    base: int = BASE
    from_left: bool = False
    reversed: bool = False

    name = "signs"
    sign = ","
    symbols = ("<", ">")

    def rule(self):
        token = self.vocabulary.id

        def step(sign, column):
            a, b = column
            found = "<" if a < b else ">" if a > b else "="
            decided = self.from_left and sign != "="  # by a digit of more weight
            after = sign if decided or found == "=" else found
            return after, token(after)

        way = {"from_left": self.from_left, "reversed": self.reversed}
        return Rule(passes=(Pass(start="=", step=step),), numbers=2, padded=True, **way)

    def truth(self, *operands):
        a, b = operands
        return "<" if a < b else ">" if a > b else "="


@pytest.mark.parametrize("from_left", [False, True])
@pytest.mark.parametrize("reversed_", [False, True])
def test_padded_operands_in_either_order(from_left, reversed_):
    """Zeros stand before the first digit: at the end of numbers written backwards."""
    task = Signs(from_left=from_left, reversed=reversed_)
    rng = np.random.default_rng(0)
    pairs = [tuple(map(int, rng.integers(0, BASE ** rng.integers(1, 6, 2)))) for _ in range(80)]
    form = {"left": 1} if reversed_ else {"right": 1}  # counts places by their weight
    key = {"a": Place(**form), "b": Place(offset=100, **form)}
    answer = {"answer": Place(left=1)}
    coupling = Coupling("weights", (Level(name="w", key=key, query=answer),))
    made = task.instances(Operands.from_ints(pairs, base=BASE))
    ids = coupling.ids(made)
    for row, (a, b) in enumerate(pairs):
        n = max(len(np.base_repr(x, BASE)) for x in (a, b))
        used = dict(zip(ids.key[row, 0].tolist(), made.tokens[row].tolist(), strict=True))
        for k in range(n):
            assert (used[k], used[100 + k]) == (a // BASE**k % BASE, b // BASE**k % BASE)
        parts = [BASE**k for k in range(1, n + 1)]
        high = [task.truth(a // part, b // part) for part in [1, *parts[:-1]]]
        low = [task.truth(a % part, b % part) for part in parts]
        signs = high[::-1] if from_left else low
        text = task.vocabulary.text(made.tokens[row, made.start + 1 :])
        assert text.rstrip("_") == "".join(signs) + "$"
        assert ids.query[row, 0, made.start : made.start + n].tolist() == [*range(n)]


@pytest.mark.parametrize("from_left", [False, True])
@pytest.mark.parametrize("reversed_", [False, True])
def test_covering_sets_of_padded_operands(from_left, reversed_):
    """They show just what all problems of up to four digits show, in any order of the digits."""
    task = Signs(2, from_left, reversed_)
    form = "left" if from_left != reversed_ else "right"  # counts columns as they are read
    key = {"a": Place(**{form: 2}), "b": Place(offset=1, **{form: 2})}
    level = Level(name="columns", key=key, query={"answer": Place(left=2)})
    coupling, windows = Coupling("columns", (level,)), [(2, 1)]
    every = Operands.from_ints(itertools.product(range(16), repeat=2), base=2)
    cover = covering_set(task, coupling, windows)
    brute, found = (
        collect(layouts(task, coupling, operands), windows, 1) for operands in (every, cover)
    )
    assert found.missing(brute) == 0
    assert brute.missing(found) == 0
    assert found.conflicts() == []
