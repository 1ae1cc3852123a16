"""Multiplication with its work: tokens from Python's integers, ids from a layout token by token."""

import itertools

import numpy as np
import pytest

from arithtf.tasks import (
    IGNORE,
    MULTIPLICATION_KINDS,
    NO_ID,
    Coupling,
    Level,
    Multiplication,
    Operands,
    Place,
    couplings,
    show,
    task_from_dict,
)
from arithtf.tasks.couplings import WORK_WINDOWS, work

RICH = Coupling(
    "rich",
    (
        Level(
            name="mixed",
            key={
                "bos": Place(offset=-5, width=2),
                "a": Place(offset=1, left=2, right=-3, index=1),
                "b": Place(offset=7, right=4, width=-1),
                "sum": Place(left=3, row=100, index=2),
                "final": Place(left=-1, row=7, width=1),
                "carry": Place(left=5, row=-2, index=-1),
                "top": Place(row=11, left=6),
                "last": Place(offset=4, row=1),
                "end": Place(index=1),
                "answer": Place(left=5, index=-1),
            },
            query={
                "a": Place(offset=2, left=1, right=2),
                "row": Place(row=3, index=1),
                "sum": Place(left=1, width=2),
                "final": Place(offset=1, index=1),
                "carry": Place(left=-2, index=3),
                "last": Place(width=-4),
                "end": Place(offset=9),
                "answer": Place(left=1, offset=-1),
            },
        ),
        Level(name="cycle", key={"sum": Place(index=1)}, query={"carry": Place(left=1)}, period=3),
        Level(name="started", key={"b": Place()}, query={"row": Place(row=1)}, start=(6, 9)),
    ),
)


def digits_of(value: int, base: int) -> list[int]:
    """Least significant first."""
    digits = [value % base]
    while value := value // base:
        digits.append(value % base)
    return digits


def padded(value: int, base: int, length: int) -> list[int]:
    digits = digits_of(value, base)
    return digits + [0] * (length - len(digits))


def instance(a: int, b: int, base: int) -> list[tuple[str, int, int, int, int]]:
    """(segment, token, index from the left, index from the right, row) of every token."""
    x, y = digits_of(a, base), digits_of(b, base)
    n, m = len(x), len(y)
    bos, eos, equals, times, row = base + 1, base + 2, base + 3, base + 4, base + 5
    out = [("bos", bos, 0, 0, 0)]
    out += [("a", x[n - 1 - i], i, n - 1 - i, 0) for i in range(n)]
    out += [("*", times, 0, 0, 0)]
    out += [("b", y[m - 1 - i], i, m - 1 - i, 0) for i in range(m)]
    out += [("=", equals, 0, 0, 0)]
    for j in range(m):
        out.append(("row", row, 0, 0, j))
        left = a * (b % base**j) // base**j
        value = left + a * y[j]
        digits = padded(value, base, n + 1)
        for i in range(n):
            final = i == 0 or j == m - 1
            out.append(("final" if final else "sum", digits[i], i, 0, j))
            low = base ** (i + 1)
            carry = (a % low * y[j] + left % low) // low
            if i < n - 1:
                out.append(("carry", carry, i, 0, j))
            else:
                assert carry == digits[n]
                out.append(("last" if j == m - 1 else "top", carry, i, 0, j))
    out.append(("end", equals, 0, 0, 0))
    product = [*padded(a * b, base, n + m), eos]
    return out + [("answer", d, k, 0, 0) for k, d in enumerate(product)]


def form_id(level: Level, form: Place | None, place: tuple[int, ...], n: int, width: int) -> int:
    if form is None:
        return NO_ID
    i, r, row = place
    value = form.offset + form.left * i + form.right * r + form.row * row + form.index * n
    value += form.width * width + level.start[0]
    return value % level.period if level.period else value


def check_row(task, coupling, batch, row, a, b, solved):
    base = task.base
    tokens = instance(a, b, base)
    size = len(digits_of(a, base)), len(digits_of(b, base))
    width, prompt = 2 * size[0] + 1, sum(size) + 3
    columns = [0, *range(batch.start + 2 - prompt, batch.start + 1 - prompt + len(tokens))]
    expected = np.full(batch.tokens.shape[1], base)
    targets = np.full(batch.tokens.shape[1], IGNORE)
    key = np.full(batch.key_ids.shape[1:], NO_ID)
    query = key.copy()
    for n, (segment, token, *place) in enumerate(tokens):
        shown = n < prompt or solved
        expected[columns[n]] = token if shown else base
        if n >= prompt and solved:
            targets[columns[n] - 1] = token
        for number, level in enumerate(coupling.levels):
            key[number, columns[n]] = form_id(level, level.key.get(segment), place, n, width)
            if n:
                form = level.query.get(segment)
                query[number, columns[n - 1]] = form_id(level, form, place, n, width)
    assert batch.tokens[row].tolist() == expected.tolist()
    assert batch.targets[row].tolist() == targets.tolist()
    assert batch.key_ids[row].tolist() == key.tolist()
    assert batch.query_ids[row].tolist() == query.tolist()


