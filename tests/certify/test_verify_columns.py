"""Contexts derived from a column task's rule are those that the core enumerates, and that occur."""

import itertools
from dataclasses import dataclass, replace
from random import Random

import numpy as np
import pytest

from arithtf.certify import contexts_hash, enumerate_contexts, layouts
from arithtf.certify.contexts import collect
from arithtf.certify.verify import derive
from arithtf.certify.verify.automaton import Automaton
from arithtf.certify.verify.contexts import Contexts, NotDerivable
from arithtf.certify.verify.truth import first_error
from arithtf.recipes import RECIPES, get_recipe
from arithtf.tasks import (
    Addition,
    Address,
    Comparison,
    Coupling,
    Draw,
    Increment,
    Level,
    ModularAddition,
    Operands,
    Parity,
    Place,
    ResidueAddition,
    Reverse,
    Subtraction,
    TimesDigit,
    View,
    couplings,
)


def encoding(name):
    return get_recipe(name).model.encoding


FINITE = [name for name in sorted(RECIPES) if None not in encoding(name).windows]
FINITE.remove("addition-symmetric")  # 414,910 contexts; smaller bases are below


@pytest.mark.parametrize("name", FINITE)
def test_contexts_of_every_recipe_are_those_of_the_core(name):
    """Of scratchpads too; what the core finds no proof for is refused."""
    recipe, (windows, sinks) = get_recipe(name), (encoding(name).windows, encoding(name).sinks)
    try:
        known = enumerate_contexts(recipe.task, recipe.coupling, windows, sinks)
    except ValueError:
        known = None
    if known is None or known.conflicts:
        with pytest.raises(NotDerivable):
            derive(recipe.task, recipe.coupling, windows, sinks)
        return
    derived, _ = derive(recipe.task, recipe.coupling, windows, sinks)
    assert derived.hash() == contexts_hash(known.contexts)
    assert derived.clashes() == 0


