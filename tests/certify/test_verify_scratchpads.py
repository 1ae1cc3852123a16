"""Contexts derived from a declared scratchpad: those that the core enumerates, and that occur."""

import itertools
from dataclasses import dataclass, replace
from random import Random

import numpy as np
import pytest

from arithtf.certify import contexts_hash, enumerate_contexts
from arithtf.certify.contexts import layouts
from arithtf.certify.verify import derive
from arithtf.certify.verify.bounds import bounds, carried
from arithtf.certify.verify.contexts import NotDerivable
from arithtf.certify.verify.rows import Rows
from arithtf.certify.verify.truth import first_error
from arithtf.model.local import ContextSet, collect
from arithtf.tasks import (
    Address,
    Calculator,
    Coupling,
    Division,
    Draw,
    Level,
    Multiplication,
    Operands,
    Place,
    RunningSum,
    couplings,
)

# Long division by trials needs a base of at least 3.
TASKS = [
    kind(base)
    for kind in (Multiplication, RunningSum, Division)
    for base in (2, 3, 4, 5, 7, 10)
    if (kind, base) != (Division, 2)
]


@pytest.mark.parametrize("task", [*TASKS, Calculator(4), Calculator(7), Calculator()])
def test_contexts_of_lookups_are_those_of_the_core(task):
    coupling = couplings.lookups(task)
    windows = ((0, 0),) * len(coupling.levels)
    derived, _ = derive(task, coupling, windows, 0)
    known = enumerate_contexts(task, coupling, windows, 0)
    assert derived.hash() == contexts_hash(known.contexts)
    assert derived.clashes() == 0


@pytest.mark.parametrize("kind", [Multiplication, RunningSum, Division, Calculator])
def test_contexts_of_fewer_levels_are_those_of_the_core(kind):
    """Less is seen, so that contexts have several right answers."""
    task, random = kind(4), Random(0)
    levels = couplings.lookups(task).levels
    for _ in range(5):
        coupling = Coupling("less", tuple(random.sample(levels, random.randint(1, len(levels)))))
        windows = ((0, 0),) * len(coupling.levels)
        derived, _ = derive(task, coupling, windows, 0)
        known = enumerate_contexts(task, coupling, windows, 0)
        assert len(derived.query) - derived.clashes() == len(known.contexts.target)
        assert (derived.clashes() > 0) == bool(known.conflicts)


def mutated(task, random):
    """Some levels of the lookup coupling, with other segments, offsets and windows."""
    names, prompt = task.segments.names, task.segments.prompt
    levels, windows = [], []
    for level in random.sample(couplings.lookups(task).levels, random.randint(1, 3)):
        key, query = dict(level.key), dict(level.query)
        if random.random() < 0.3:
            name = random.choice([*key])
            key[name] = replace(key[name], offset=key[name].offset + random.randint(-2, 2))
        if random.random() < 0.3:
            query[random.choice([n for n in names if n not in prompt])] = next(iter(query.values()))
        if random.random() < 0.3:
            name, place = random.choice(names), random.choice([*key.values()])
            written = place.right and name not in prompt
            key[name] = replace(place, left=1, right=0) if written else place
        query = {name: place for name, place in query.items() if random.random() < 0.8}
        levels.append(Level(name=level.name, key=key, query=query))
        windows.append((int(random.random() < 0.2), int(random.random() < 0.2)))
    return Coupling("mutated", tuple(levels)), windows


def problems(task):
    """All short ones and long random ones, as batches of one number of operands."""
    random, base = np.random.default_rng(0), task.base
    if isinstance(task, RunningSum):
        for terms, count in ((2, 1500), (3, 2500), (9, 20)):
            yield Operands.from_ints(
                random.integers(0, base**6, (count, terms)).tolist(), base=base, arity=terms
            )
        return
    pairs = [*itertools.product(range(90), repeat=2)]
    for top, other in ((9, 9), (12, 3), (3, 12)):
        drawn = (random.integers(1, base**n, 1200).tolist() for n in (top, other))
        pairs += zip(*drawn, strict=True)
    pairs = sorted({(a, b) for a, b in pairs if b or not isinstance(task, Division)})
    yield Operands.from_ints(pairs, base=base, arity=2)


