"""Column tasks against Python integers: answers, layouts token by token, draws, text, JSON."""

import itertools
import json

import numpy as np
import pytest

from arithtf.tasks import (
    IGNORE,
    NO_ID,
    Comparison,
    Copy,
    Coupling,
    Increment,
    Level,
    ModularAddition,
    Operands,
    Parity,
    Place,
    PlainResidueAddition,
    ResidueAddition,
    Reverse,
    Subtraction,
    TimesDigit,
    couplings,
    task_from_dict,
)

TASKS = [
    Subtraction(), Subtraction(2), Subtraction(16), Comparison(), Comparison(3), Increment(),
    Increment(2), TimesDigit(), TimesDigit(5), ModularAddition(10), ModularAddition(1000),
    ModularAddition(50), ModularAddition(2), ModularAddition(8, 2), ModularAddition(9, 3),
    ResidueAddition(51), ResidueAddition(101), ResidueAddition(151), ResidueAddition(7, 2),
    PlainResidueAddition(51), PlainResidueAddition(7, 2), Copy(), Copy(3), Reverse(), Parity(),
    Parity(10),
]  # fmt: skip
STRINGS = (Copy, Reverse, Parity)


def named(task):
    return f"{task.name}-{'-'.join(map(str, vars(task).values()))}"


def low_first(value, base):
    digits = [value % base]
    while value := value // base:
        digits.append(value % base)
    return digits


def value(digits, base):
    total = 0
    for digit in digits:
        total = total * base + digit
    return total