@pytest.mark.parametrize("name", ["columns", "operand_columns"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("form", ["natural", "padded"])
@pytest.mark.parametrize(
    ("base", "window"),
    [(b, w) for b in (2, 3) for w in ((1, 0), (1, 1), (2, 1), (3, 0))],
)
def test_contexts_of_sums_are_those_of_the_core(base, window, form, reverse, name):
    task = Addition(base=base, format=form, reverse_operands=reverse)
    coupling = getattr(couplings, name)(task)
    known = enumerate_contexts(task, coupling, [window])
    contexts, conflicts = known.contexts, known.conflicts
    derived, _ = derive(task, coupling, [window], 1)
    assert not conflicts
    assert derived.hash() == contexts_hash(contexts)


TASKS = [
    *(Addition(2), Addition(3), Addition(2, "padded"), Addition(2, "natural", True)),
    *(Addition(2, "padded", True), Subtraction(2), Subtraction(3), Comparison(2), Increment(3)),
    *(
        TimesDigit(3),
        ModularAddition(4, base=2),
        ModularAddition(9, base=3),
        ModularAddition(12, base=6),
    ),
    *(ResidueAddition(5, base=2), Parity(2), Reverse(2)),
]


def random_coupling(task, random):
    """Levels whose forms mostly fit together, windows and sinks."""
    rule, segments = task.rule(), task.segments
    side = "left" if rule.from_left != rule.reversed else "right"
    usual = random.choice([1, 1, 1, -1, 2])

    def place(segment):
        form = {"offset": random.randint(-2, 2)}
        if segment in segments.written:
            form["left"] = random.choice([usual] * 8 + [0, 1])
        elif segment in ("a", "b"):
            form[random.choice([side] * 9 + ["left"])] = random.choice([usual] * 8 + [0, 1])
        rare = random.random()
        return Place(**form, row=int(rare < 0.05), index=int(rare > 0.98))

    levels = [
        Level(
            name=f"level {i}",
            key={s: place(s) for s in segments.names if s == "a" or random.random() < 0.45},
            query={s: place(s) for s in segments.written if random.random() < 0.9},
        )
        for i in range(random.choice([1, 1, 2, 3]))
    ]
    windows = [(random.randint(0, 1), random.randint(0, 1)) for _ in levels]
    return Coupling("random", tuple(levels)), windows, random.randint(0, 1)


def test_contexts_of_random_couplings_are_those_of_the_core():
    random, compared, refused = Random(0), 0, 0
    while compared < 60:
        task = random.choice(TASKS)
        coupling, windows, sinks = random_coupling(task, random)
        try:
            known = enumerate_contexts(task, coupling, windows, sinks)
            contexts, conflicts = known.contexts, known.conflicts
        except ValueError:
            refused += 1
            continue
        derived, _ = derive(task, coupling, windows, sinks)  # what the core takes, this does too
        if not conflicts:
            assert derived.hash() == contexts_hash(contexts), (task, coupling, windows)
        # The core keeps the first of two right answers.
        assert len(derived.query) - derived.clashes() == len(contexts.target), (task, coupling)
        assert (derived.clashes() > 0) == bool(conflicts)
        compared += 1
    assert refused > 20


def test_contexts_of_couplings_that_the_core_refuses_are_those_that_occur():
    """Against all short problems; every context of windows so small occurs in one."""
    random, compared = Random(1), 0
    while compared < 8:
        task = random.choice([Addition(2), Comparison(2), Subtraction(2), Increment(2)])
        coupling, windows, sinks = random_coupling(task, random)
        try:
            derived, _ = derive(task, coupling, windows, sinks)
        except NotDerivable:
            continue
        try:
            if len(derived.query) < 1000:
                enumerate_contexts(task, coupling, windows, sinks)
            continue
        except ValueError:
            pass
        problems = itertools.product(range(2**7), repeat=task.arity)
        operands = Operands.from_ints(sorted(problems), base=2, arity=task.arity)
        found = collect(layouts(task, coupling, operands), windows, sinks)
        assert len(derived.query) - derived.clashes() == len(found), (task, coupling, windows)
        compared += 1


def test_what_is_not_local_is_refused_in_words():
    task = Addition()
    for coupling, window, message in (
        (couplings.index(task), (1, 0), "no fixed number of columns"),
        (couplings.cyclic(task, 5), (1, 0), "periodic"),
        (couplings.columns(task), (2000, 0), "narrower"),
        (couplings.columns(task), (9, 0), "narrower"),
    ):
        with pytest.raises(NotDerivable, match=message):
            derive(task, coupling, [window], 1)
    plain = View(ResidueAddition(), "absent")
    with pytest.raises(NotDerivable, match="no rule"):
        derive(plain, couplings.from_left(plain), [(0, 0)], 0)
    unknown = Coupling("c", (Level(name="l", key={"sign": Place()}, query={}),))
    with pytest.raises(ValueError, match="expected one of the segments"):
        derive(task, unknown, [(0, 0)], 1)


@pytest.mark.parametrize("task", [*TASKS, Addition(), Subtraction(), ModularAddition(250)])
def test_answers_are_those_of_the_core(task):
    automaton = Automaton(task.rule(), task.vocabulary)
    operands = task.operands(Address(0, "all", 3), Draw((1, 9), 100))
    for i, answer in enumerate(task.answer(operands)):
        written = automaton.write([digits.tolist() for digits in operands.problem(i)])
        assert written == [*answer.tolist(), task.vocabulary.eos]
    assert first_error(task, automaton.write) == ""


@dataclass(frozen=True)
class Slip(Addition):
    """Addition with one cell of its table wrong: a carry into 9 + 9 writes another digit."""

    name = "slip"

    def rule(self):
        rule = super().rule()

        def step(carry, column):
            carried, token = rule.passes[0].step(carry, column)
            return carried, token - (carry == 1 and column == (9, 9))

        return replace(rule, passes=(replace(rule.passes[0], step=step),))


def test_a_rule_that_is_wrong_in_one_cell_is_found():
    automaton = Automaton(Slip().rule(), Slip().vocabulary)
    assert "the rule of slip answers" in first_error(Slip(), automaton.write)


def test_hash_tells_sets_apart():
    task = Addition(base=3)
    derived, _ = derive(task, couplings.columns(task), [(1, 0)], 1)
    whole = derived.hash()
    for i in range(0, len(derived.query), 10):
        kept = np.arange(len(derived.query)) != i
        assert Contexts(*(part[kept] for part in derived)).hash() != whole
    assert Contexts(*(part[::-1] for part in derived)).hash() == whole