SMALL = [Multiplication(2), Multiplication(3), RunningSum(2), RunningSum(3), Division(3)]


@pytest.mark.parametrize("task", SMALL)
def test_contexts_of_other_couplings_are_none_less_than_occur(task):
    """And in most cases none more; what goes beyond the levels of the lookups is mostly refused."""
    random, compared, equal = Random(1), 0, 0
    every = [*problems(task)]
    while compared < 12:
        coupling, windows = mutated(task, random)
        try:
            derived, _ = derive(task, coupling, windows, 0)
        except NotDerivable:
            continue
        found = set()
        for operands in every:
            part = collect(layouts(task, coupling, operands), windows, 0).contexts()
            part = ContextSet(**part)
            found |= {(int(q), *part.entries(i)) for i, q in enumerate(part.query_token)}
        seen = [[tuple(e) for e in row if e[2] >= 0] for row in derived.seen.tolist()]
        own = {(int(q), *entries) for q, entries in zip(derived.query, seen, strict=True)}
        assert found <= own, (coupling, windows)
        compared += 1
        equal += found == own
    assert equal > 8


CELL = {"left": 1, "cell": 1}
SHOWN = [
    ({"a": Place(right=1)}, Place(left=1)),
    ({"a": Place(right=-2)}, Place(left=-2)),
    ({"b": Place(right=1)}, Place(row=1)),
    ({"row": Place(cell=1)}, Place(**CELL)),
    ({"sum": Place(**CELL, row_stride=1), "=": Place(offset=-3)}, Place(**CELL)),
    *[({name: Place(**CELL)}, Place(**CELL)) for name in ("high", "low", "sum", "carry")],
    *[({name: Place(**CELL, offset=1)}, Place(**CELL)) for name in ("high", "low", "carry")],
    *[({name: Place(index=1, offset=3)}, Place(index=1)) for name in ("high", "low", "row")],
    ({"*": Place(), "=": Place(offset=1)}, Place()),
]
"""Keys and the query for them, which show cells close to the query."""


def test_contexts_of_random_couplings_of_products_are_those_of_the_core():
    random, compared = Random(0), 0
    while compared < 40:
        levels = []
        for number in range(random.randint(1, 5)):
            key, query = random.choice(SHOWN)
            asking = random.sample(("high", "low", "sum", "final", "carry"), random.randint(1, 5))
            levels.append(Level(name=f"{number}", key=key, query=dict.fromkeys(asking, query)))
        windows = [random.choice([(0, 0), (0, 0), (1, 0), (0, 1)]) for _ in levels]
        task, coupling = Multiplication(random.choice([2, 3])), Coupling("random", tuple(levels))
        try:
            known = enumerate_contexts(task, coupling, windows, 0)
        except ValueError:
            continue
        derived, _ = derive(task, coupling, windows, 0)  # what the core takes, this does too
        assert len(derived.query) - derived.clashes() == len(known.contexts.target), coupling
        if not known.conflicts:
            assert derived.hash() == contexts_hash(known.contexts)
        compared += 1


def test_bounds_of_rows_are_the_least_that_hold():
    assert bounds(Rows(Multiplication(7).scratchpad(), 7)) == {(0, 0): 1}  # S < a
    trials = bounds(Rows(Division(5).scratchpad(), 5))  # R < k b after so many trials and counts
    assert trials == {(t, c): 5 - t if c == t else 1 for t in range(4) for c in range(t + 1)}
    assert carried(Rows(RunningSum(3).scratchpad(), 3)).tolist() == [0, 1]


def altered(task, name, step):
    """A task of the same kind, of another name, whose pass that writes `name` has another step."""

    @dataclass(frozen=True)
    class Altered(type(task)):
        def scratchpad(self):
            pad = super().scratchpad()
            passes = (
                replace(one, step=step(one.step)) if name in one.writes else one
                for one in pad.passes
            )
            return replace(pad, passes=tuple(passes))

    Altered.name = "altered"
    return Altered(base=task.base)