@pytest.mark.parametrize("base", [2, 10, 128])
@pytest.mark.parametrize("coupling", [RICH, work()], ids=["rich", "work"])
@pytest.mark.parametrize("solved", [True, False])
def test_layout_token_by_token(base, coupling, solved):
    rng = np.random.default_rng(base)
    task = Multiplication(base)
    sizes = [(1, 1), (1, 6), (6, 1), (2, 2), (5, 4), (3, 7)]
    problems = [tuple(int(rng.integers(base ** (k - 1), base**k)) for k in s) for s in sizes]
    problems += [(0, 0), (0, base**3), (base**5, 1), (base**4 - 1, base**4 - 1), (base**2 + 1, 0)]
    batch = task.layout(coupling, Operands.from_ints(problems, base=base), solved=solved)
    for row, (a, b) in enumerate(problems):
        check_row(task, coupling, batch, row, a, b, solved)


def test_columns_are_those_a_problem_needs():
    task = Multiplication()
    for a, b in [(7, 8), (123, 4), (5, 6789), (10**20, 10**9)]:
        operands = Operands.from_ints([(a, b)])
        lengths = np.diff(operands.offsets).reshape(1, 2)
        batch = task.layout(work(), operands)
        assert batch.tokens.shape[1] == task.columns(lengths)[0] == len(instance(a, b, 10))
        assert task.room(lengths)[0] == (batch.targets != IGNORE).sum()
        wide = task.layout(work(), operands, width=25)
        assert wide.tokens.shape[1] == task.columns(np.array([[25, 25]]))[0]
        check_row(task, work(), wide, 0, a, b, True)


@pytest.mark.parametrize(("n", "m"), [(300, 200), (1, 500), (500, 1)])
def test_long_products_are_python_integers(n, m):
    rng = np.random.default_rng(n)
    a, b = (int("".join(map(str, rng.integers(1, 10, k)))) for k in (n, m))
    task, operands = Multiplication(), Operands.from_ints([(a, b)])
    answer = task.answer(operands)[0]
    assert task.render(answer) == str(a * b)
    assert answer.tolist() == [t for s, t, *_ in instance(a, b, 10)][n + m + 3 : -1]
    assert task.problem(operands, 0) == f"{a}*{b}={a * b}"


def test_a_batch_is_the_layout_of_its_operands_for_any_threads():
    task = Multiplication()
    address = {"seed": 5, "split": "train", "step": 9, "lengths": (1, 5), "size": 40}
    batch = task.batch(work(), **address)
    laid = task.layout(work(), task.operands(**address), width=5)
    for threads in (1, 3, 8):
        again = task.batch(work(), **address, threads=threads)
        for x, y, z in zip(batch[:4], laid[:4], again[:4], strict=True):
            assert np.array_equal(x, y)
            assert np.array_equal(x, z)
    other = task.batch(work(), **{**address, "step": 10})
    assert not np.array_equal(batch.tokens, other.tokens)


def test_starts_are_drawn_in_training_only():
    level = Level(name="s", key={"sum": Place(index=1)}, query={"row": Place()}, start=(3, 90))
    coupling = Coupling("s", (level,))
    task = Multiplication()
    found = {}
    for split in ("train", "test"):
        batch = task.batch(coupling, seed=1, split=split, step=0, lengths=(3, 3), size=50)
        found[split] = batch.query_ids[:, 0].max(axis=1)
    assert set(found["test"].tolist()) == {3}
    assert len(set(found["train"].tolist())) > 20
    assert found["train"].min() >= 3
    assert found["train"].max() <= 90


def test_splits_share_no_problem_and_lengths_are_independent():
    task = Multiplication()
    draws = {}
    for split in ("train", "test"):
        operands = task.operands(seed=1, split=split, step=0, lengths=(1, 2), size=4000)
        assert (task.in_test_split(operands) == (split == "test")).all()
        text = [tuple(sorted("".join(map(str, d)) for d in p)) for p in operands]
        draws[split] = set(text)
        lengths = np.diff(operands.offsets).reshape(-1, 2)
        assert len({tuple(pair) for pair in lengths.tolist()}) == 4
    assert not draws["train"] & draws["test"]


