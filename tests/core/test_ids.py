"""Ids from runs against a loop over tokens; runs that are none; ids of a problem in any company."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arithtf import _core
from arithtf.tasks import (
    NO_ID,
    Addition,
    Calculator,
    Coupling,
    Division,
    Level,
    Operands,
    Place,
    RunningSum,
    Segments,
    Subtraction,
    View,
    couplings,
)
from arithtf.tasks.coupling import compile_coupling

SEGMENTS = Segments(("bos", "a", "row", "digit"), ("bos", "a", "row", "digit"))
FACTORS = ("offset", "left", "right", "row", "index", "row_stride", "cell")
ADDRESS = {"seed": 5, "stream": 77, "step": 3}

places = st.builds(Place, **dict.fromkeys(FACTORS, st.integers(-5, 5)))
forms = st.dictionaries(st.sampled_from(SEGMENTS.names), places)
levels = st.builds(
    Level,
    name=st.just("level"),
    key=forms,
    query=forms,
    period=st.sampled_from([0, 0, 3, 7]),
    start=st.sampled_from([(0, 0), (2, 9), (-4, -4)]),
    shared_start=st.booleans(),
    randomized=st.sampled_from([0, 0, 40]),
)


@st.composite
def instances(draw):
    """(runs, gap, capacity, row stride, address): a first token, then runs that may take turns."""
    runs, token = [(0, 0, 1, 0, 1, 0)], 1
    for _ in range(draw(st.integers(0, 4))):
        stride, length = draw(st.integers(1, 3)), draw(st.integers(1, 4))
        for turn in range(stride):
            if draw(st.booleans()):
                segment, row, first = (draw(st.integers(0, 3)) for _ in range(3))
                runs.append((segment, row, length, first, stride, token + turn))
        token += stride * length
    capacity = draw(st.integers(1, token))
    return runs, draw(st.integers(0, 3)), capacity, draw(st.integers(0, 9)), draw(st.integers(0, 9))


def packed(instances):
    """Instances as `_core.Runs` takes them."""
    runs = np.array([run for one in instances for run in one[0]], np.int64).reshape(-1, 6)
    offsets = np.cumsum([0, *(len(one[0]) for one in instances)])
    facts = np.array([one[1:] for one in instances], np.int64).reshape(-1, 4)
    return _core.Runs(runs, offsets, facts, (*ADDRESS.values(), True))


def words(sample, channel):
    """The random words of an address by NumPy."""
    return np.random.Philox(
        counter=np.array([0, sample, ADDRESS["step"], channel], np.uint64),
        key=np.array([ADDRESS["seed"], ADDRESS["stream"]], np.uint64),
    )


def start_of(level, number, sample):
    """The start that is added to every id of a level."""
    low, high = level.start
    sample = 2**64 - 1 if level.shared_start else sample
    drawn = int(words(sample, number).random_raw()) * (high - low + 1) >> 64
    return low + drawn if low < high else low


def places_of(level, number, sample, capacity):
    """The place of every token: its number, or a sorted sample of so many as an instance has."""
    if not level.randomized:
        return range(1000)
    span, generator = level.randomized, words(sample, 2**32 + number)
    few = capacity <= span // 2
    wanted, drawn = capacity if few else span - capacity, set()
    while len(drawn) < wanted:
        missing = wanted - len(drawn)
        drawn |= {int(generator.random_raw()) * span >> 64 for _ in range(missing)}
    return sorted(drawn if few else set(range(span)) - drawn)


def expected(coupling, instances, columns, ahead):
    """Ids of all tokens, one after the other."""
    query = np.full((len(instances), len(coupling.levels), columns), NO_ID)
    key = query.copy()
    for i, (runs, gap, capacity, stride, address) in enumerate(instances):
        for n, level in enumerate(coupling.levels):
            start = start_of(level, n, address)
            places = places_of(level, n, address, capacity)
            for segment, row, length, first, apart, token in runs:
                for k in range(length):
                    index = token + k * apart
                    if index >= len(places):
                        continue
                    known = (1, first + k, length - 1 - k, row, places[index], stride, row * stride)
                    column = index + (gap if index else 0)
                    before = index - ahead + (gap if index > ahead else 0)
                    for out, side, at in ((key, level.key, column), (query, level.query, before)):
                        form = side.get(SEGMENTS.names[segment])
                        if form is None or (index < ahead and out is query):
                            continue
                        terms = (getattr(form, f) * x for f, x in zip(FACTORS, known, strict=True))
                        value = start + sum(terms)
                        out[i, n, at] = value % level.period if level.period else value
    return query, key


@given(
    given_levels=st.lists(levels, min_size=1, max_size=3),
    batch=st.lists(instances(), min_size=1, max_size=3),
    ahead=st.sampled_from([0, 1]),
    threads=st.sampled_from([1, 2]),
)
def test_ids_are_the_forms_of_every_token(given_levels, batch, ahead, threads):
    coupling = Coupling("random", tuple(given_levels))
    columns = 60
    table, runs = compile_coupling(coupling, SEGMENTS), packed(batch)
    for made in (runs, _core.Runs(*runs.arrays())):
        got = table.ids(made, columns, ahead, threads)
        right = expected(coupling, batch, columns, ahead)
        for side, one, other in zip(("query", "key"), got, right, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=side)


BOS = [0, 0, 1, 0, 1, 0]
FINE = [1, 2, 3, 0, 2, 1]  # tokens 1, 3, 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        *(({"run": [*FINE[:k], -1, *FINE[k + 1 :]]}, "run 1: .* 31 bits") for k in range(6)),
        *(({"run": [*FINE[:k], 2**31, *FINE[k + 1 :]]}, "run 1: .* 31 bits") for k in range(6)),
        ({"run": [1, 2, 3, 0, 0, 1]}, "stride of at least 1"),
        ({"run": [4, 2, 3, 0, 2, 1]}, "4 segments within 9 columns, got 5 segments"),
        ({"run": [1, 2, 4, 0, 2, 1]}, "within 9 columns, got 2 segments and 11 columns"),
        ({"run": [1, 2, 1, 0, 1, 9]}, "within 9 columns, got .* and 13 columns"),
        ({"run": [1, 2, 2**31 - 1, 0, 2**31 - 1, 1]}, "within 9 columns"),
        ({"bos": [0, 0, 2, 0, 1, 0]}, "a first run of one token where a gap follows"),
        ({"facts": [-1, 9, 0, 0]}, "instance 0: expected a gap"),
        ({"facts": [2**63 - 1, 9, 0, 0]}, "instance 0: expected a gap"),
        ({"facts": [3, -1, 0, 0]}, "a capacity"),
        ({"facts": [3, 9, -1, 0]}, "row stride"),
        ({"facts": [3, 9, 0]}, r"facts \[B, 4\]"),
        ({"offsets": [0, 3]}, "ascending offsets"),
        ({"offsets": [1, 2]}, "ascending offsets"),
        ({"offsets": [0, 2, 1, 2]}, "ascending offsets"),
        ({"offsets": []}, "ascending offsets"),
        ({"columns": 8}, "within 8 columns, got .* and 9 columns"),
        ({"ahead": 2}, "ahead 0 or 1, got 2"),
        ({"ahead": -1}, "ahead 0 or 1"),
        ({"threads": -1}, "threads must be"),
    ],
)
def test_what_is_no_run_is_refused(change, message):
    key = {name: Place(left=1, index=1) for name in SEGMENTS.names}
    coupling = Coupling("c", (Level(name="l", key=key, query=key),))
    how = {"columns": 9, "ahead": 1, "threads": 1}

    def ids(run=FINE, bos=BOS, facts=(3, 9, 0, 0), offsets=(0, 2), **other):
        runs = _core.Runs(
            np.array([bos, run], np.int64), np.array(offsets, np.int64), np.array([facts], np.int64)
        )
        return compile_coupling(coupling, SEGMENTS).ids(runs, **{**how, **other})

    assert ids()[1][0, 0].tolist() == [0, *[NO_ID] * 3, 1, NO_ID, 4, NO_ID, 7]
    with pytest.raises(ValueError, match=message):
        ids(**change)


def random_coupling(task):
    """Random places for every token, and what a form can say besides."""
    key = {s: Place(index=1, left=2, row=3, row_stride=1) for s in task.segments.names}
    started = Level(name="started", key=key, query=key, start=(3, 9))
    return Coupling("both", (*couplings.randomized(task, 4000).levels, started))


TASKS = [
    Addition(),
    Addition(16, "padded", True),
    Subtraction(),
    RunningSum(terms=2),
    Division(3),
    Calculator(),
    View(Subtraction()),
]


@pytest.mark.parametrize("solved", [True, False])
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_ids_of_a_given_problem_depend_on_it_alone(task, solved):
    """Alone, among longer ones, at another place, in wider columns: the same ids for its tokens."""
    problems = [[task.parse(line)] for line in _lines(task)]
    coupling = random_coupling(task)

    def rows(problem, **how):
        made = task.instances(Operands.from_digits(problem, arity=task.arity), solved=solved, **how)
        ids = coupling.ids(made)
        gaps = made.runs.arrays()[2][:, 0]
        for gap, *sides in zip(gaps.tolist(), ids.query, ids.key, strict=True):
            kept = [0, *range(1 + gap, made.tokens.shape[1])]
            query = np.delete(sides[0], range(1, gap + 1), axis=1)
            yield query, sides[1][:, kept]

    alone = [next(rows(problem)) for problem in problems]
    whole = [problem[0] for problem in problems]
    for company in (rows(whole), reversed([*rows(whole[::-1])]), rows(whole, max_length=9)):
        for own, among in zip(alone, company, strict=True):
            for side, other in zip(own, among, strict=True):
                width = side.shape[1] - 1  # the last column's query is beyond the answer
                np.testing.assert_array_equal(side[:, :width], other[:, :width])
    places = [key[0, 1:9].tolist() for _, key in alone]
    assert all(one != other for one, other in itertools.pairwise(places))


def _lines(task):
    sign = task.sign or "/"
    pairs = [("2", "1"), ("1012", "21"), ("11", "2112"), ("21201", "2")]
    return [sign.join(pair) for pair in pairs]


def test_tokens_beyond_the_longest_answer_have_no_random_place():
    """The columns of an unsolved batch are those of its longest problem."""
    task = Addition()
    made = task.instances(Operands.from_ints([(1, 2), (10**30, 5)]), solved=False)
    key = couplings.randomized(task, 400).ids(made).key[0, 0]
    beyond = made.start + 1 + int(task.max_answer_tokens([[1, 1]])[0])
    assert (key[beyond:] == NO_ID).all()
    used = key[np.arange(key.size) < beyond]
    assert (np.diff(used[used != NO_ID]) > 0).all()
    assert (used != NO_ID).sum() == task.sequence_length([[1, 1]])[0]
