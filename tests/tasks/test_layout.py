"""Tokens, ids and targets against a layout written token by token from the contract."""

import itertools
import sys

import numpy as np
import pytest

from arithtf.tasks import (
    IGNORE,
    NO_ID,
    Addition,
    Batch,
    Coupling,
    Level,
    Operands,
    Place,
    couplings,
)

RICH = Coupling(
    "rich",
    (
        Level(
            name="mixed",
            key={
                "bos": Place(offset=-5, index=3),
                "a": Place(offset=1, left=2, right=-3, index=1),
                "b": Place(offset=7, right=4, row=9),
                "answer": Place(offset=-2, left=5, index=-1),
            },
            query={
                "a": Place(offset=2, left=1, right=2),
                "+": Place(offset=3, right=8),
                "=": Place(index=2),
                "answer": Place(offset=1, left=-1, index=4),
            },
        ),
        Level(name="cycle", key={"a": Place(left=-1)}, query={"answer": Place(left=3)}, period=4),
        Level(name="started", key={"b": Place()}, query={"b": Place(left=1)}, start=(6, 9)),
    ),
)


def digits_of(value: int, base: int) -> list[int]:
    digits = [value % base]
    while value := value // base:
        digits.append(value % base)
    return digits[::-1]


def instance_tokens(task: Addition, a: int, b: int) -> list[tuple[str, int, int, int]]:
    """(segment, token, index from the left, index from the right) of every token."""
    base = task.base
    x, y, total = digits_of(a, base), digits_of(b, base), digits_of(a + b, base)
    if task.format == "padded":
        n = max(len(x), len(y))
        x, y = [0] * (n - len(x)) + x, [0] * (n - len(y)) + y
        total = [0] * (n + 1 - len(total)) + total
    if task.reverse_operands:
        x, y = x[::-1], y[::-1]
    bos, eos, equals, plus = base + 1, base + 2, base + 3, base + 4
    parts = [
        ("bos", [bos]),
        ("a", x),
        ("+", [plus]),
        ("b", y),
        ("=", [equals]),
        ("answer", [*total[::-1], eos]),
    ]
    return [
        (segment, token, i, len(tokens) - 1 - i)
        for segment, tokens in parts
        for i, token in enumerate(tokens)
    ]


def form_id(level: Level, form: Place | None, i: int, r: int, n: int) -> int:
    if form is None:
        return NO_ID
    value = form.offset + form.left * i + form.right * r + form.index * n + level.start[0]
    return value % level.period if level.period else value


