"""Column tasks by Python integers: tokens of every row, results, and problems to try."""

import itertools
from dataclasses import fields

import numpy as np

from arithtf.tasks import (
    Comparison,
    Copy,
    Coupling,
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
)

TASKS = [
    Subtraction(),
    Subtraction(2),
    Subtraction(16),
    Comparison(),
    Comparison(3),
    Increment(),
    Increment(2),
    TimesDigit(),
    TimesDigit(5),
    ModularAddition(10),
    ModularAddition(1000),
    ModularAddition(50),
    ModularAddition(2),
    ModularAddition(8, base=2),
    ModularAddition(9, base=3),
    ModularAddition(8),
    ModularAddition(25),
    ModularAddition(40),
    ModularAddition(1250),
    ModularAddition(9, base=6),
    ModularAddition(48, base=6),
    ModularAddition(18, base=12),
    ResidueAddition(51),
    ResidueAddition(101),
    ResidueAddition(151),
    ResidueAddition(7, base=2),
    View(ResidueAddition(51)),
    View(ResidueAddition(7, base=2)),
    Copy(),
    Copy(3),
    Reverse(),
    Parity(),
    Parity(10),
]
STRINGS = (Copy, Reverse, Parity)


def named(task):
    return f"{task.name}-{'-'.join(str(getattr(task, f.name)) for f in fields(task))}"


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


def is_top_digit(modulus, base):
    """Whether a modulus is a divisor of the base times a power of it."""
    return modulus in {d * base**k for d in range(2, base + 1) for k in range(9) if base % d == 0}


def running_residue(a, b, modulus, base):
    """Sums of columns with their carries while those are digits of the result, then residues."""
    own = max(k for k in range(20) if modulus % base**k == 0)
    for k in range(min(k for k in range(1, 20) if base**k % modulus == 0)):
        low, high = base**k, base ** (k + 1)
        total = a % high + b % high
        yield total // low if k < own else total // base**own % (modulus // base**own)


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
    elif isinstance(task, ModularAddition) and not is_top_digit(task.modulus, base):
        answer = list(running_residue(*numbers, task.modulus, base))[:n]
    elif isinstance(task, ModularAddition):
        total = sum(numbers) % task.modulus
        count = len(low_first(task.modulus - 1, base))
        answer = digits(total, max(min(n, count), len(low_first(total, base))))
    elif isinstance(task, View):
        answer = [sum(numbers) % task.of.modulus]
    elif isinstance(task, ResidueAddition):
        a, b = numbers
        answer = [(a // base**k + b // base**k) % task.modulus for k in reversed(range(n))]
    elif isinstance(task, Parity):
        answer = [sum(operands[0][: k + 1]) % 2 for k in range(n)]
    else:
        answer = operands[0][:: -1 if isinstance(task, Reverse) else 1]
    yield "answer", [*answer, words.eos]


def whole(task):
    """The task that a view is one of, or the task itself."""
    return task.of if isinstance(task, View) else task


def result_of(task, operands):
    """The result as a person reads it."""
    numbers = [value(digits, task.base) for digits in operands]
    if isinstance(task, Subtraction):
        difference = numbers[0] - numbers[1]
        return ("-" if difference < 0 else "") + np.base_repr(abs(difference), task.base).lower()
    if isinstance(task, Comparison):
        a, b = numbers
        return "<" if a < b else ">" if a > b else "="
    if isinstance(whole(task), ResidueAddition):
        return np.base_repr(sum(numbers) % whole(task).modulus, task.base).lower()
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


def rich(task):
    """A coupling that uses every form on every segment."""
    key, query = {}, {}
    for k, segment in enumerate(task.segments.names):
        right = 3 + k if segment in task.segments.prompt else 0
        key[segment] = Place(offset=k, left=2, right=right, row=5, index=1)
        if segment != "bos":
            query[segment] = Place(offset=-k, left=1 + k, right=-right, index=2)
    cycle = Level(name="cycle", key=key, query={"answer": Place(left=3)}, period=4)
    return Coupling("rich", (Level(name="mixed", key=key, query=query, start=(2, 9)), cycle))