@pytest.mark.parametrize("kind", MULTIPLICATION_KINDS)
def test_kinds_are_products(kind):
    task = Multiplication()
    batch = task.batch(work(), seed=2, split="all", step=1, lengths=(4, 6), size=30, kind=kind)
    operands = task.operands(seed=2, split="all", step=1, lengths=(4, 6), size=30, kind=kind)
    for row, problem in enumerate(operands):
        a, b = (int("".join(map(str, digits))) for digits in problem)
        check_row(task, work(), batch, row, a, b, True)


def test_what_a_digit_and_a_carry_see():
    """The coupling's purpose, read off the ids: the operands' digits and the digit above."""
    rng = np.random.default_rng(3)
    a, b = (int(rng.integers(10**6, 10**7)) for _ in range(2))
    task = Multiplication()
    batch = task.layout(work(), Operands.from_ints([(a, b)]))
    x, y = digits_of(a, 10), digits_of(b, 10)
    tokens = instance(a, b, 10)
    for n, (segment, _, i, _, j) in enumerate(tokens):
        if segment not in ("sum", "final", "carry", "top", "last"):
            continue
        difference = 0 if segment in ("sum", "final") else -1
        expected = [[(difference, x[i])], [(difference, y[j])], [], []]
        if j > 0:
            above = padded(a * (b % 10**j) // 10**j, 10, 7)[i]
            expected[2] = [(difference, above)]
        for level, (back, ahead) in enumerate(WORK_WINDOWS):
            ids, keys = batch.query_ids[0, level], batch.key_ids[0, level]
            seen = [
                (int(keys[c]) - int(ids[n - 1]), int(batch.tokens[0, c]))
                for c in range(n)
                if NO_ID not in (keys[c], ids[n - 1]) and -back <= keys[c] - ids[n - 1] <= ahead
            ]
            assert seen == expected[level], (n, segment, level)


def test_parse_and_render():
    task = Multiplication()
    assert [d.tolist() for d in task.parse(" 012 * 34 ")] == [[1, 2], [3, 4]]
    written = [t for _, t, *_ in instance(12, 34, 10)]
    assert task.vocabulary.text(np.array(written)) == "^12*34=#8040#0140=8040$"
    assert task.render(written[7:]) == "408"
    zero = [t for _, t, *_ in instance(0, 77, 10)]
    assert task.render(zero[6:]) == "0"
    assert Multiplication(16).problem(Operands.from_ints([(255, 17)], base=16), 0) == "ff*11=10ef"


@pytest.mark.parametrize("line", ["12", "1*2*3", "*3", "1*", "1*x", "1*-2", "1+2"])
def test_lines_that_are_no_product(line):
    with pytest.raises(ValueError, match=r"operand|'\*'"):
        Multiplication().parse(line)


def test_work_without_a_product_cannot_be_rendered():
    task = Multiplication()
    with pytest.raises(ValueError, match="no '='"):
        task.render([15, 8, 0])
    with pytest.raises(ValueError, match="no digits"):
        task.render([15, 8, 0, 13])
    with pytest.raises(ValueError, match="'#' where a digit"):
        task.render([13, 8, 15])


def test_refusals():
    task = Multiplication()
    operands = Operands.from_ints([(123, 4)])
    with pytest.raises(ValueError, match="at least the longest operand, 3"):
        task.layout(work(), operands, width=2)
    with pytest.raises(ValueError, match="kind must be one of"):
        task.operands(seed=0, split="all", step=0, lengths=(1, 2), size=1, kind="chain")
    right = Coupling("c", (Level(name="l", key={"sum": Place(right=1)}, query={}),))
    with pytest.raises(ValueError, match="right must be 0"):
        task.layout(right, operands)
    long = Operands.from_digits([(np.ones(10**5, np.uint8),) * 2])
    with pytest.raises(ValueError, match="32-bit ids"):
        task.layout(work(), long)
    with pytest.raises(ValueError, match="at least one problem of 2"):
        task.answer(Operands.from_ints([(1,)], arity=1))


def test_round_trips_and_show():
    task = Multiplication(7)
    assert task_from_dict(task.to_dict()) == task
    assert Coupling.from_dict(work().to_dict()) == work()
    assert couplings.work is work
    text = show(task, work(), task.layout(work(), Operands.from_ints([(3, 4)], base=7)), 0)
    assert text.splitlines()[1].split() == ["token", *"^3*4=#51=51$"]
    assert len(set(map(len, itertools.chain(text.splitlines())))) == 1
