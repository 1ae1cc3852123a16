"""Written-out work: tokens from Python's integers, ids from a layout token by token."""

import numpy as np
import pytest
import scratchpad_oracle as oracle

from arithtf.tasks import (
    IGNORE,
    NO_ID,
    Address,
    Batch,
    Coupling,
    Division,
    Draw,
    Level,
    Multiplication,
    Operands,
    Place,
    RunningSum,
    show,
    task_from_dict,
    task_to_dict,
)
from arithtf.tasks.couplings import lookups

TASKS = (Multiplication, RunningSum, Division)


def instance(task, problem):
    return oracle.ORACLES[type(task)](task.base, *problem)


def mixed(task, seed: int) -> Coupling:
    """Levels with a random form for most segments."""
    rng = np.random.default_rng(seed)

    def forms(chance: float) -> dict[str, Place]:
        found = {}
        for segment in task.segments.names:
            if rng.random() > chance:
                continue
            names = ["offset", "left", "row", "index", "row_stride", "cell"]
            names += ["right"] if segment in task.segments.prompt else []
            found[segment] = Place(**{n: int(rng.integers(-4, 5)) for n in names})
        return found

    return Coupling(
        "mixed",
        (
            Level(name="plain", key=forms(0.9), query=forms(0.9)),
            Level(name="cycle", key=forms(0.5), query=forms(0.5), period=3),
            Level(name="started", key=forms(0.5), query=forms(0.5), start=(6, 9)),
        ),
    )


def form_id(level, form, place, n, stride):
    if form is None:
        return NO_ID
    i, r, row = place
    value = form.offset + form.left * i + form.right * r + form.row * row + form.index * n
    value += (form.row_stride + form.cell * row) * stride + level.start[0]
    return value % level.period if level.period else value


def check_row(task, coupling, batch, row, problem, solved=True):
    tokens, stride = instance(task, problem)
    prompt = next(n for n, t in enumerate(tokens) if t[0] == "=") + 1
    columns = [0, *range(batch.start + 2 - prompt, batch.start + 1 - prompt + len(tokens))]
    expected = np.full(batch.tokens.shape[1], task.base)
    targets = np.full(batch.tokens.shape[1], IGNORE)
    key = np.full(batch.key_ids.shape[1:], NO_ID)
    query = key.copy()
    for n, (segment, token, *place) in enumerate(tokens):
        expected[columns[n]] = token if n < prompt or solved else task.base
        if n >= prompt and solved:
            targets[columns[n] - 1] = token
        for number, level in enumerate(coupling.levels):
            key[number, columns[n]] = form_id(level, level.key.get(segment), place, n, stride)
            if n:
                form = level.query.get(segment)
                query[number, columns[n - 1]] = form_id(level, form, place, n, stride)
    assert batch.tokens[row].tolist() == expected.tolist()
    assert batch.targets[row].tolist() == targets.tolist()
    assert batch.key_ids[row].tolist() == key.tolist()
    assert batch.query_ids[row].tolist() == query.tolist()


def problems_of(task, seed: int) -> list[tuple[int, ...]]:
    """Problems of many shapes, zeros and largest digits among them."""
    base, rng = task.base, np.random.default_rng(seed)
    sizes = [(1, 1), (1, 5), (5, 1), (2, 2), (4, 3), (2, 4)]
    drawn = [tuple(int(rng.integers(base ** (k - 1), base**k)) for k in s) for s in sizes]
    drawn += [(0, 1), (0, base**3), (base**4, 1), (base**3 - 1, base**3 - 1), (base**2, base - 1)]
    if isinstance(task, RunningSum):
        drawn = [(*p, int(rng.integers(base**3))) for p in [*drawn, (0, 0), (1, 0)]]
    elif isinstance(task, Multiplication):
        drawn += [(0, 0), (base + 1, 0)]
    return drawn


def operands_of(task, problems) -> Operands:
    return Operands.from_ints(problems, base=task.base, arity=len(problems[0]))


@pytest.mark.parametrize("solved", [True, False])
@pytest.mark.parametrize("base", [3, 10, 31])
@pytest.mark.parametrize("kind", TASKS)
def test_layout_token_by_token(kind, base, solved):
    task = kind(base)
    problems = problems_of(task, base)
    for coupling in (lookups(task), mixed(task, base)):
        made = task.instances(operands_of(task, problems), solved=solved)
        batch = Batch.of(made, coupling)
        for row, problem in enumerate(problems):
            check_row(task, coupling, batch, row, problem, solved)


@pytest.mark.parametrize("terms", [2, 4, 11, 101])
def test_sums_of_many_operands(terms):
    rng = np.random.default_rng(terms)
    task = RunningSum()
    problems = [tuple(int(x) for x in rng.integers(0, 10**k, terms)) for k in (1, 3, 7)]
    problems.append((10**5 - 1,) * terms)
    batch = Batch.of(task.instances(operands_of(task, problems)), lookups(task))
    for row, problem in enumerate(problems):
        check_row(task, lookups(task), batch, row, problem)
    answers = task.answer(operands_of(task, problems))
    assert [task.render(a) for a in answers] == [str(sum(p)) for p in problems]