def forgetful(step):
    """Forgets one carry: 9 + 9 and a carry leave none."""

    def slip(carry, column):
        after, tokens = step(carry, column)
        return (0, (tokens[0], 0)) if carry == 1 and column == (9, 9) else (after, tokens)

    return slip


def eager(step):
    """Counts a trial that did not go."""
    return lambda goes, column: step(goes or int(column == (3,)), column)


def test_a_work_that_is_wrong_in_one_cell_is_found():
    forgets, counts = (
        altered(RunningSum(), "carry", forgetful),
        altered(Division(), "quotient", eager),
    )
    with pytest.raises(NotDerivable, match="do not add them up"):
        derive(forgets, couplings.lookups(RunningSum()), ((0, 0),) * 5, 0)
    _, write = derive(counts, couplings.lookups(Division()), ((0, 0),) * 7, 0)
    assert "the rule of altered answers" in first_error(counts, write)


def test_a_remainder_that_grows_has_no_bound():
    """Division that never subtracts: no k holds, so any remainder is taken to occur."""
    kept = altered(Division(4), "taken", lambda step: lambda s, c: step((False, s[1]), c))
    assert bounds(Rows(kept.scratchpad(), 4))[0, 0] is None
    wrong, _ = derive(kept, couplings.lookups(Division(4)), ((0, 0),) * 7, 0)
    right, _ = derive(Division(4), couplings.lookups(Division(4)), ((0, 0),) * 7, 0)
    assert wrong.hash() != right.hash()


@pytest.mark.parametrize("task", [*SMALL, Multiplication(), Division(), RunningSum(), Calculator()])
def test_answers_are_those_of_the_core(task):
    coupling = couplings.lookups(task)
    _, write = derive(task, coupling, ((0, 0),) * len(coupling.levels), 0)
    operands = task.operands(Address(0, "all", 3), Draw((1, 6), 40))
    for i, answer in enumerate(task.answer(operands)):
        written = write([tuple(digits.tolist()) for digits in operands.problem(i)])
        assert [*written] == [*answer.tolist(), task.vocabulary.eos]
    assert first_error(task, write) == ""


REFUSED = [
    (Multiplication(), "sum", {"carry": Place(left=1)}, Place(left=1)),  # of all rows
    (Multiplication(), "sum", {"carry": Place(**CELL, row_stride=1)}, Place(**CELL)),
    (Multiplication(), "high", {"b": Place(right=1)}, Place(left=1)),
    (Multiplication(), "high", {"sum": Place(index=1, offset=2)}, Place(index=1)),
    (Multiplication(), "answer", {"a": Place(right=1)}, Place(left=1)),
    (Division(), "trial", {"a": Place(right=1)}, Place(left=1)),
    (Division(), "answer", {"trial": Place(left=1)}, Place(left=1)),
    (RunningSum(), "sum", {"term": Place(right=1)}, Place(left=1)),
]


@pytest.mark.parametrize(("task", "query", "key", "asked"), REFUSED)
def test_what_is_at_no_fixed_place_is_refused_in_words(task, query, key, asked):
    level = Level(name="odd", key=key, query={query: asked})
    with pytest.raises(NotDerivable, match=f"'odd': queries for '{query}' see '{next(iter(key))}'"):
        derive(task, Coupling("odd", (level,)), [(0, 0)], 0)


def test_other_scratchpads_are_refused_in_words():
    pad = Division().scratchpad()
    moved = replace(
        pad, tracks={**pad.tracks, "quotient": replace(pad.tracks["quotient"], moves=0)}
    )
    with pytest.raises(NotDerivable, match="are 0 at a turn's beginning"):
        Rows(moved, 10)
    pad = Multiplication().scratchpad()
    with pytest.raises(NotDerivable, match="operands begin where rows do"):
        Rows(replace(pad, columns=1), 10)