def rows_of(task, operands):
    """The answer by integer arithmetic: (segment, tokens) of each row, EOS included.

    Args:
        operands: lists of digits, most significant first.
    """
    words, base = task.vocabulary, task.base
    numbers = [value(digits, base) for digits in operands]
    n = max(len(d) for d in operands[: 1 if isinstance(task, TimesDigit) else None])

    def compared():
        a, b = numbers
        for k in range(1, n + 1):
            x, y = a % base**k, b % base**k
            yield words.id("<") if x < y else words.id(">") if x > y else words.equals

    def digits(number, count):
        return (low_first(number, base) + [0] * n)[:count]

    if isinstance(task, Subtraction):
        a, b = numbers
        sign = words.id("-" if a < b else "+")
        yield from (("difference", digits((a - b) % base**n, n)), ("sign", [sign]))
        answer = digits(abs(a - b), n)
    elif isinstance(task, Comparison):
        answer = list(compared())
    elif isinstance(task, Increment):
        answer = low_first(numbers[0] + 1, base)
    elif isinstance(task, TimesDigit):
        product = numbers[0] * numbers[1]
        answer = digits(product, max(n, len(low_first(product, base))))
    elif isinstance(task, ModularAddition):
        total = sum(numbers) % task.modulus
        count = len(low_first(task.modulus - 1, base))
        answer = digits(total, max(min(n, count), len(low_first(total, base))))
    elif isinstance(task, PlainResidueAddition):
        answer = [sum(numbers) % task.modulus]
    elif isinstance(task, ResidueAddition):
        a, b = numbers
        answer = [(a // base**k + b // base**k) % task.modulus for k in reversed(range(n))]
    elif isinstance(task, Parity):
        answer = [sum(operands[0][: k + 1]) % 2 for k in range(n)]
    else:
        answer = operands[0][:: -1 if isinstance(task, Reverse) else 1]
    yield "answer", [*answer, words.eos]


def result_of(task, operands):
    """The result as a person reads it."""
    numbers = [value(digits, task.base) for digits in operands]
    if isinstance(task, Subtraction):
        difference = numbers[0] - numbers[1]
        return ("-" if difference < 0 else "") + np.base_repr(abs(difference), task.base).lower()
    if isinstance(task, Comparison):
        a, b = numbers
        return "<" if a < b else ">" if a > b else "="
    if isinstance(task, ResidueAddition):
        return str(sum(numbers) % task.modulus)
    if isinstance(task, Parity):
        return str(sum(operands[0]) % 2)
    if isinstance(task, Copy | Reverse):
        text = "".join(np.base_repr(d, 36).lower() for d in operands[0])
        return text[::-1] if isinstance(task, Reverse) else text
    result = {
        "increment": lambda: numbers[0] + 1,
        "times-digit": lambda: numbers[0] * numbers[1],
        "modular-addition": lambda: sum(numbers) % task.modulus,
    }[task.name]()
    return np.base_repr(result, task.base).lower()


def some_problems(task, longest=12, count=150, seed=0):
    """All short problems and random ones."""
    rng = np.random.default_rng(seed)
    base, string = task.base, isinstance(task, STRINGS)

    def number():
        digits = rng.integers(0, base, rng.integers(1, longest + 1)).tolist()
        if rng.random() < 0.3:
            digits = [int(rng.choice([0, base - 1])) for _ in digits]
        if not string and len(digits) > 1 and digits[0] == 0:
            digits[0] = 1
        return digits

    def short():
        if string:
            yield from ([0], [0, 0], [1, 0], [0, 1], [1, 1, 1])
        else:
            yield from (low_first(v, base)[::-1] for v in (0, 1, base - 1, base, base**2 - 1))

    digit = [[d] for d in range(base)]
    columns = [list(short())] * (task.arity - isinstance(task, TimesDigit))
    problems = list(itertools.product(*columns, *([digit] if isinstance(task, TimesDigit) else [])))
    for _ in range(count):
        problem = [number() for _ in columns]
        if len(problem) == 2 and rng.random() < 0.3:
            problem[1] = problem[0].copy()
            problem[1][-1] = int(rng.integers(0, base))
        if isinstance(task, TimesDigit):
            problem.append([int(rng.integers(0, base))])
        problems.append(tuple(problem))
    return problems


def as_operands(task, problems):
    return Operands.from_digits(problems, arity=task.arity)


@pytest.mark.parametrize("task", TASKS, ids=named)
def test_answers_and_results_are_those_of_integers(task):
    problems = some_problems(task)
    operands = as_operands(task, problems)
    answers = task.answer(operands)
    for i, (problem, answer) in enumerate(zip(problems, answers, strict=True)):
        expected = [token for _, tokens in rows_of(task, problem) for token in tokens]
        assert [*answer.tolist(), task.vocabulary.eos] == expected, problem
        assert task.render(answer) == result_of(task, problem)
        if i < 30 and not isinstance(task, Comparison):
            assert task.problem(operands, i).endswith("=" + result_of(task, problem))


def rich(task):
    """A coupling that uses every form on every segment."""
    key, query = {}, {}
    for k, segment in enumerate(task.segments):
        right = 3 + k if segment in task.complete else 0
        key[segment] = Place(offset=k, left=2, right=right, row=5, index=1)
        if segment != "bos":
            query[segment] = Place(offset=-k, left=1 + k, right=-right, index=2)
    cycle = Level(name="cycle", key=key, query={"answer": Place(left=3)}, period=4)
    return Coupling("rich", (Level(name="mixed", key=key, query=query, start=(2, 9)), cycle))


def parts_of(task, problem):
    """(segment, tokens, first index, length) of every run of an instance."""
    words = task.vocabulary
    if isinstance(task, ResidueAddition):
        n = max(map(len, problem))
        problem = [[0] * (n - len(digits)) + digits for digits in problem]
    parts = [("bos", [words.bos])]
    for digits, segment in zip(problem, task.segments[1::2], strict=False):
        parts.append((segment, list(digits)))
        following = task.segments[task.segments.index(segment) + 1]
        parts.append((following, [words.equals if following == "=" else words.id(following)]))
    return parts, list(rows_of(task, problem))


def form_id(level, form, i, r, n):
    if form is None:
        return NO_ID
    value = form.offset + form.left * i + form.right * r + form.index * n + level.start[0]
    return value % level.period if level.period else value


def expected_row(task, coupling, problem, batch, solved):
    """Tokens, ids and targets of an instance, token by token."""
    prompt, rows = parts_of(task, problem)
    columns, start = batch.tokens.shape[1], batch.start
    if not solved:
        known = sum(len(tokens) for _, tokens in rows[:-1])
        room = columns - start - 1 - known
        rows = [(s, [task.vocabulary.pad] * len(t)) for s, t in rows[:-1]]
        rows.append(("answer", [task.vocabulary.pad] * room))
    tokens = np.full(columns, task.vocabulary.pad)
    targets = np.full(columns, IGNORE)
    key = np.full((len(coupling.levels), columns), NO_ID)
    query = key.copy()
    flat = [(s, t, i, len(ts) - 1 - i) for s, ts in prompt for i, t in enumerate(ts)]
    places = [0, *range(start - len(flat) + 2, columns)]
    first = {"sign": len(rows[0][1])}
    written = [(s, t, i + first.get(s, 0), 0) for s, ts in rows for i, t in enumerate(ts)]
    for n, (segment, token, i, r) in enumerate([*flat, *written]):
        tokens[places[n]] = token
        if n >= len(flat) and solved:
            targets[places[n] - 1] = token
        for k, level in enumerate(coupling.levels):
            key[k, places[n]] = form_id(level, level.key.get(segment), i, r, n)
            if n > 0:
                query[k, places[n - 1]] = form_id(level, level.query.get(segment), i, r, n)
    return tokens, query, key, targets


@pytest.mark.parametrize("task", TASKS, ids=named)
@pytest.mark.parametrize("solved", [True, False])
def test_layout_token_by_token(task, solved):
    problems = some_problems(task, longest=7, count=12)
    coupling = rich(task)
    for width in (None, 9):
        batch = task.layout(coupling, as_operands(task, problems), solved=solved, width=width)
        for i, problem in enumerate(problems):
            row = expected_row(task, coupling, [list(d) for d in problem], batch, solved)
            for name, array, right in zip(batch._fields[:4], batch[:4], row, strict=True):
                np.testing.assert_array_equal(array[i], right, err_msg=f"{name} of {problem}")


def words_of(seed, stream, step, sample):
    generator = np.random.Philox(
        counter=np.array([0, sample, step, 0], np.uint64), key=np.array([seed, stream], np.uint64)
    )
    while True:
        yield int(generator.random_raw())


def oracle_digits(words, base, count):
    group = max(k for k in range(1, 40) if base**k <= 2**32)
    digits = []
    while len(digits) < count:
        word = next(words)
        for _ in range(min(group, count - len(digits))):
            digits.append(word * base >> 64)
            word = word * base % 2**64
    return digits


@pytest.mark.parametrize("task", [Copy(), Parity(), TimesDigit(), TimesDigit(7), Increment(16)])
def test_draws_are_those_of_numpy(task):
    low, high = 2, 25
    drawn = task.operands(seed=5, split="all", step=3, lengths=(low, high), size=30)
    for sample, problem in enumerate(drawn):
        words = words_of(5, 2, 3, sample)
        word = next(words) * (high - low + 1)
        length, rest = low + (word >> 64), word % 2**64
        if isinstance(task, STRINGS):
            digits = oracle_digits(words, task.base, length)
        else:
            leading = 1 + (rest * (task.base - 1) >> 64)
            digits = [leading, *oracle_digits(words, task.base, length - 1)]
        assert problem[0].tolist() == digits
        if isinstance(task, TimesDigit):
            assert problem[1].tolist() == [next(words) * task.base >> 64]


def test_half_of_the_comparisons_agree_in_low_digits():
    """Against the draws of subtraction, which are the same words without relating the operands."""
    draw = dict(seed=1, split="all", step=0, lengths=(1, 6), size=4000)
    plain, related = Subtraction().operands(**draw), Comparison().operands(**draw)
    shared = np.zeros(7)
    for (a, b), (x, y) in zip(plain, related, strict=True):
        np.testing.assert_array_equal(a, x)
        assert b.size == y.size
        assert y.size == 1 or y[0] > 0
        n = min(x.size, y.size)
        differs = np.flatnonzero(x[::-1][:n] != y[::-1][:n])
        if n == 4:
            shared[differs[0] if differs.size else n] += 1
    assert (shared[:5] > 0.06 * shared.sum()).all()
    assert shared[4] < 0.2 * shared.sum()


@pytest.mark.parametrize("task", TASKS, ids=named)
def test_batches_are_pure_and_split(task):
    coupling = rich(task)
    draw = dict(seed=3, step=8, lengths=(1, 9), size=70)
    for split in ("train", "test", "all"):
        batch = task.batch(coupling, split=split, threads=1, **draw)
        again = task.batch(coupling, split=split, threads=3, **draw)
        operands = task.operands(split=split, **draw)
        for one, other in zip(batch[:4], again[:4], strict=True):
            np.testing.assert_array_equal(one, other)
        laid = task.layout(couplings.index(task), operands, width=9)
        np.testing.assert_array_equal(batch.tokens, laid.tokens)
        np.testing.assert_array_equal(batch.targets, laid.targets)
        assert batch.start == laid.start
        if split != "all":
            assert (task.in_test_split(operands) == (split == "test")).all()


@pytest.mark.parametrize("task", TASKS, ids=named)
def test_structured_kinds(task):
    drawn = {}
    for kind in task.kinds[1:]:
        chain = (2, 1) if kind == "chain" else None
        drawn[kind] = task.operands(
            seed=0, split="all", step=0, lengths=(4, 9), size=40, kind=kind, chain=chain
        )
        assert task.answer(drawn[kind])
    if task.arity == 1 or isinstance(task, TimesDigit):
        assert all((p[0] == task.base - 1).all() for p in drawn["ripple"])
        assert all((p[0] == p[0][0]).all() for p in drawn["repdigit"])
        assert any((p[0][1:] == 0).all() for p in drawn["zeros"])
        with pytest.raises(ValueError, match="for two numbers"):
            task.operands(seed=0, split="all", step=0, lengths=(4, 9), size=1, kind="double")
    else:
        assert all(p[0].tolist() == p[1].tolist() for p in drawn["double"])
    with pytest.raises(ValueError, match="expected split 'all'"):
        task.operands(seed=0, split="train", step=0, lengths=(4, 9), size=1, kind="zeros")


@pytest.mark.parametrize("task", TASKS, ids=named)
def test_round_trip_through_json(task):
    assert task_from_dict(json.loads(json.dumps(task.to_dict()))) == task


@pytest.mark.parametrize(
    ("task", "line", "operands"),
    [
        (Subtraction(), " 7 -12", ("7", "12")),
        (Comparison(), "5<07", ("5", "7")),
        (Comparison(), "5=7", ("5", "7")),
        (Comparison(), "5?7", ("5", "7")),
        (Increment(), "129", ("129",)),
        (Increment(), "129 + 1", ("129",)),
        (TimesDigit(), "1234*7", ("1234", "7")),
        (ModularAddition(), "12+34", ("12", "34")),
        (ResidueAddition(), "12+34", ("12", "34")),
        (Copy(), "0012", ("0012",)),
        (Reverse(16), "0a", ("0a",)),
        (Parity(), "0110", ("0110",)),
    ],
)
def test_parse(task, line, operands):
    parsed = task.parse(line)
    assert tuple("".join(np.base_repr(d, 36).lower() for d in p) for p in parsed) == operands


@pytest.mark.parametrize(
    ("task", "line", "message"),
    [
        (Subtraction(), "7+12", "one '-'"),
        (Subtraction(), "7--12", "got 2"),
        (Comparison(), "5<<7", "got 2"),
        (Increment(), "129+2", r"\+2"),
        (TimesDigit(), "12*34", "single digit"),
        (Parity(), "012", "'2' at character 3"),
        (Copy(), "", "empty"),
        (ModularAddition(), "12", "one '\\+'"),
    ],
)
def test_parse_says_what_is_wrong(task, line, message):
    with pytest.raises(ValueError, match=message):
        task.parse(line)


def test_render_refuses_what_is_no_answer():
    minus = Subtraction().vocabulary.id("-")
    for tokens, message in [
        ([], "empty"),
        ([3, minus], "as many digits"),
        ([3, 3, 1], "expected a sign"),
        ([0, minus, 0], "negative zero"),
        ([3, minus, minus], "'-' where a digit"),
        ([minus, minus, 3], "'-' where a digit"),
    ]:
        with pytest.raises(ValueError, match=message):
            Subtraction().render(np.array(tokens))
    with pytest.raises(ValueError, match="running comparison has '1'"):
        Comparison().render([1])
    with pytest.raises(ValueError, match="running parity"):
        Parity(10).render([2])
    with pytest.raises(ValueError, match="below 51"):
        ResidueAddition(51).render([52])


def test_values_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match="residue-addition takes any"):
        ModularAddition(101)
    with pytest.raises(ValueError, match=r"2\.\.240"):
        ResidueAddition(241)
    with pytest.raises(ValueError, match="single digit"):
        TimesDigit().answer(Operands.from_ints([(12, 34)]))
    with pytest.raises(ValueError, match="expected at least one problem of 1"):
        Copy().answer(Operands.from_ints([(12, 34)]))
    tables = couplings.lookups(Subtraction())
    with pytest.raises(ValueError, match="segments"):
        Comparison().batch(tables, seed=0, split="all", step=0, lengths=(1, 2), size=1)


def test_a_difference_of_a_million_digits():
    n = 10**6
    power = np.zeros(n + 1, np.uint8)
    power[0] = 1
    (answer,) = Subtraction().answer(Operands.from_digits([([1], power)]))
    words = Subtraction().vocabulary
    assert answer.size == 2 * (n + 1) + 1
    assert answer[: n + 2].tolist() == [1, *[0] * (n - 1), 9, words.id("-")]
    assert (answer[n + 2 : -1] == 9).all()
    assert answer[-1] == 0
