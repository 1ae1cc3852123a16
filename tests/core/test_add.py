"""Digit-array addition and splits of the core against Python integers."""

import numpy as np
import pytest

from arithtf.tasks import Addition, Operands


def number_of(digits: np.ndarray, base: int) -> int:
    """Value of digits, most significant first, by halves: fast without int's text limit."""
    if digits.size <= 64:
        value = 0
        for digit in digits.tolist():
            value = value * base + digit
        return value
    low = digits.size // 2
    return number_of(digits[:-low], base) * base**low + number_of(digits[-low:], base)


def random_number(rng: np.random.Generator, base: int, length: int, style: int) -> np.ndarray:
    digits = rng.integers(0, base, length)
    if style == 1:
        digits[:] = base - 1
    elif style == 2:
        digits = np.where(rng.random(length) < 0.8, base - 1, digits)
    if length > 1 and digits[0] == 0:
        digits[0] = 1
    return digits.astype(np.uint8)


@pytest.mark.parametrize("base", [2, 3, 10, 16, 127, 128])
@pytest.mark.parametrize("padded", [False, True])
def test_sums_are_those_of_integers(base: int, padded: bool) -> None:
    rng = np.random.default_rng(base)
    lengths = [(m, n) for m in range(1, 20) for n in range(1, 20)]
    lengths += [(1, 3000), (3000, 1), (2999, 3000), (1024, 1024), (40, 41), (64, 8)]
    problems = [
        (random_number(rng, base, m, style), random_number(rng, base, n, other))
        for m, n in lengths
        for style, other in ((0, 0), (1, 1), (1, 0), (2, 2))
    ]
    task = Addition(base=base, format="padded" if padded else "natural")
    answers = task.answer(Operands.from_digits(problems))
    for (a, b), answer in zip(problems, answers, strict=True):
        assert answer.dtype == np.uint8
        assert int(answer.max()) < base
        total = number_of(a, base) + number_of(b, base)
        assert number_of(answer[::-1], base) == total
        if padded:
            assert answer.size == max(a.size, b.size) + 1
        else:
            assert answer.size == 1 or answer[-1] != 0


def test_carry_through_a_million_digits() -> None:
    nines, one = np.full(10**6, 9, np.uint8), np.ones(1, np.uint8)
    for pair in ((nines, one), (one, nines)):
        (answer,) = Addition().answer(Operands.from_digits([pair]))
        assert answer.size == 10**6 + 1
        assert answer[-1] == 1
        assert not answer[:-1].any()


@pytest.mark.parametrize(
    ("digits", "message"),
    [
        (([0, 1], [1]), "leading zeros"),
        (([1], [10]), "below the base"),
        (([1], []), "no digits"),
    ],
)
def test_operands_not_in_normal_form_are_refused(
    digits: tuple[list[int], list[int]], message: str
) -> None:
    operands = Operands.from_digits([([1], [1]), digits])
    with pytest.raises(ValueError, match=message) as error:
        Addition().answer(operands)
    assert "instance 1" in str(error.value)