@pytest.mark.parametrize("kind", TASKS)
def test_columns_are_those_a_problem_needs(kind):
    task = kind()
    for problem in problems_of(task, 0):
        operands = operands_of(task, [problem])
        lengths = np.diff(operands.offsets).reshape(1, -1)
        made = task.instances(operands)
        assert made.tokens.shape[1] == task.sequence_length(lengths)[0]
        assert made.tokens.shape[1] == len(instance(task, problem)[0])
        assert task.max_answer_tokens(lengths)[0] == (made.targets != IGNORE).sum()
        wide = Batch.of(task.instances(operands, max_length=12), lookups(task))
        assert wide.tokens.shape[1] == task.sequence_length(np.full((1, operands.arity), 12))[0]
        check_row(task, lookups(task), wide, 0, problem)


@pytest.mark.parametrize(("n", "m"), [(300, 200), (1, 400), (400, 1)])
@pytest.mark.parametrize("kind", TASKS)
def test_long_problems_are_python_integers(kind, n, m):
    rng = np.random.default_rng(n)
    a, b = (int("".join(map(str, rng.integers(1, 10, k)))) for k in (n, m))
    task, operands = kind(), Operands.from_ints([(a, b)])
    answer = task.answer(operands)[0]
    true = {"*": str(a * b), "+": str(a + b), "/": f"{a // b} r {a % b}"}[task.sign]
    assert task.render(answer) == true
    assert task.problem_text(operands, 0) == f"{a}{task.sign}{b}={true}"


@pytest.mark.parametrize("kind", TASKS)
def test_a_sample_is_its_operands_for_any_threads(kind):
    task = kind()
    coupling = lookups(task)
    address, draw = Address(5, "train", 9), Draw((1, 4), 40)
    batch = Batch.of(task.sample(address, draw), coupling)
    laid = Batch.of(task.instances(task.operands(address, draw), max_length=4), coupling)
    for threads in (1, 3, 8):
        again = Batch.of(task.sample(address, draw, threads=threads), coupling, threads=threads)
        for x, y, z in zip(batch[:4], laid[:4], again[:4], strict=True):
            assert np.array_equal(x, y)
            assert np.array_equal(x, z)
    other = task.sample(address._replace(step=10), draw)
    assert not np.array_equal(batch.tokens, other.tokens)


def test_starts_are_drawn_in_training_only():
    level = Level(name="s", key={"sum": Place(index=1)}, query={"row": Place()}, start=(3, 90))
    coupling = Coupling("s", (level,))
    found = {}
    for split in ("train", "test"):
        made = Multiplication().sample(Address(1, split, 0), Draw((3, 3), 50))
        batch = Batch.of(made, coupling)
        found[split] = batch.query_ids[:, 0].max(axis=1)
    assert set(found["test"].tolist()) == {3}
    assert len(set(found["train"].tolist())) > 20
    assert found["train"].min() >= 3
    assert found["train"].max() <= 90


@pytest.mark.parametrize("kind", TASKS)
def test_splits_share_no_problem(kind):
    task = kind()
    draws = {}
    for split in ("train", "test"):
        operands = task.operands(Address(1, split, 0), Draw((1, 2), 2000))
        assert (task.in_test_split(operands) == (split == "test")).all()
        draws[split] = {tuple(sorted("".join(map(str, d)) for d in p)) for p in operands}
    assert not draws["train"] & draws["test"]


@pytest.mark.parametrize("split", ["train", "test", "all"])
@pytest.mark.parametrize("kind", TASKS)
def test_digits_are_uniform_but_large_in_half_of_training(kind, split):
    """By the operands' last digits: a first one is never 0."""
    drawn = kind().operands(Address(4, split, 2), Draw((4, 4), 4000))
    last = drawn.digits[drawn.offsets[1:] - 1]
    counts = np.bincount(last, minlength=10)
    digits = np.arange(10)
    largest_of_three = ((digits + 1) ** 3 - digits**3) / 1000
    shares = (0.1 + largest_of_three) / 2 if split == "train" else np.full(10, 0.1)
    expected = shares * last.size
    # The 99.9 % point of chi square with 9 degrees of freedom is 27.9.
    assert ((counts - expected) ** 2 / expected).sum() < 27.9


@pytest.mark.parametrize(
    ("kind", "distribution"), [(kind, d) for kind in TASKS for d in kind().distributions]
)
def test_distributions(kind, distribution):
    task = kind()
    address, draw = Address(2, "all", 1), Draw((3, 4), 30, distribution)
    batch = Batch.of(task.sample(address, draw), lookups(task))
    for row, problem in enumerate(task.operands(address, draw)):
        numbers = tuple(int("".join(map(str, digits))) for digits in problem)
        check_row(task, lookups(task), batch, row, numbers)