def expected_row(
    task: Addition, coupling: Coupling, a: int, b: int, width: int, solved: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    start, columns = 2 * width + 2, 3 * width + 5
    instance = instance_tokens(task, a, b)
    prompt = [t for t in instance if t[0] != "answer"]
    written = [t for t in instance if t[0] == "answer"]
    if not solved:
        written = [("answer", task.base, i, -1) for i in range(width + 2)]
    tokens = np.full(columns, task.base)
    targets = np.full(columns, IGNORE)
    key = np.full((len(coupling.levels), columns), NO_ID)
    query = key.copy()
    places = [0, *range(start - len(prompt) + 2, start + 1 + len(written))]
    for n, (segment, token, i, r) in enumerate([*prompt, *written]):
        tokens[places[n]] = token
        if segment == "answer" and solved:
            targets[places[n] - 1] = token
        for number, level in enumerate(coupling.levels):
            key[number, places[n]] = form_id(level, level.key.get(segment), i, r, n)
            if n > 0:
                query[number, places[n - 1]] = form_id(level, level.query.get(segment), i, r, n)
    return tokens, query, key, targets


def check(task: Addition, coupling: Coupling, problems: list[tuple[int, int]], **how: int) -> None:
    operands = Operands.from_ints(problems, base=task.base)
    for solved in (True, False):
        batch = Batch.of(task.instances(operands, solved=solved, **how), coupling)
        longest = max(len(digits_of(value, task.base)) for pair in problems for value in pair)
        width = how.get("max_length", longest)
        assert batch.start == 2 * width + 2
        assert batch.tokens.dtype == batch.targets.dtype == np.uint8
        assert batch.query_ids.dtype == batch.key_ids.dtype == np.int32
        assert all(array.flags.c_contiguous for array in batch[:4])
        for i, (a, b) in enumerate(problems):
            row = expected_row(task, coupling, a, b, width, solved)
            for name, array, right in zip(Batch._fields[:4], batch[:4], row, strict=True):
                np.testing.assert_array_equal(array[i], right, err_msg=f"{name} of {a}+{b}")


def some_couplings(task: Addition) -> list[Coupling]:
    return [
        RICH,
        couplings.columns(task),
        couplings.index(task),
        couplings.position_coupling(task, 40),
        couplings.abacus(task, 20),
        couplings.cyclic(task, 3),
    ]


@pytest.mark.parametrize("form", ["natural", "padded"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("base", [2, 10, 16])
def test_small_sums_on_every_coupling(form: str, reverse: bool, base: int) -> None:
    task = Addition(base, form, reverse)  # type: ignore[arg-type]
    values = [0, 1, base - 1, base, base**2 - 1, base**3, base**5 - 1]
    problems = list(itertools.product(values, values))
    for coupling in some_couplings(task):
        check(task, coupling, problems)
        check(task, coupling, problems, max_length=9)


@pytest.mark.parametrize("form", ["natural", "padded"])
def test_long_sums(form: str) -> None:
    task = Addition(10, form, False)  # type: ignore[arg-type]
    rng = np.random.default_rng(3)
    numbers = [int.from_bytes(rng.bytes(size), "little") for size in (1, 30, 400, 1200)]
    check(task, couplings.columns(task), list(itertools.product(numbers, numbers)))


def test_ids_of_the_main_coupling_align_columns() -> None:
    for reverse in (False, True):
        task = Addition(reverse_operands=reverse)
        batch = Batch.of(task.instances(Operands.from_ints([(305, 17)])), couplings.columns(task))
        place = dict(zip(batch.key_ids[0, 0].tolist(), batch.tokens[0].tolist(), strict=True))
        assert place[2] == 3  # the answer 322 has its 3 at column 2; it overwrote the operand's 3
        query = batch.query_ids[0, 0, batch.start : -1].tolist()
        assert query[:4] == [0, 1, 2, 3]
        keys = batch.key_ids[0, 0][batch.tokens[0] < 10].tolist()
        assert keys == ([0, 1, 2, 0, 1] if reverse else [2, 1, 0, 1, 0]) + [0, 1, 2]


def test_ids_beyond_32_bits_are_refused() -> None:
    task = Addition()
    operands = Operands.from_ints([(123, 4)])
    for place in (Place(offset=2**31), Place(offset=2**31 - 2, left=1), Place(offset=-(2**31))):
        coupling = Coupling("huge", (Level(name="l", key={"a": place}, query={}),))
        with pytest.raises(ValueError, match="32 bits"):
            Batch.of(task.instances(operands), coupling)
    largest = Coupling("fits", (Level(name="l", key={"a": Place(offset=2**31 - 1)}, query={}),))
    assert Batch.of(task.instances(operands), largest).key_ids.max() == 2**31 - 1


def test_max_length_below_the_longest_operand_is_refused() -> None:
    task = Addition()
    with pytest.raises(ValueError, match="max_length must be at least the longest operand, 3"):
        Batch.of(
            task.instances(Operands.from_ints([(123, 4)]), max_length=2), couplings.columns(task)
        )


def test_a_sum_of_a_million_digits_is_laid_out_whole() -> None:
    n = 10**6
    task = Addition()
    batch = Batch.of(
        task.instances(Operands.from_digits([(np.full(n, 9, np.uint8), [1])])),
        couplings.columns(task),
    )
    assert batch.tokens.shape == (1, 2 * n + 6)
    answer = batch.tokens[0, batch.start + 1 :]
    assert answer[n] == 1
    assert answer[n + 1] == task.vocabulary.eos
    assert not answer[:n].any()
    assert batch.query_ids[0, 0, batch.start + n] == n
    assert batch.key_ids.nbytes == 4 * (2 * n + 6) < sys.maxsize