def test_parse_and_render():
    product, total, quotient = Multiplication(), RunningSum(), Division()
    assert [d.tolist() for d in product.parse(" 012 * 34 ")] == [[1, 2], [3, 4]]
    assert [d.tolist() for d in total.parse("1+ 20+003")] == [[1], [2, 0], [3]]
    written = product.vocabulary.text(product.answer(Operands.from_ints([(12, 34)]))[0])
    assert written == "#088004400#060103400=8040"
    sums = Operands.from_ints([(7, 8, 9)], arity=3)
    assert total.vocabulary.text(total.answer(sums)[0]) == "#51100#41200"
    assert quotient.problem_text(Operands.from_ints([(100, 7)]), 0) == "100/7=14 r 2"
    hexadecimal = Operands.from_ints([(255, 17)], base=16)
    assert Multiplication(16).problem_text(hexadecimal, 0) == "ff*11=10ef"


def test_trials_that_change_nothing_are_shown_once_with_their_number():
    task = Division()
    (written,) = task.answer(Operands.from_ints([(100, 7)]))
    assert task.shown_work(written) == [
        "digit 1 is 0: does not go, 9 times   01",
        "digit 2 is 1: goes                   03",
        "digit 2 is 1: does not go, 8 times   03",
        "digit 3 is 1: goes                   23",
        "digit 3 is 2: goes                   16",
        "digit 3 is 3: goes                   09",
        "digit 3 is 4: goes                   02",
        "digit 3 is 4: does not go, 5 times   02",
        "quotient                            014",
        "remainder                             2",
    ]
    # A row that a model wrote otherwise stands alone.
    marks = np.flatnonzero(written == task.vocabulary.id("#"))
    changed = written.copy()
    changed[marks[4] + 3] = 5
    assert task.shown_work(changed)[:3] == [
        "digit 1 is 0: does not go, 4 times   01",
        "digit 1 is 0: does not go            05",
        "digit 1 is 0: does not go, 4 times   01",
    ]


@pytest.mark.parametrize("line", ["12", "1*2*3", "*3", "1*", "1*x", "1*-2", "1+2"])
def test_lines_that_are_no_product(line):
    with pytest.raises(ValueError, match=r"operand|operation|'\*'"):
        Multiplication().parse(line)


@pytest.mark.parametrize("line", ["12", "1++2", "+3", "1+", "1*2"])
def test_lines_that_are_no_sum(line):
    with pytest.raises(ValueError, match=r"operand|'\+'"):
        RunningSum().parse(line)


def test_work_without_an_answer_cannot_be_rendered():
    with pytest.raises(ValueError, match="expected '=' before"):
        Multiplication().render([15, 8, 0])
    with pytest.raises(ValueError, match="no digits"):
        Multiplication().render([15, 8, 0, 13])
    with pytest.raises(ValueError, match="'\\*' where a digit"):
        Multiplication().render([13, 8, 14])
    with pytest.raises(ValueError, match="expected '#' before"):
        RunningSum().render([])
    with pytest.raises(ValueError, match="does not end"):
        Division().render([15, 1, 13, 2])


def test_refusals():
    task = Multiplication()
    operands = Operands.from_ints([(123, 4)])
    with pytest.raises(ValueError, match="at least the longest operand, 3"):
        task.instances(operands, max_length=2)
    with pytest.raises(ValueError, match="distribution must be one of"):
        task.operands(Address(0, "all", 0), Draw((1, 2), 1, "chain"))
    right = Coupling("c", (Level(name="l", key={"sum": Place(right=1)}, query={}),))
    with pytest.raises(ValueError, match="right must be 0"):
        right.ids(task.instances(operands))
    long = Operands.from_digits([(np.ones(10**5, np.uint8),) * 2])
    with pytest.raises(ValueError, match="32-bit ids"):
        task.instances(long)
    with pytest.raises(ValueError, match="expected 2 operands, got 1"):
        task.answer(Operands.from_ints([(1,)], arity=1))
    with pytest.raises(ValueError, match="divides by 0"):
        Division().answer(Operands.from_ints([(7, 0)]))
    with pytest.raises(ValueError, match="base of at least 3"):
        Division(2)
    with pytest.raises(ValueError, match="terms >= 2"):
        RunningSum(terms=1)


def test_divisors_are_drawn_without_zero():
    task = Division()
    for distribution in task.distributions:
        lengths = (1, 3) if distribution == "uniform" else (3, 3)
        operands = task.operands(Address(3, "all", 0), Draw(lengths, 500, distribution))
        assert all(int("".join(map(str, b))) > 0 for _, b in operands)


@pytest.mark.parametrize("kind", TASKS)
def test_round_trips_and_show(kind):
    task = kind(7)
    coupling = lookups(task)
    assert task_from_dict(task_to_dict(task)) == task
    assert Coupling.from_dict(coupling.to_dict()) == coupling
    batch = Batch.of(task.instances(operands_of(task, [(3, 4)])), coupling)
    text = show(task, coupling, batch, 0)
    tokens = [t for _, t, *_ in instance(task, (3, 4))[0]]
    assert text.splitlines()[1].split() == ["token", *task.vocabulary.text(np.array(tokens))]
